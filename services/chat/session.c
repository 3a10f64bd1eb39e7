/* session: see session.h. */
#include "services/chat/session.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "shared/id.h"
#include "shared/message.h"

enum { MAC_BYTES = 32, NONCE_BYTES = 12 };

/* The domain is part of what is signed: no other text that this secret will ever sign is a session id. */
static void sign(const uint8_t secret[SESSION_SECRET_BYTES], Arena *mem, Slice payload, uint8_t out[MAC_BYTES])
{
    char *text = arena_printf(mem, "session.%.*s", SLICE_ARG(payload));
    unsigned len = MAC_BYTES;

    if (!HMAC(EVP_sha256(), secret, SESSION_SECRET_BYTES, (const unsigned char *)text, strlen(text), out, &len))
        abort(); /* only when memory is out */
}

char *session_id_make(Arena *mem, const uint8_t secret[SESSION_SECRET_BYTES], const Chat__V1__SessionFacts *facts)
{
    Chat__V1__SessionFacts with_nonce = *facts;
    uint8_t nonce[NONCE_BYTES], mac[MAC_BYTES];
    char *payload;

    random_bytes(nonce, sizeof nonce);
    with_nonce.has_nonce = true;
    with_nonce.nonce = (ProtobufCBinaryData){sizeof nonce, nonce};
    payload = base64url_encode(mem, message_pack(mem, &with_nonce.base));
    sign(secret, mem, slice(payload), mac);
    return arena_printf(mem, "%s.%s", payload, base64url_encode(mem, slice_of(mac, sizeof mac)));
}

bool session_id_read(Arena *mem, const uint8_t secret[SESSION_SECRET_BYTES], Slice id, Chat__V1__SessionFacts **out)
{
    Slice payload, mac, given, wire;
    uint8_t good[MAC_BYTES];
    ProtobufCMessage *facts;

    if (id.len > SESSION_ID_MAX_BYTES || !slice_cut(id, '.', &payload, &mac) || !base64_decode(mem, mac, &given) ||
        memchr(payload.ptr, 0, payload.len))
        return false;
    sign(secret, mem, payload, good);
    if (!slice_eq_secret(given, slice_of(good, sizeof good)) || !base64_decode(mem, payload, &wire) ||
        err_failed(message_unpack(mem, &chat__v1__session_facts__descriptor, wire, &facts)))
        return false;
    *out = (Chat__V1__SessionFacts *)facts;
    return true;
}
