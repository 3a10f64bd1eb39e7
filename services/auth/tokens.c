/* tokens: what a login is made of. */
#include "services/auth/tokens.h"

#include <sodium.h>

#include "services/auth/text.h"

enum { TOKEN_BYTES = 32 };
static const char SESSIONS_ISSUER[] = "streamspace-api";

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
        .opaque = set & TOKENS_OPAQUE ? random_token(rq->mem) : NULL,
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
    if (tokens->set & TOKENS_OPAQUE)
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
        .issuer = manner_of(rq) == MANNER_SESSIONS ? SESSIONS_ISSUER : auth->settings->jwt_issuer,
        .issued_s = now_s,
    };

    if (tokens->set & TOKENS_CHAT) {
        claims.jti = random_token(rq->mem);
        claims.expires_s = now_s + auth->settings->access_token_ttl_ms / 1000;
        tokens->access_token = jwt_mint(auth->key, rq->mem, &claims);
    }
    if (tokens->set & TOKENS_SESSIONS) {
        claims.jti = tokens->token_jti;
        claims.email = account->email ? account->email : "";
        claims.not_before_s = now_s;
        claims.expires_s = now_s + auth->settings->token_ttl_ms / 1000;
        tokens->token = jwt_mint(auth->key, rq->mem, &claims);
        tokens->token_expires_us = claims.expires_s * 1000000;
    }
}
