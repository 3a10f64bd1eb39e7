/* erase: see erase.h. */
#include "services/media/erase.h"

#include "services/media/store_items.h"
#include "services/media/store_sweep.h"
#include "services/media/uploads.h"
#include "shared/webhook.h"

enum { ERASE_BATCH = 100, ERASE_TIMEOUT_MS = 30000 };

static Request request_of(const Eraser *e, Arena *mem)
{
    return (Request){.mem = mem,
                     .service = e->media,
                     .clock = e->clock,
                     .db = e->db,
                     .log = e->log,
                     .deadline_ms = clock_monotonic_ms(e->clock) + ERASE_TIMEOUT_MS};
}

static Err purge_item(const Eraser *e, Uuid id)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = request_of(e, mem);
    ItemRow item;

    TRY(db_tx_begin(&rq, &tx));
    TRY(media_store_lock_item(&tx, mem, id, &item));
    if (item.owner_id != 0)
        TRY(media_store_purge(&rq, &tx, &item));
    return db_tx_commit(&tx);
}

static Err purge_items(const Eraser *e, int64_t user_id, int64_t *rows)
{
    Uuid ids[ERASE_BATCH];
    size_t count;

    do {
        CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
        Request rq = request_of(e, mem);

        TRY(media_store_items_of(&rq, user_id, ERASE_BATCH, ids, &count));
        for (size_t i = 0; i < count; i++)
            TRY(purge_item(e, ids[i]));
        *rows += (int64_t)count;
    } while (count == ERASE_BATCH);
    return OK;
}

static Err erase_webhooks(Request *rq, int64_t user_id, int64_t *out_count)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(webhook_erase(&tx, user_id, out_count));
    return db_tx_commit(&tx);
}

/* Item by item, so that no transaction lasts: stopped anywhere, the next call goes on. */
Err erase_user(void *context, Arena *mem, int64_t user_id, int64_t *out_rows)
{
    const Eraser *e = context;
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = request_of(e, mem);
    int64_t rows = 0, webhooks, uploads, others;

    TRY(erase_webhooks(&rq, user_id, &webhooks)); /* first: nobody is told of the rest */
    TRY(purge_items(e, user_id, &rows));
    TRY(uploads_drop_of_owner(&rq, user_id, &uploads));
    TRY(db_tx_begin(&rq, &tx));
    TRY(media_store_erase_owner(&tx, user_id, &others));
    TRY(db_tx_commit(&tx));
    outbox_nudge(e->media->outbox);
    *out_rows = rows + webhooks + uploads + others;
    return OK;
}
