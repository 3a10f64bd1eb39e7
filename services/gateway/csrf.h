/* csrf: tokens that prove that a page may read our answers: who sends one back in X-CSRF-Token may write by cookie
 * alone. A token is a keyed hash of the login and the day; it is good until the end of the next day, at all gateways
 * that share GATEWAY_SIGNING_KEY, and nothing is stored. Immutable. */
#pragma once
#include "shared/err.h"
#include "shared/slice.h"

enum { CSRF_MAX_AGE_S = 86400 };

typedef struct Csrf Csrf;
/* `signing_key` is the setting: hexadecimal digits. INVALID_ARGUMENT for what is none. */
Err csrf_new(Arena *mem, Slice signing_key, const Csrf **out) MUST_CHECK;
/* `owner` is whose token it is: the login. Borrowed from `mem`. */
char *csrf_token(const Csrf *csrf, Arena *mem, Slice owner, int64_t now_ms);
bool csrf_matches(const Csrf *csrf, Arena *mem, Slice owner, int64_t now_ms, Slice token);
