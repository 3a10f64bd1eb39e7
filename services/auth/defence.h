/* defence: whoever fails again and again waits, longer each time; and nobody can make others wait. Failures are counted
 * by name and network together, by network, and by name alone; the last two count only for networks from which the
 * account's owner has not logged in. Names that do not exist are counted like all others. */
#pragma once
#include "services/auth/store_defence.h"

#define DEFENCE_MEMORY_US (INT64_C(3600) * 1000000) /* after an hour without a failure all is forgotten */
#define KNOWN_NETWORK_US (INT64_C(90) * 86400 * 1000000)

/* What is guessed; each is counted apart. */
typedef enum DefenceStage {
    DEFENCE_PASSWORD = 'p', /* a name and a password */
    DEFENCE_FACTOR = 'f',   /* a second factor, by whoever knows the password */
    DEFENCE_PROOF = 'c'     /* either, by whoever holds a token */
} DefenceStage;

typedef struct Defence {
    Slice keys[DEFENCE_SCOPES], network;
    bool second_factor; /* is asked of this user */
} Defence;

/* `name` as it was typed; `user_id` 0 when there is none. RATE_LIMITED, with
 * the seconds to wait, before anything expensive is done. */
Err defence_enter(Request *rq, DefenceStage stage, const char *name, int64_t user_id, Defence *out) MUST_CHECK;
/* The same for a user who is known already. */
Err defence_enter_as(Request *rq, DefenceStage stage, int64_t user_id, Defence *out) MUST_CHECK;
Err defence_failed(Request *rq, const Defence *defence) MUST_CHECK;
/* When all that is asked for was right: the failures by this name here are forgiven, and the user is known here. */
Err defence_passed(Request *rq, const Defence *defence, int64_t user_id) MUST_CHECK;
/* The user is known here: for who came in without guessing at anything. */
Err defence_know(Request *rq, int64_t user_id) MUST_CHECK;
