/* sweeper: see sweeper.h. */
#include "services/media/sweeper.h"

#include <pthread.h>

#include "services/media/store_items.h"
#include "services/media/store_sweep.h"
#include "services/media/uploads.h"

enum {
    SWEEP_BATCH = 100,
    SWEEP_TIMEOUT_MS = 30000,
    SWEEP_PAUSE_MS = 100,
    LEASE_RETRY_MS = 5000,
    PREFIX_BATCH = 500,
    ORPHANS_PAGE = 500,
    ORPHAN_AGE_MS = 86400000,
    ORPHANS_EVERY_MS = 86400000
};
#define US_PER_DAY (INT64_C(86400) * 1000000)
#define ORIGINALS "original/"

struct Sweeper {
    SweeperOptions options;
    Lease *lease;
    Counter *purged, *uploads, *freed, *orphans, *failures;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
    int64_t orphans_at_ms; /* monotonic: when to look for them again */
};

static Request request_of(const SweeperOptions *o, Arena *mem)
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
static Err purge_one(const SweeperOptions *o, Uuid id, int64_t before_us)
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

Err sweep_trash(const SweeperOptions *o, bool *out_more)
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
static Err sweep_uploads(const SweeperOptions *o, bool *out_more)
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
Err sweep_objects(const SweeperOptions *o, bool *out_more)
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
static Err discard_all(const SweeperOptions *o, const char *const *keys, size_t count)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = request_of(o, mem);

    TRY(db_tx_begin(&rq, &tx));
    for (size_t i = 0; i < count; i++)
        TRY(media_store_discard(&tx, keys[i], clock_unix_us(o->clock)));
    return db_tx_commit(&tx);
}

Err sweep_orphans(const SweeperOptions *o, Arena *mem, const char **after, int64_t *out_found)
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

/* --- the thread
 * ------------------------------------------------------------------------------------------------------- */
/* True when it is time to stop. */
static bool wait_ms(Sweeper *s, int64_t ms)
{
    int64_t end_us = clock_monotonic_us(&SYSTEM_CLOCK) + ms * 1000;
    struct timespec end = {.tv_sec = end_us / 1000000, .tv_nsec = end_us % 1000000 * 1000};
    bool stopping;
    int rc = 0;

    pthread_mutex_lock(&s->lock);
    while (!s->stopping && rc == 0)
        rc = pthread_cond_timedwait(&s->wake, &s->lock, &end);
    stopping = s->stopping;
    pthread_mutex_unlock(&s->lock);
    return stopping;
}

static bool note(Sweeper *s, const char *what, Err e)
{
    if (!err_failed(e))
        return true;
    counter_add(s->failures, 1);
    LOG_WARN(s->options.log, "sweep_failed", "what", what, "error", e.text);
    return false;
}

/* Until nothing is left, a failure or the end of the lease. */
static bool repeat(Sweeper *s, const char *what, Counter *counter, Err (*turn)(const SweeperOptions *o, bool *out_more))
{
    bool more = true;

    while (more && lease_held(s->lease)) {
        if (!note(s, what, turn(&s->options, &more)))
            return true;
        counter_add(counter, 1);
        if (wait_ms(s, more ? SWEEP_PAUSE_MS : 0))
            return false;
    }
    return true;
}

static bool look_for_orphans(Sweeper *s)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    int64_t now_ms = clock_monotonic_ms(&SYSTEM_CLOCK), found = 0;
    const char *after = NULL;
    char *place = NULL;

    if (!s->options.media->blob || now_ms < s->orphans_at_ms)
        return true;
    s->orphans_at_ms = now_ms + ORPHANS_EVERY_MS;
    do {
        if (!lease_held(s->lease) || !note(s, "orphans", sweep_orphans(&s->options, mem, &after, &found)))
            break;
        counter_add(s->orphans, (uint64_t)found);
        free(place);
        place = after ? xstrdup(after) : NULL;
        arena_reset(mem);
        after = place;
        if (wait_ms(s, SWEEP_PAUSE_MS)) {
            free(place);
            return false;
        }
    } while (after);
    free(place);
    return true;
}

static void *sweep_loop(void *data)
{
    Sweeper *s = data;

    while (!wait_ms(s, s->options.media->settings->sweep_interval_ms)) {
        if (!lease_held(s->lease))
            continue;
        if (!repeat(s, "trash", s->purged, sweep_trash) || !repeat(s, "uploads", s->uploads, sweep_uploads) ||
            !repeat(s, "objects", s->freed, sweep_objects) || !look_for_orphans(s))
            break;
    }
    return NULL;
}

Err sweeper_start(const SweeperOptions *options, Sweeper **out)
{
    Sweeper *s = xcalloc(1, sizeof(*s));
    pthread_condattr_t monotonic;

    s->options = *options;
    s->purged =
        metrics_counter(options->metrics, "atrium_media_trash_sweeps_total", "Turns that purged old trash.", "");
    s->uploads = metrics_counter(options->metrics, "atrium_media_upload_sweeps_total",
                                 "Turns that threw away uploads that nobody went on with.", "");
    s->freed = metrics_counter(options->metrics, "atrium_media_object_sweeps_total",
                               "Turns that deleted discarded objects from the store.", "");
    s->orphans =
        metrics_counter(options->metrics, "atrium_media_orphans_total", "Originals in the store that no row knew.", "");
    s->failures = metrics_counter(options->metrics, "atrium_media_sweep_failures_total", "Sweeps that failed.", "");
    s->orphans_at_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + ORPHANS_EVERY_MS / 24;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    s->lease = lease_new(options->db, options->log, "media-sweeper", LEASE_RETRY_MS);
    if (pthread_create(&s->thread, NULL, sweep_loop, s) != 0) {
        lease_free(s->lease);
        free(s);
        return err_make(&INTERNAL, "no thread for the sweeper");
    }
    *out = s;
    return OK;
}

void sweeper_stop(Sweeper *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    lease_free(s->lease);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
