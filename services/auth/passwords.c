/* passwords: see passwords.h. */
#include "services/auth/passwords.h"

#include <crypt.h>
#include <sodium.h>

enum { MADE_PASSWORD_CHARS = 20 };

const PasswordRule CHAT_PASSWORD = {.min_chars = 6, .max_chars = 128, .refusal = "password must be 6-128 characters"};
const PasswordRule LONG_PASSWORD = {
    .min_chars = 8, .max_chars = PASSWORD_MAX_BYTES, .refusal = "newPassword must have at least 8 characters"};

bool password_fits(const PasswordRule *rule, const char *password)
{
    Slice text = slice(password);
    size_t chars;

    if (text.len > PASSWORD_MAX_BYTES)
        return false;
    chars = utf8_length(text);
    return chars >= rule->min_chars && chars <= rule->max_chars;
}

Err password_accept(Request *rq, const PasswordRule *rule, const char *password)
{
    const Auth *auth = rq->service;

    if (!password_fits(rule, password))
        return err_make(&INVALID_PASSWORD, "%s", rule->refusal);
    if (auth->breach && breach_knows(auth->breach, rq->mem, password))
        return err_make(&BREACHED_PASSWORD, "this password is known to have leaked; choose another one");
    return OK;
}

Err password_hash(const AuthSettings *settings, Arena *mem, const char *password, char **out)
{
    char *text = ARENA_ARRAY(mem, char, crypto_pwhash_STRBYTES);

    if (crypto_pwhash_str_alg(text, password, strlen(password), (unsigned long long)settings->hash_ops,
                              (size_t)settings->hash_memory_bytes, crypto_pwhash_ALG_ARGON2ID13) != 0)
        return err_make(&UNAVAILABLE, "no memory to hash a password");
    *out = text;
    return OK;
}

/* $2a$, $2b$ and $2y$, as other systems wrote them. */
static bool is_bcrypt(const char *stored)
{
    return stored[0] == '$' && stored[1] == '2' && stored[2] && stored[3] == '$';
}

static bool bcrypt_matches(const char *stored, const char *password)
{
    struct crypt_data *data = xcalloc(1, sizeof(*data)); /* 32 KiB: too much for a thread's stack */
    const char *made = crypt_r(password, stored, data);
    bool matches = made && slice_eq_secret(slice(made), slice(stored));

    sodium_memzero(data, sizeof(*data));
    free(data);
    return matches;
}

bool password_matches(const char *stored, const char *password)
{
    if (!stored)
        return false;
    if (is_bcrypt(stored))
        return bcrypt_matches(stored, password);
    return crypto_pwhash_str_verify(stored, password, strlen(password)) == 0;
}

/* libsodium tells whether parameters differ; only lower ones are worth a new hash. */
bool password_is_outdated(const AuthSettings *settings, const char *stored)
{
    static const Slice FORM = SLICE_LIT("$argon2id$v=19$m=");
    Slice memory_kib, passes, rest;
    uint64_t memory, ops;

    if (!slice_starts_with(slice(stored), FORM) ||
        !slice_cut(slice_skip(slice(stored), FORM.len), ',', &memory_kib, &rest) ||
        !slice_cut(rest, ',', &passes, &rest) || !slice_starts_with(passes, SLICE_LIT("t=")) ||
        !slice_to_uint64(memory_kib, &memory) || !slice_to_uint64(slice_skip(passes, 2), &ops))
        return true;
    return memory < (uint64_t)settings->hash_memory_bytes / 1024 || ops < (uint64_t)settings->hash_ops;
}

char *password_make(Arena *mem)
{
    static const char LETTERS[] = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789"; /* none alike */
    char *out = ARENA_ARRAY(mem, char, MADE_PASSWORD_CHARS + 1);

    for (int i = 0; i < MADE_PASSWORD_CHARS; i++)
        out[i] = LETTERS[randombytes_uniform(sizeof(LETTERS) - 1)];
    return out;
}
