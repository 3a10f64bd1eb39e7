/* testing_authenticator: a software authenticator, for tests of passkeys. What it says can be made wrong by its fields.
 */
#pragma once
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <sodium.h>

#include "shared/id.h"
#include "shared/strbuf.h"
#include "shared/testing.h"

enum {
    AUTHENTICATOR_ES256 = -7,
    AUTHENTICATOR_EDDSA = -8,
    AUTHENTICATOR_ID_BYTES = 20,
    AUTHENTICATOR_MAX_BYTES = 4096
};

typedef struct Authenticator {
    Arena *mem;
    EVP_PKEY *key;
    int algorithm;
    uint8_t id[AUTHENTICATOR_ID_BYTES];
    const char *rp_id, *origin;
    uint8_t flags; /* 1: somebody is there, 4: it is the owner */
    uint32_t count;
} Authenticator;

static inline Authenticator authenticator_new(Arena *mem, int algorithm, const char *rp_id, const char *origin)
{
    Authenticator a = {
        .mem = mem, .algorithm = algorithm, .rp_id = rp_id, .origin = origin, .flags = 1 | 4, .count = 1};

    a.key = algorithm == AUTHENTICATOR_ES256 ? EVP_EC_gen("P-256") : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    assert_non_null(a.key);
    random_bytes(a.id, sizeof(a.id));
    return a;
}

static inline void authenticator_free(Authenticator *a)
{
    EVP_PKEY_free(a->key);
}

static inline Slice authenticator_client_data(const Authenticator *a, const char *type, const char *challenge)
{
    return slice(arena_printf(a->mem, "{\"type\":\"%s\",\"challenge\":\"%s\",\"origin\":\"%s\",\"crossOrigin\":false}",
                              type, challenge, a->origin));
}

/* The public key as COSE has it. */
static inline void authenticator_append_key(const Authenticator *a, StrBuf *out)
{
    uint8_t key[128];
    size_t len = sizeof(key);

    if (a->algorithm == AUTHENTICATOR_EDDSA) {
        assert_int_equal(EVP_PKEY_get_raw_public_key(a->key, key, &len), 1);
        strbuf_append(out, SLICE_LIT("\xa4\x01\x01\x03\x27\x20\x06\x21\x58\x20"));
        strbuf_append(out, slice_of(key, 32));
        return;
    }
    assert_int_equal(EVP_PKEY_get_octet_string_param(a->key, "pub", key, sizeof(key), &len), 1);
    assert_int_equal(len, 65); /* 4, x, y */
    strbuf_append(out, SLICE_LIT("\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20"));
    strbuf_append(out, slice_of(key + 1, 32));
    strbuf_append(out, SLICE_LIT("\x22\x58\x20"));
    strbuf_append(out, slice_of(key + 33, 32));
}

static inline Slice authenticator_data(const Authenticator *a, bool with_credential)
{
    StrBuf out = strbuf_new(a->mem, AUTHENTICATOR_MAX_BYTES);
    uint8_t hash[crypto_hash_sha256_BYTES];

    crypto_hash_sha256(hash, (const uint8_t *)a->rp_id, strlen(a->rp_id));
    strbuf_append(&out, slice_of(hash, sizeof(hash)));
    strbuf_append_char(&out, (char)(a->flags | (with_credential ? 64 : 0)));
    for (int shift = 24; shift >= 0; shift -= 8)
        strbuf_append_char(&out, (char)(a->count >> shift));
    if (with_credential) {
        static const char AAGUID[16] = {0};

        strbuf_append(&out, slice_of(AAGUID, sizeof(AAGUID)));
        strbuf_append_char(&out, 0);
        strbuf_append_char(&out, AUTHENTICATOR_ID_BYTES);
        strbuf_append(&out, slice_of(a->id, sizeof(a->id)));
        authenticator_append_key(a, &out);
    }
    return strbuf_slice(&out);
}

static inline Slice authenticator_sign(const Authenticator *a, Slice data, Slice client_data)
{
    StrBuf signed_bytes = strbuf_new(a->mem, AUTHENTICATOR_MAX_BYTES);
    uint8_t hash[crypto_hash_sha256_BYTES], *signature = ARENA_ARRAY(a->mem, uint8_t, 128);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t len = 128;

    crypto_hash_sha256(hash, (const uint8_t *)client_data.ptr, client_data.len);
    strbuf_append(&signed_bytes, data);
    strbuf_append(&signed_bytes, slice_of(hash, sizeof(hash)));
    assert_int_equal(
        EVP_DigestSignInit(context, NULL, a->algorithm == AUTHENTICATOR_ES256 ? EVP_sha256() : NULL, NULL, a->key), 1);
    assert_int_equal(EVP_DigestSign(context, signature, &len, (const uint8_t *)signed_bytes.ptr, signed_bytes.len), 1);
    EVP_MD_CTX_free(context);
    return slice_of(signature, len);
}

static inline void authenticator_append_bytes(StrBuf *out, Slice bytes)
{
    strbuf_append_char(out, 0x59);
    strbuf_append_char(out, (char)(bytes.len >> 8));
    strbuf_append_char(out, (char)bytes.len);
    strbuf_append(out, bytes);
}

/* `self`: the key signs for itself ("packed"); else nobody does ("none"). */
static inline Slice authenticator_attestation(const Authenticator *a, Slice client_data, bool self)
{
    StrBuf out = strbuf_new(a->mem, AUTHENTICATOR_MAX_BYTES);
    Slice data = authenticator_data(a, true);

    if (self) {
        strbuf_append(&out, SLICE_LIT("\xa3\x63"
                                      "fmt\x66"
                                      "packed\x67"
                                      "attStmt\xa2\x63"
                                      "alg"));
        strbuf_append_char(&out, (char)(0x20 - 1 - a->algorithm));
        strbuf_append(&out, SLICE_LIT("\x63"
                                      "sig"));
        authenticator_append_bytes(&out, authenticator_sign(a, data, client_data));
    } else {
        strbuf_append(&out, SLICE_LIT("\xa3\x63"
                                      "fmt\x64"
                                      "none\x67"
                                      "attStmt\xa0"));
    }
    strbuf_append(&out, SLICE_LIT("\x68"
                                  "authData"));
    authenticator_append_bytes(&out, data);
    return strbuf_slice(&out);
}
