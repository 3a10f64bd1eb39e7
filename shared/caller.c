#include "shared/caller.h"

#include <pthread.h>
#include <sodium.h>

#include "atrium/bus.pb-c.h"
#include "atrium/reasons.atrium.h"
#include "shared/message.h"

/* The signature is over the text before the dot. The key signs nothing else. */

static const char *const ROLES[] = {"", "user", "operator", "admin"};

const char *role_name(Role role)
{
    return (size_t)role < ARRAY_LEN(ROLES) ? ROLES[role] : "";
}

bool role_parse(Slice text, Role *out)
{
    for (size_t i = ROLE_USER; i < ARRAY_LEN(ROLES); i++) {
        if (slice_eq_cstr(text, ROLES[i])) {
            *out = (Role)i;
            return true;
        }
    }
    return false;
}

static bool lists(const Caller *caller, const char *permission)
{
    for (size_t i = 0; i < caller->permission_count; i++) {
        if (!strcmp(caller->permissions[i], permission))
            return true;
    }
    return false;
}

/* "events.*" covers "events.review". */
static bool covers(const char *granted, const char *permission)
{
    size_t len = strlen(granted);

    if (len == 0 || granted[len - 1] != '*')
        return strcmp(granted, permission) == 0;
    return (len == 1 || granted[len - 2] == '.') && strncmp(granted, permission, len - 1) == 0;
}

bool caller_may(const Caller *caller, const char *permission)
{
    if (caller->role == ROLE_ADMIN && (!caller->api_key || lists(caller, CALLER_FULL)))
        return true;
    for (size_t i = 0; i < caller->permission_count; i++) {
        if (covers(caller->permissions[i], permission))
            return true;
    }
    return false;
}

bool caller_reaches(const Caller *caller, const char *permission)
{
    return !caller->api_key || permission[0] || lists(caller, CALLER_FULL);
}

/* ---------------------------------------------------------------------------------------------------- signing */

struct CallerSigner {
    unsigned char public_key[crypto_sign_PUBLICKEYBYTES];
    unsigned char secret_key[crypto_sign_SECRETKEYBYTES];
};

static_assert(CALLER_SEED_BYTES == crypto_sign_SEEDBYTES && CALLER_PUBLIC_BYTES == crypto_sign_PUBLICKEYBYTES,
              "the sizes in caller.h are Ed25519's");

/* `out` holds `len` bytes; the decoded copy is wiped, it may be a secret. */
static bool decode_key(Slice hex, unsigned char *out, size_t len)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(256);
    Slice bytes;
    bool good = hex_decode(mem, hex, &bytes) && bytes.len == len;

    if (good) {
        memcpy(out, bytes.ptr, len);
        sodium_memzero((char *)(uintptr_t)bytes.ptr, len);
    }
    return good;
}

Err caller_signer_new(Slice seed_hex, CallerSigner **out)
{
    unsigned char seed[CALLER_SEED_BYTES];
    CallerSigner *s;

    if (sodium_init() < 0)
        return err_make(&INTERNAL, "libsodium does not start");
    if (!decode_key(seed_hex, seed, sizeof(seed)))
        return err_make(&INVALID_ARGUMENT, "signing key: not %d hex digits", 2 * CALLER_SEED_BYTES);
    s = xcalloc(1, sizeof(*s));
    (void)crypto_sign_seed_keypair(s->public_key, s->secret_key, seed); /* has no way to fail */
    sodium_memzero(seed, sizeof(seed));
    *out = s;
    return OK;
}

void caller_signer_free(CallerSigner *s)
{
    if (!s)
        return;
    sodium_memzero(s, sizeof(*s));
    free(s);
}

Err caller_public_key(Arena *mem, Slice seed_hex, char **out)
{
    CLEANUP(caller_signer_free_at) CallerSigner *s = NULL;

    TRY(caller_signer_new(seed_hex, &s));
    *out = hex_encode(mem, slice_of(s->public_key, sizeof(s->public_key)));
    return OK;
}

/* protobuf-c wants its lists of strings writable and never writes to them. */
static char **strings(const char *const *list)
{
    return (char **)(uintptr_t)list;
}

char *caller_sign(const CallerSigner *s, Arena *mem, const Caller *caller, const char *const *audience,
                  size_t audience_count)
{
    Atrium__Caller message = ATRIUM__CALLER__INIT;
    unsigned char signature[crypto_sign_BYTES];
    char *payload;

    if (caller->user_id)
        SET(&message, user_id, caller->user_id);
    if (caller->role)
        SET(&message, role, (uint32_t)caller->role);
    if (caller->username && caller->username[0])
        message.username = (char *)(uintptr_t)caller->username;
    if (caller->login_id && caller->login_id[0])
        message.login_id = (char *)(uintptr_t)caller->login_id;
    SET(&message, expires_ms, caller->expires_ms);
    message.audience = strings(audience);
    message.n_audience = audience_count;
    message.permissions = strings(caller->permissions);
    message.n_permissions = caller->permission_count;
    if (caller->api_key)
        SET(&message, api_key, true);
    payload = base64url_encode(mem, message_pack(mem, &message.base));
    (void)crypto_sign_detached(signature, NULL, (const unsigned char *)payload, strlen(payload),
                               s->secret_key); /* has no way to fail */
    return arena_printf(mem, "%s.%s", payload, base64url_encode(mem, slice_of(signature, sizeof(signature))));
}

/* ---------------------------------------------------------------------------------------------------- reading */

static Err malformed(const char *what)
{
    return err_make(&UNAUTHENTICATED, "caller: %s", what);
}

static Err decode_payload(Arena *mem, Slice payload, const Atrium__Caller **out)
{
    ProtobufCMessage *message;
    Slice wire;

    if (!base64_decode(mem, payload, &wire))
        return malformed("not base64");
    if (err_failed(message_unpack(mem, &atrium__caller__descriptor, wire, &message)))
        return malformed("not a caller message");
    *out = (const Atrium__Caller *)message;
    return OK;
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static Err caller_of(const Atrium__Caller *message, Caller *out)
{
    if (message->role > ROLE_ADMIN || message->user_id < 0 || (message->user_id > 0) != (message->role > ROLE_NONE))
        return malformed("user and role do not fit");
    *out = (Caller){
        .kind = message->user_id ? CALLER_PERSON : CALLER_NOBODY,
        .user_id = message->user_id,
        .role = (Role)message->role,
        .username = or_empty(message->username),
        .login_id = or_empty(message->login_id),
        .service = "",
        .expires_ms = message->expires_ms,
        .permissions = (const char *const *)message->permissions,
        .permission_count = message->n_permissions,
        .api_key = message->api_key,
    };
    return OK;
}

static Err split(Slice header, Slice *out_payload, Slice *out_signature)
{
    if (header.len > CALLER_HEADER_MAX_BYTES)
        return malformed("too long");
    if (!slice_cut(header, '.', out_payload, out_signature))
        return malformed("no signature");
    return OK;
}

Err caller_decode(Arena *mem, Slice header, Caller *out)
{
    const Atrium__Caller *message;
    Slice payload, signature;

    TRY(split(header, &payload, &signature));
    TRY(decode_payload(mem, payload, &message));
    return caller_of(message, out);
}

/* ---------------------------------------------------------------------------------------------------- verifying */

/* Headers whose signature was found good, by their hash. A slot is overwritten by the next header that falls into it:
 * forgetting one only costs another check. */
enum { SEEN_SLOTS = 1024, SEEN_HASH_BYTES = 32 };

typedef struct Seen {
    unsigned char hash[SEEN_HASH_BYTES];
    int64_t expires_ms;
} Seen;

struct CallerVerifier {
    unsigned char public_key[crypto_sign_PUBLICKEYBYTES];
    char *domain;
    const Clock *clock;
    pthread_mutex_t lock;
    Seen seen[SEEN_SLOTS];
};

Err caller_verifier_new(Slice public_hex, const char *domain, const Clock *clock, CallerVerifier **out)
{
    unsigned char key[CALLER_PUBLIC_BYTES];
    CallerVerifier *v;

    if (sodium_init() < 0)
        return err_make(&INTERNAL, "libsodium does not start");
    if (!decode_key(public_hex, key, sizeof(key)))
        return err_make(&INVALID_ARGUMENT, "public key: not %d hex digits", 2 * CALLER_PUBLIC_BYTES);
    v = xcalloc(1, sizeof(*v));
    memcpy(v->public_key, key, sizeof(key));
    v->domain = xstrdup(domain);
    v->clock = clock;
    (void)pthread_mutex_init(&v->lock, NULL); /* cannot fail with default attributes */
    *out = v;
    return OK;
}

void caller_verifier_free(CallerVerifier *v)
{
    if (!v)
        return;
    (void)pthread_mutex_destroy(&v->lock);
    free(v->domain);
    free(v);
}

static Seen *slot_of(CallerVerifier *v, const unsigned char hash[SEEN_HASH_BYTES])
{
    return &v->seen[(hash[0] << 8 | hash[1]) % SEEN_SLOTS];
}

static bool was_seen(CallerVerifier *v, const unsigned char hash[SEEN_HASH_BYTES], int64_t now_ms)
{
    const Seen *slot = slot_of(v, hash);
    bool found;

    (void)pthread_mutex_lock(&v->lock);
    found = slot->expires_ms > now_ms && !memcmp(slot->hash, hash, SEEN_HASH_BYTES);
    (void)pthread_mutex_unlock(&v->lock);
    return found;
}

static void remember(CallerVerifier *v, const unsigned char hash[SEEN_HASH_BYTES], int64_t expires_ms)
{
    Seen *slot = slot_of(v, hash);

    (void)pthread_mutex_lock(&v->lock);
    memcpy(slot->hash, hash, SEEN_HASH_BYTES);
    slot->expires_ms = expires_ms;
    (void)pthread_mutex_unlock(&v->lock);
}

static bool signature_is_good(const CallerVerifier *v, Arena *mem, Slice payload, Slice text)
{
    Slice signature;

    return base64_decode(mem, text, &signature) && signature.len == crypto_sign_BYTES &&
           crypto_sign_verify_detached((const unsigned char *)signature.ptr, (const unsigned char *)payload.ptr,
                                       payload.len, v->public_key) == 0;
}

static bool is_meant_for(const Atrium__Caller *message, const char *domain)
{
    for (size_t i = 0; i < message->n_audience; i++) {
        if (!strcmp(message->audience[i], domain))
            return true;
    }
    return false;
}

Err caller_verify(CallerVerifier *v, Arena *mem, Slice header, Caller *out)
{
    int64_t now_ms = clock_unix_ms(v->clock);
    unsigned char hash[SEEN_HASH_BYTES];
    const Atrium__Caller *message;
    Slice payload, signature;
    Caller caller;
    bool seen;

    TRY(split(header, &payload, &signature));
    (void)crypto_generichash(hash, sizeof(hash), (const unsigned char *)header.ptr, header.len, NULL,
                             0); /* fails for wrong sizes only */
    seen = was_seen(v, hash, now_ms);
    if (!seen && !signature_is_good(v, mem, payload, signature))
        return malformed("forged");
    TRY(decode_payload(mem, payload, &message));
    if (message->expires_ms <= now_ms)
        return malformed("expired");
    if (!is_meant_for(message, v->domain))
        return malformed("meant for other services");
    TRY(caller_of(message, &caller));
    if (!seen)
        remember(v, hash, message->expires_ms);
    *out = caller;
    return OK;
}
