/* jws: signed texts in compact form (RFC 7515) and public keys as documents (RFC 7517, 8037), over OpenSSL. A key says
 * what it verifies; the header of a token is only ever compared with that, so no token chooses its own algorithm. For
 * HS256 see jwt.h. Thread-safe: nothing here changes once it is made. */
#pragma once
#include "shared/err.h"
#include "shared/slice.h"

/* RS256 is verified and never made. */
typedef enum JwsAlgs { JWS_RS256 = 1, JWS_ES256 = 2, JWS_EDDSA = 4 } JwsAlgs;
enum {
    JWS_TOKEN_MAX_BYTES = 16384,
    JWS_KEYS_MAX = 64,
    JWS_KEYS_MAX_BYTES = 256 * 1024,
    JWS_PRIVATE_BYTES = 32, /* of both algorithms: Ed25519's seed, P-256's number */
    JWS_PUBLIC_MAX_BYTES = 64,
    JWS_KID_MAX_BYTES = 256
};
const char *jws_alg_name(JwsAlgs alg); /* "EdDSA" */
/* 0 for what we do not make. */
JwsAlgs jws_alg_parse(Slice name);

/* --- verifying --------------------------------------------------------------------------------------------------- */
typedef struct JwsKeys JwsKeys;
/* Of a JWK Set. What it holds beside keys that we can use (of other kinds, for encryption, too weak) is left out, so it
 * may be empty. INVALID_ARGUMENT for what is no JWK Set. */
Err jws_keys_parse(Slice json, JwsKeys **out) MUST_CHECK;
JwsKeys *jws_keys_new(void);
/* ES256 or EdDSA; `public_key` as jws_signer_public gives it. INVALID_ARGUMENT for what is no key. */
Err jws_keys_add(JwsKeys *keys, JwsAlgs alg, const char *kid, Slice public_key) MUST_CHECK;
size_t jws_keys_count(const JwsKeys *keys);
void jws_keys_free(JwsKeys *keys); /* NULL is fine */
CLEANUP_FN(JwsKeys, jws_keys_free)

/* `algs` is what the caller accepts. UNAUTHENTICATED for anything but a good token. NOT_FOUND when it names a key that
 * is not among these: `out_kid` then has the name, and fresh keys may help. A token without a name is good when one key
 * alone can be meant. Its claims are the caller's business, times included. Outputs are borrowed from `mem`. */
Err jws_verify(const JwsKeys *keys, Arena *mem, Slice token, unsigned algs, Slice *out_payload,
               const char **out_kid) MUST_CHECK;

/* --- signing ----------------------------------------------------------------------------------------------------- */
typedef struct JwsSigner JwsSigner;
/* Random. */
void jws_private_make(JwsAlgs alg, uint8_t out[JWS_PRIVATE_BYTES]);
/* ES256 or EdDSA. INVALID_ARGUMENT for what is no key. `kid` is copied. */
Err jws_signer_new(JwsAlgs alg, Slice private_key, const char *kid, JwsSigner **out) MUST_CHECK;
void jws_signer_free(JwsSigner *signer); /* NULL is fine */
CLEANUP_FN(JwsSigner, jws_signer_free)
/* Ed25519: 32 bytes; P-256: x and y, 64 bytes. Borrowed from `mem`. */
Slice jws_signer_public(const JwsSigner *signer, Arena *mem);
/* The token, borrowed from `mem`. */
char *jws_sign(const JwsSigner *signer, Arena *mem, Slice payload);
/* The public key as a JWK; borrowed from `mem`. */
char *jws_jwk(Arena *mem, JwsAlgs alg, const char *kid, Slice public_key);
