/* tokens: what a login is made of. The random parts are made first and stored as hashes; JWTs are minted once the row
 * is there. Opaque tokens are 32 random bytes in letters, of which the database knows the SHA-256. */
#pragma once
#include "services/auth/store.h"

/* Which tokens a login gets. */
typedef enum TokenSet {
    TOKENS_CHAT = 1,     /* access_token and refresh_token */
    TOKENS_SESSIONS = 2, /* token */
    TOKENS_BOTH = TOKENS_CHAT | TOKENS_SESSIONS,
    TOKENS_OPAQUE = 4,  /* rag's: 64 hexadecimal digits */
    TOKENS_VAULT = 8,   /* media's: the same in other letters, 44 of base64url with padding */
    TOKENS_CONSOLE = 16 /* `token`, of events' life, not to be refreshed */
} TokenSet;
TokenSet token_set_of(const Request *rq);

/* The secrets of a login, before and after they are stored; all borrowed from rq->mem. */
typedef struct Tokens {
    TokenSet set;
    const char *refresh_token, *opaque; /* NULL when not in the set */
    const char *token_jti;              /* NULL when not in the set */
    const char *access_token, *token;   /* NULL until minted */
    int64_t token_expires_us;           /* 0 until minted */
    Uuid login_id;                      /* nil until minted */
    int64_t now_us;
} Tokens;

Tokens tokens_make(Request *rq, TokenSet set);
/* The row of a new login with these tokens, in a family of its own. */
NewLogin tokens_new_login(Request *rq, const Tokens *tokens, int64_t user_id);
/* When a login with these tokens ends by itself, and when its refresh token does. */
int64_t tokens_login_expires_us(const Request *rq, const Tokens *tokens);
int64_t tokens_refresh_expires_us(const Request *rq, const Tokens *tokens);
/* Adds the JWTs of the set. */
void tokens_mint(Request *rq, Tokens *tokens, const Account *account, Uuid login_id);

/* A JWT in the present way: by JWT_SECRET, or by a signing key. Borrowed from rq->mem. */
char *tokens_sign_jwt(Request *rq, const JwtClaims *claims);
/* Of a JWT that was minted here, by JWT_SECRET or by one of the signing keys. UNAUTHENTICATED for any other. */
Err tokens_read_jwt(Request *rq, const char *token, JwtClaims *out) MUST_CHECK;

/* SHA-256, 32 bytes borrowed from `mem`. */
Slice token_hash(Arena *mem, const char *token);
