/* Fuzz target: what browsers and authenticators say, as registration and as assertion. The first byte chooses; client
 * data and the rest are parted by the first NUL. Without a key nothing may be taken for an assertion. */
#include "services/auth/webauthn.h"

#include <sodium.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char GOOD_CLIENT_DATA[] =
    "{\"type\":\"webauthn.create\",\"challenge\":\"Y2hhbGxlbmdl\",\"origin\":\"https://atrium.example\"}";

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint8_t POINT[64] = {1};
    static const WebauthnSite SITE = {.origin = "https://atrium.example", .rp_id = "atrium.example"};
    static const Slice CHALLENGE = SLICE_LIT("Y2hhbGxlbmdl");
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 14);
    const WebauthnKey key = {.algorithm = -7, .public_key = slice_of(POINT, sizeof(POINT))};
    WebauthnCredential credential;
    Slice first, rest;
    uint32_t count;

    if (len < 2 || sodium_init() < 0)
        return 0;
    slice_cut(slice_of(data + 1, len - 1), '\0', &first, &rest);
    if (data[0] & 1) {
        /* Half of them get past the browser's part. */
        if (data[0] & 2)
            first = SLICE_LIT(GOOD_CLIENT_DATA);
        if (webauthn_check_registration(mem, &SITE, CHALLENGE, first, rest, &credential))
            check(credential.id.len > 0 && credential.id.len <= WEBAUTHN_ID_MAX_BYTES &&
                  credential.key.public_key.len > 0);
    } else {
        check(!webauthn_check_assertion(&SITE, CHALLENGE, first, rest, rest, &key, &count));
    }
    return 0;
}
