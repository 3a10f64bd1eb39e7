/* replay: Idempotency-Key as the contract has it (contracts/events.md 3.6): a repeated key is answered with the first
 * reply under 409, another body under a key is a conflict, and a request that failed leaves its key free. In the
 * handler's own transaction, over what shared/idempotency.h keeps. */
#pragma once
#include "services/events/events.h"
#include "shared/idempotency.h"

typedef struct Replay {
    bool active; /* the request has a key */
    IdempotencyClaim claim;
} Replay;

/* `canonical`: the body as it counts; `rpc`: "SubmitEvent". `*out_answered`: the request was finished before, and `out`
 * is its reply; status and headers are set. INVALID_ARGUMENT, IDEMPOTENCY_MISMATCH, IDEMPOTENCY_RUNNING. */
Err replay_begin(Request *rq, DbTx *tx, const char *rpc, Slice canonical, Replay *replay, bool *out_answered,
                 Atrium__HttpBody *out) MUST_CHECK;
/* Remembers the reply with its Location and ETag, which are set already, before the commit; nothing without a key. */
Err replay_store(Request *rq, DbTx *tx, const Replay *replay, int http_status,
                 const Atrium__HttpBody *reply) MUST_CHECK;
