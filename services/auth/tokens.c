/* tokens: what a login is made of. */
#include "services/auth/tokens.h"

#include <sodium.h>

#include "services/auth/signing_keys.h"
#include "services/auth/text.h"

enum { TOKEN_BYTES = 32 };
static const char SESSIONS_ISSUER[] = "streamspace-api", CONSOLE_ISSUER[] = "sel.events";

Manner manner_of(const Request *rq)
{
    Slice profile = slice(rq->profile);

    if (slice_eq_cstr(profile, "chat") || slice_eq_cstr(profile, "chat-web"))
        return MANNER_CHAT;
    return slice_eq_cstr(profile, "sessions") ? MANNER_SESSIONS : MANNER_BOTH;
}

bool profile_keeps_refresh_token(const Request *rq)
{
    return slice_eq_cstr(slice(rq->profile), "chat-web");
}

TokenSet token_set_of(const Request *rq)
{
    static const TokenSet SETS[] = {
        [MANNER_BOTH] = TOKENS_BOTH, [MANNER_CHAT] = TOKENS_CHAT, [MANNER_SESSIONS] = TOKENS_SESSIONS};

    return SETS[manner_of(rq)];
}

static const AuthSettings *settings_of(const Request *rq)
{
    return ((const Auth *)rq->service)->settings;
}

static char *random_token(Arena *mem)
{
    uint8_t bytes[TOKEN_BYTES];

    random_bytes(bytes, sizeof(bytes));
    return hex_encode(mem, slice_of(bytes, sizeof(bytes)));
}

static char *vault_token(Arena *mem)
{
    uint8_t bytes[TOKEN_BYTES];

    random_bytes(bytes, sizeof(bytes));
    return arena_printf(mem, "%s=", base64url_encode(mem, slice_of(bytes, sizeof(bytes))));
}

static char *opaque_token(Arena *mem, TokenSet set)
{
    if (set & TOKENS_VAULT)
        return vault_token(mem);
    return set & TOKENS_OPAQUE ? random_token(mem) : NULL;
}

Slice token_hash(Arena *mem, const char *token)
{
    uint8_t *hash = ARENA_ARRAY(mem, uint8_t, crypto_hash_sha256_BYTES);

    crypto_hash_sha256(hash, (const unsigned char *)token, strlen(token));
    return slice_of(hash, crypto_hash_sha256_BYTES);
}

Tokens tokens_make(Request *rq, TokenSet set)
{
    return (Tokens){
        .set = set,
        .refresh_token = set & TOKENS_CHAT ? random_token(rq->mem) : NULL,
        .token_jti = set & TOKENS_SESSIONS ? random_token(rq->mem) : NULL,
        .opaque = opaque_token(rq->mem, set),
        .now_us = clock_unix_us(rq->clock),
    };
}

int64_t tokens_refresh_expires_us(const Request *rq, const Tokens *tokens)
{
    return tokens->now_us + settings_of(rq)->refresh_token_ttl_ms * 1000;
}

/* As long as the longest-lived of its tokens. */
int64_t tokens_login_expires_us(const Request *rq, const Tokens *tokens)
{
    const AuthSettings *settings = settings_of(rq);
    int64_t life_ms = 0;

    if (tokens->set & TOKENS_CHAT)
        life_ms = MAX(settings->refresh_token_ttl_ms, settings->access_token_ttl_ms);
    if (tokens->set & TOKENS_SESSIONS)
        life_ms = MAX(life_ms, settings->token_ttl_ms);
    if (tokens->set & TOKENS_CONSOLE)
        life_ms = MAX(life_ms, settings->jwt_expiry_hours * 3600000);
    if (tokens->set & (TOKENS_OPAQUE | TOKENS_VAULT))
        life_ms = MAX(life_ms, settings->session_expires_days * 86400000);
    return tokens->now_us + life_ms * 1000;
}

NewLogin tokens_new_login(Request *rq, const Tokens *tokens, int64_t user_id)
{
    const Auth *auth = rq->service;
    Uuid id = uuid_v7(auth->ids);

    return (NewLogin){
        .id = id,
        .family_id = id,
        .user_id = user_id,
        .token_jti = tokens->token_jti,
        .opaque_hash = tokens->opaque ? token_hash(rq->mem, tokens->opaque) : (Slice){NULL, 0},
        .refresh_hash = tokens->refresh_token ? token_hash(rq->mem, tokens->refresh_token) : (Slice){NULL, 0},
        .refresh_expires_us = tokens_refresh_expires_us(rq, tokens),
        .profile = rq->profile ? rq->profile : "all",
        .user_agent = text_of_header(rq->mem, request_header(rq, "user-agent"), USER_AGENT_MAX_BYTES),
        .address = text_of_header(rq->mem, rq->client_address, USER_AGENT_MAX_BYTES),
        .method = "password",
        .created_us = tokens->now_us,
        .expires_us = tokens_login_expires_us(rq, tokens),
    };
}

char *tokens_sign_jwt(Request *rq, const JwtClaims *claims)
{
    const Auth *auth = rq->service;

    if (!auth->signing)
        return jwt_mint(auth->key, rq->mem, claims);
    return signing_keys_sign(auth->signing, rq->mem, clock_unix_us(rq->clock),
                             slice(jwt_claims_write(rq->mem, claims)));
}

Err tokens_read_jwt(Request *rq, const char *token, JwtClaims *out)
{
    const Auth *auth = rq->service;
    Slice payload;

    if (auth->settings->jwt_hs256 && !err_failed(jwt_verify(auth->key, rq->mem, rq->clock, slice(token), out)))
        return OK;
    if (!auth->signing)
        return err_make(&UNAUTHENTICATED, "not a token of ours");
    TRY(signing_keys_verify(auth->signing, rq->mem, slice(token), &payload));
    return jwt_claims_read(rq->mem, rq->clock, payload, out);
}

/* Who verifies by the keys that are published looks for the address that they were published at. */
static const char *issuer_of(const Request *rq)
{
    if (manner_of(rq) == MANNER_SESSIONS)
        return SESSIONS_ISSUER;
    return signing_is_asymmetric(settings_of(rq)) ? settings_of(rq)->public_url : settings_of(rq)->jwt_issuer;
}

/* The long JWT: sessions' can be refreshed, events' lives as its settings say. */
static void mint_long(Request *rq, Tokens *tokens, const Account *account, JwtClaims claims)
{
    const AuthSettings *settings = settings_of(rq);
    int64_t life_ms = tokens->set & TOKENS_CONSOLE ? settings->jwt_expiry_hours * 3600000 : settings->token_ttl_ms;

    claims.jti = tokens->token_jti ? tokens->token_jti : random_token(rq->mem);
    claims.email = account->email ? account->email : "";
    if (tokens->set & TOKENS_CONSOLE)
        claims.issuer = CONSOLE_ISSUER;
    claims.not_before_s = claims.issued_s;
    claims.expires_s = claims.issued_s + life_ms / 1000;
    tokens->token = tokens_sign_jwt(rq, &claims);
    tokens->token_expires_us = claims.expires_s * 1000000;
}

/* Both JWTs carry name and role, so that gateways need not ask; the long one carries the e-mail, as sessions' does. */
void tokens_mint(Request *rq, Tokens *tokens, const Account *account, Uuid login_id)
{
    const Auth *auth = rq->service;
    int64_t now_s = tokens->now_us / 1000000;
    JwtClaims claims = {
        .user_id = account->id,
        .username = account->username,
        .email = "",
        .role = role_name(account->role),
        .roles = account->roles,
        .role_count = account->role_count,
        .login_id = uuid_text(rq->mem, login_id),
        .issuer = issuer_of(rq),
        .issued_s = now_s,
    };

    tokens->login_id = login_id;
    if (tokens->set & TOKENS_CHAT) {
        claims.jti = random_token(rq->mem);
        claims.expires_s = now_s + auth->settings->access_token_ttl_ms / 1000;
        tokens->access_token = tokens_sign_jwt(rq, &claims);
    }
    if (tokens->set & (TOKENS_SESSIONS | TOKENS_CONSOLE))
        mint_long(rq, tokens, account, claims);
}
