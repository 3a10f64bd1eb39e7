/* submissions: what single submissions and batches share. */
#pragma once
#include "services/events/ingest.h"

/* Who hands in, by the request's caller. */
Submitter submitter_of(const Request *rq);
/* INVALID_ARGUMENT with a violation for each; there is at least one. */
Err refuse_faults(Request *rq, const Findings *faults);
/* JSON list of {field, code, message} and what else they say. */
void write_warnings(StrBuf *out, const Findings *warnings);
