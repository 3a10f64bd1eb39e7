/* passwords: argon2id by libsodium. */
#include "services/auth/passwords.h"

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
    (void)rq;
    if (!password_fits(rule, password))
        return err_make(&INVALID_PASSWORD, "%s", rule->refusal);
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

bool password_matches(const char *stored, const char *password)
{
    return stored && crypto_pwhash_str_verify(stored, password, strlen(password)) == 0;
}

char *password_make(Arena *mem)
{
    static const char LETTERS[] = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789"; /* none alike */
    char *out = ARENA_ARRAY(mem, char, MADE_PASSWORD_CHARS + 1);

    for (int i = 0; i < MADE_PASSWORD_CHARS; i++)
        out[i] = LETTERS[randombytes_uniform(sizeof(LETTERS) - 1)];
    return out;
}
