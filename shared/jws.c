/* jws: see jws.h. */
#include "shared/jws.h"

#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "atrium/reasons.atrium.h"
#include "shared/id.h"
#include "shared/strbuf.h"

enum {
    ED25519_BYTES = 32,
    P256_BYTES = 32,
    SIGNATURE_BYTES = 64, /* of both that we make */
    RSA_MIN_BITS = 2048,
    RSA_MAX_BITS = 8192, /* beyond it a verification takes too long */
    RSA_EXPONENT_MAX_BYTES = 8,
    DER_MAX_BYTES = 80
};

typedef struct JwsKey {
    JwsAlgs alg;
    char *kid; /* "" when it has none */
    EVP_PKEY *key;
} JwsKey;

struct JwsKeys {
    size_t count;
    JwsKey list[JWS_KEYS_MAX];
};

struct JwsSigner {
    JwsAlgs alg;
    char *kid;
    EVP_PKEY *key;
};

static void json_free(json_t *json)
{
    json_decref(json);
}
CLEANUP_FN(json_t, json_free)
CLEANUP_FN(BIGNUM, BN_clear_free)
CLEANUP_FN(EC_GROUP, EC_GROUP_free)
CLEANUP_FN(EC_POINT, EC_POINT_free)
CLEANUP_FN(ECDSA_SIG, ECDSA_SIG_free)
CLEANUP_FN(EVP_MD_CTX, EVP_MD_CTX_free)
CLEANUP_FN(EVP_PKEY, EVP_PKEY_free)
CLEANUP_FN(EVP_PKEY_CTX, EVP_PKEY_CTX_free)
CLEANUP_FN(OSSL_PARAM, OSSL_PARAM_free)
CLEANUP_FN(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free)

const char *jws_alg_name(JwsAlgs alg)
{
    return alg == JWS_RS256 ? "RS256" : alg == JWS_ES256 ? "ES256" : "EdDSA";
}

JwsAlgs jws_alg_parse(Slice name)
{
    return slice_eq_cstr(name, "EdDSA") ? JWS_EDDSA : slice_eq_cstr(name, "ES256") ? JWS_ES256 : (JwsAlgs)0;
}

/* ---------------------------------------------------------------------------------------------------- keys */
static const unsigned char *bytes_of(Slice s)
{
    return (const unsigned char *)s.ptr;
}

/* NULL for what is no key. */
static EVP_PKEY *key_from(const char *type, int selection, OSSL_PARAM_BLD *parts)
{
    CLEANUP(OSSL_PARAM_free_at) OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(parts);
    CLEANUP(EVP_PKEY_CTX_free_at) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;

    if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &key, selection, params) != 1)
        return NULL;
    return key;
}

static EVP_PKEY *rsa_key(Slice modulus, Slice exponent)
{
    CLEANUP(OSSL_PARAM_BLD_free_at) OSSL_PARAM_BLD *parts = OSSL_PARAM_BLD_new();
    CLEANUP(BN_clear_free_at) BIGNUM *n = NULL;
    CLEANUP(BN_clear_free_at) BIGNUM *e = NULL;

    if (!parts || modulus.len > RSA_MAX_BITS / 8 || exponent.len > RSA_EXPONENT_MAX_BYTES)
        return NULL;
    n = BN_bin2bn(bytes_of(modulus), (int)modulus.len, NULL);
    e = BN_bin2bn(bytes_of(exponent), (int)exponent.len, NULL);
    if (!n || !e || BN_num_bits(n) < RSA_MIN_BITS || !BN_is_odd(n) || !BN_is_odd(e) || BN_is_one(e))
        return NULL;
    if (OSSL_PARAM_BLD_push_BN(parts, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
        OSSL_PARAM_BLD_push_BN(parts, OSSL_PKEY_PARAM_RSA_E, e) != 1)
        return NULL;
    return key_from("RSA", EVP_PKEY_PUBLIC_KEY, parts);
}

/* `secret` may be NULL: a public key. */
static EVP_PKEY *p256_key(Slice point, const BIGNUM *secret)
{
    CLEANUP(OSSL_PARAM_BLD_free_at) OSSL_PARAM_BLD *parts = OSSL_PARAM_BLD_new();
    unsigned char encoded[1 + 2 * P256_BYTES] = {POINT_CONVERSION_UNCOMPRESSED};

    if (!parts || point.len != sizeof(encoded) - 1)
        return NULL;
    memcpy(encoded + 1, point.ptr, point.len);
    if (OSSL_PARAM_BLD_push_utf8_string(parts, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(parts, OSSL_PKEY_PARAM_PUB_KEY, encoded, sizeof(encoded)) != 1 ||
        (secret && OSSL_PARAM_BLD_push_BN(parts, OSSL_PKEY_PARAM_PRIV_KEY, secret) != 1))
        return NULL;
    return key_from("EC", secret ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, parts);
}

static EVP_PKEY *ed25519_key(Slice bytes)
{
    return bytes.len == ED25519_BYTES ? EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, bytes_of(bytes), bytes.len)
                                      : NULL;
}

JwsKeys *jws_keys_new(void)
{
    return xcalloc(1, sizeof(JwsKeys));
}

static void keys_push(JwsKeys *keys, JwsAlgs alg, const char *kid, EVP_PKEY *key)
{
    keys->list[keys->count++] = (JwsKey){.alg = alg, .kid = xstrdup(kid), .key = key};
}

Err jws_keys_add(JwsKeys *keys, JwsAlgs alg, const char *kid, Slice public_key)
{
    EVP_PKEY *key = NULL;

    if (keys->count == JWS_KEYS_MAX)
        return err_make(&INVALID_ARGUMENT, "more than %d keys", JWS_KEYS_MAX);
    if (alg == JWS_ES256)
        key = p256_key(public_key, NULL);
    else if (alg == JWS_EDDSA)
        key = ed25519_key(public_key);
    if (!key)
        return err_make(&INVALID_ARGUMENT, "not a key of %s", jws_alg_name(alg));
    keys_push(keys, alg, kid, key);
    return OK;
}

size_t jws_keys_count(const JwsKeys *keys)
{
    return keys->count;
}

void jws_keys_free(JwsKeys *keys)
{
    if (!keys)
        return;
    for (size_t i = 0; i < keys->count; i++) {
        EVP_PKEY_free(keys->list[i].key);
        free(keys->list[i].kid);
    }
    free(keys);
}

/* ---------------------------------------------------------------------------------------------------- documents */
/* The URL alphabet without padding, and no bits to spare, is the only form: a token has one spelling. */
static bool decode(Arena *mem, Slice text, Slice *out)
{
    Slice bytes;

    if (!base64_decode(mem, text, &bytes) || !slice_eq(slice(base64url_encode(mem, bytes)), text))
        return false;
    *out = bytes;
    return true;
}

static Slice text_member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return slice_of(json_string_value(value), json_string_length(value));
}

static bool bytes_member(Arena *mem, const json_t *object, const char *name, Slice *out)
{
    Slice text = text_member(object, name);

    return text.len > 0 && decode(mem, text, out);
}

/* Absent, or this. */
static bool allows(const json_t *jwk, const char *name, const char *value)
{
    return !json_object_get(jwk, name) || slice_eq_cstr(text_member(jwk, name), value);
}

static bool is_for_verifying(const json_t *jwk)
{
    const json_t *uses = json_object_get(jwk, "key_ops");

    if (!allows(jwk, "use", "sig"))
        return false;
    for (size_t i = 0; i < json_array_size(uses); i++)
        if (slice_eq_cstr(slice(json_string_value(json_array_get(uses, i))), "verify"))
            return true;
    return !uses;
}

static EVP_PKEY *read_rsa(Arena *mem, const json_t *jwk)
{
    Slice n, e;

    return bytes_member(mem, jwk, "n", &n) && bytes_member(mem, jwk, "e", &e) ? rsa_key(n, e) : NULL;
}

static EVP_PKEY *read_ec(Arena *mem, const json_t *jwk)
{
    char point[2 * P256_BYTES];
    Slice x, y;

    if (!slice_eq_cstr(text_member(jwk, "crv"), "P-256") || !bytes_member(mem, jwk, "x", &x) ||
        !bytes_member(mem, jwk, "y", &y) || x.len != P256_BYTES || y.len != P256_BYTES)
        return NULL;
    memcpy(point, x.ptr, P256_BYTES);
    memcpy(point + P256_BYTES, y.ptr, P256_BYTES);
    return p256_key(slice_of(point, sizeof(point)), NULL);
}

static EVP_PKEY *read_okp(Arena *mem, const json_t *jwk)
{
    Slice x;

    return slice_eq_cstr(text_member(jwk, "crv"), "Ed25519") && bytes_member(mem, jwk, "x", &x) ? ed25519_key(x) : NULL;
}

static void take_jwk(JwsKeys *keys, Arena *mem, const json_t *jwk)
{
    static const struct {
        const char *type;
        JwsAlgs alg;
        EVP_PKEY *(*read)(Arena *mem, const json_t *jwk);
    } TYPES[] = {{"RSA", JWS_RS256, read_rsa}, {"EC", JWS_ES256, read_ec}, {"OKP", JWS_EDDSA, read_okp}};
    Slice kid = text_member(jwk, "kid");

    /* A key whose secret is published verifies nothing. */
    if (!is_for_verifying(jwk) || json_object_get(jwk, "d") || kid.len > JWS_KID_MAX_BYTES)
        return;
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++) {
        EVP_PKEY *key;

        if (!slice_eq_cstr(text_member(jwk, "kty"), TYPES[i].type) || !allows(jwk, "alg", jws_alg_name(TYPES[i].alg)))
            continue;
        key = TYPES[i].read(mem, jwk);
        if (key)
            keys_push(keys, TYPES[i].alg, kid.ptr ? kid.ptr : "", key);
    }
}

Err jws_keys_parse(Slice json, JwsKeys **out)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    CLEANUP(jws_keys_free_at) JwsKeys *keys = jws_keys_new();
    CLEANUP(json_free_at) json_t *document = NULL;
    const json_t *list;

    if (json.len <= JWS_KEYS_MAX_BYTES)
        document = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    list = json_object_get(document, "keys");
    if (!json_is_array(list))
        return err_make(&INVALID_ARGUMENT, "not a JWK Set");
    for (size_t i = 0; i < json_array_size(list) && keys->count < JWS_KEYS_MAX; i++)
        take_jwk(keys, mem, json_array_get(list, i));
    *out = MOVE(keys);
    return OK;
}

char *jws_jwk(Arena *mem, JwsAlgs alg, const char *kid, Slice public_key)
{
    StrBuf out = strbuf_new(mem, JWS_KEYS_MAX_BYTES);

    strbuf_append_cstr(&out, "{\"kid\":");
    strbuf_append_json(&out, slice(kid));
    strbuf_printf(&out, ",\"use\":\"sig\",\"alg\":\"%s\"", jws_alg_name(alg));
    if (alg == JWS_EDDSA)
        strbuf_printf(&out, ",\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}", base64url_encode(mem, public_key));
    else
        strbuf_printf(&out, ",\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"}",
                      base64url_encode(mem, slice_take(public_key, P256_BYTES)),
                      base64url_encode(mem, slice_skip(public_key, P256_BYTES)));
    return slice_cstr(mem, strbuf_slice(&out));
}

/* ---------------------------------------------------------------------------------------------------- verifying */
static Err refuse(const char *why)
{
    return err_make(&UNAUTHENTICATED, "token: %s", why);
}

typedef struct Header {
    const char *alg, *kid; /* kid: NULL when it has none */
} Header;

static Err read_header(Arena *mem, Slice part, Header *out)
{
    CLEANUP(json_free_at) json_t *header = NULL;
    const json_t *typ, *kid;
    Slice text;

    if (decode(mem, part, &text))
        header = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(header))
        return refuse("header is not a JSON object");
    typ = json_object_get(header, "typ");
    kid = json_object_get(header, "kid");
    if (!json_is_string(json_object_get(header, "alg")))
        return refuse("names no algorithm");
    /* Tokens for another purpose say so here. */
    if (typ && !(json_is_string(typ) && slice_eq_nocase(slice(json_string_value(typ)), SLICE_LIT("JWT"))))
        return refuse("type is not JWT");
    if (json_object_get(header, "crit"))
        return refuse("has critical extensions");
    if (kid && (!json_is_string(kid) || json_string_length(kid) > JWS_KID_MAX_BYTES))
        return refuse("kid is no name");
    out->alg = slice_cstr(mem, text_member(header, "alg"));
    out->kid = kid ? slice_cstr(mem, text_member(header, "kid")) : NULL;
    return OK;
}

/* r and s, as tokens have them, in the form that OpenSSL reads. 0 when that cannot be. */
static size_t to_der(Slice signature, unsigned char out[DER_MAX_BYTES])
{
    CLEANUP(ECDSA_SIG_free_at) ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(bytes_of(signature), P256_BYTES, NULL);
    BIGNUM *s = BN_bin2bn(bytes_of(signature) + P256_BYTES, P256_BYTES, NULL);
    unsigned char *at = out;
    int len;

    if (!pair || !r || !s || ECDSA_SIG_set0(pair, r, s) != 1)
        abort(); /* out of memory */
    len = i2d_ECDSA_SIG(pair, NULL);
    if (len <= 0 || len > DER_MAX_BYTES)
        return 0;
    (void)i2d_ECDSA_SIG(pair, &at); /* as long as it said */
    return (size_t)len;
}

static bool signature_holds(const JwsKey *key, Slice text, Slice signature)
{
    CLEANUP(EVP_MD_CTX_free_at) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char der[DER_MAX_BYTES];

    if (key->alg != JWS_RS256 && signature.len != SIGNATURE_BYTES)
        return false;
    if (key->alg == JWS_ES256)
        signature = slice_of(der, to_der(signature, der));
    return ctx && EVP_DigestVerifyInit(ctx, NULL, key->alg == JWS_EDDSA ? NULL : EVP_sha256(), NULL, key->key) == 1 &&
           EVP_DigestVerify(ctx, bytes_of(signature), signature.len, bytes_of(text), text.len) == 1;
}

static bool may_be_meant(const JwsKey *key, const Header *header, unsigned algs)
{
    return (key->alg & algs) && strcmp(header->alg, jws_alg_name(key->alg)) == 0 &&
           (!header->kid || strcmp(header->kid, key->kid) == 0);
}

static bool is_accepted(const char *alg, unsigned algs)
{
    static const JwsAlgs ALL[] = {JWS_RS256, JWS_ES256, JWS_EDDSA};

    for (size_t i = 0; i < ARRAY_LEN(ALL); i++)
        if ((algs & ALL[i]) && strcmp(alg, jws_alg_name(ALL[i])) == 0)
            return true;
    return false;
}

static bool knows(const JwsKeys *keys, const char *kid)
{
    for (size_t i = 0; kid && i < keys->count; i++)
        if (strcmp(keys->list[i].kid, kid) == 0)
            return true;
    return false;
}

static Err check_signature(const JwsKeys *keys, const Header *header, unsigned algs, Slice text, Slice signature,
                           const char **out_kid)
{
    const JwsKey *meant = NULL;
    size_t count = 0;

    for (size_t i = 0; i < keys->count; i++)
        if (may_be_meant(&keys->list[i], header, algs)) {
            meant = &keys->list[i];
            count++;
        }
    if (count == 1)
        return signature_holds(meant, text, signature) ? OK : refuse("wrong signature");
    if (count > 1)
        return refuse("several keys may be meant");
    if (!is_accepted(header->alg, algs) || knows(keys, header->kid))
        return refuse("algorithm is none of those accepted");
    *out_kid = header->kid ? header->kid : "";
    return err_make(&NOT_FOUND, "token: unknown key");
}

Err jws_verify(const JwsKeys *keys, Arena *mem, Slice token, unsigned algs, Slice *out_payload, const char **out_kid)
{
    Slice head, payload, signature, bytes, claims;
    Header header = {.alg = ""};

    if (token.len > JWS_TOKEN_MAX_BYTES)
        return refuse("too long");
    if (!slice_cut(token, '.', &head, &payload) || !slice_cut(payload, '.', &payload, &signature) ||
        !decode(mem, payload, &claims) || !decode(mem, signature, &bytes))
        return refuse("not three parts");
    TRY(read_header(mem, head, &header));
    TRY(check_signature(keys, &header, algs, slice_take(token, head.len + 1 + payload.len), bytes, out_kid));
    *out_payload = claims;
    *out_kid = header.kid ? header.kid : "";
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- signing */
void jws_private_make(JwsAlgs alg, uint8_t out[JWS_PRIVATE_BYTES])
{
    CLEANUP(EVP_PKEY_free_at) EVP_PKEY *key = NULL;
    CLEANUP(BN_clear_free_at) BIGNUM *secret = NULL;

    if (alg == JWS_EDDSA) {
        random_bytes(out, JWS_PRIVATE_BYTES);
        return;
    }
    key = EVP_EC_gen("P-256");
    if (!key || EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &secret) != 1 ||
        BN_bn2binpad(secret, out, JWS_PRIVATE_BYTES) != JWS_PRIVATE_BYTES)
        abort(); /* out of memory, or of randomness */
}

/* The pair of a secret number; NULL when it is none. */
static EVP_PKEY *p256_pair(Slice private_key)
{
    CLEANUP(EC_GROUP_free_at) EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    CLEANUP(EC_POINT_free_at) EC_POINT *point = group ? EC_POINT_new(group) : NULL;
    CLEANUP(BN_clear_free_at) BIGNUM *secret = BN_bin2bn(bytes_of(private_key), (int)private_key.len, NULL);
    unsigned char encoded[1 + 2 * P256_BYTES];

    if (!point || !secret || BN_is_zero(secret) || BN_cmp(secret, EC_GROUP_get0_order(group)) >= 0 ||
        EC_POINT_mul(group, point, secret, NULL, NULL, NULL) != 1 ||
        EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, encoded, sizeof(encoded), NULL) !=
            sizeof(encoded))
        return NULL;
    return p256_key(slice_of(encoded + 1, sizeof(encoded) - 1), secret);
}

Err jws_signer_new(JwsAlgs alg, Slice private_key, const char *kid, JwsSigner **out)
{
    JwsSigner *signer;
    EVP_PKEY *key = NULL;

    if (private_key.len == JWS_PRIVATE_BYTES && alg == JWS_EDDSA)
        key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, bytes_of(private_key), private_key.len);
    else if (private_key.len == JWS_PRIVATE_BYTES && alg == JWS_ES256)
        key = p256_pair(private_key);
    if (!key)
        return err_make(&INVALID_ARGUMENT, "not a private key of %s", jws_alg_name(alg));
    signer = xcalloc(1, sizeof(*signer));
    *signer = (JwsSigner){.alg = alg, .kid = xstrdup(kid), .key = key};
    *out = signer;
    return OK;
}

void jws_signer_free(JwsSigner *signer)
{
    if (!signer)
        return;
    EVP_PKEY_free(signer->key);
    free(signer->kid);
    free(signer);
}

Slice jws_signer_public(const JwsSigner *signer, Arena *mem)
{
    unsigned char encoded[1 + 2 * P256_BYTES];
    size_t len = sizeof(encoded);

    if (signer->alg == JWS_EDDSA ? EVP_PKEY_get_raw_public_key(signer->key, encoded, &len) != 1
                                 : EVP_PKEY_get_octet_string_param(signer->key, OSSL_PKEY_PARAM_PUB_KEY, encoded,
                                                                   sizeof(encoded), &len) != 1)
        abort(); /* the key was made with one */
    if (signer->alg == JWS_EDDSA)
        return slice_of(arena_memdup(mem, encoded, len), len);
    return slice_of(arena_memdup(mem, encoded + 1, len - 1), len - 1);
}

/* DER, as OpenSSL writes it, as r and s. */
static void from_der(const unsigned char *der, size_t len, unsigned char out[SIGNATURE_BYTES])
{
    CLEANUP(ECDSA_SIG_free_at) ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)len);

    if (!pair || BN_bn2binpad(ECDSA_SIG_get0_r(pair), out, P256_BYTES) != P256_BYTES ||
        BN_bn2binpad(ECDSA_SIG_get0_s(pair), out + P256_BYTES, P256_BYTES) != P256_BYTES)
        abort(); /* it was just made */
}

char *jws_sign(const JwsSigner *signer, Arena *mem, Slice payload)
{
    CLEANUP(EVP_MD_CTX_free_at) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char der[DER_MAX_BYTES], signature[SIGNATURE_BYTES];
    size_t len = sizeof(der);
    StrBuf header = strbuf_new(mem, 8 * JWS_KID_MAX_BYTES);
    char *text;

    strbuf_printf(&header, "{\"alg\":\"%s\",\"typ\":\"JWT\",\"kid\":", jws_alg_name(signer->alg));
    strbuf_append_json(&header, slice(signer->kid));
    strbuf_append_char(&header, '}');
    text = arena_printf(mem, "%s.%s", base64url_encode(mem, strbuf_slice(&header)), base64url_encode(mem, payload));
    if (!ctx || EVP_DigestSignInit(ctx, NULL, signer->alg == JWS_EDDSA ? NULL : EVP_sha256(), NULL, signer->key) != 1 ||
        EVP_DigestSign(ctx, der, &len, (const unsigned char *)text, strlen(text)) != 1)
        abort(); /* out of memory */
    if (signer->alg == JWS_EDDSA)
        memcpy(signature, der, sizeof(signature));
    else
        from_der(der, len, signature);
    return arena_printf(mem, "%s.%s", text, base64url_encode(mem, slice_of(signature, sizeof(signature))));
}
