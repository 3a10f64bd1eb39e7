/* store_webhooks: see store_webhooks.h. */
#include "services/events/store_webhooks.h"

Err events_store_lock_webhooks(DbTx *tx, int64_t owner_id)
{
    char key[24];

    (void)snprintf(key, sizeof(key), "%" PRId64, owner_id);
    return db_lock(tx, "webhooks", slice(key));
}

static const char SET_FILTER[] =
    "INSERT INTO webhook_filter (webhook_id, domains, keywords, west, south, east, north)"
    " VALUES ($1, $2, ARRAY(SELECT fold(k) FROM unnest($3) AS k), $4, $5, $6, $7)"
    " ON CONFLICT (webhook_id) DO UPDATE SET domains = excluded.domains, keywords = excluded.keywords,"
    " west = excluded.west, south = excluded.south, east = excluded.east, north = excluded.north";

static DbValue degrees(const WebhookFilterRow *f, double value)
{
    return f->boxed ? db_double(value) : db_null();
}

Err events_store_set_filter(DbTx *tx, Uuid webhook_id, const WebhookFilterRow *f)
{
    return db_exec(tx, SET_FILTER,
                   DB_ARGS(db_uuid(webhook_id), db_text_array(f->domains, f->domain_count),
                           db_text_array(f->keywords, f->keyword_count), degrees(f, f->west), degrees(f, f->south),
                           degrees(f, f->east), degrees(f, f->north)));
}

static const char FILTER[] =
    "SELECT cardinality(domains), array_to_string(domains, E'\\x01'), cardinality(keywords),"
    " array_to_string(keywords, E'\\x01'), west IS NOT NULL, coalesce(west, 0), coalesce(south, 0), coalesce(east, 0),"
    " coalesce(north, 0) FROM webhook_filter WHERE webhook_id = $1";

static const Slice *read_words(Arena *mem, const DbRows *rows, int column, size_t count)
{
    Slice *words = ARENA_ARRAY(mem, Slice, count + 1), rest = slice(db_get_cstr(mem, rows, 0, column));

    for (size_t i = 0; i < count; i++)
        (void)slice_cut(rest, '\x01', &words[i], &rest);
    return words;
}

Err events_store_filter(Request *rq, Uuid webhook_id, WebhookFilterRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    *out = (WebhookFilterRow){.boxed = false};
    TRY(db_read(rq, FILTER, DB_ARGS(db_uuid(webhook_id)), &rows));
    if (!rows.count)
        return OK;
    out->domain_count = (size_t)db_get_int64(&rows, 0, 0);
    out->domains = read_words(rq->mem, &rows, 1, out->domain_count);
    out->keyword_count = (size_t)db_get_int64(&rows, 0, 2);
    out->keywords = read_words(rq->mem, &rows, 3, out->keyword_count);
    out->boxed = db_get_bool(&rows, 0, 4);
    out->west = db_get_double(&rows, 0, 5);
    out->south = db_get_double(&rows, 0, 6);
    out->east = db_get_double(&rows, 0, 7);
    out->north = db_get_double(&rows, 0, 8);
    return OK;
}
