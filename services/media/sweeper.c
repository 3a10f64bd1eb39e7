/* sweeper: see sweeper.h. */
#include "services/media/sweeper.h"

#include "services/media/store_items.h"
#include "services/media/store_sweep.h"
#include "services/media/uploads.h"

enum {
    SWEEP_BATCH = 100,
    SWEEP_TIMEOUT_MS = 30000,
    SWEEP_PAUSE_MS = 100,
    PREFIX_BATCH = 500,
    ORPHANS_PAGE = 500,
    ORPHAN_AGE_MS = 86400000,
    ORPHANS_EVERY_MS = 86400000
};
#define US_PER_DAY (INT64_C(86400) * 1000000)
#define ORIGINALS "original/"

static Request request_of(const MediaSweeps *o, Arena *mem)
{
    return (Request){.mem = mem,
                     .service = o->media,
                     .clock = o->clock,
                     .db = o->db,
                     .log = o->log,
                     .deadline_ms = clock_monotonic_ms(o->clock) + SWEEP_TIMEOUT_MS};
}

/* --- trash
 * ------------------------------------------------------------------------------------------------------------ */
static Err purge_one(const MediaSweeps *o, Uuid id, int64_t before_us)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = request_of(o, mem);
    ItemRow item;

    TRY(db_tx_begin(&rq, &tx));
    TRY(media_store_lock_item(&tx, mem, id, &item));
    if (item.owner_id == 0 || item.deleted_us == 0 || item.deleted_us > before_us)
        return OK; /* restored meanwhile */
    TRY(media_store_purge(&rq, &tx, &item));
    return db_tx_commit(&tx);
}

Err sweep_trash(const MediaSweeps *o, bool *out_more)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    Request rq = request_of(o, mem);
    int64_t before_us = clock_unix_us(o->clock) - o->media->settings->trash_days * US_PER_DAY;
    Uuid ids[SWEEP_BATCH];
    size_t count;

    TRY(media_store_expired_trash(&rq, before_us, SWEEP_BATCH, ids, &count));
    for (size_t i = 0; i < count; i++)
        TRY(purge_one(o, ids[i], before_us));
    if (count)
        outbox_nudge(o->media->outbox);
    *out_more = count == SWEEP_BATCH;
    return OK;
}

/* --- uploads that nobody goes on with -------------------------------------------------------------------------- */
static Err sweep_uploads(const MediaSweeps *o, bool *out_more)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    Request rq = request_of(o, mem);

    *out_more = false;
    return o->media->blob ? uploads_sweep(&rq, out_more) : OK;
}

/* --- objects
 * ---------------------------------------------------------------------------------------------------------- */
static Err delete_object(Blob *blob, const char *key)
{
    bool more = true;

    if (!slice_ends_with(slice(key), SLICE_LIT("/")))
        return blob_delete(blob, key);
    while (more)
        TRY(blob_delete_prefix(blob, key, PREFIX_BATCH, &more));
    return OK;
}

/* From the store first: a crash between the two deletes once more what is gone. */
Err sweep_objects(const MediaSweeps *o, bool *out_more)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = request_of(o, mem);
    const char **keys;
    size_t count;

    *out_more = false;
    if (!o->media->blob)
        return OK;
    TRY(media_store_discarded(&rq, clock_unix_us(o->clock), SWEEP_BATCH, &keys, &count));
    for (size_t i = 0; i < count; i++)
        TRY(delete_object(o->media->blob, keys[i]));
    if (count == 0)
        return OK;
    TRY(db_tx_begin(&rq, &tx));
    TRY(media_store_forget_discarded(&tx, keys, count));
    TRY(db_tx_commit(&tx));
    *out_more = count == SWEEP_BATCH;
    return OK;
}

/* --- orphans
 * ---------------------------------------------------------------------------------------------------------- */
static Err discard_all(const MediaSweeps *o, const char *const *keys, size_t count)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = request_of(o, mem);

    TRY(db_tx_begin(&rq, &tx));
    for (size_t i = 0; i < count; i++)
        TRY(media_store_discard(&tx, keys[i], clock_unix_us(o->clock)));
    return db_tx_commit(&tx);
}

Err sweep_orphans(const MediaSweeps *o, Arena *mem, const char **after, int64_t *out_found)
{
    int64_t old_ms = clock_unix_us(o->clock) / 1000 - ORPHAN_AGE_MS;
    Request rq = request_of(o, mem);
    const char *keys[ORPHANS_PAGE], **unknown;
    size_t count = 0, unknown_count;
    BlobList list;

    TRY(blob_list(o->media->blob, mem, ORIGINALS, *after, ORPHANS_PAGE, &list));
    for (size_t i = 0; i < list.count; i++)
        if (list.items[i].modified_ms < old_ms)
            keys[count++] = list.items[i].key;
    TRY(media_store_unknown_originals(&rq, keys, count, &unknown, &unknown_count));
    if (unknown_count)
        TRY(discard_all(o, unknown, unknown_count));
    *out_found = (int64_t)unknown_count;
    *after = list.next;
    return OK;
}

/* A page in each turn; once a day, and not when everything has just started. */
static Err look_for_orphans(MediaSweeps *sweeps, bool *out_more)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    const char *after = sweeps->orphans_after[0] ? sweeps->orphans_after : NULL;
    int64_t found = 0;
    Err e = sweep_orphans(sweeps, mem, &after, &found);

    *out_more = !err_failed(e) && after;
    snprintf(sweeps->orphans_after, sizeof sweeps->orphans_after, "%s", *out_more ? after : "");
    counter_add(sweeps->orphans, (uint64_t)found);
    return e;
}

/* --- the thread
 * ------------------------------------------------------------------------------------------------------- */
static Err trash(SweeperTurn *turn)
{
    return sweep_trash(turn->data, &turn->more);
}

static Err uploads(SweeperTurn *turn)
{
    return sweep_uploads(turn->data, &turn->more);
}

static Err objects(SweeperTurn *turn)
{
    return sweep_objects(turn->data, &turn->more);
}

static Err orphans(SweeperTurn *turn)
{
    MediaSweeps *sweeps = turn->data;
    int64_t now_ms = clock_monotonic_ms(&SYSTEM_CLOCK);

    if (!sweeps->media->blob || (now_ms < sweeps->orphans_at_ms && !sweeps->orphans_after[0]))
        return OK;
    sweeps->orphans_at_ms = now_ms + ORPHANS_EVERY_MS;
    return look_for_orphans(sweeps, &turn->more);
}

static Counter *counter(Metrics *metrics, const char *name, const char *help)
{
    return metrics_counter(metrics, name, help, "");
}

Sweeper *media_sweeper_start(MediaSweeps *sweeps, Metrics *m)
{
    sweeps->orphans = counter(m, "atrium_media_orphans_total", "Originals in the store that no row knew.");
    sweeps->orphans_at_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + ORPHANS_EVERY_MS / 24;
    return sweeper_start(&(SweeperOptions){
        .db = sweeps->db,
        .log = sweeps->log,
        .name = "media-sweeper",
        .data = sweeps,
        .tasks =
            {
                {"trash", trash,
                 .turns = counter(m, "atrium_media_trash_sweeps_total", "Turns that purged old trash.")},
                {"uploads", uploads,
                 .turns = counter(m, "atrium_media_upload_sweeps_total",
                                  "Turns that threw away uploads that nobody went on with.")},
                {"objects", objects,
                 .turns = counter(m, "atrium_media_object_sweeps_total",
                                  "Turns that deleted discarded objects from the store.")},
                {.what = "orphans", .turn = orphans},
            },
        .failures = counter(m, "atrium_media_sweep_failures_total", "Sweeps that failed."),
        .interval_ms = sweeps->media->settings->sweep_interval_ms,
        .pause_ms = SWEEP_PAUSE_MS,
    });
}
