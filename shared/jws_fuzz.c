/* Fuzz target: signed tokens and JWK Sets. The first byte chooses: a JWK Set, whose keys then look at a token of the
 * RFC; a token as it is; or a payload that is signed here, and must come back. */
#include "shared/jws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static const char SECRET[] = "0123456789abcdef0123456789abcdef";

static void try_set(Arena *mem, Slice json)
{
    static const char TOKEN[] =
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    CLEANUP(jws_keys_free_at) JwsKeys *keys = NULL;
    const char *kid;
    Slice payload;

    if (err_failed(jws_keys_parse(json, &keys)))
        return;
    check(jws_keys_count(keys) <= JWS_KEYS_MAX);
    (void)err_failed(jws_verify(keys, mem, SLICE_LIT(TOKEN), JWS_EDDSA, &payload, &kid)); /* by the RFC's key alone */
}

static void try_token(const JwsKeys *keys, Arena *mem, Slice token)
{
    const char *kid;
    Slice payload;

    /* Nobody but the signer makes a good one; it is not asked here. */
    check(err_failed(jws_verify(keys, mem, token, JWS_RS256 | JWS_ES256 | JWS_EDDSA, &payload, &kid)));
}

static void try_signed(const JwsSigner *signer, const JwsKeys *keys, Arena *mem, Slice payload)
{
    Slice token = slice(jws_sign(signer, mem, payload)), read;
    const char *kid;
    Err e = jws_verify(keys, mem, token, JWS_EDDSA, &read, &kid);

    check(token.len > JWS_TOKEN_MAX_BYTES ? err_failed(e) : !err_failed(e) && slice_eq(read, payload));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 12);
    CLEANUP(jws_keys_free_at) JwsKeys *keys = jws_keys_new();
    CLEANUP(jws_signer_free_at) JwsSigner *signer = NULL;
    Slice text = slice_skip(slice_of(data, len), 1);

    check(!err_failed(jws_signer_new(JWS_EDDSA, slice_of(SECRET, JWS_PRIVATE_BYTES), "1", &signer)));
    check(!err_failed(jws_keys_add(keys, JWS_EDDSA, "1", jws_signer_public(signer, mem))));
    if (len == 0)
        return 0;
    if (data[0] % 3 == 0)
        try_set(mem, text);
    else if (data[0] % 3 == 1)
        try_token(keys, mem, text);
    else
        try_signed(signer, keys, mem, text);
    return 0;
}
