/* passwords: argon2id by libsodium; bcrypt, of accounts that came from elsewhere, is verified too. Every function here
 * that hashes takes tens of milliseconds and 64 MiB: only rpcs of lane "slow" call them. */
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

/* libsodium's text form, borrowed from `mem`. UNAVAILABLE when there is no memory for it. */
Err password_hash(const AuthSettings *settings, Arena *mem, const char *password, char **out) MUST_CHECK;
/* Cost and parallelism are those of `stored`. `stored` may be NULL: never. */
bool password_matches(const char *stored, const char *password);
/* Cheaper to guess at than a hash that would be made today. */
bool password_is_outdated(const AuthSettings *settings, const char *stored);
/* For accounts made by operators: 20 letters and digits, borrowed from `mem`. */
char *password_make(Arena *mem);
