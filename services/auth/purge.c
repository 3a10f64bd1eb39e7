/* purge: deletes what nobody can use any more. */
#include "services/auth/purge.h"

#include "services/auth/store_defence.h"
#include "services/auth/store_erasure.h"
#include "services/auth/store_factors.h"
#include "services/auth/store_identities.h"
#include "services/auth/store_keys.h"
#include "services/auth/store_mail.h"
#include "services/auth/store_registration.h"

/* Small batches, so that no lock is held for long; a pause between full ones, so that a backlog takes no machine. */
enum { PURGE_BATCH = 500, PURGE_PAUSE_MS = 100, PURGE_TIMEOUT_MS = 10000, LATE_AFTER_S = 86400 };

/* Of each store that has rows which expire. */
static Err (*const PURGES[])(Request *rq, int64_t now_us, int64_t limit, int64_t *out_deleted) = {
    auth_store_purge,       defence_store_purge,          auth_store_purge_reports,
    factors_store_purge,    auth_store_purge_invitations, mail_store_purge,
    identities_store_purge,
};

struct Purge {
    PurgeOptions options;
    Counter *deleted;
    Gauge *late;
    Sweeper *sweeper;
};

static Request request_of(const PurgeOptions *o, Arena *mem)
{
    return (Request){.mem = mem,
                     .service = o->auth,
                     .clock = o->clock,
                     .db = o->db,
                     .log = o->log,
                     .deadline_ms = clock_monotonic_ms(o->clock) + PURGE_TIMEOUT_MS};
}

/* A store that fails keeps no other from its turn. */
static Err purge_batch(SweeperTurn *turn)
{
    const Purge *purge = turn->data;
    const PurgeOptions *o = &purge->options;
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Request rq = request_of(o, mem);
    Err failed = OK;

    for (size_t i = 0; i < ARRAY_LEN(PURGES); i++) {
        int64_t deleted = 0;
        Err e = PURGES[i](&rq, clock_unix_us(o->clock), PURGE_BATCH, &deleted);

        if (err_failed(e))
            failed = e;
        counter_add(purge->deleted, (uint64_t)deleted);
        turn->more |= deleted >= PURGE_BATCH;
    }
    return failed;
}

/* Of the instance that holds the lease; the others have none. */
static Err note_late_erasures(SweeperTurn *turn)
{
    const Purge *purge = turn->data;
    const PurgeOptions *o = &purge->options;
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Request rq = request_of(o, mem);
    int64_t late = 0;

    if (turn->leads)
        TRY(auth_store_count_late_erasures(&rq, clock_unix_us(o->clock) - (int64_t)LATE_AFTER_S * 1000000, &late));
    gauge_set(purge->late, (double)late);
    return OK;
}

Purge *purge_start(const PurgeOptions *options)
{
    Purge *purge = xcalloc(1, sizeof(*purge));

    purge->options = *options;
    purge->deleted =
        metrics_counter(options->metrics, "atrium_auth_purged_rows_total",
                        "Expired or ended rows that were deleted: logins, refresh tokens, failed attempts …", "");
    purge->late = metrics_gauge(options->metrics, "atrium_auth_erasures_open",
                                "Erasures of accounts that some domain has not reported for 24 hours.", "");
    purge->sweeper = sweeper_start(&(SweeperOptions){
        .db = options->db,
        .log = options->log,
        .name = "purge",
        .data = purge,
        .tasks = {{.what = "expired rows", .turn = purge_batch},
                  {"late erasures", note_late_erasures, .everywhere = true}},
        .interval_ms = options->interval_ms,
        .pause_ms = PURGE_PAUSE_MS,
    });
    return purge;
}

void purge_stop(Purge *purge)
{
    if (!purge)
        return;
    sweeper_stop(purge->sweeper);
    free(purge);
}
