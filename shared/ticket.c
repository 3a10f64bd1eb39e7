/* ticket: see ticket.h. */
#include "shared/ticket.h"

#include <sodium.h>

#include "atrium/bus.pb-c.h"
#include "atrium/reasons.atrium.h"
#include "shared/message.h"
#include "shared/strbuf.h"

enum { MAC_BYTES = crypto_auth_hmacsha256_BYTES, SHA256_BYTES = 32 };

/* Goes before what is signed, so that no other use of the same key makes a ticket. */
static const char PURPOSE[] = "atrium ticket 1";

struct TicketKeys {
    size_t count;
    uint8_t keys[TICKET_KEYS_MAX][TICKET_KEY_BYTES];
};

/* --- the keys ---------------------------------------------------------------------------------------------------- */
static bool read_key(Slice hex, uint8_t out[TICKET_KEY_BYTES])
{
    size_t len = 0;

    return hex.len == (size_t)TICKET_KEY_BYTES * 2 &&
           sodium_hex2bin(out, TICKET_KEY_BYTES, hex.ptr, hex.len, NULL, &len, NULL) == 0 && len == TICKET_KEY_BYTES;
}

Err ticket_keys_new(const char *list, TicketKeys **out)
{
    CLEANUP(ticket_keys_free_at) TicketKeys *keys = xcalloc(1, sizeof(*keys));
    Slice rest = slice(list), one;

    while (rest.len) {
        (void)slice_cut(rest, ',', &one, &rest); /* without a comma, all of it is the one */
        if (keys->count == TICKET_KEYS_MAX)
            return err_make(&INVALID_ARGUMENT, "more than %d keys", TICKET_KEYS_MAX);
        if (!read_key(slice_trim(one), keys->keys[keys->count++]))
            return err_make(&INVALID_ARGUMENT, "key %zu is not 64 hex digits", keys->count);
    }
    if (keys->count == 0)
        return err_make(&INVALID_ARGUMENT, "no key");
    *out = MOVE(keys);
    return OK;
}

TicketKeys *ticket_keys_random(void)
{
    TicketKeys *keys = xcalloc(1, sizeof(*keys));

    keys->count = 1;
    randombytes_buf(keys->keys[0], TICKET_KEY_BYTES);
    return keys;
}

void ticket_keys_free(TicketKeys *keys)
{
    if (!keys)
        return;
    sodium_memzero(keys, sizeof(*keys));
    free(keys);
}

static void compute_mac(const uint8_t key[TICKET_KEY_BYTES], Slice payload, uint8_t out[MAC_BYTES])
{
    crypto_auth_hmacsha256_state state;

    crypto_auth_hmacsha256_init(&state, key, TICKET_KEY_BYTES);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)PURPOSE, sizeof(PURPOSE));
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)payload.ptr, payload.len);
    crypto_auth_hmacsha256_final(&state, out);
    sodium_memzero(&state, sizeof(state));
}

/* --- making ------------------------------------------------------------------------------------------------------ */
static bool is_kind(Slice kind)
{
    for (size_t i = 0; i < kind.len; i++) {
        char c = kind.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("._-", c)))
            return false;
    }
    return kind.len > 0 && kind.len <= TICKET_KIND_MAX_BYTES;
}

static char *text_or_null(Arena *mem, const char *text)
{
    return text && text[0] ? arena_strdup(mem, text) : NULL;
}

static void fill_message(Arena *mem, const Ticket *t, Atrium__Ticket *out)
{
    out->kind = text_or_null(mem, t->kind);
    if (t->user_id)
        SET(out, user_id, t->user_id);
    out->login_id = text_or_null(mem, t->login_id);
    out->resource = text_or_null(mem, t->resource);
    SET(out, expires_ms, t->expires_ms);
    if (t->generation)
        SET(out, generation, t->generation);
    out->id = text_or_null(mem, t->id);
    if (t->single_use)
        SET(out, single_use, true);
    out->content_type = text_or_null(mem, t->content_type);
    if (t->has_length)
        SET(out, length, t->length);
    if (t->sha256.len) {
        out->has_sha256 = true;
        out->sha256 = (ProtobufCBinaryData){t->sha256.len, arena_memdup(mem, t->sha256.ptr, t->sha256.len)};
    }
    out->filename = text_or_null(mem, t->filename);
}

Err ticket_sign(const TicketKeys *keys, Arena *mem, const Ticket *ticket, char **out)
{
    Atrium__Ticket message = ATRIUM__TICKET__INIT;
    Slice payload;
    char *bytes, *text;

    if (!is_kind(slice(ticket->kind)) || ticket->expires_ms <= 0)
        return err_make(&INVALID_ARGUMENT, "a ticket needs a kind and an end");
    if (ticket->sha256.len != 0 && ticket->sha256.len != SHA256_BYTES)
        return err_make(&INVALID_ARGUMENT, "a SHA-256 has %d bytes", SHA256_BYTES);
    fill_message(mem, ticket, &message);
    payload = message_pack(mem, &message.base);
    bytes = arena_alloc_raw(mem, MAC_BYTES + payload.len, 1);
    compute_mac(keys->keys[0], payload, (uint8_t *)bytes);
    memcpy(bytes + MAC_BYTES, payload.ptr, payload.len);
    text = base64url_encode(mem, slice_of(bytes, MAC_BYTES + payload.len));
    if (strlen(text) > TICKET_MAX_BYTES)
        return err_make(&INVALID_ARGUMENT, "a ticket of %zu bytes, at most %d", strlen(text), TICKET_MAX_BYTES);
    *out = text;
    return OK;
}

/* --- checking ---------------------------------------------------------------------------------------------------- */
static Err refuse(void)
{
    return err_make(&PERMISSION_DENIED, "this link does not hold, or not any more");
}

/* All keys are tried, also after one that fits: the time tells nothing. */
static bool signed_by_us(const TicketKeys *keys, Slice payload, const uint8_t mac[MAC_BYTES])
{
    uint8_t expected[MAC_BYTES];
    int good = 0;

    for (size_t i = 0; i < keys->count; i++) {
        compute_mac(keys->keys[i], payload, expected);
        good |= sodium_memcmp(expected, mac, MAC_BYTES) == 0;
    }
    sodium_memzero(expected, sizeof(expected));
    return good != 0;
}

static const char *text_of(const char *text)
{
    return text ? text : "";
}

Err ticket_verify(const TicketKeys *keys, const Clock *clock, Arena *mem, Slice text, const char *kind, Ticket *out)
{
    Atrium__Ticket *message;
    ProtobufCMessage *unpacked;
    Slice bytes, payload;

    /* Decoders take several texts for the same bytes: here only the one that was made holds. */
    if (text.len > TICKET_MAX_BYTES || !base64_decode(mem, text, &bytes) || bytes.len <= MAC_BYTES ||
        !slice_eq_cstr(text, base64url_encode(mem, bytes)))
        return refuse();
    payload = slice_skip(bytes, MAC_BYTES);
    if (!signed_by_us(keys, payload, (const uint8_t *)bytes.ptr) ||
        err_failed(message_unpack(mem, &atrium__ticket__descriptor, payload, &unpacked)))
        return refuse();
    message = (Atrium__Ticket *)unpacked;
    if (!message->kind || (kind && strcmp(message->kind, kind) != 0) || message->expires_ms <= clock_unix_ms(clock))
        return refuse();
    *out = (Ticket){.kind = message->kind,
                    .user_id = message->user_id,
                    .login_id = text_of(message->login_id),
                    .resource = text_of(message->resource),
                    .expires_ms = message->expires_ms,
                    .generation = message->generation,
                    .id = text_of(message->id),
                    .single_use = message->single_use,
                    .content_type = text_of(message->content_type),
                    .has_length = message->has_length,
                    .length = message->length,
                    .sha256 = slice_of(message->sha256.data, message->sha256.len),
                    .filename = text_of(message->filename)};
    return OK;
}

/* --- links ------------------------------------------------------------------------------------------------------- */
static void append_encoded(StrBuf *out, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || strchr("-._~/", *c))
            strbuf_append_char(out, (char)*c);
        else
            strbuf_printf(out, "%%%02X", *c);
    }
}

char *ticket_url(Arena *mem, const char *base, const char *path, const char *ticket, const char *rest)
{
    Slice start = slice(base), url;
    StrBuf out = strbuf_new(mem, SIZE_MAX);

    while (start.len && start.ptr[start.len - 1] == '/')
        start.len--;
    strbuf_append(&out, start);
    strbuf_append_cstr(&out, path);
    strbuf_append_cstr(&out, ticket);
    append_encoded(&out, rest);
    return strbuf_finish(&out, &url) ? slice_cstr(mem, url) : NULL;
}
