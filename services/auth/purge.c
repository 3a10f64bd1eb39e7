/* purge: deletes what nobody can use any more. */
#include "services/auth/purge.h"

#include <pthread.h>

#include "services/auth/store_defence.h"
#include "services/auth/store_erasure.h"
#include "services/auth/store_factors.h"
#include "services/auth/store_identities.h"
#include "services/auth/store_keys.h"
#include "services/auth/store_mail.h"
#include "services/auth/store_registration.h"

/* Small batches, so that no lock is held for long; a pause between full ones, so that a backlog takes no machine. */
enum { PURGE_BATCH = 500, PURGE_PAUSE_MS = 100, PURGE_TIMEOUT_MS = 10000, LEASE_RETRY_MS = 5000, LATE_AFTER_S = 86400 };

/* Of each store that has rows which expire. */
static Err (*const PURGES[])(Request *rq, int64_t now_us, int64_t limit, int64_t *out_deleted) = {
    auth_store_purge,       defence_store_purge,          auth_store_purge_reports,
    factors_store_purge,    auth_store_purge_invitations, mail_store_purge,
    identities_store_purge,
};

struct Purge {
    PurgeOptions options;
    Lease *lease;
    Counter *deleted;
    Gauge *late;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
};

/* True when it is time to stop. */
static bool wait_ms(Purge *purge, int64_t ms)
{
    int64_t end_us = clock_monotonic_us(&SYSTEM_CLOCK) + ms * 1000;
    struct timespec end = {.tv_sec = end_us / 1000000, .tv_nsec = end_us % 1000000 * 1000};
    bool stopping;
    int rc = 0;

    pthread_mutex_lock(&purge->lock);
    while (!purge->stopping && rc == 0)
        rc = pthread_cond_timedwait(&purge->wake, &purge->lock, &end);
    stopping = purge->stopping;
    pthread_mutex_unlock(&purge->lock);
    return stopping;
}

static Request request_of(const PurgeOptions *o, Arena *mem)
{
    return (Request){.mem = mem,
                     .service = o->auth,
                     .clock = o->clock,
                     .db = o->db,
                     .log = o->log,
                     .deadline_ms = clock_monotonic_ms(o->clock) + PURGE_TIMEOUT_MS};
}

/* False when there may be more. A failure is logged and tried again at the next turn. */
static bool purge_batch(Purge *purge)
{
    const PurgeOptions *o = &purge->options;
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Request rq = request_of(o, mem);
    bool done = true;

    for (size_t i = 0; i < ARRAY_LEN(PURGES); i++) {
        int64_t deleted = 0;
        Err e = PURGES[i](&rq, clock_unix_us(o->clock), PURGE_BATCH, &deleted);

        if (err_failed(e))
            LOG_WARN(o->log, "purge_failed", "error", e.text);
        counter_add(purge->deleted, (uint64_t)deleted);
        done = done && deleted < PURGE_BATCH;
    }
    return done;
}

/* Of the instance that holds the lease; the others have none. */
static void note_late_erasures(Purge *purge)
{
    const PurgeOptions *o = &purge->options;
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Request rq = request_of(o, mem);
    int64_t late = 0;
    Err e = OK;

    if (lease_held(purge->lease))
        e = auth_store_count_late_erasures(&rq, clock_unix_us(o->clock) - (int64_t)LATE_AFTER_S * 1000000, &late);
    if (err_failed(e))
        LOG_WARN(o->log, "late_erasures_unknown", "error", e.text);
    else
        gauge_set(purge->late, (double)late);
}

static void *purge_loop(void *data)
{
    Purge *purge = data;

    while (!wait_ms(purge, purge->options.interval_ms)) {
        while (lease_held(purge->lease) && !purge_batch(purge))
            if (wait_ms(purge, PURGE_PAUSE_MS))
                return NULL;
        note_late_erasures(purge);
    }
    return NULL;
}

Err purge_start(const PurgeOptions *options, Purge **out)
{
    Purge *purge = xcalloc(1, sizeof(*purge));
    pthread_condattr_t monotonic;

    purge->options = *options;
    purge->deleted =
        metrics_counter(options->metrics, "atrium_auth_purged_rows_total",
                        "Expired or ended rows that were deleted: logins, refresh tokens, failed attempts …", "");
    purge->late = metrics_gauge(options->metrics, "atrium_auth_erasures_open",
                                "Erasures of accounts that some domain has not reported for 24 hours.", "");
    pthread_mutex_init(&purge->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&purge->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    purge->lease = lease_new(options->db, options->log, "purge", LEASE_RETRY_MS);
    if (pthread_create(&purge->thread, NULL, purge_loop, purge) != 0) {
        lease_free(purge->lease);
        free(purge);
        return err_make(&INTERNAL, "the purge thread could not be started");
    }
    *out = purge;
    return OK;
}

void purge_stop(Purge *purge)
{
    if (!purge)
        return;
    pthread_mutex_lock(&purge->lock);
    purge->stopping = true;
    pthread_cond_signal(&purge->wake);
    pthread_mutex_unlock(&purge->lock);
    pthread_join(purge->thread, NULL);
    lease_free(purge->lease);
    pthread_cond_destroy(&purge->wake);
    pthread_mutex_destroy(&purge->lock);
    free(purge);
}
