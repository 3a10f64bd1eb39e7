/* keys: making, showing, rotating and ending API keys, in events' and sessions' manner. */
#include "services/auth/keys.h"

#include <sodium.h>

#include "atrium/auth/v1/access.atrium.h"
#include "atrium/auth/v1/keys.service.h"
#include "services/auth/access.h"
#include "services/auth/accounts.h"
#include "services/auth/answers.h"
#include "services/auth/audit.h"
#include "services/auth/events.h"
#include "services/auth/pages.h"
#include "services/auth/seal.h"
#include "services/auth/store_admin.h"
#include "shared/api_key.h"

enum { DAY_S = 86400, OVERLAP_DEFAULT_S = 86400 };
static const Uuid NIL = {{0}};

/* ---------------------------------------------------------------------------------------------------- shared rules */
Slice key_hash(const AuthSettings *settings, Arena *mem, const char *token)
{
    uint8_t *hash = ARENA_ARRAY(mem, uint8_t, crypto_auth_hmacsha256_BYTES), pepper[DERIVED_KEY_BYTES];
    Slice key = slice(settings->api_key_pepper);
    crypto_auth_hmacsha256_state state;

    if (key.len == 0) {
        secret_derive(settings, "api-key", pepper);
        key = slice_of(pepper, sizeof(pepper));
    }
    (void)crypto_auth_hmacsha256_init(&state, (const unsigned char *)key.ptr, key.len);
    (void)crypto_auth_hmacsha256_update(&state, (const unsigned char *)token, strlen(token));
    (void)crypto_auth_hmacsha256_final(&state, hash); /* none of the three has a way to fail */
    sodium_memzero(&state, sizeof(state));
    sodium_memzero(pepper, sizeof(pepper));
    return slice_of(hash, crypto_auth_hmacsha256_BYTES);
}

Err keys_end_of_user(Request *rq, DbTx *tx, int64_t user_id, const Ending *ending)
{
    return auth_store_revoke_keys_of(rq, tx, user_id, ending);
}

/* Who acts in another's name for some minutes leaves with nothing that lasts longer. */
static Err refuse_impersonator(Request *rq, DbTx *tx)
{
    bool is_impersonation;

    TRY(auth_store_is_impersonation(tx, login_of_caller(rq), &is_impersonation));
    return is_impersonation ? err_make(&PERMISSION_DENIED, "nobody makes keys in another's name") : OK;
}

/* Stores `key` under a new id and secret, which is returned: the only time that it is seen. */
static Err store_key(Request *rq, DbTx *tx, const char *scheme, Uuid rotated_from, KeyRow *key, char **out_secret)
{
    const Auth *auth = rq->service;
    char *secret = api_key_make(rq->mem, scheme);

    TRY(refuse_impersonator(rq, tx));
    key->id = uuid_v7(auth->ids);
    key->prefix = slice_cstr(rq->mem, slice_take(slice(secret), strlen(scheme) + API_KEY_SHOWN_BYTES));
    key->created_us = clock_unix_us(rq->clock);
    TRY(auth_store_insert_key(rq, tx, key, key_hash(auth->settings, rq->mem, secret), rotated_from,
                              rq->caller.user_id));
    *out_secret = secret;
    if (!uuid_is_nil(rotated_from))
        return audit_insert(tx, rq, AUDIT_KEY_ROTATED, "key", uuid_text(rq->mem, rotated_from),
                            audit_detail(rq->mem, "successor", uuid_text(rq->mem, key->id)));
    return audit_insert(tx, rq, AUDIT_KEY_CREATED, "key", uuid_text(rq->mem, key->id),
                        audit_detail(rq->mem, "role", key->role));
}

static Err check_name(const char *name)
{
    size_t chars = utf8_length(slice(name));

    if (chars == 0 || chars > KEY_NAME_MAX_CHARS)
        return err_make(&INVALID_ARGUMENT, "name: 1 to %d characters", KEY_NAME_MAX_CHARS);
    return OK;
}

static Err check_count(Request *rq, DbTx *tx, const char *kind, int64_t limit)
{
    int64_t count;

    TRY(auth_store_count_keys(tx, rq->caller.user_id, kind, clock_unix_us(rq->clock), &count));
    if (count >= limit)
        return err_make(&MAX_KEYS_REACHED, "you have %" PRId64 " keys, and that is all you may have", count);
    return OK;
}

/* Of a path; INVALID_ID. */
static Err parse_id(const char *text, Uuid *out)
{
    return uuid_parse(slice(text), out) ? OK : err_make(&INVALID_ID, "key_id: not an id");
}

static Err find_key(Request *rq, DbTx *tx, const KeyFilter *filter, const char *id_text, KeyRow *out)
{
    Uuid id;

    TRY(parse_id(id_text, &id));
    TRY(auth_store_key(rq, tx, filter, id, clock_unix_us(rq->clock), out));
    return uuid_is_nil(out->id) || out->revoked_us ? err_make(&NOT_FOUND, "there is no such key") : OK;
}

/* ---------------------------------------------------------------------------------------------------- events' manner
 */
static const char *tier_of(const Auth__V1__CreateKeyRequest *in, const char *role)
{
    if (in->rate_limit_tier && in->rate_limit_tier[0])
        return in->rate_limit_tier;
    return strcmp(role, "admin") == 0 ? "admin" : "agent";
}

static Err check_tier(const char *tier)
{
    static const char *const TIERS[] = {"agent", "admin", "federation"};

    for (size_t i = 0; i < ARRAY_LEN(TIERS); i++)
        if (strcmp(tier, TIERS[i]) == 0)
            return OK;
    return err_make(&INVALID_ARGUMENT, "rate_limit_tier: agent, admin or federation");
}

static Err draft_key(Request *rq, const Auth__V1__CreateKeyRequest *in, const char *kind, KeyRow *out)
{
    const char *role = in->role && in->role[0] ? in->role : "agent", *tier = tier_of(in, role);
    int64_t now_us = clock_unix_us(rq->clock);

    TRY(check_name(in->name));
    TRY(check_tier(tier));
    if (in->expires_in_days < 0 || in->expires_in_days > KEY_DAYS_MAX)
        return err_make(&INVALID_ARGUMENT, "expires_in_days: 0 (never) to %d", KEY_DAYS_MAX);
    if (in->source_id && utf8_length(slice(in->source_id)) > KEY_SOURCE_MAX_CHARS)
        return err_make(&INVALID_ARGUMENT, "source_id: %d characters at most", KEY_SOURCE_MAX_CHARS);
    *out = (KeyRow){.owner_id = rq->caller.user_id,
                    .name = in->name,
                    .kind = kind,
                    .tier = tier,
                    .role = role,
                    .source_id = in->source_id && in->source_id[0] ? in->source_id : NULL,
                    .expires_us = in->expires_in_days ? now_us + (int64_t)in->expires_in_days * DAY_S * 1000000 : 0};
    return OK;
}

static void answer_new_key(Request *rq, const KeyRow *key, char *secret, Auth__V1__CreateKeyReply *out)
{
    out->api_key = secret;
    out->prefix = arena_strdup(rq->mem, key->prefix);
    out->name = arena_strdup(rq->mem, key->name);
    out->role = arena_strdup(rq->mem, key->role);
    out->warning = arena_strdup(rq->mem, "Keep this key now: it is not shown again.");
    out->id = uuid_text(rq->mem, key->id);
    if (key->expires_us)
        out->expires_at = timestamp(rq->mem, key->expires_us);
}

Err auth_v1_create_key(Request *rq, const Auth__V1__CreateKeyRequest *in, Auth__V1__CreateKeyReply *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    KeyRow key;
    char *secret;

    TRY(draft_key(rq, in, KEY_COMMONS, &key));
    TRY(db_tx_begin(rq, &tx));
    TRY(access_may_grant(rq, &tx, ROLE_NONE, &key.role, 1));
    TRY(store_key(rq, &tx, API_KEY_COMMONS, NIL, &key, &secret));
    TRY(db_tx_commit(&tx));
    answer_new_key(rq, &key, secret, out);
    return OK;
}

Err auth_v1_create_my_key(Request *rq, const Auth__V1__CreateKeyRequest *in, Auth__V1__CreateKeyReply *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    const Auth *auth = rq->service;
    int64_t allowance;
    KeyRow key;
    char *secret;

    TRY(draft_key(rq, in, KEY_DEVELOPER, &key));
    /* Developers need not submit events themselves to let their programs do so, and that is all. */
    if (strcmp(key.role, "agent") != 0 || strcmp(key.tier, "agent") != 0)
        return err_make(&INVALID_ARGUMENT, "role and rate_limit_tier: agent");
    TRY(db_tx_begin(rq, &tx));
    TRY(store_lock_account(&tx, rq->caller.user_id)); /* of several at a time, each counts those before it */
    TRY(auth_store_key_allowance(&tx, rq->caller.user_id, auth->settings->dev_max_keys, &allowance));
    TRY(check_count(rq, &tx, KEY_DEVELOPER, allowance));
    TRY(store_key(rq, &tx, API_KEY_COMMONS, NIL, &key, &secret));
    TRY(db_tx_commit(&tx));
    answer_new_key(rq, &key, secret, out);
    return OK;
}

static Auth__V1__KeyInfo *answer_key(Request *rq, const KeyRow *key)
{
    Auth__V1__KeyInfo *info = MESSAGE_NEW(rq->mem, Auth__V1__KeyInfo, auth__v1__key_info__init);

    info->id = uuid_text(rq->mem, key->id);
    info->prefix = arena_strdup(rq->mem, key->prefix);
    info->name = arena_strdup(rq->mem, key->name);
    info->source_id = key->source_id ? arena_strdup(rq->mem, key->source_id) : NULL;
    info->role = arena_strdup(rq->mem, key->role ? key->role : "");
    info->rate_limit_tier = arena_strdup(rq->mem, key->tier);
    SET(info, is_active, key->live);
    info->created_at = timestamp(rq->mem, key->created_us);
    if (key->last_used_us)
        info->last_used_at = timestamp(rq->mem, key->last_used_us);
    if (key->expires_us)
        info->expires_at = timestamp(rq->mem, key->expires_us);
    SET(info, owner_id, key->owner_id);
    return info;
}

static Err list_keys(Request *rq, const KeyFilter *filter, const Auth__V1__ListKeysRequest *in,
                     Auth__V1__ListKeysReply *out)
{
    KeyRow *rows;
    size_t count;
    Page page;

    TRY(page_parse(rq, in->has_limit, in->limit, in->cursor, &page));
    TRY(auth_store_list_keys(rq, filter, page.after, page.limit + 1, clock_unix_us(rq->clock), &rows, &count));
    out->n_items = page_shown(&page, count);
    out->items = ARENA_ARRAY(rq->mem, Auth__V1__KeyInfo *, out->n_items + 1);
    for (size_t i = 0; i < out->n_items; i++)
        out->items[i] = answer_key(rq, &rows[i]);
    if (count > 0)
        out->next_cursor = page_next(rq->mem, &page, count, rows[out->n_items - 1].id);
    return OK;
}

static const KeyFilter EVERYBODYS = {.owner_id = 0};

static KeyFilter own_keys(const Request *rq, const char *kind)
{
    return (KeyFilter){.owner_id = rq->caller.user_id, .kind = kind};
}

Err auth_v1_list_keys(Request *rq, const Auth__V1__ListKeysRequest *in, Auth__V1__ListKeysReply *out)
{
    return list_keys(rq, &EVERYBODYS, in, out);
}

Err auth_v1_list_my_keys(Request *rq, const Auth__V1__ListKeysRequest *in, Auth__V1__ListKeysReply *out)
{
    const KeyFilter mine = own_keys(rq, KEY_DEVELOPER);

    return list_keys(rq, &mine, in, out);
}

static Err revoke_key(Request *rq, const KeyFilter *filter, const char *id)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Ending ending = ending_now(rq, AUTH__V1__LOGIN_END__KEY_REVOKED);
    KeyRow key;

    TRY(db_tx_begin(rq, &tx));
    TRY(find_key(rq, &tx, filter, id, &key));
    TRY(auth_store_revoke_key(rq, &tx, &key, &ending));
    TRY(audit_insert(&tx, rq, AUDIT_KEY_REVOKED, "key", uuid_text(rq->mem, key.id), NULL));
    TRY(db_tx_commit(&tx));
    auth_settle(rq);
    return OK;
}

Err auth_v1_revoke_key(Request *rq, const Auth__V1__RevokeKeyRequest *in, Auth__V1__RevokeKeyReply *out)
{
    (void)out;
    return revoke_key(rq, &EVERYBODYS, in->key_id);
}

Err auth_v1_revoke_my_key(Request *rq, const Auth__V1__RevokeKeyRequest *in, Auth__V1__RevokeKeyReply *out)
{
    const KeyFilter mine = own_keys(rq, KEY_DEVELOPER);
    (void)out;

    return revoke_key(rq, &mine, in->key_id);
}

/* The old secret lives on for the overlap, or ends now. */
static Err end_rotated(Request *rq, DbTx *tx, const KeyRow *old, int64_t overlap_s)
{
    Ending ending = ending_now(rq, AUTH__V1__LOGIN_END__KEY_EXPIRED_EARLY);

    if (overlap_s == 0)
        return auth_store_revoke_key(rq, tx, old, &ending);
    return auth_store_shorten_key(tx, old->id, ending.at_us + overlap_s * 1000000);
}

Err auth_v1_rotate_key(Request *rq, const Auth__V1__RotateKeyRequest *in, Auth__V1__CreateKeyReply *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t overlap_s = in->has_overlap_s ? in->overlap_s : OVERLAP_DEFAULT_S;
    KeyRow old, next;
    char *secret;

    if (overlap_s < 0 || overlap_s > KEY_OVERLAP_MAX_S)
        return err_make(&INVALID_ARGUMENT, "overlap_s: 0 to %d", KEY_OVERLAP_MAX_S);
    TRY(db_tx_begin(rq, &tx));
    TRY(find_key(rq, &tx, &EVERYBODYS, in->key_id, &old));
    if (!old.live)
        return err_make(&NOT_FOUND, "there is no such key");
    /* The caller sees a secret with these rights. */
    TRY(access_may_grant(rq, &tx, ROLE_NONE, &old.role, 1));
    next = old;
    if (old.expires_us) /* as long a life as the first had */
        next.expires_us = clock_unix_us(rq->clock) + (old.expires_us - old.created_us);
    TRY(store_key(rq, &tx, API_KEY_COMMONS, old.id, &next, &secret));
    TRY(end_rotated(rq, &tx, &old, overlap_s));
    TRY(db_tx_commit(&tx));
    auth_settle(rq);
    answer_new_key(rq, &next, secret, out);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- token exchange
 */
/* A login of its own, so that it can be ended by itself, too. */
static Err open_key_login(Request *rq, const KeyRow *key, int64_t now_us, int64_t expires_us, Uuid *out_id)
{
    const Tokens none = {.now_us = now_us};
    NewLogin login = tokens_new_login(rq, &none, key->owner_id);
    CLEANUP(db_tx_done) DbTx tx = {0};
    bool made;

    login.expires_us = expires_us;
    TRY(db_tx_begin(rq, &tx));
    TRY(auth_store_insert_key_login(&tx, key->id, &login, &made));
    if (!made)
        return err_make(&PERMISSION_DENIED, "this is for administrators' API keys");
    *out_id = login.id;
    return db_tx_commit(&tx);
}

/* Whoever has such a key may everything; the token lasts shorter than the key, and ends with it, or by a logout. */
Err auth_v1_exchange_key(Request *rq, const Auth__V1__ExchangeKeyRequest *in, Auth__V1__ConsoleToken *out)
{
    const Auth *auth = rq->service;
    int64_t now_us = clock_unix_us(rq->clock), expires_us;
    Account owner;
    Uuid login_id;
    KeyRow key;
    (void)in;

    if (!rq->caller.api_key)
        return err_make(&PERMISSION_DENIED, "this is for API keys");
    TRY(auth_store_resolve_key(rq, SLICE_LIT(""), login_of_caller(rq), now_us, &key, &owner));
    if (owner.id == 0 || !key.role || strcmp(key.role, "admin") != 0 || owner.role != ROLE_ADMIN)
        return err_make(&PERMISSION_DENIED, "this is for administrators' API keys");
    expires_us = now_us + auth->settings->token_exchange_minutes * 60 * 1000000;
    if (key.expires_us)
        expires_us = MIN(expires_us, key.expires_us);
    TRY(open_key_login(rq, &key, now_us, expires_us, &login_id));
    out->token = tokens_sign_jwt(rq, &(JwtClaims){.user_id = owner.id,
                                                  .username = owner.username,
                                                  .role = role_name(owner.role),
                                                  .roles = owner.roles,
                                                  .role_count = owner.role_count,
                                                  .login_id = uuid_text(rq->mem, login_id),
                                                  .issuer = auth->settings->jwt_issuer,
                                                  .issued_s = now_us / 1000000,
                                                  .expires_s = expires_us / 1000000});
    out->expires_at = timestamp(rq->mem, expires_us / 1000000 * 1000000);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- sessions' manner
 */
/* "full", or permissions that the caller has himself; what he loses later, his keys lose as well. */
static Err check_scopes(Request *rq, const Auth__V1__CreateScopedKeyRequest *in)
{
    const char **permissions = ARENA_ARRAY(rq->mem, const char *, in->n_scopes + 1);
    size_t count = 0;

    if (in->n_scopes > KEY_SCOPES_MAX)
        return err_make(&INVALID_ARGUMENT, "scopes: %d at most", KEY_SCOPES_MAX);
    for (size_t i = 0; i < in->n_scopes; i++) {
        if (strcmp(in->scopes[i], CALLER_FULL) == 0)
            continue;
        if (!permission_valid(slice(in->scopes[i])))
            return err_make(&INVALID_ARGUMENT, "scopes: permissions, or \"%s\"", CALLER_FULL);
        permissions[count++] = in->scopes[i];
    }
    return access_may_hand_on(rq, NULL, permissions, count);
}

static Err draft_scoped_key(Request *rq, const Auth__V1__CreateScopedKeyRequest *in, KeyRow *out)
{
    static const char *const FULL[] = {CALLER_FULL};
    int64_t expires_us = in->expires_at ? in->expires_at->seconds * 1000000 + in->expires_at->nanos / 1000 : 0;

    TRY(check_name(in->name));
    if (in->expires_at && expires_us <= clock_unix_us(rq->clock))
        return err_make(&INVALID_ARGUMENT, "expiresAt: is over");
    TRY(check_scopes(rq, in));
    *out = (KeyRow){.owner_id = rq->caller.user_id,
                    .name = in->name,
                    .kind = KEY_PERSONAL,
                    .tier = "agent",
                    .scopes = in->n_scopes ? (const char *const *)in->scopes : FULL,
                    .scope_count = in->n_scopes ? in->n_scopes : 1,
                    .expires_us = expires_us,
                    .live = true};
    return OK;
}

static void answer_scoped_key(Request *rq, const KeyRow *key, Auth__V1__ScopedKey *out)
{
    out->id = uuid_text(rq->mem, key->id);
    out->name = arena_strdup(rq->mem, key->name);
    out->key_prefix = arena_strdup(rq->mem, key->prefix);
    out->scopes = answer_words(rq->mem, key->scopes, key->scope_count);
    out->n_scopes = key->scope_count;
    SET(out, is_active, key->live);
    out->created_at = timestamp(rq->mem, key->created_us);
    if (key->expires_us)
        out->expires_at = timestamp(rq->mem, key->expires_us);
    if (key->last_used_us)
        out->last_used_at = timestamp(rq->mem, key->last_used_us);
}

Err auth_v1_create_scoped_key(Request *rq, const Auth__V1__CreateScopedKeyRequest *in, Auth__V1__ScopedKey *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    KeyRow key;
    char *secret;

    TRY(draft_scoped_key(rq, in, &key));
    TRY(db_tx_begin(rq, &tx));
    TRY(store_lock_account(&tx, rq->caller.user_id));
    TRY(check_count(rq, &tx, KEY_PERSONAL, PERSONAL_KEYS_MAX));
    TRY(store_key(rq, &tx, API_KEY_PERSONAL, NIL, &key, &secret));
    TRY(db_tx_commit(&tx));
    answer_scoped_key(rq, &key, out);
    out->key = secret;
    return OK;
}

Err auth_v1_list_scoped_keys(Request *rq, const Auth__V1__ListScopedKeysRequest *in, Auth__V1__ListScopedKeysReply *out)
{
    const KeyFilter mine = own_keys(rq, KEY_PERSONAL);
    KeyRow *rows;
    size_t count;
    (void)in;

    TRY(auth_store_list_keys(rq, &mine, NIL, KEY_LIST_MAX, clock_unix_us(rq->clock), &rows, &count));
    out->api_keys = ARENA_ARRAY(rq->mem, Auth__V1__ScopedKey *, count + 1);
    for (size_t i = 0; i < count; i++) {
        out->api_keys[i] = MESSAGE_NEW(rq->mem, Auth__V1__ScopedKey, auth__v1__scoped_key__init);
        answer_scoped_key(rq, &rows[i], out->api_keys[i]);
    }
    out->n_api_keys = count;
    SET(out, total, (int32_t)count);
    return OK;
}

Err auth_v1_revoke_scoped_key(Request *rq, const Auth__V1__RevokeKeyRequest *in, Auth__V1__MessageReply *out)
{
    const KeyFilter mine = own_keys(rq, KEY_PERSONAL);

    TRY(revoke_key(rq, &mine, in->key_id));
    out->message = arena_strdup(rq->mem, "API key revoked");
    return OK;
}
