/* webhook: signing, secrets, webhooks and their messages in the database; see webhook.h. Sending: webhook_sender.c. */
#include "shared/webhook.h"

#include <sodium.h>

#include "atrium/reasons.atrium.h"
#include "shared/public_url.h"
#include "shared/rpc.h"
#include "shared/webhook_internal.h"

#define SECRET_PREFIX "whsec_"
enum { SECRET_MAX_BYTES = 64, KEYS_MAX = 8, CURSOR_MAX_BYTES = 128 };

/* ---------------------------------------------------------------------------------------------------- signing */

char *webhook_sign(Arena *mem, Slice secret, Slice id, int64_t timestamp_s, Slice body)
{
    uint8_t mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state state;
    char *head = arena_printf(mem, SLICE_FMT ".%" PRId64 ".", SLICE_ARG(id), timestamp_s);

    crypto_auth_hmacsha256_init(&state, (const uint8_t *)secret.ptr, secret.len);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)head, strlen(head));
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)body.ptr, body.len);
    crypto_auth_hmacsha256_final(&state, mac);
    sodium_memzero(&state, sizeof(state));
    return arena_printf(mem, "v1,%s", base64_encode(mem, slice_of(mac, sizeof(mac))));
}

void webhook_new_secret(char out[WEBHOOK_SECRET_TEXT_BYTES])
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(512);
    uint8_t bytes[WEBHOOK_SECRET_BYTES];
    char *text;

    random_bytes(bytes, sizeof(bytes));
    text = base64_encode(mem, slice_of(bytes, sizeof(bytes)));
    (void)snprintf(out, WEBHOOK_SECRET_TEXT_BYTES, SECRET_PREFIX "%s", text); /* there is room for 44 letters */
    sodium_memzero(text, strlen(text));
    sodium_memzero(bytes, sizeof(bytes));
}

bool webhook_secret_bytes(Arena *mem, Slice text, Slice *out)
{
    return slice_starts_with(text, SLICE_LIT(SECRET_PREFIX)) &&
           base64_decode(mem, slice_skip(text, sizeof(SECRET_PREFIX) - 1), out) && out->len > 0 &&
           out->len <= SECRET_MAX_BYTES;
}

/* ---------------------------------------------------------------------------------------------------- sealing */

struct WebhookKeys {
    uint8_t keys[KEYS_MAX][crypto_secretbox_KEYBYTES];
    size_t count;
};

static Err add_key(WebhookKeys *keys, Arena *mem, Slice text)
{
    Slice bytes;

    if (!hex_decode(mem, slice_trim(text), &bytes) || bytes.len != crypto_secretbox_KEYBYTES)
        return err_make(&INVALID_ARGUMENT, "WEBHOOK_KEY: 64 hex digits each");
    if (keys->count == KEYS_MAX)
        return err_make(&INVALID_ARGUMENT, "WEBHOOK_KEY: %d keys at most", KEYS_MAX);
    memcpy(keys->keys[keys->count++], bytes.ptr, bytes.len);
    return OK;
}

Err webhook_keys_new(const char *list, WebhookKeys **out)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    CLEANUP(webhook_keys_free_at) WebhookKeys *keys = NULL;
    Slice rest = slice(list), item;
    bool more = true;

    *out = NULL;
    if (!rest.len)
        return OK;
    keys = xcalloc(1, sizeof(*keys));
    while (more) {
        more = slice_cut(rest, ',', &item, &rest);
        TRY(add_key(keys, mem, item));
    }
    *out = MOVE(keys);
    return OK;
}

Err webhook_keys_check(const char *list)
{
    CLEANUP(webhook_keys_free_at) WebhookKeys *keys = NULL;

    return webhook_keys_new(list, &keys);
}

void webhook_keys_free(WebhookKeys *keys)
{
    if (!keys)
        return;
    sodium_memzero(keys, sizeof(*keys));
    free(keys);
}

static Slice seal(const WebhookKeys *keys, Arena *mem, Slice plain)
{
    size_t len = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + plain.len;
    uint8_t *out = ARENA_ARRAY(mem, uint8_t, len);

    random_bytes(out, crypto_secretbox_NONCEBYTES);
    crypto_secretbox_easy(out + crypto_secretbox_NONCEBYTES, (const uint8_t *)plain.ptr, plain.len, out, keys->keys[0]);
    return slice_of(out, len);
}

bool webhook_unseal(const WebhookKeys *keys, Arena *mem, Slice sealed, Slice *out)
{
    const uint8_t *in = (const uint8_t *)sealed.ptr;
    uint8_t *plain = ARENA_ARRAY(mem, uint8_t, sealed.len + 1);

    if (sealed.len < crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES)
        return false;
    for (size_t i = 0; i < keys->count; i++)
        if (crypto_secretbox_open_easy(plain, in + crypto_secretbox_NONCEBYTES,
                                       sealed.len - crypto_secretbox_NONCEBYTES, in, keys->keys[i]) == 0) {
            *out = slice_of(plain, sealed.len - crypto_secretbox_NONCEBYTES - crypto_secretbox_MACBYTES);
            return true;
        }
    return false;
}

Err webhook_check_url(Arena *mem, const char *url, const char *allowed)
{
    return public_url_check(mem, url, WEBHOOK_URL_MAX_BYTES, allowed);
}

/* ---------------------------------------------------------------------------------------------------- webhooks */

#define WEBHOOK_COLUMNS                                                                                                \
    "id, owner_id, url, cardinality(types), array_to_string(types, E'\\x01'), enabled, disabled_why, failing_since,"   \
    " created_at"

static void read_webhook(Arena *mem, const DbRows *rows, int row, Webhook *out)
{
    size_t count = (size_t)db_get_int64(rows, row, 3);
    Slice *types = ARENA_ARRAY(mem, Slice, count + 1), rest = slice(db_get_cstr(mem, rows, row, 4));

    for (size_t i = 0; i < count; i++)
        (void)slice_cut(rest, '\x01', &types[i], &rest);
    *out = (Webhook){.id = db_get_uuid(rows, row, 0),
                     .owner_id = db_get_int64(rows, row, 1),
                     .url = db_get_cstr(mem, rows, row, 2),
                     .types = types,
                     .type_count = count,
                     .enabled = db_get_bool(rows, row, 5),
                     .disabled_why = db_get_cstr(mem, rows, row, 6),
                     .failing_since_us = db_get_time_us(rows, row, 7),
                     .created_us = db_get_time_us(rows, row, 8)};
}

static const char COUNT_WEBHOOKS[] = "SELECT count(*) FROM webhook WHERE owner_id = $1";
static const char INSERT_WEBHOOK[] = "INSERT INTO webhook (id, owner_id, url, types, secret, enabled)"
                                     " VALUES ($1, $2, $3, $4, $5, $6)";

static Slice seal_text(const WebhookKeys *keys, Arena *mem, const char *secret_text)
{
    Slice bytes;

    if (!webhook_secret_bytes(mem, slice(secret_text), &bytes))
        abort(); /* it is of our own making */
    return seal(keys, mem, bytes);
}

Err webhook_insert(DbTx *tx, const WebhookKeys *keys, const Webhook *webhook, const char *secret_text)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, COUNT_WEBHOOKS, DB_ARGS(db_int64(webhook->owner_id)), &rows));
    if (db_get_int64(&rows, 0, 0) >= WEBHOOKS_MAX)
        return err_make(&INVALID_ARGUMENT, "at most %d webhooks", WEBHOOKS_MAX);
    return db_exec(tx, INSERT_WEBHOOK,
                   DB_ARGS(db_uuid(webhook->id), db_int64(webhook->owner_id), db_text(slice(webhook->url)),
                           db_text_array(webhook->types, webhook->type_count),
                           db_bytes(seal_text(keys, mem, secret_text)), db_bool(webhook->enabled)));
}

static const char LIST_WEBHOOKS[] =
    "SELECT " WEBHOOK_COLUMNS " FROM webhook WHERE owner_id = $1 ORDER BY created_at, id LIMIT $2";

Err webhook_list(struct Request *rq, int64_t owner_id, Webhook **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, LIST_WEBHOOKS, DB_ARGS(db_int64(owner_id), db_int64(WEBHOOKS_MAX)), &rows));
    *out = ARENA_ARRAY(rq->mem, Webhook, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        read_webhook(rq->mem, &rows, i, *out + i);
    *out_count = (size_t)rows.count;
    return OK;
}

static const char FIND_WEBHOOK[] = "SELECT " WEBHOOK_COLUMNS " FROM webhook WHERE owner_id = $1 AND id = $2";

Err webhook_find(struct Request *rq, int64_t owner_id, const char *id, Webhook *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Uuid uuid;

    if (!uuid_parse(slice(id), &uuid))
        return err_make(&NOT_FOUND, "there is no such webhook");
    TRY(db_read(rq, FIND_WEBHOOK, DB_ARGS(db_int64(owner_id), db_uuid(uuid)), &rows));
    if (!rows.count)
        return err_make(&NOT_FOUND, "there is no such webhook");
    read_webhook(rq->mem, &rows, 0, out);
    return OK;
}

static bool is_among(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

Err webhook_read_types(Arena *mem, char *const *types, size_t count, const char *const *known, size_t known_count,
                       Webhook *webhook)
{
    Slice *list;

    if (count > WEBHOOK_TYPES_MAX)
        return err_make(&INVALID_ARGUMENT, "types: at most %d", WEBHOOK_TYPES_MAX);
    list = ARENA_ARRAY(mem, Slice, count + 1);
    for (size_t i = 0; i < count; i++) {
        if (!is_among(types[i], known, known_count))
            return err_make(&INVALID_ARGUMENT, "types: there is no \"%.40s\"", types[i]);
        list[i] = slice(types[i]);
    }
    webhook->types = list;
    webhook->type_count = count;
    return OK;
}

static const char UPDATE_WEBHOOK[] =
    "UPDATE webhook SET url = $2, types = $3, enabled = $4, disabled_why = CASE WHEN $4 THEN '' ELSE disabled_why END,"
    " failing_since = CASE WHEN $4 AND NOT enabled THEN NULL ELSE failing_since END WHERE id = $1";

Err webhook_update(DbTx *tx, const Webhook *webhook)
{
    return db_exec(tx, UPDATE_WEBHOOK,
                   DB_ARGS(db_uuid(webhook->id), db_text(slice(webhook->url)),
                           db_text_array(webhook->types, webhook->type_count), db_bool(webhook->enabled)));
}

static const char SET_SECRET[] = "UPDATE webhook SET secret = $2 WHERE id = $1";

Err webhook_set_secret(DbTx *tx, const WebhookKeys *keys, Uuid id, const char *secret_text)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);

    return db_exec(tx, SET_SECRET, DB_ARGS(db_uuid(id), db_bytes(seal_text(keys, mem, secret_text))));
}

static const char DELETE_WEBHOOK[] = "DELETE FROM webhook WHERE id = $1";

Err webhook_delete(DbTx *tx, Uuid id)
{
    return db_exec(tx, DELETE_WEBHOOK, DB_ARGS(db_uuid(id)));
}

static const char ERASE_WEBHOOKS[] = "DELETE FROM webhook WHERE owner_id = $1";

Err webhook_erase(DbTx *tx, int64_t owner_id, int64_t *out_count)
{
    return db_exec_count(tx, ERASE_WEBHOOKS, DB_ARGS(db_int64(owner_id)), out_count);
}

/* ---------------------------------------------------------------------------------------------------- messages */

static const char EMIT[] = "SELECT webhook_emit($1, $2, $3::text::jsonb)::text";

Err webhook_emit(DbTx *tx, int64_t owner_id, const char *type, const char *data)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    return db_query(tx, EMIT, DB_ARGS(db_int64(owner_id), db_text(slice(type)), db_text(slice(data))), &rows);
}

static const char EMIT_TO[] = "INSERT INTO webhook_delivery (id, webhook_id, message_id, type, body)"
                              " SELECT gen_random_uuid(), $1, 'msg_' || replace(gen_random_uuid()::text, '-', ''), $2,"
                              " jsonb_build_object('type', $2, 'data', $3::text::jsonb, 'timestamp',"
                              " to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'))::text";

Err webhook_emit_to(DbTx *tx, Uuid webhook_id, const char *type, const char *data)
{
    return db_exec(tx, EMIT_TO, DB_ARGS(db_uuid(webhook_id), db_text(slice(type)), db_text(slice(data))));
}

static const char LIST_DELIVERIES[] =
    "SELECT id, message_id, type, state, attempts, last_status, last_error, due_at, created_at, finished_at"
    " FROM webhook_delivery WHERE webhook_id = $1 AND ($2 = '' OR state = $2)"
    " AND ($3 IS NULL OR (created_at, id) < ($3, $4)) ORDER BY created_at DESC, id DESC LIMIT $5";

/* A cursor is base64url of "<time>:<id>", of the last one that was shown. */
static bool read_cursor(Arena *mem, Slice cursor, int64_t *out_us, Uuid *out_id)
{
    Slice text, time, id;

    return cursor.len <= CURSOR_MAX_BYTES && base64_decode(mem, cursor, &text) && slice_cut(text, ':', &time, &id) &&
           slice_to_int64(time, out_us) && *out_us > 0 && uuid_parse(id, out_id);
}

static char *write_cursor(Arena *mem, const WebhookDelivery *last)
{
    return base64url_encode(mem,
                            slice(arena_printf(mem, "%" PRId64 ":%s", last->created_us, uuid_text(mem, last->id))));
}

static void read_deliveries(Arena *mem, const DbRows *rows, int64_t limit, WebhookPage *out)
{
    out->list = ARENA_ARRAY(mem, WebhookDelivery, rows->count + 1);
    for (int i = 0; i < rows->count; i++)
        out->list[i] = (WebhookDelivery){.id = db_get_uuid(rows, i, 0),
                                         .message_id = db_get_cstr(mem, rows, i, 1),
                                         .type = db_get_cstr(mem, rows, i, 2),
                                         .state = db_get_cstr(mem, rows, i, 3),
                                         .attempts = (int32_t)db_get_int64(rows, i, 4),
                                         .last_status = (int32_t)db_get_int64(rows, i, 5),
                                         .last_error = db_get_cstr(mem, rows, i, 6),
                                         .due_us = db_get_time_us(rows, i, 7),
                                         .created_us = db_get_time_us(rows, i, 8),
                                         .finished_us = db_get_time_us(rows, i, 9)};
    out->count = (size_t)MIN(rows->count, limit);
    out->next_cursor = rows->count > limit ? write_cursor(mem, &out->list[limit - 1]) : NULL;
}

Err webhook_deliveries(struct Request *rq, Uuid webhook_id, const char *state, const char *cursor, int64_t limit,
                       WebhookPage *out)
{
    static const char *const STATES[] = {"", "pending", "delivered", "dead"};
    CLEANUP(db_rows_done) DbRows rows = {0};
    int64_t before_us = 0;
    Uuid before = {{0}};

    assert(limit >= 1 && limit <= WEBHOOK_PAGE_MAX);
    state = state ? state : "";
    if (!is_among(state, STATES, ARRAY_LEN(STATES)))
        return err_make(&INVALID_ARGUMENT, "state: pending, delivered or dead");
    if (cursor && *cursor && !read_cursor(rq->mem, slice(cursor), &before_us, &before))
        return err_make(&INVALID_ARGUMENT, "the cursor is none of this list");
    TRY(db_read(rq, LIST_DELIVERIES,
                DB_ARGS(db_uuid(webhook_id), db_text(slice(state)), db_time_us_or_null(before_us), db_uuid(before),
                        db_int64(limit + 1)),
                &rows));
    read_deliveries(rq->mem, &rows, limit, out);
    return OK;
}

static const char REDELIVER[] =
    "UPDATE webhook_delivery SET state = 'pending', attempts = 0, due_at = now(), finished_at = NULL, last_error = '',"
    " last_status = 0 WHERE webhook_id = $1 AND id = $2 AND state <> 'pending'";

Err webhook_redeliver(DbTx *tx, Uuid webhook_id, const char *delivery_id)
{
    int64_t count = 0;
    Uuid id;

    if (uuid_parse(slice(delivery_id), &id))
        TRY(db_exec_count(tx, REDELIVER, DB_ARGS(db_uuid(webhook_id), db_uuid(id)), &count));
    return count ? OK : err_make(&NOT_FOUND, "there is no such delivery");
}
