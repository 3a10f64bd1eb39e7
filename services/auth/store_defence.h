/* store_defence: failed tries, the networks that somebody is known at, and what an account asks for besides a password.
 * Has a fake in store_fake.c. */
#pragma once
#include "services/auth/store.h"

/* What failures are counted by; the rules are in defence.c. */
typedef enum DefenceScope { BY_NAME_AND_NETWORK, BY_NETWORK, BY_NAME, DEFENCE_SCOPES } DefenceScope;

typedef struct DefenceLook {
    struct {
        int64_t failures, last_us;
    } tries[DEFENCE_SCOPES];
    bool network_known; /* to this user */
    bool second_factor; /* is asked of him */
} DefenceLook;

/* `user_id` 0 is nobody: the same statement, which finds nothing. */
Err defence_store_look(Request *rq, int64_t user_id, Slice network_hash, const Slice keys[DEFENCE_SCOPES],
                       DefenceLook *out) MUST_CHECK;
/* One more for each; what failed before `forgotten_us` counts no more. */
Err defence_store_fail(Request *rq, const Slice keys[DEFENCE_SCOPES], int64_t now_us, int64_t forgotten_us) MUST_CHECK;
/* Forgets the failures of one key, and knows the user at this network from now on. */
Err defence_store_pass(Request *rq, Slice key, int64_t user_id, Slice network_hash, int64_t now_us) MUST_CHECK;
/* The same password in another form, unless it has been changed meanwhile: then `*out_done` is false. */
Err defence_store_rehash(Request *rq, int64_t user_id, const char *old_hash, const char *new_hash,
                         bool *out_done) MUST_CHECK;
/* Deletes at most `limit` failures that count no more, and as many networks where nobody has been for long. */
Err defence_store_purge(Request *rq, int64_t now_us, int64_t limit, int64_t *out_deleted) MUST_CHECK;
