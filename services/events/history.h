/* history: the versions that there were of an event (B16). */
#pragma once
#include "services/events/entity.h"

/* For reads that ask for `?version=`: the document of that version, without @context; its dates are those of its first
 * occurrence. NOT_FOUND, also of a version that was never public, for callers who may not see such. Fit for fibers. */
Err history_document(Request *rq, Uuid event, int64_t version, Slice *out_doc) MUST_CHECK;
