/* auth: see auth.h. */
#include "services/gateway/auth.h"

#include "atrium/bus.pb-c.h"
#include "atrium/reasons.atrium.h"
#include "services/gateway/credentials.h"
#include "shared/api_key.h"
#include "shared/identity_provider.h"
#include "shared/message.h"

enum {
    RESOLVE_TIMEOUT_MS = 2000,
    BAD_TTL_MS = 2000,       /* how long a refused opaque token is remembered */
    LOGIN_KNOWN_MS = 600000, /* of a login by itself; its end and what its owner may is heard of at once */
    LOGIN_TEXT_MAX_BYTES = 128,
    SCRATCH_BYTES = 8192,
    SUBJECT_MAX_BYTES = 128,
    RENEW_SHARE = 4,             /* an identity is signed anew when a quarter of its life is left */
    CLOCKS_APART_MS = 5000,      /* between whoever mints tokens and the stream that tells of changes */
    PERMISSIONS_MAX_BYTES = 2048 /* in a signed identity: base64 and the rest still fit its bound */
};

struct Auth {
    AuthOptions options;
    CallerSigner *signer;
    char resolve_subject[SUBJECT_MAX_BYTES], login_subject[SUBJECT_MAX_BYTES];
    Arena *scratch;
    Credentials *cache;
    Counter *hits, *verified, *resolved, *refused, *revoked;
};

/* --- verdicts ---------------------------------------------------------------------------------------------------- */
static AuthVerdict judge(Auth *a, Credential *c, Identity *out)
{
    if (c->state == CREDENTIAL_REFUSED)
        return c->expired ? AUTH_EXPIRED : AUTH_BAD;
    if (c->expires_ms <= clock_unix_ms(a->options.clock))
        return AUTH_EXPIRED;
    if (!revocations_ready(a->options.revocations) || !grants_ready(a->options.grants))
        return AUTH_UNAVAILABLE;
    if (c->has_login && revocations_has(a->options.revocations, c->login)) {
        counter_add(a->revoked, 1);
        return AUTH_BAD;
    }
    credential_apply_grants(c, a->options.grants);
    *out = (Identity){.user_id = c->user_id,
                      .expires_ms = c->expires_ms,
                      .role = c->role,
                      .username = c->username,
                      .login_id = c->login_id,
                      .rate_tier = c->rate_tier,
                      .api_key = c->api_key,
                      .credential = c};
    return AUTH_GOOD;
}

/* Has what its owner holds changed since? A token's own word counts by its date, what was asked by the number of the
 * change. What has no login cannot be asked about. */
static bool is_outdated(Auth *a, const Credential *c)
{
    AccessChange change = grants_change_of(a->options.grants, c->user_id);

    if (c->state != CREDENTIAL_GOOD || change.number <= c->change_number || !c->has_login)
        return false;
    return c->issued_ms == 0 || c->issued_ms <= change.at_unix_ms + CLOCKS_APART_MS;
}

/* --- asking the identity provider --------------------------------------------------------------------------------- */
static bool read_owner(Auth *a, Credential *c, natsMsg *msg)
{
    ProtobufCMessage *message;
    const Atrium__ResolveTokenReply *owner;
    int64_t now_ms = clock_unix_ms(a->options.clock), expires_ms;

    arena_reset(a->scratch);
    if (err_failed(message_unpack(a->scratch, &atrium__resolve_token_reply__descriptor,
                                  slice_of(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg)), &message)))
        return false;
    owner = (const Atrium__ResolveTokenReply *)message;
    if (owner->user_id <= 0 || owner->role < ROLE_USER || owner->role > ROLE_ADMIN)
        return false;
    /* A JWT ends when it says so, though its login may last. */
    expires_ms = c->is_jwt ? MIN(c->expires_ms, owner->expires_ms) : owner->expires_ms;
    credential_set(c, &(CredentialFacts){.user_id = owner->user_id,
                                         .expires_ms = expires_ms,
                                         .role = (Role)owner->role,
                                         .username = owner->username,
                                         .login_id = owner->login_id,
                                         .roles = (const char *const *)owner->roles,
                                         .role_count = owner->n_roles,
                                         .permissions = (const char *const *)owner->permissions,
                                         .permission_count = owner->n_permissions,
                                         .api_key = owner->api_key,
                                         .rate_tier = owner->rate_tier});
    c->known_until_ms = c->is_jwt     ? expires_ms
                        : c->of_login ? MIN(expires_ms, now_ms + LOGIN_KNOWN_MS)
                                      : MIN(expires_ms, now_ms + a->options.token_cache_ttl_ms);
    return true;
}

/* To all who wait. */
static void tell(Credential *c, AuthVerdict verdict, const Identity *identity)
{
    Waiting *list = MOVE(c->waiting);

    while (list) {
        Waiting *w = list;

        list = w->next;
        w->done(w->data, verdict, identity);
        free(w);
    }
}

/* Why it is refused. */
static bool says_expired(Auth *a, natsMsg *msg)
{
    ProtobufCMessage *message;
    const char *reason;

    arena_reset(a->scratch);
    if (err_failed(message_unpack(a->scratch, &atrium__status__descriptor,
                                  slice_of(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg)), &message)))
        return false;
    reason = ((const Atrium__Status *)message)->reason;
    return reason && strcmp(reason, IDENTITY_EXPIRED_REASON) == 0;
}

static void resolved(void *data, UpstreamOutcome outcome, natsMsg *msg)
{
    Credential *c = data;
    Auth *a = c->auth;
    const char *code = outcome == UPSTREAM_REPLIED ? bus_header(msg, "Nats-Service-Error-Code") : NULL;
    bool told = false;
    Identity identity = {.user_id = 0};
    AuthVerdict verdict;

    if (outcome == UPSTREAM_REPLIED && !code) {
        told = read_owner(a, c, msg);
        counter_add(a->resolved, 1);
    } else if (code && strcmp(code, "16") == 0) {
        c->state = CREDENTIAL_REFUSED;
        c->expired = says_expired(a, msg);
        c->known_until_ms = clock_unix_ms(a->options.clock) + BAD_TTL_MS;
        counter_add(a->refused, 1);
        told = true;
    }
    verdict = told ? judge(a, c, &identity) : AUTH_UNAVAILABLE;
    tell(c, verdict, &identity);
    /* Not before: the identity is of it. */
    if (!told)
        credentials_drop(a->cache, c);
}

static AuthVerdict wait_for(Credential *c, AuthDone done, void *data)
{
    Waiting *w = xcalloc(1, sizeof(*w));

    *w = (Waiting){.next = c->waiting, .done = done, .data = data};
    c->waiting = w;
    return AUTH_WAIT;
}

static bool send_question(Auth *a, Credential *c, const char *subject, Slice body)
{
    static const BusHeader HEADERS[] = {{"Atrium-Timeout-Ms", "2000"}};
    const UpstreamRequest rq = {.subject = subject,
                                .callee = IDENTITY_DOMAIN,
                                .headers = HEADERS,
                                .header_count = ARRAY_LEN(HEADERS),
                                .body = body,
                                .timeout_ms = RESOLVE_TIMEOUT_MS,
                                .done = resolved,
                                .data = c};

    c->change_number = grants_change_of(a->options.grants, c->user_id).number;
    if (!a->options.upstream || err_failed(upstream_send(a->options.upstream, &rq)))
        return false;
    c->state = CREDENTIAL_ASKED;
    return true;
}

static AuthVerdict wait_if(Auth *a, Credential *c, bool asked, AuthDone done, void *data)
{
    if (asked)
        return wait_for(c, done, data);
    credentials_drop(a->cache, c);
    return AUTH_UNAVAILABLE;
}

static AuthVerdict ask_about_token(Auth *a, Credential *c, Slice token, AuthDone done, void *data)
{
    Atrium__ResolveTokenRequest request = ATRIUM__RESOLVE_TOKEN_REQUEST__INIT;

    arena_reset(a->scratch);
    request.token = slice_cstr(a->scratch, token);
    return wait_if(a, c, send_question(a, c, a->resolve_subject, message_pack(a->scratch, &request.base)), done, data);
}

static bool send_login(Auth *a, Credential *c)
{
    Atrium__ResolveLoginRequest request = ATRIUM__RESOLVE_LOGIN_REQUEST__INIT;

    arena_reset(a->scratch);
    request.login_id = c->login_id;
    return send_question(a, c, a->login_subject, message_pack(a->scratch, &request.base));
}

static AuthVerdict ask_about_login(Auth *a, Credential *c, AuthDone done, void *data)
{
    return wait_if(a, c, send_login(a, c), done, data);
}

/* --- JWTs -------------------------------------------------------------------------------------------------------- */
/* False unless its claims are ours. */
static bool take_claims(Credential *c, const JwtClaims *claims)
{
    Role role = ROLE_USER; /* chat's tokens have no role */

    if (claims->role[0] && !role_parse(slice(claims->role), &role))
        return false;
    c->is_jwt = true;
    credential_set(c, &(CredentialFacts){.user_id = claims->user_id,
                                         .expires_ms = claims->expires_s * 1000,
                                         .issued_ms = MAX(claims->issued_s * 1000, 1),
                                         .role = role,
                                         .username = claims->username,
                                         .login_id = claims->login_id,
                                         .roles = claims->roles,
                                         .role_count = claims->role_count});
    c->known_until_ms = c->expires_ms;
    return true;
}

/* The keys that a JWT waited for are there, or cannot be had. */
static void keys_came(void *data, bool there)
{
    Credential *c = data;
    Auth *a = c->auth;
    Identity identity = {.user_id = 0};
    AuthVerdict verdict = there ? AUTH_BAD : AUTH_UNAVAILABLE;
    bool good = false;
    JwtClaims claims;

    arena_reset(a->scratch);
    if (jwt_keys_check(a->options.jwt_keys, a->scratch, slice(c->unverified), &claims) == JWT_GOOD)
        good = take_claims(c, &claims);
    counter_add(good ? a->verified : a->refused, 1);
    if (good && is_outdated(a, c)) {
        if (send_login(a, c))
            return; /* resolved() tells them */
        good = false;
        verdict = AUTH_UNAVAILABLE;
    } else if (good) {
        verdict = judge(a, c, &identity);
    }
    tell(c, verdict, &identity);
    if (!good)
        credentials_drop(a->cache, c);
}

static AuthVerdict wait_for_key(Auth *a, Slice token, const uint8_t hash[CREDENTIAL_HASH_BYTES], AuthDone done,
                                void *data)
{
    Credential *c = credentials_insert(a->cache, hash);

    c->state = CREDENTIAL_ASKED;
    c->unverified = xmalloc(token.len + 1);
    memcpy(c->unverified, token.ptr, token.len);
    c->unverified[token.len] = '\0';
    return wait_if(a, c, jwt_keys_wait(a->options.jwt_keys, keys_came, c), done, data);
}

static AuthVerdict check_jwt(Auth *a, Slice token, const uint8_t hash[CREDENTIAL_HASH_BYTES], AuthDone done, void *data,
                             Identity *out)
{
    JwtClaims claims;
    JwtVerdict verdict;
    Credential *c;

    arena_reset(a->scratch);
    verdict = jwt_keys_check(a->options.jwt_keys, a->scratch, token, &claims);
    if (verdict == JWT_KEY_UNKNOWN)
        return wait_for_key(a, token, hash, done, data);
    if (verdict == JWT_BAD) {
        counter_add(a->refused, 1);
        return AUTH_BAD; /* not remembered: guesses must not push good ones out */
    }
    c = credentials_insert(a->cache, hash);
    if (!take_claims(c, &claims)) {
        credentials_drop(a->cache, c);
        counter_add(a->refused, 1);
        return AUTH_BAD;
    }
    counter_add(a->verified, 1);
    return is_outdated(a, c) ? ask_about_login(a, c, done, data) : judge(a, c, out);
}

/* --- every credential --------------------------------------------------------------------------------------------- */
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
    uint8_t hash[CREDENTIAL_HASH_BYTES];
    bool jwt = looks_like_jwt(token);
    Credential *c;

    if (token.len > AUTH_TOKEN_MAX_BYTES || (!jwt && (!looks_opaque(token) || !a->options.upstream)))
        return AUTH_BAD;
    credentials_hash(a->cache, token, hash);
    c = credentials_find(a->cache, hash);
    if (c && c->state == CREDENTIAL_ASKED)
        return wait_for(c, done, data);
    if (c && c->known_until_ms > clock_unix_ms(a->options.clock)) {
        counter_add(a->hits, 1);
        credentials_touch(a->cache, c);
        if (!is_outdated(a, c))
            return judge(a, c, out);
        return jwt ? ask_about_login(a, c, done, data) : ask_about_token(a, c, token, done, data);
    }
    if (jwt) {
        if (c)
            credentials_drop(a->cache, c);
        return check_jwt(a, token, hash, done, data, out);
    }
    if (api_key_looks(token) && !api_key_well_formed(token))
        return AUTH_BAD; /* mistyped or made up: that costs nobody a question */
    return ask_about_token(a, c ? c : credentials_insert(a->cache, hash), token, done, data);
}

/* --- logins by themselves ---------------------------------------------------------------------------------------- */
/* Its place in the cache is that of a text which is no token: those have no control characters, or two dots. */
static bool hash_login(Auth *a, const char *login_id, uint8_t hash[CREDENTIAL_HASH_BYTES])
{
    char text[LOGIN_TEXT_MAX_BYTES];
    int len = snprintf(text, sizeof(text), "\001login %s", login_id);

    if (!login_id[0] || strchr(login_id, '.') || (size_t)len >= sizeof(text))
        return false;
    credentials_hash(a->cache, slice_of(text, (size_t)len), hash);
    return true;
}

void auth_keep_login(Auth *a, const Identity *identity)
{
    const Credential *from = identity->credential;
    uint8_t hash[CREDENTIAL_HASH_BYTES];
    Credential *c;

    if (from->api_key || from->of_login || !hash_login(a, from->login_id, hash))
        return;
    c = credentials_find(a->cache, hash);
    if (c &&
        (c->state == CREDENTIAL_ASKED || (c->state == CREDENTIAL_GOOD && c->known_until_ms >= from->known_until_ms)))
        return;
    /* Taken out first: making room for the new one must not drop the one that it is made of. */
    if (c)
        credentials_drop(a->cache, c);
    credentials_touch(a->cache, identity->credential);
    c = credentials_insert(a->cache, hash);
    c->of_login = true;
    c->change_number = from->change_number;
    credential_set(c, &(CredentialFacts){.user_id = from->user_id,
                                         .expires_ms = from->expires_ms,
                                         .issued_ms = from->issued_ms,
                                         .role = from->role,
                                         .username = from->username,
                                         .login_id = from->login_id,
                                         .roles = from->roles,
                                         .role_count = from->role_count,
                                         .permissions = from->own,
                                         .permission_count = from->own_count,
                                         .rate_tier = from->rate_tier});
    c->known_until_ms = from->known_until_ms;
}

AuthVerdict auth_check_login(Auth *a, const char *login_id, AuthDone done, void *data, Identity *out)
{
    uint8_t hash[CREDENTIAL_HASH_BYTES];
    Credential *c;

    if (!hash_login(a, login_id, hash))
        return AUTH_BAD;
    c = credentials_find(a->cache, hash);
    if (c && c->state == CREDENTIAL_ASKED)
        return wait_for(c, done, data);
    if (revocations_ready(a->options.revocations) &&
        revocations_has(a->options.revocations, login_key(slice(login_id))))
        return AUTH_BAD;
    if (c && c->known_until_ms > clock_unix_ms(a->options.clock) && !is_outdated(a, c)) {
        counter_add(a->hits, 1);
        credentials_touch(a->cache, c);
        return judge(a, c, out);
    }
    if (!c) {
        c = credentials_insert(a->cache, hash);
        c->of_login = true;
        credential_set(c, &(CredentialFacts){.login_id = login_id});
    }
    return ask_about_login(a, c, done, data);
}

/* --- signed identities ------------------------------------------------------------------------------------------- */
/* "events.review" is for whoever is asked about events; what is of no domain, for all. */
static bool is_for(const char *permission, const char *const *audience, size_t count)
{
    const char *dot = strchr(permission, '.');

    for (size_t i = 0; dot && i < count; i++)
        if (slice_eq_cstr(slice_of(permission, (size_t)(dot - permission)), audience[i]))
            return true;
    return !dot;
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

/* Only what those who read it may need, so that it stays short. Whoever holds more than fits lacks the rest there. */
static Caller caller_for(Auth *a, const Credential *c, const Operation *op)
{
    Caller caller = caller_in(c);
    const char **list = ARENA_ARRAY(a->scratch, const char *, c->permission_count + 1);
    size_t bytes = 0;

    caller.permissions = list;
    caller.permission_count = 0;
    for (size_t i = 0; i < c->permission_count; i++) {
        if (!is_for(c->permissions[i], op->audience, op->audience_count))
            continue;
        bytes += strlen(c->permissions[i]) + 2; /* as a field of the message */
        if (bytes > PERMISSIONS_MAX_BYTES) {
            LOG_WARN(a->options.log, "permissions_cut", "user", c->user_id, "domain", op->domain);
            break;
        }
        list[caller.permission_count++] = c->permissions[i];
    }
    return caller;
}

const char *auth_caller_header(Auth *a, const Identity *identity, const Operation *op)
{
    Credential *c = identity->credential;
    SignedCaller *s = credential_caller(c, op->domain);
    int64_t now_ms = clock_unix_ms(a->options.clock), ttl_ms = a->options.caller_ttl_ms;

    if (!s->header || s->renew_ms <= now_ms) {
        Caller caller;

        arena_reset(a->scratch);
        caller = caller_for(a, c, op);
        caller.expires_ms = MIN(c->expires_ms, now_ms + ttl_ms);
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
    a->cache = credentials_new(a, options->entries_max);
    a->hits = metrics_counter(options->metrics, NAME, HELP, "result=\"remembered\"");
    a->verified = metrics_counter(options->metrics, NAME, HELP, "result=\"verified\"");
    a->resolved = metrics_counter(options->metrics, NAME, HELP, "result=\"resolved\"");
    a->refused = metrics_counter(options->metrics, NAME, HELP, "result=\"refused\"");
    a->revoked = metrics_counter(options->metrics, NAME, HELP, "result=\"revoked\"");
    snprintf(a->resolve_subject, SUBJECT_MAX_BYTES, "rpc.%s." IDENTITY_RESOLVE_RPC, options->slot);
    snprintf(a->login_subject, SUBJECT_MAX_BYTES, "rpc.%s." IDENTITY_RESOLVE_LOGIN_RPC, options->slot);
    TRY(err_wrap(caller_signer_new(slice(options->signing_key), &a->signer), "GATEWAY_SIGNING_KEY"));
    *out = MOVE(a);
    return OK;
}

void auth_free(Auth *a)
{
    if (!a)
        return;
    credentials_free(a->cache);
    caller_signer_free(a->signer);
    arena_free(a->scratch);
    free(a);
}
