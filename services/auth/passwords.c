/* passwords: see passwords.h. */
#include "services/auth/passwords.h"

#include <crypt.h>
#include <sodium.h>

enum { MADE_PASSWORD_CHARS = 20, STORED_MAX_BYTES = 255, TIMEOUT_MS = 10000 };

/* What goes to the process aside, as it stands in memory: it is the same executable. */
typedef struct Question {
    uint64_t hash_ops, hash_memory_bytes; /* 0: a check of `stored` */
    char stored[STORED_MAX_BYTES + 1];
    char password[PASSWORD_MAX_BYTES + 1];
} Question;

typedef struct Answer {
    bool fine; /* it matches, or `hash` could be made */
    char hash[crypto_pwhash_STRBYTES];
} Answer;
static_assert(sizeof(Question) <= ASIDE_BYTES_MAX && sizeof(Answer) <= ASIDE_BYTES_MAX, "too long for aside_run");

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

static bool make_hash(uint64_t ops, uint64_t memory_bytes, const char *password, char out[crypto_pwhash_STRBYTES])
{
    return crypto_pwhash_str_alg(out, password, strlen(password), ops, memory_bytes, crypto_pwhash_ALG_ARGON2ID13) == 0;
}

Err password_hash_here(const AuthSettings *settings, Arena *mem, const char *password, char **out)
{
    char *text = ARENA_ARRAY(mem, char, crypto_pwhash_STRBYTES);

    if (!make_hash((uint64_t)settings->hash_ops, (uint64_t)settings->hash_memory_bytes, password, text))
        return err_make(&UNAVAILABLE, "no memory to hash a password");
    *out = text;
    return OK;
}

/* --- aside ------------------------------------------------------------------------------------------------------- */
size_t password_aside(Slice in, uint8_t out[ASIDE_BYTES_MAX])
{
    Question question;
    Answer answer = {0};

    if (sodium_init() < 0 || in.len != sizeof(question))
        return 0;
    memcpy(&question, in.ptr, sizeof(question));
    if (question.hash_ops)
        answer.fine = make_hash(question.hash_ops, question.hash_memory_bytes, question.password, answer.hash);
    else
        answer.fine = password_matches(question.stored, question.password);
    sodium_memzero(&question, sizeof(question));
    memcpy(out, &answer, sizeof(answer));
    return sizeof(answer);
}

static Err ask_aside(Request *rq, const char *password, Question *question, Answer *out)
{
    const Auth *auth = rq->service;
    int64_t now_ms = clock_monotonic_ms(&SYSTEM_CLOCK), left_ms = TIMEOUT_MS;
    Slice answer;
    Err e;

    if (rq->clock && rq->deadline_ms)
        left_ms = rq->deadline_ms - clock_monotonic_ms(rq->clock);
    snprintf(question->password, sizeof(question->password), "%s", password);
    e = aside_run(auth->aside, now_ms + left_ms, (Slice){(const char *)question, sizeof(*question)}, rq->mem, &answer);
    sodium_memzero(question, sizeof(*question));
    TRY(e);
    if (answer.len != sizeof(*out))
        return err_make(&INTERNAL, "an answer of %zu bytes from aside", answer.len);
    memcpy(out, answer.ptr, sizeof(*out));
    return OK;
}

Err password_hash(Request *rq, const char *password, char **out)
{
    const Auth *auth = rq->service;
    Question question = {.hash_ops = (uint64_t)auth->settings->hash_ops,
                         .hash_memory_bytes = (uint64_t)auth->settings->hash_memory_bytes};
    Answer answer;

    if (!auth->aside)
        return password_hash_here(auth->settings, rq->mem, password, out);
    if (strlen(password) > PASSWORD_MAX_BYTES)
        return err_make(&INVALID_ARGUMENT, "password: at most %d bytes", PASSWORD_MAX_BYTES);
    TRY(ask_aside(rq, password, &question, &answer));
    if (!answer.fine)
        return err_make(&UNAVAILABLE, "no memory to hash a password");
    *out = arena_strdup(rq->mem, answer.hash);
    return OK;
}

Err password_check(Request *rq, const char *stored, const char *password, bool *out_matches)
{
    const Auth *auth = rq->service;
    Question question = {0};
    Answer answer = {0};

    if (stored && strlen(stored) <= STORED_MAX_BYTES && strlen(password) <= PASSWORD_MAX_BYTES) {
        if (!auth->aside) {
            answer.fine = password_matches(stored, password);
        } else {
            snprintf(question.stored, sizeof(question.stored), "%s", stored);
            TRY(ask_aside(rq, password, &question, &answer));
        }
    }
    *out_matches = answer.fine;
    return OK;
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
