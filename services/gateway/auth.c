/* auth: see auth.h. */
#include "services/gateway/auth.h"

#include <sodium.h>

#include "atrium/bus.pb-c.h"
#include "atrium/reasons.atrium.h"
#include "services/gateway/identity_provider.h"
#include "shared/message.h"

enum {
    BUCKETS_PER_ENTRY = 1,
    HASH_BYTES = 16,
    SIGNED_MAX = 8, /* domains per credential; one more replaces the oldest */
    DOMAIN_MAX_BYTES = 32,
    RESOLVE_TIMEOUT_MS = 2000,
    BAD_TTL_MS = 2000, /* how long a refused opaque token is remembered */
    SCRATCH_BYTES = 8192,
    RENEW_SHARE = 4 /* an identity is signed anew when a quarter of its life is left */
};

typedef enum CredentialState { CREDENTIAL_GOOD, CREDENTIAL_REFUSED, CREDENTIAL_ASKED } CredentialState;

typedef struct Waiting {
    struct Waiting *next;
    AuthDone done;
    void *data;
} Waiting;

typedef struct SignedCaller {
    char domain[DOMAIN_MAX_BYTES];
    char *header;
    int64_t renew_ms; /* wall clock */
} SignedCaller;

typedef struct Credential Credential;
struct Credential {
    Auth *auth;
    Credential *next;          /* in its bucket */
    Credential *newer, *older; /* by last use */
    uint8_t hash[HASH_BYTES];
    CredentialState state;
    int64_t user_id, expires_ms; /* of the credential itself */
    int64_t known_until_ms;      /* then it is verified, or asked for, again */
    Role role;
    char *username, *login_id;
    const char **permissions; /* in one piece with their texts */
    size_t permission_count;
    bool api_key;
    bool has_login;
    LoginKey login;
    SignedCaller callers[SIGNED_MAX];
    size_t caller_count;
    Waiting *waiting;
};

struct Auth {
    AuthOptions options;
    JwtKey *key;
    CallerSigner *signer;
    char *resolve_subject;
    Arena *scratch;
    uint8_t secret[crypto_generichash_KEYBYTES];
    Credential **buckets;
    size_t bucket_count, count; /* bucket_count is a power of two */
    Credential *newest, *oldest;
    Counter *hits, *verified, *resolved, *refused, *revoked;
};

/* --- the cache --------------------------------------------------------------------------------------------------- */
static Credential **bucket_of(Auth *a, const uint8_t hash[HASH_BYTES])
{
    size_t at;

    memcpy(&at, hash, sizeof(at));
    return &a->buckets[at & (a->bucket_count - 1)];
}

static void unlink_use(Auth *a, Credential *c)
{
    *(c->newer ? &c->newer->older : &a->newest) = c->older;
    *(c->older ? &c->older->newer : &a->oldest) = c->newer;
    c->newer = c->older = NULL;
}

static void link_newest(Auth *a, Credential *c)
{
    c->older = a->newest;
    *(a->newest ? &a->newest->newer : &a->oldest) = c;
    a->newest = c;
}

static Credential *find(Auth *a, const uint8_t hash[HASH_BYTES])
{
    for (Credential *c = *bucket_of(a, hash); c; c = c->next)
        if (memcmp(c->hash, hash, HASH_BYTES) == 0)
            return c;
    return NULL;
}

static void forget_callers(Credential *c)
{
    for (size_t i = 0; i < c->caller_count; i++)
        free(c->callers[i].header);
    c->caller_count = 0;
}

static void forget_identity(Credential *c)
{
    forget_callers(c);
    free(c->username);
    free(c->login_id);
    free(c->permissions);
    c->username = c->login_id = NULL;
    c->permissions = NULL;
    c->permission_count = 0;
    c->api_key = false;
}

static void drop(Auth *a, Credential *c)
{
    Credential **link = bucket_of(a, c->hash);

    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
    unlink_use(a, c);
    forget_identity(c);
    while (c->waiting) {
        Waiting *w = c->waiting;

        c->waiting = w->next;
        free(w);
    }
    free(c);
    a->count--;
}

/* The one used longest ago that nobody waits for. */
static void make_room(Auth *a)
{
    Credential *c = a->oldest;

    while (c && c->state == CREDENTIAL_ASKED)
        c = c->newer;
    if (c)
        drop(a, c);
}

static Credential *insert(Auth *a, const uint8_t hash[HASH_BYTES])
{
    Credential *c = xcalloc(1, sizeof(*c)), **bucket = bucket_of(a, hash);

    if (a->count >= a->options.entries_max)
        make_room(a);
    c->auth = a;
    memcpy(c->hash, hash, HASH_BYTES);
    c->next = *bucket;
    *bucket = c;
    link_newest(a, c);
    a->count++;
    return c;
}

/* --- verdicts ---------------------------------------------------------------------------------------------------- */
static void set_identity(Credential *c, int64_t user_id, Role role, const char *username, const char *login_id,
                         int64_t expires_ms)
{
    forget_identity(c);
    c->state = CREDENTIAL_GOOD;
    c->user_id = user_id;
    c->role = role;
    c->username = xstrdup(username ? username : "");
    c->login_id = xstrdup(login_id ? login_id : "");
    c->has_login = c->login_id[0] != '\0';
    c->login = login_key(slice(c->login_id));
    c->expires_ms = expires_ms;
}

static AuthVerdict judge(Auth *a, Credential *c, Identity *out)
{
    if (c->state == CREDENTIAL_REFUSED || c->expires_ms <= clock_unix_ms(a->options.clock))
        return AUTH_BAD;
    if (!revocations_ready(a->options.revocations))
        return AUTH_UNAVAILABLE;
    if (c->has_login && revocations_has(a->options.revocations, c->login)) {
        counter_add(a->revoked, 1);
        return AUTH_BAD;
    }
    *out = (Identity){.user_id = c->user_id,
                      .expires_ms = c->expires_ms,
                      .role = c->role,
                      .username = c->username,
                      .login_id = c->login_id,
                      .credential = c};
    return AUTH_GOOD;
}

static AuthVerdict check_jwt(Auth *a, Slice token, const uint8_t hash[HASH_BYTES], Identity *out)
{
    JwtClaims claims;
    Role role = ROLE_USER; /* chat's tokens have no role */
    Credential *c;

    arena_reset(a->scratch);
    if (err_failed(jwt_verify(a->key, a->scratch, a->options.clock, token, &claims)) ||
        (claims.role[0] && !role_parse(slice(claims.role), &role))) {
        counter_add(a->refused, 1);
        return AUTH_BAD; /* not remembered: guesses must not push good ones out */
    }
    counter_add(a->verified, 1);
    c = insert(a, hash);
    set_identity(c, claims.user_id, role, claims.username, claims.login_id, claims.expires_s * 1000);
    c->known_until_ms = c->expires_ms;
    return judge(a, c, out);
}

/* --- opaque tokens and keys
 * ----------------------------------------------------------------------------------------------- */
static void set_permissions(Credential *c, char *const *list, size_t count)
{
    size_t bytes = count * sizeof(c->permissions[0]);
    char *text;

    for (size_t i = 0; i < count; i++)
        bytes += strlen(list[i]) + 1;
    c->permissions = xmalloc(bytes + 1);
    text = (char *)(c->permissions + count);
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(list[i]) + 1;

        c->permissions[i] = memcpy(text, list[i], len);
        text += len;
    }
    c->permission_count = count;
}

static bool read_owner(Auth *a, Credential *c, natsMsg *msg)
{
    ProtobufCMessage *message;
    const Atrium__ResolveTokenReply *owner;
    int64_t now_ms = clock_unix_ms(a->options.clock);

    arena_reset(a->scratch);
    if (err_failed(message_unpack(a->scratch, &atrium__resolve_token_reply__descriptor,
                                  slice_of(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg)), &message)))
        return false;
    owner = (const Atrium__ResolveTokenReply *)message;
    if (owner->user_id <= 0 || owner->role < ROLE_USER || owner->role > ROLE_ADMIN)
        return false;
    set_identity(c, owner->user_id, (Role)owner->role, owner->username, owner->login_id, owner->expires_ms);
    set_permissions(c, owner->permissions, owner->n_permissions);
    c->api_key = owner->api_key;
    c->known_until_ms = MIN(owner->expires_ms, now_ms + a->options.token_cache_ttl_ms);
    return true;
}

static void resolved(void *data, UpstreamOutcome outcome, natsMsg *msg)
{
    Credential *c = data;
    Auth *a = c->auth;
    const char *code = outcome == UPSTREAM_REPLIED ? bus_header(msg, "Nats-Service-Error-Code") : NULL;
    bool told = false;
    Waiting *list = c->waiting;
    Identity identity = {.user_id = 0};
    AuthVerdict verdict;

    if (outcome == UPSTREAM_REPLIED && !code) {
        told = read_owner(a, c, msg);
        counter_add(a->resolved, 1);
    } else if (code && strcmp(code, "16") == 0) {
        c->state = CREDENTIAL_REFUSED;
        c->known_until_ms = clock_unix_ms(a->options.clock) + BAD_TTL_MS;
        counter_add(a->refused, 1);
        told = true;
    }
    c->waiting = NULL;
    verdict = told ? judge(a, c, &identity) : AUTH_UNAVAILABLE;
    while (list) {
        Waiting *w = list;

        list = w->next;
        w->done(w->data, verdict, &identity);
        free(w);
    }
    /* Not before: the identity is of it. */
    if (!told)
        drop(a, c);
}

static AuthVerdict wait_for(Credential *c, AuthDone done, void *data)
{
    Waiting *w = xcalloc(1, sizeof(*w));

    *w = (Waiting){.next = c->waiting, .done = done, .data = data};
    c->waiting = w;
    return AUTH_WAIT;
}

static AuthVerdict ask(Auth *a, Credential *c, Slice token, AuthDone done, void *data)
{
    Atrium__ResolveTokenRequest request = ATRIUM__RESOLVE_TOKEN_REQUEST__INIT;
    const BusHeader headers[] = {{"Atrium-Timeout-Ms", "2000"}};
    UpstreamRequest rq = {.subject = a->resolve_subject,
                          .callee = IDENTITY_DOMAIN,
                          .headers = headers,
                          .header_count = ARRAY_LEN(headers),
                          .timeout_ms = RESOLVE_TIMEOUT_MS,
                          .done = resolved,
                          .data = c};

    arena_reset(a->scratch);
    request.token = slice_cstr(a->scratch, token);
    rq.body = message_pack(a->scratch, &request.base);
    if (err_failed(upstream_send(a->options.upstream, &rq))) {
        drop(a, c);
        return AUTH_UNAVAILABLE;
    }
    c->state = CREDENTIAL_ASKED;
    return wait_for(c, done, data);
}

static bool looks_opaque(Slice token)
{
    for (size_t i = 0; i < token.len; i++)
        if (token.ptr[i] <= ' ' || token.ptr[i] > '~')
            return false;
    return token.len > 0 && token.len <= AUTH_OPAQUE_MAX_BYTES;
}

static bool looks_like_jwt(Slice token)
{
    size_t dots = 0;

    for (size_t i = 0; i < token.len; i++)
        dots += token.ptr[i] == '.';
    return dots == 2;
}

AuthVerdict auth_check(Auth *a, Slice token, AuthDone done, void *data, Identity *out)
{
    uint8_t hash[HASH_BYTES];
    bool jwt = looks_like_jwt(token);
    Credential *c;

    if (token.len > AUTH_TOKEN_MAX_BYTES || (!jwt && (!looks_opaque(token) || !a->options.upstream)))
        return AUTH_BAD;
    crypto_generichash(hash, sizeof(hash), (const unsigned char *)token.ptr, token.len, a->secret, sizeof(a->secret));
    c = find(a, hash);
    if (c && c->state == CREDENTIAL_ASKED)
        return wait_for(c, done, data);
    if (c && c->known_until_ms > clock_unix_ms(a->options.clock)) {
        counter_add(a->hits, 1);
        unlink_use(a, c);
        link_newest(a, c);
        return judge(a, c, out);
    }
    if (jwt) {
        if (c)
            drop(a, c);
        return check_jwt(a, token, hash, out);
    }
    return ask(a, c ? c : insert(a, hash), token, done, data);
}

/* --- signed identities ------------------------------------------------------------------------------------------- */
static SignedCaller *caller_of(Credential *c, const char *domain)
{
    SignedCaller *place;

    for (size_t i = 0; i < c->caller_count; i++)
        if (strcmp(c->callers[i].domain, domain) == 0)
            return &c->callers[i];
    if (c->caller_count == SIGNED_MAX) {
        free(c->callers[0].header);
        memmove(c->callers, c->callers + 1, (SIGNED_MAX - 1) * sizeof(c->callers[0]));
        c->caller_count--;
    }
    place = &c->callers[c->caller_count++];
    *place = (SignedCaller){.header = NULL};
    snprintf(place->domain, sizeof(place->domain), "%s", domain);
    return place;
}

static Caller caller_in(const Credential *c)
{
    return (Caller){.kind = CALLER_PERSON,
                    .user_id = c->user_id,
                    .role = c->role,
                    .username = c->username,
                    .login_id = c->login_id,
                    .service = "",
                    .expires_ms = c->expires_ms,
                    .permissions = c->permissions,
                    .permission_count = c->permission_count,
                    .api_key = c->api_key};
}

bool identity_may(const Identity *identity, const Operation *op)
{
    const Caller caller = caller_in(identity->credential);

    return caller_reaches(&caller, op->permission) && (!op->permission[0] || caller_may(&caller, op->permission));
}

const char *auth_caller_header(Auth *a, const Identity *identity, const Operation *op)
{
    Credential *c = identity->credential;
    SignedCaller *s = caller_of(c, op->domain);
    int64_t now_ms = clock_unix_ms(a->options.clock), ttl_ms = a->options.caller_ttl_ms;

    if (!s->header || s->renew_ms <= now_ms) {
        Caller caller = caller_in(c);

        caller.expires_ms = MIN(c->expires_ms, now_ms + ttl_ms);
        arena_reset(a->scratch);
        free(s->header);
        s->header = xstrdup(caller_sign(a->signer, a->scratch, &caller, op->audience, op->audience_count));
        s->renew_ms = MIN(c->expires_ms, now_ms + ttl_ms - ttl_ms / RENEW_SHARE);
    }
    return s->header;
}

/* --- start and stop ---------------------------------------------------------------------------------------------- */
Err auth_new(const AuthOptions *options, Auth **out)
{
    static const char NAME[] = "atrium_credentials_total";
    static const char HELP[] = "Credentials that were looked at.";
    CLEANUP(auth_free_at) Auth *a = xcalloc(1, sizeof(*a));

    a->options = *options;
    a->scratch = arena_new(SCRATCH_BYTES);
    randombytes_buf(a->secret, sizeof(a->secret));
    a->bucket_count = 16;
    while (a->bucket_count < options->entries_max * BUCKETS_PER_ENTRY)
        a->bucket_count *= 2;
    a->buckets = xcalloc(a->bucket_count, sizeof(Credential *));
    a->hits = metrics_counter(options->metrics, NAME, HELP, "result=\"remembered\"");
    a->verified = metrics_counter(options->metrics, NAME, HELP, "result=\"verified\"");
    a->resolved = metrics_counter(options->metrics, NAME, HELP, "result=\"resolved\"");
    a->refused = metrics_counter(options->metrics, NAME, HELP, "result=\"refused\"");
    a->revoked = metrics_counter(options->metrics, NAME, HELP, "result=\"revoked\"");
    a->resolve_subject = xmalloc(128);
    snprintf(a->resolve_subject, 128, "rpc.%s." IDENTITY_RESOLVE_RPC, options->slot);
    TRY(err_wrap(jwt_key_new(slice(options->jwt_secret), &a->key), "JWT_SECRET"));
    TRY(err_wrap(caller_signer_new(slice(options->signing_key), &a->signer), "GATEWAY_SIGNING_KEY"));
    *out = MOVE(a);
    return OK;
}

void auth_free(Auth *a)
{
    if (!a)
        return;
    while (a->newest)
        drop(a, a->newest);
    jwt_key_free(a->key);
    caller_signer_free(a->signer);
    arena_free(a->scratch);
    sodium_memzero(a->secret, sizeof(a->secret));
    free(a->resolve_subject);
    free(a->buckets);
    free(a);
}
