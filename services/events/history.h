/* history: the versions that there were of an event (B16). */
#pragma once
#include "services/events/store_read.h"

/* For reads that ask for `?version=`: `d`, which was found, becomes what it was in that version; its dates are those of
 * its first occurrence then. INVALID_ARGUMENT; NOT_FOUND, also of a version that was never public, for callers who may
 * not see such. Fit for fibers. */
Err history_show(Request *rq, const char *version, Document *d) MUST_CHECK;
