/* resolve: what gateways ask of a credential: whose it is, and what he holds. */
#include "atrium/auth/v1/access.service.h"
#include "services/auth/answers.h"
#include "services/auth/keys.h"
#include "services/auth/store_access.h"
#include "shared/api_key.h"

/* Of what does not end by itself: the year 9999, which every reader's times can say. */
static const int64_t NEVER_MS = INT64_C(253402300799000);

static void answer_owner(Request *rq, const Account *account, Uuid login_id, int64_t expires_ms,
                         Atrium__ResolveTokenReply *out)
{
    SET(out, user_id, account->id);
    out->username = arena_strdup(rq->mem, account->username);
    SET(out, role, account->role);
    out->login_id = uuid_text(rq->mem, login_id);
    SET(out, expires_ms, expires_ms);
    out->roles = answer_words(rq->mem, account->roles, account->role_count);
    out->n_roles = account->role_count;
}

static int64_t key_expires_ms(const KeyRow *key)
{
    return key->expires_us ? key->expires_us / 1000 : NEVER_MS;
}

/* ---------------------------------------------------------------------------------------------------- API keys */
static bool is_full(const KeyRow *key)
{
    for (size_t i = 0; i < key->scope_count; i++)
        if (strcmp(key->scopes[i], CALLER_FULL) == 0)
            return true;
    return false;
}

/* Scopes that the owner has himself at the moment. */
static Err answer_scopes(Request *rq, const KeyRow *key, Atrium__ResolveTokenReply *out)
{
    Caller owner = {.kind = CALLER_PERSON, .user_id = key->owner_id};
    Access access;

    TRY(access_of_user(rq, NULL, key->owner_id, &access));
    owner.role = access.rank;
    owner.permissions = access.permissions;
    owner.permission_count = access.permission_count;
    out->n_roles = 0;
    out->permissions = ARENA_ARRAY(rq->mem, char *, key->scope_count + 1);
    for (size_t i = 0; i < key->scope_count; i++)
        if (caller_may(&owner, key->scopes[i]))
            out->permissions[out->n_permissions++] = arena_strdup(rq->mem, key->scopes[i]);
    return OK;
}

/* As its owner: with his rank, which gateways do not reckon with of themselves where there is a key. */
static void answer_full(Request *rq, const Account *owner, Atrium__ResolveTokenReply *out)
{
    char **roles = ARENA_ARRAY(rq->mem, char *, owner->role_count + ROLE_ADMIN + 1);
    size_t count = 0;

    for (Role rank = ROLE_USER; rank <= owner->role; rank++)
        roles[count++] = arena_strdup(rq->mem, role_name(rank));
    for (size_t i = 0; i < owner->role_count; i++)
        roles[count++] = arena_strdup(rq->mem, owner->roles[i]);
    out->roles = roles;
    out->n_roles = count;
    out->permissions = answer_words(rq->mem, (const char *const[]){CALLER_FULL}, 1);
    out->n_permissions = 1;
}

/* An administrator's key is worth as much as he is. */
static void answer_key_role(Request *rq, const KeyRow *key, const Account *owner, Atrium__ResolveTokenReply *out)
{
    bool admin = strcmp(key->role, "admin") == 0;

    out->roles = answer_words(rq->mem, &key->role, 1);
    out->n_roles = admin ? 0 : 1;
    out->permissions = answer_words(rq->mem, (const char *const[]){"*"}, 1);
    out->n_permissions = admin && owner->role == ROLE_ADMIN ? 1 : 0;
}

static Err resolve_key(Request *rq, const char *token, Atrium__ResolveTokenReply *out)
{
    const Auth *auth = rq->service;
    Account owner;
    KeyRow key;

    TRY(auth_store_resolve_key(rq, key_hash(auth->settings, rq->mem, token), (Uuid){{0}}, clock_unix_us(rq->clock),
                               &key, &owner));
    if (owner.id == 0)
        return err_make(&UNAUTHENTICATED, "invalid or expired API key");
    answer_owner(rq, &owner, key.id, key_expires_ms(&key), out);
    SET(out, api_key, true);
    out->rate_tier = arena_strdup(rq->mem, key.tier);
    if (key.role)
        answer_key_role(rq, &key, &owner, out);
    else if (is_full(&key))
        answer_full(rq, &owner, out);
    else
        TRY(answer_scopes(rq, &key, out));
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- the rpcs */
static Err refuse(Request *rq, Slice hash)
{
    bool expired;

    TRY(auth_store_opaque_has_expired(rq, hash, clock_unix_us(rq->clock), &expired));
    return expired ? err_make(&SESSION_EXPIRED, "the token has expired") : err_make(&UNAUTHENTICATED, "invalid token");
}

static Err resolve_opaque(Request *rq, const char *token, Atrium__ResolveTokenReply *out)
{
    LoginRow login;
    Account account;
    Slice hash = token_hash(rq->mem, token);

    TRY(auth_store_resolve_opaque(rq, hash, clock_unix_us(rq->clock), &login, &account));
    if (account.id == 0)
        return refuse(rq, hash);
    answer_owner(rq, &account, login.id, login.expires_us / 1000, out);
    return OK;
}

Err auth_v1_resolve_token(Request *rq, const Atrium__ResolveTokenRequest *in, Atrium__ResolveTokenReply *out)
{
    if (!in->token || !in->token[0])
        return err_make(&UNAUTHENTICATED, "no token");
    return api_key_looks(slice(in->token)) ? resolve_key(rq, in->token, out) : resolve_opaque(rq, in->token, out);
}

/* A token that a key was exchanged for has the key's id in the place of a login's. */
static Err resolve_exchanged(Request *rq, Uuid id, Atrium__ResolveTokenReply *out)
{
    Account owner;
    KeyRow key;

    TRY(auth_store_resolve_key(rq, SLICE_LIT(""), id, clock_unix_us(rq->clock), &key, &owner));
    if (owner.id == 0 || !key.role || strcmp(key.role, "admin") != 0)
        return err_make(&UNAUTHENTICATED, "the login has ended");
    answer_owner(rq, &owner, id, key_expires_ms(&key), out);
    return OK;
}

Err auth_v1_resolve_login(Request *rq, const Atrium__ResolveLoginRequest *in, Atrium__ResolveTokenReply *out)
{
    int64_t expires_us;
    Account account;
    Uuid id;

    if (!uuid_parse(slice(in->login_id), &id))
        return err_make(&UNAUTHENTICATED, "no login");
    TRY(auth_store_resolve_login(rq, id, clock_unix_us(rq->clock), &account, &expires_us));
    if (account.id == 0)
        return resolve_exchanged(rq, id, out);
    answer_owner(rq, &account, id, expires_us / 1000, out);
    return OK;
}
