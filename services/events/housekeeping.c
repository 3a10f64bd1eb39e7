/* housekeeping: see housekeeping.h. */
#include "services/events/housekeeping.h"

#include "services/events/batch.h"
#include "services/events/merge.h"
#include "services/events/provenance.h"
#include "services/events/rerender.h"
#include "services/events/review.h"
#include "services/events/store_batch.h"
#include "services/events/store_housekeeping.h"

enum {
    BATCH = 100,
    TIMEOUT_MS = 30000,
    INTERVAL_MS = 2000,
    PAUSE_MS = 50,
    HOUR_MS = 3600000,
    REJECTED_DAYS = 7,
    DECIDED_DAYS = 90,
    BATCH_DAYS = 7,
    STRANDED_MINUTES = 15 /* longer than all deliveries of a job take */
};
#define MINUTE_US INT64_C(60000000)
#define DAY_US INT64_C(86400000000)

static Request request_of(const Housekeeping *h, Arena *mem)
{
    return (Request){.mem = mem,
                     .service = h->events,
                     .caller = {.kind = CALLER_SERVICE, .service = "events", .username = "", .login_id = ""},
                     .profile = "all",
                     .clock = h->clock,
                     .db = h->db,
                     .log = h->log,
                     .deadline_ms = clock_monotonic_ms(h->clock) + TIMEOUT_MS};
}

static EntityWriter writer_of(Request *rq, DbTx *tx)
{
    EntityWriter w = entity_writer(rq, tx);

    w.actor = actor_service("housekeeping");
    return w;
}

/* What will be no better by trying again is told, and left as it is, so that it does not hold up the others. `out_left`
 * may be NULL. */
static Err go_on(const Housekeeping *h, const char *what, Uuid id, Err e, bool *out_left)
{
    char text[UUID_TEXT_BYTES];

    if (!err_failed(e) || e.reason->retry)
        return e;
    uuid_format(id, text);
    LOG_WARN(h->log, "housekeeping_left_out", "what", what, "id", text, "error", e.text);
    if (out_left)
        *out_left = true;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- expired */
static bool has_begun(const EventEntity *event, int64_t now_us)
{
    for (size_t i = 0; i < event->occurrence_count; i++)
        if (event->occurrences[i].start_us >= now_us)
            return false;
    return event->head.lifecycle == LIFECYCLE_PENDING_REVIEW && !event->head.deleted_us;
}

static Err expire_one(Housekeeping *h, Uuid id)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(16384);
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = request_of(h, mem);
    EventEntity event;
    EntityWriter w;
    int64_t *ids;
    size_t count;

    TRY(db_tx_begin(&rq, &tx));
    w = writer_of(&rq, &tx);
    TRY(event_load(&w, id, &event));
    if (!has_begun(&event, w.now_us))
        return OK; /* decided, or moved, meanwhile */
    entity_delete(&w, &event.head, "expired", (Uuid){{0}});
    TRY(event_save(&w, &event, "expired", NULL));
    TRY(review_dismiss(&w, &id, 1, "dismissed", (Uuid){{0}}, &ids, &count));
    return db_tx_commit(&tx);
}

Err housekeeping_expire(Housekeeping *h, bool *out_more)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    Request rq = request_of(h, mem);
    size_t count;
    Uuid *ids;

    TRY(events_store_begun(&rq, clock_unix_us(h->clock), h->expired_to, BATCH, &ids, &count));
    for (size_t i = 0; i < count; i++)
        TRY(go_on(h, "expired", ids[i], expire_one(h, ids[i]), NULL));
    if (count)
        entity_settled(h->events);
    *out_more = count == BATCH;
    h->expired_to = *out_more ? ids[count - 1] : (Uuid){{0}};
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- forgotten */
Err housekeeping_forget(Housekeeping *h, bool *out_more)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = request_of(h, mem);
    int64_t now_us = clock_unix_us(h->clock), reviews, batches;

    TRY(db_tx_begin(&rq, &tx));
    TRY(events_store_forget_reviews(&tx, now_us - REJECTED_DAYS * DAY_US, now_us - DECIDED_DAYS * DAY_US, BATCH,
                                    &reviews));
    TRY(events_store_forget_batches(&tx, now_us - BATCH_DAYS * DAY_US, BATCH, &batches));
    TRY(db_tx_commit(&tx));
    *out_more = reviews == BATCH || batches == BATCH;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- trust */
static Err decide_one(Housekeeping *h, Uuid id)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(16384);
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = request_of(h, mem);
    EventEntity event;
    EntityWriter w;

    TRY(db_tx_begin(&rq, &tx));
    w = writer_of(&rq, &tx);
    TRY(event_load(&w, id, &event));
    if (!event.head.deleted_us) {
        TRY(provenance_decide(&w, &event));
        TRY(event_save(&w, &event, "trust of a source changed", NULL));
    }
    return db_tx_commit(&tx);
}

/* A nil `after`: all of it. */
static Err trust_done_to(Request *rq, Uuid source, Uuid before, Uuid after)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(events_store_trust_done(&tx, source, before, after));
    return db_tx_commit(&tx);
}

Err housekeeping_trust(Housekeeping *h, bool *out_more)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    Request rq = request_of(h, mem);
    Uuid source, before, *ids;
    size_t count;

    TRY(events_store_next_trust(&rq, BATCH, mem, &source, &before, &ids, &count));
    *out_more = !uuid_is_nil(source);
    if (uuid_is_nil(source))
        return OK;
    for (size_t i = 0; i < count; i++)
        TRY(go_on(h, "trust", ids[i], decide_one(h, ids[i]), NULL));
    TRY(trust_done_to(&rq, source, before, count ? ids[count - 1] : (Uuid){{0}}));
    if (count)
        entity_settled(h->events);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- merged */
static Err repoint_one(Housekeeping *h, Uuid id, const StillNamed *named)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(16384);
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = request_of(h, mem);
    EntityWriter w;

    TRY(db_tx_begin(&rq, &tx));
    w = writer_of(&rq, &tx);
    TRY(merge_repoint_event(&w, id, named->kind, named->from, named->to));
    return db_tx_commit(&tx);
}

/* By the events' ids: what is left out does not come again until all others have been looked at. */
Err housekeeping_repoint(Housekeeping *h, bool *out_more)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    Request rq = request_of(h, mem);
    bool left = false;
    StillNamed named;
    size_t count;
    Uuid *ids;

    TRY(events_store_still_named(&rq, h->repointed_to, BATCH, &named, &ids, &count));
    for (size_t i = 0; i < count; i++)
        TRY(go_on(h, "merged", ids[i], repoint_one(h, ids[i], &named), &left));
    if (count)
        entity_settled(h->events);
    *out_more = count > 0;
    if (left || !count)
        h->repointed_to = count ? ids[count - 1] : (Uuid){{0}};
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- renamed */
Err housekeeping_render(Housekeeping *h, bool *out_more)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    Request rq = request_of(h, mem);

    return rerender_turn(&rq, (Uuid){{0}}, out_more);
}

/* ---------------------------------------------------------------------------------------------------- given up */
Err housekeeping_batches(Housekeeping *h, bool *out_more)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = request_of(h, mem);
    int64_t now_us = clock_unix_us(h->clock);
    size_t count;
    Uuid *ids;

    TRY(db_tx_begin(&rq, &tx));
    TRY(batch_store_stranded(&tx, mem, now_us - STRANDED_MINUTES * MINUTE_US, now_us, BATCH, &ids, &count));
    for (size_t i = 0; i < count; i++)
        TRY(batch_hand_out(&rq, &tx, ids[i]));
    TRY(db_tx_commit(&tx));
    if (count)
        outbox_nudge(h->events->outbox);
    *out_more = count == BATCH;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- the thread */
static Err turn_trust(SweeperTurn *turn)
{
    return housekeeping_trust(turn->data, &turn->more);
}

static Err turn_repoint(SweeperTurn *turn)
{
    return housekeeping_repoint(turn->data, &turn->more);
}

static Err turn_render(SweeperTurn *turn)
{
    return housekeeping_render(turn->data, &turn->more);
}

static Err turn_batches(SweeperTurn *turn)
{
    return housekeeping_batches(turn->data, &turn->more);
}

static Err turn_expire(SweeperTurn *turn)
{
    Housekeeping *h = turn->data;

    return clock_monotonic_ms(h->clock) >= h->hourly_ms ? housekeeping_expire(h, &turn->more) : OK;
}

/* The last of the hourly ones: done with it, they are due in an hour. */
static Err turn_forget(SweeperTurn *turn)
{
    Housekeeping *h = turn->data;

    if (clock_monotonic_ms(h->clock) < h->hourly_ms)
        return OK;
    TRY(housekeeping_forget(h, &turn->more));
    if (!turn->more)
        h->hourly_ms = clock_monotonic_ms(h->clock) + HOUR_MS;
    return OK;
}

Sweeper *housekeeping_start(Housekeeping *h, Metrics *metrics)
{
    Counter *turns = metrics_counter(metrics, "atrium_events_housekeeping_total", "Turns of the housekeeping.", "");

    return sweeper_start(&(SweeperOptions){
        .db = h->db,
        .log = h->log,
        .name = "housekeeping",
        .data = h,
        .tasks = {{.what = "trust", .turn = turn_trust, .turns = turns},
                  {.what = "merged", .turn = turn_repoint, .turns = turns},
                  {.what = "renamed", .turn = turn_render, .turns = turns},
                  {.what = "batches", .turn = turn_batches, .turns = turns},
                  {.what = "expired", .turn = turn_expire, .turns = turns},
                  {.what = "decided", .turn = turn_forget, .turns = turns}},
        .failures = metrics_counter(metrics, "atrium_events_housekeeping_failures_total", "Those that failed.", ""),
        .interval_ms = INTERVAL_MS,
        .pause_ms = PAUSE_MS,
    });
}
