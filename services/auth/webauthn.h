/* webauthn: what an authenticator says, checked: registrations with attestation "none" or by the key itself, and
 * assertions, always with the user verified (a finger, a PIN). ES256, EdDSA, RS256. Parses what strangers send. */
#pragma once
#include "shared/slice.h"

enum { WEBAUTHN_ID_MAX_BYTES = 1023, WEBAUTHN_AAGUID_BYTES = 16 };

/* Whom passkeys are made for: the page's origin, and the host they are bound to. */
typedef struct WebauthnSite {
    const char *origin, *rp_id;
} WebauthnSite;
/* Of PUBLIC_URL; false when that has no host. Borrowed from `mem`. */
bool webauthn_site(Arena *mem, const char *public_url, WebauthnSite *out);

typedef struct WebauthnKey {
    int algorithm;    /* COSE: -7, -8, -257 */
    Slice public_key; /* as libfido2 has it */
} WebauthnKey;
typedef struct WebauthnCredential {
    Slice id;
    WebauthnKey key;
    uint32_t sign_count;
    uint8_t aaguid[WEBAUTHN_AAGUID_BYTES];
} WebauthnCredential;

/* `challenge` is the text in base64url that the options had. Borrowed from `mem`. */
bool webauthn_check_registration(Arena *mem, const WebauthnSite *site, Slice challenge, Slice client_data,
                                 Slice attestation_object, WebauthnCredential *out);
/* Whether the counter went on is the caller's to see. */
bool webauthn_check_assertion(const WebauthnSite *site, Slice challenge, Slice client_data, Slice authenticator_data,
                              Slice signature, const WebauthnKey *key, uint32_t *out_sign_count);
