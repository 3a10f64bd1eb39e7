/* passwords: argon2id by libsodium; bcrypt, of accounts that came from elsewhere, is verified too. Every function here
 * that hashes takes tens of milliseconds and 64 MiB, in a process aside (shared/aside.h): only rpcs of lane "slow" call
 * them. */
#pragma once
#include "services/auth/auth.h"

/* Of a route's contract. */
typedef struct PasswordRule {
    size_t min_chars, max_chars; /* code points */
    const char *refusal;
} PasswordRule;
extern const PasswordRule CHAT_PASSWORD, LONG_PASSWORD;
bool password_fits(const PasswordRule *rule, const char *password);
/* What every route asks before it takes a new password. INVALID_PASSWORD, BREACHED_PASSWORD; `password` may be NULL. */
Err password_accept(Request *rq, const PasswordRule *rule, const char *password) MUST_CHECK;

/* libsodium's text form, borrowed from the request's memory. `password` has PASSWORD_MAX_BYTES at most. UNAVAILABLE
 * when there is no memory for it, DEADLINE_EXCEEDED. */
Err password_hash(Request *rq, const char *password, char **out) MUST_CHECK;
/* Cost and parallelism are those of `stored`, which may be NULL: never. Too long a password never matches. Errors as
 * above. */
Err password_check(Request *rq, const char *stored, const char *password, bool *out_matches) MUST_CHECK;
/* The same in this thread, for a service that has no process aside: tests. */
Err password_hash_here(const AuthSettings *settings, Arena *mem, const char *password, char **out) MUST_CHECK;
bool password_matches(const char *stored, const char *password);
/* What the process aside computes. */
size_t password_aside(Slice in, uint8_t out[ASIDE_BYTES_MAX]);
/* Cheaper to guess at than a hash that would be made today. */
bool password_is_outdated(const AuthSettings *settings, const char *stored);
/* For accounts made by operators: 20 letters and digits, borrowed from `mem`. */
char *password_make(Arena *mem);
