/* passwords: argon2id by libsodium. */
#include "services/auth/passwords.h"

#include <sodium.h>

enum { MADE_PASSWORD_CHARS = 20 };

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
