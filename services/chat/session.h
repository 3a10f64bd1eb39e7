/* session: ids of sessions of the gateway protocol. An id is its own record, signed with the secret that all instances
 * share (live_secret): whose it is, of which login and which dispatch stream. So any instance can resume any session,
 * nothing is stored, and nobody can make one up or use another's. Thread-safe. */
#pragma once
#include "atrium/chat/v1/gateway.pb-c.h"
#include "shared/err.h"
#include "shared/slice.h"

enum { SESSION_SECRET_BYTES = 32, SESSION_ID_MAX_BYTES = 512 };

/* base64url(SessionFacts) "." base64url(HMAC-SHA256); borrowed from `mem`. A nonce is added. */
char *session_id_make(Arena *mem, const uint8_t secret[SESSION_SECRET_BYTES], const Chat__V1__SessionFacts *facts);
/* False for anything that was not made with this secret. */
bool session_id_read(Arena *mem, const uint8_t secret[SESSION_SECRET_BYTES], Slice id, Chat__V1__SessionFacts **out);
