/* idempotency: what the dispatcher remembers of requests with an Idempotency-Key. In its transaction it claims the key,
 * lets the handler work, stores the encoded reply, commits: whatever fails rolls all of it back, so that only finished
 * requests are remembered, and no request is finished without being remembered. Thread-safe. */
#pragma once
#include "shared/db.h"

enum { IDEMPOTENCY_KEY_MAX_BYTES = 255, IDEMPOTENCY_FINGERPRINT_BYTES = 32, IDEMPOTENCY_KEEP_HOURS = 24 };

typedef struct IdempotencyClaim {
    const char *key;    /* 1 to IDEMPOTENCY_KEY_MAX_BYTES bytes of UTF-8 */
    const char *caller; /* whose key it is: "user:17" */
    const char *rpc;    /* "auth.v1.Register" */
    uint8_t fingerprint[IDEMPOTENCY_FINGERPRINT_BYTES];
} IdempotencyClaim;

typedef struct IdempotencyReply {
    int http_status; /* 0: the rpc's own */
    Slice headers;   /* lines "Name: value\n" */
    Slice body;      /* the encoded message */
} IdempotencyReply;

/* SHA-256 of the request. */
void idempotency_fingerprint(Slice request, uint8_t out[IDEMPOTENCY_FINGERPRINT_BYTES]);
/* Holds the key until the transaction ends. `*out_found`: the request was finished before, and this was its reply,
 * borrowed from `mem`. IDEMPOTENCY_RUNNING at once when another transaction holds the key, IDEMPOTENCY_MISMATCH when it
 * stands for another request, INVALID_ARGUMENT for a bad key. */
Err idempotency_claim(DbTx *tx, Arena *mem, const IdempotencyClaim *claim, bool *out_found,
                      IdempotencyReply *out) MUST_CHECK;
/* Sent later (db_later.h): a failure is the commit's. */
Err idempotency_store(DbTx *tx, const IdempotencyClaim *claim, const IdempotencyReply *reply) MUST_CHECK;
/* Deletes some of what is older than IDEMPOTENCY_KEEP_HOURS; to be called now and then. */
Err idempotency_purge(Db *db, int64_t timeout_ms, int64_t *out_rows) MUST_CHECK;
