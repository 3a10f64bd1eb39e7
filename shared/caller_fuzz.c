/* Fuzz target: the Atrium-Caller header. The first byte chooses: a header as it is; or a message that is signed here
 * with the right key, so that what stands behind the signature is reached too. */
#include <sodium.h>

#include "shared/caller.h"

enum { NOW_MS = 1800000000 };
static const char SEED[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int64_t now_us(void *context)
{
    (void)context;
    return (int64_t)NOW_MS * 1000;
}

static const Clock CLOCK = {.unix_us = now_us, .monotonic_us = now_us};

static void check(bool holds)
{
    if (!holds)
        abort();
}

static Slice sign_here(Arena *mem, Slice message)
{
    unsigned char public_key[crypto_sign_PUBLICKEYBYTES], secret_key[crypto_sign_SECRETKEYBYTES];
    unsigned char signature[crypto_sign_BYTES];
    char *payload = base64url_encode(mem, message);
    Slice seed;

    check(hex_decode(mem, slice(SEED), &seed));
    crypto_sign_seed_keypair(public_key, secret_key, (const unsigned char *)seed.ptr);
    crypto_sign_detached(signature, NULL, (const unsigned char *)payload, strlen(payload), secret_key);
    return slice(arena_printf(mem, "%s.%s", payload, base64url_encode(mem, slice_of(signature, sizeof(signature)))));
}

static void check_caller(const Caller *caller)
{
    check(caller->kind == CALLER_PERSON || caller->kind == CALLER_NOBODY);
    check((caller->kind == CALLER_PERSON) == (caller->user_id > 0));
    check(caller->role <= ROLE_ADMIN && (caller->role > ROLE_NONE) == (caller->user_id > 0));
    check(caller->username && caller->login_id && caller->service);
    for (size_t i = 0; i < caller->permission_count; i++)
        check(caller_may(caller, caller->permissions[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static CallerVerifier *verifier;
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 12);
    Slice header = slice_skip(slice_of(data, len), 1);
    bool ours = len && data[0] & 1;
    char *public_hex;
    Caller caller;

    if (!verifier) {
        check(!err_failed(caller_public_key(mem, slice(SEED), &public_hex)));
        check(!err_failed(caller_verifier_new(slice(public_hex), "auth", &CLOCK, &verifier)));
    }
    if (ours)
        header = sign_here(mem, header);
    if (!err_failed(caller_verify(verifier, mem, header, &caller))) {
        check_caller(&caller);
        check(caller.expires_ms > NOW_MS);
        check(!err_failed(caller_verify(verifier, mem, header, &caller))); /* remembered now */
    }
    if (!err_failed(caller_decode(mem, header, &caller)))
        check_caller(&caller);
    return 0;
}
