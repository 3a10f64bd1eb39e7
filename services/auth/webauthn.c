/* webauthn: see webauthn.h. */
#include "services/auth/webauthn.h"

#include <fido.h>
#include <fido/eddsa.h>
#include <fido/es256.h>
#include <fido/rs256.h>
#include <jansson.h>
#include <sodium.h>

enum {
    CLIENT_DATA_MAX_BYTES = 4096,
    ATTESTATION_MAX_BYTES = 16384,
    CBOR_MAX_DEPTH = 8,
    RP_HASH_BYTES = 32,
    AUTH_DATA_MIN_BYTES = RP_HASH_BYTES + 5, /* hash, flags, counter */
    FLAG_PRESENT = 1,
    FLAG_VERIFIED = 4,
    FLAG_CREDENTIAL = 64,
    FLAG_EXTENSIONS = 128,
    CREDENTIAL_HEAD_BYTES = 18 /* of what model, and how long its id is */
};

/* ---------------------------------------------------------------------------------------------------- the site */
bool webauthn_site(Arena *mem, const char *public_url, WebauthnSite *out)
{
    Slice url = slice(public_url), host, port;
    ptrdiff_t scheme_end = slice_find(url, SLICE_LIT("://")), path;
    size_t origin_len;

    if (scheme_end <= 0)
        return false;
    host = slice_skip(url, (size_t)scheme_end + 3);
    path = slice_find_char(host, '/');
    if (path >= 0)
        host = slice_take(host, (size_t)path);
    origin_len = (size_t)scheme_end + 3 + host.len;
    slice_cut(host, ':', &host, &port);
    if (host.len == 0)
        return false;
    *out = (WebauthnSite){.origin = slice_cstr(mem, slice_take(url, origin_len)), .rp_id = slice_cstr(mem, host)};
    return true;
}

/* ---------------------------------------------------------------------------------------------------- client data */
static bool member_is(const json_t *object, const char *name, Slice wanted)
{
    const json_t *value = json_object_get(object, name);

    return json_is_string(value) && slice_eq(slice_of(json_string_value(value), json_string_length(value)), wanted);
}

static bool client_data_fits(const WebauthnSite *site, const char *type, Slice challenge, Slice client_data)
{
    json_t *object = NULL;
    bool fits;

    if (client_data.len <= CLIENT_DATA_MAX_BYTES)
        object = json_loadb(client_data.ptr, client_data.len, JSON_REJECT_DUPLICATES, NULL);
    fits = object && member_is(object, "type", slice(type)) && member_is(object, "challenge", challenge) &&
           member_is(object, "origin", slice(site->origin)) && !json_is_true(json_object_get(object, "crossOrigin"));
    json_decref(object);
    return fits;
}

/* ---------------------------------------------------------------------------------------------------- attestation */
/* CBOR as authenticators must write it: lengths are always given. */
typedef enum CborKind {
    CBOR_UINT,
    CBOR_NEGATIVE,
    CBOR_BYTES,
    CBOR_TEXT,
    CBOR_ARRAY,
    CBOR_MAP,
    CBOR_TAG,
    CBOR_SIMPLE
} CborKind;

static bool cbor_head(Slice *in, CborKind *kind, uint64_t *value)
{
    uint8_t first, info;
    size_t extra;

    if (in->len == 0)
        return false;
    first = (uint8_t)in->ptr[0];
    info = first & 31;
    *in = slice_skip(*in, 1);
    *kind = (CborKind)(first >> 5);
    *value = info;
    if (*kind == CBOR_TAG || info > (*kind == CBOR_SIMPLE ? 23 : 27))
        return false;
    if (info < 24)
        return true;
    extra = (size_t)1 << (info - 24);
    if (in->len < extra)
        return false;
    *value = 0;
    for (size_t i = 0; i < extra; i++)
        *value = *value << 8 | (uint8_t)in->ptr[i];
    *in = slice_skip(*in, extra);
    return true;
}

static bool cbor_text(Slice *in, CborKind wanted, Slice *out)
{
    CborKind kind;
    uint64_t len;

    if (!cbor_head(in, &kind, &len) || kind != wanted || len > in->len)
        return false;
    *out = slice_take(*in, (size_t)len);
    *in = slice_skip(*in, (size_t)len);
    return true;
}

static bool cbor_skip(Slice *in, int depth)
{
    CborKind kind;
    uint64_t value;

    if (depth > CBOR_MAX_DEPTH || !cbor_head(in, &kind, &value))
        return false;
    if (kind == CBOR_UINT || kind == CBOR_NEGATIVE || kind == CBOR_SIMPLE)
        return true;
    if (value > in->len) /* bytes, or items of a byte at least */
        return false;
    if (kind == CBOR_BYTES || kind == CBOR_TEXT) {
        *in = slice_skip(*in, (size_t)value);
        return true;
    }
    for (uint64_t i = 0; i < value * (kind == CBOR_MAP ? 2 : 1); i++)
        if (!cbor_skip(in, depth + 1))
            return false;
    return true;
}

typedef struct Attestation {
    Slice format, auth_data, signature; /* the last is empty for "none" */
    bool certified;                     /* by somebody's certificate, which was not asked for */
} Attestation;

static bool read_statement(Slice *in, Attestation *out)
{
    CborKind kind;
    uint64_t count;
    Slice name;

    if (!cbor_head(in, &kind, &count) || kind != CBOR_MAP)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        if (!cbor_text(in, CBOR_TEXT, &name))
            return false;
        if (slice_eq_cstr(name, "sig") ? !cbor_text(in, CBOR_BYTES, &out->signature) : !cbor_skip(in, 0))
            return false;
        out->certified = out->certified || !(slice_eq_cstr(name, "sig") || slice_eq_cstr(name, "alg"));
    }
    return true;
}

static bool read_attestation(Slice in, Attestation *out)
{
    CborKind kind;
    uint64_t count;
    Slice name;

    *out = (Attestation){.certified = false};
    if (in.len > ATTESTATION_MAX_BYTES || !cbor_head(&in, &kind, &count) || kind != CBOR_MAP || count != 3)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        bool good;

        if (!cbor_text(&in, CBOR_TEXT, &name))
            return false;
        if (slice_eq_cstr(name, "fmt"))
            good = cbor_text(&in, CBOR_TEXT, &out->format);
        else if (slice_eq_cstr(name, "authData"))
            good = cbor_text(&in, CBOR_BYTES, &out->auth_data);
        else
            good = slice_eq_cstr(name, "attStmt") && read_statement(&in, out);
        if (!good)
            return false;
    }
    return in.len == 0;
}

/* ---------------------------------------------------------------------------------------------------- checks */
/* What follows the counter is well-formed to its end. libfido2 would see that, too, but its reader first reserves the
 * memory that a stranger's numbers ask for. */
static bool auth_data_is_whole(Slice auth_data)
{
    uint8_t flags = (uint8_t)auth_data.ptr[RP_HASH_BYTES];
    Slice in = slice_skip(auth_data, AUTH_DATA_MIN_BYTES);

    if (flags & FLAG_CREDENTIAL) {
        size_t id_len;

        if (in.len < CREDENTIAL_HEAD_BYTES)
            return false;
        id_len = (size_t)(uint8_t)in.ptr[CREDENTIAL_HEAD_BYTES - 2] << 8 | (uint8_t)in.ptr[CREDENTIAL_HEAD_BYTES - 1];
        in = slice_skip(in, CREDENTIAL_HEAD_BYTES);
        if (in.len < id_len)
            return false;
        in = slice_skip(in, id_len);
        if (!cbor_skip(&in, 0))
            return false;
    }
    if (flags & FLAG_EXTENSIONS && !cbor_skip(&in, 0))
        return false;
    return in.len == 0;
}

static bool auth_data_fits(const WebauthnSite *site, Slice auth_data, uint8_t flags)
{
    uint8_t hash[crypto_hash_sha256_BYTES];

    if (auth_data.len < AUTH_DATA_MIN_BYTES || auth_data.len > ATTESTATION_MAX_BYTES || !auth_data_is_whole(auth_data))
        return false;
    crypto_hash_sha256(hash, (const uint8_t *)site->rp_id, strlen(site->rp_id));
    return memcmp(hash, auth_data.ptr, RP_HASH_BYTES) == 0 && ((uint8_t)auth_data.ptr[RP_HASH_BYTES] & flags) == flags;
}

/* libfido2 wants to be told the algorithm before it reads the key. */
static fido_cred_t *read_credential(const WebauthnSite *site, Slice client_data, Slice auth_data)
{
    static const int ALGORITHMS[] = {COSE_ES256, COSE_EDDSA, COSE_RS256};

    for (size_t i = 0; i < ARRAY_LEN(ALGORITHMS); i++) {
        fido_cred_t *cred = fido_cred_new();

        if (cred && fido_cred_set_type(cred, ALGORITHMS[i]) == FIDO_OK &&
            fido_cred_set_rp(cred, site->rp_id, NULL) == FIDO_OK &&
            fido_cred_set_clientdata(cred, (const uint8_t *)client_data.ptr, client_data.len) == FIDO_OK &&
            fido_cred_set_authdata_raw(cred, (const uint8_t *)auth_data.ptr, auth_data.len) == FIDO_OK)
            return cred;
        fido_cred_free(&cred);
    }
    return NULL;
}

/* Nobody vouches for the authenticator; a key that signed for itself must have done it well. */
static bool attestation_holds(fido_cred_t *cred, const Attestation *attestation)
{
    if (attestation->certified)
        return false;
    if (slice_eq_cstr(attestation->format, "none"))
        return attestation->signature.len == 0;
    return slice_eq_cstr(attestation->format, "packed") && fido_cred_set_fmt(cred, "packed") == FIDO_OK &&
           fido_cred_set_sig(cred, (const uint8_t *)attestation->signature.ptr, attestation->signature.len) ==
               FIDO_OK &&
           fido_cred_set_uv(cred, FIDO_OPT_TRUE) == FIDO_OK && fido_cred_verify_self(cred) == FIDO_OK;
}

static Slice copy_of(Arena *mem, const uint8_t *bytes, size_t len)
{
    return slice_of(arena_memdup(mem, bytes, len), len);
}

bool webauthn_check_registration(Arena *mem, const WebauthnSite *site, Slice challenge, Slice client_data,
                                 Slice attestation_object, WebauthnCredential *out)
{
    Attestation attestation;
    fido_cred_t *cred;
    bool good;

    if (!client_data_fits(site, "webauthn.create", challenge, client_data) ||
        !read_attestation(attestation_object, &attestation) ||
        !auth_data_fits(site, attestation.auth_data, FLAG_PRESENT | FLAG_VERIFIED | FLAG_CREDENTIAL))
        return false;
    fido_init(0);
    cred = read_credential(site, client_data, attestation.auth_data);
    good = cred && attestation_holds(cred, &attestation) && fido_cred_id_len(cred) > 0 &&
           fido_cred_id_len(cred) <= WEBAUTHN_ID_MAX_BYTES && fido_cred_pubkey_len(cred) > 0 &&
           fido_cred_aaguid_len(cred) == WEBAUTHN_AAGUID_BYTES;
    if (good) {
        *out = (WebauthnCredential){
            .id = copy_of(mem, fido_cred_id_ptr(cred), fido_cred_id_len(cred)),
            .key = {.algorithm = fido_cred_type(cred),
                    .public_key = copy_of(mem, fido_cred_pubkey_ptr(cred), fido_cred_pubkey_len(cred))},
            .sign_count = fido_cred_sigcount(cred)};
        memcpy(out->aaguid, fido_cred_aaguid_ptr(cred), WEBAUTHN_AAGUID_BYTES);
    }
    fido_cred_free(&cred);
    return good;
}

/* The key in the form that fido_assert_verify takes for its algorithm. */
static bool verify_with(const fido_assert_t *assertion, const WebauthnKey *key)
{
    es256_pk_t *es256 = es256_pk_new();
    eddsa_pk_t *eddsa = eddsa_pk_new();
    rs256_pk_t *rs256 = rs256_pk_new();
    const void *bytes = key->public_key.ptr;
    size_t len = key->public_key.len;
    bool good = false;

    if (key->algorithm == COSE_ES256)
        good = es256_pk_from_ptr(es256, bytes, len) == FIDO_OK &&
               fido_assert_verify(assertion, 0, COSE_ES256, es256) == FIDO_OK;
    else if (key->algorithm == COSE_EDDSA)
        good = eddsa_pk_from_ptr(eddsa, bytes, len) == FIDO_OK &&
               fido_assert_verify(assertion, 0, COSE_EDDSA, eddsa) == FIDO_OK;
    else if (key->algorithm == COSE_RS256)
        good = rs256_pk_from_ptr(rs256, bytes, len) == FIDO_OK &&
               fido_assert_verify(assertion, 0, COSE_RS256, rs256) == FIDO_OK;
    es256_pk_free(&es256);
    eddsa_pk_free(&eddsa);
    rs256_pk_free(&rs256);
    return good;
}

bool webauthn_check_assertion(const WebauthnSite *site, Slice challenge, Slice client_data, Slice authenticator_data,
                              Slice signature, const WebauthnKey *key, uint32_t *out_sign_count)
{
    fido_assert_t *assertion;
    bool good;

    if (!client_data_fits(site, "webauthn.get", challenge, client_data) ||
        !auth_data_fits(site, authenticator_data, FLAG_PRESENT | FLAG_VERIFIED))
        return false;
    fido_init(0);
    assertion = fido_assert_new();
    good = assertion && fido_assert_set_rp(assertion, site->rp_id) == FIDO_OK &&
           fido_assert_set_clientdata(assertion, (const uint8_t *)client_data.ptr, client_data.len) == FIDO_OK &&
           fido_assert_set_count(assertion, 1) == FIDO_OK &&
           fido_assert_set_authdata_raw(assertion, 0, (const uint8_t *)authenticator_data.ptr,
                                        authenticator_data.len) == FIDO_OK &&
           fido_assert_set_sig(assertion, 0, (const uint8_t *)signature.ptr, signature.len) == FIDO_OK &&
           fido_assert_set_up(assertion, FIDO_OPT_TRUE) == FIDO_OK &&
           fido_assert_set_uv(assertion, FIDO_OPT_TRUE) == FIDO_OK && verify_with(assertion, key);
    if (good)
        *out_sign_count = fido_assert_sigcount(assertion, 0);
    fido_assert_free(&assertion);
    return good;
}
