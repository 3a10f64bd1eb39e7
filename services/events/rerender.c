/* rerender: see rerender.h. */
#include "services/events/rerender.h"

#include "services/events/store_rerender.h"
#include "shared/db_later.h"

enum { TURN_EVENTS = 100, ARENA_BYTES = 65536, AT_ONCE_MS = 2000 };

/* In a savepoint: what is wrong with one event is no harm to the others. */
static Err render_one(Request *rq, DbTx *tx, EntityKind kind, Uuid id)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(ARENA_BYTES);
    EntityWriter w = entity_writer(rq, tx);
    Err e;

    w.mem = mem;
    TRY(db_savepoint(tx));
    e = event_render(&w, id, kind);
    if (!err_failed(e))
        e = db_settle(tx);
    if (!err_failed(e) || e.reason->retry)
        return e;
    LOG_WARN(rq->log, "event_not_rendered", "event", ulid_text(mem, id), "error", e.text);
    return db_savepoint_rollback(tx);
}

Err rerender_turn(Request *rq, Uuid entity, bool *out_more)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    RenderWanted wanted;
    Uuid *events;
    size_t count;

    *out_more = false;
    TRY(db_tx_begin(rq, &tx));
    TRY(events_store_next_render(&tx, entity, &wanted));
    if (!wanted.id)
        return OK;
    TRY(events_store_lock_naming(&tx, rq->mem, &wanted, TURN_EVENTS, &events, &count));
    for (size_t i = 0; i < count; i++)
        TRY(render_one(rq, &tx, wanted.kind, events[i]));
    TRY(count < TURN_EVENTS ? events_store_rendered(&tx, wanted.id)
                            : events_store_rendered_to(&tx, wanted.id, events[count - 1]));
    TRY(db_tx_commit(&tx));
    *out_more = count == TURN_EVENTS || uuid_is_nil(entity);
    entity_settled(rq->service);
    return OK;
}

void rerender_at_once(Request *rq, Uuid entity)
{
    Request turn = *rq;
    bool more;
    Err e;

    /* What is held by somebody else is no reason to keep the caller, whose change is done. */
    turn.deadline_ms = MIN(rq->deadline_ms, clock_monotonic_ms(rq->clock) + AT_ONCE_MS);
    e = rerender_turn(&turn, entity, &more);

    if (err_failed(e))
        LOG_WARN(rq->log, "rerender_later", "error", e.text);
}
