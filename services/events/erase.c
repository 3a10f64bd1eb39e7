/* erase: see erase.h. */
#include "services/events/erase.h"

#include "services/events/store_housekeeping.h"
#include "shared/webhook.h"

enum { ERASE_TIMEOUT_MS = 30000 };

static Request request_of(const Eraser *e, Arena *mem)
{
    return (Request){.mem = mem,
                     .service = e->events,
                     .clock = e->clock,
                     .db = e->db,
                     .log = e->log,
                     .deadline_ms = clock_monotonic_ms(e->clock) + ERASE_TIMEOUT_MS};
}

static Err erase_webhooks(Request *rq, int64_t user_id, int64_t *out_count)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(webhook_erase(&tx, user_id, out_count));
    return db_tx_commit(&tx);
}

/* In small transactions, so that no lock lasts: stopped anywhere, the next call goes on. */
Err erase_user(void *context, Arena *mem, int64_t user_id, int64_t *out_rows)
{
    const Eraser *e = context;
    Request rq = request_of(e, mem);
    int64_t webhooks, count, rows = 0;

    TRY(erase_webhooks(&rq, user_id, &webhooks)); /* first: nobody is told of the rest */
    do {
        CLEANUP(db_tx_done) DbTx tx = {0};

        rq.deadline_ms = clock_monotonic_ms(e->clock) + ERASE_TIMEOUT_MS;
        TRY(db_tx_begin(&rq, &tx));
        TRY(events_store_erase(&tx, user_id, &count));
        TRY(db_tx_commit(&tx));
        rows += count;
    } while (count > 0);
    *out_rows = rows + webhooks;
    return OK;
}
