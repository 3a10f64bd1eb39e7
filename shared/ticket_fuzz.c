/* Fuzz target: tickets from outside. The first byte chooses: the text as it came, or the rest signed by us, so that
 * what stands behind the signature is read, too. */
#include <sodium.h>

#include "shared/strbuf.h"
#include "shared/ticket.h"

static const char KEY[] = "0000000000000000000000000000000000000000000000000000000000000000";
static const char PURPOSE[] = "atrium ticket 1"; /* as in ticket.c */

static Slice sign(Arena *mem, Slice payload)
{
    const unsigned char key[TICKET_KEY_BYTES] = {0};
    crypto_auth_hmacsha256_state state;
    char *bytes = arena_alloc(mem, crypto_auth_hmacsha256_BYTES + payload.len, 1);

    crypto_auth_hmacsha256_init(&state, key, sizeof(key));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)PURPOSE, sizeof(PURPOSE));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)payload.ptr, payload.len);
    crypto_auth_hmacsha256_final(&state, (unsigned char *)bytes);
    memcpy(bytes + crypto_auth_hmacsha256_BYTES, payload.ptr, payload.len);
    return slice(base64url_encode(mem, slice_of(bytes, crypto_auth_hmacsha256_BYTES + payload.len)));
}

/* What was let in can be made again, and is the same. */
static void check_again(const TicketKeys *keys, Arena *mem, const Ticket *t)
{
    Ticket again;
    char *text;

    if (err_failed(ticket_sign(keys, mem, t, &text)))
        return; /* a kind or a digest that we would not make */
    if (err_failed(ticket_verify(keys, &SYSTEM_CLOCK, mem, slice(text), NULL, &again)) ||
        strcmp(again.resource, t->resource) != 0 || again.expires_ms != t->expires_ms || again.length != t->length)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    CLEANUP(ticket_keys_free_at) TicketKeys *keys = NULL;
    Slice text = slice_skip(slice_of(data, size), 1);
    Ticket t;

    if (size == 0 || err_failed(ticket_keys_new(KEY, &keys)))
        return 0;
    if (data[0] & 1)
        text = sign(mem, slice_of(data + 1, size - 1));
    if (!err_failed(ticket_verify(keys, &SYSTEM_CLOCK, mem, text, NULL, &t)))
        check_again(keys, mem, &t);
    return 0;
}
