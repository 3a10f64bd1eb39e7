/* live: the sweeper, see live.h. */
#include "services/chat/live.h"

#include "services/chat/presence.h"

enum {
    LEASE_RETRY_MS = 2000,
    /* Edges say every 10 s that they live (SOCKET_LEASE_EVERY_MS there): so long they have, once they can be heard. */
    HEARING_MS = 15000
};

void live_count_sessions(Live *live, Metrics *metrics)
{
    static const char NAME[] = "atrium_chat_sessions_total";
    static const char HELP[] =
        "Sessions of the chat gateway that began or went on; missed: asked to resume, and could not.";

    live->identified = metrics_counter(metrics, NAME, HELP, "how=\"identified\"");
    live->resumed = metrics_counter(metrics, NAME, HELP, "how=\"resumed\"");
    live->not_resumed = metrics_counter(metrics, NAME, HELP, "how=\"missed\"");
}

/* When nobody could answer them, or the database was away, edges look as if they were gone: everybody would be shown
 * offline. They are judged when they have had the time to speak. */
static bool may_judge(LiveSweeps *s)
{
    int64_t now_ms = clock_monotonic_ms(&SYSTEM_CLOCK);

    if (!s->hears_since_ms)
        s->hears_since_ms = now_ms;
    return now_ms - s->hears_since_ms >= HEARING_MS;
}

static Err sweep(LiveSweeps *s, bool *out_more)
{
    bool more = false, more_orders = false;

    if (may_judge(s))
        TRY(presence_sweep(s->db, s->log, &more));
    TRY(voice_work(s->voice, s->db, &more_orders));
    *out_more = more || more_orders;
    return OK;
}

static Err take_turn(SweeperTurn *turn)
{
    LiveSweeps *s = turn->data;
    Err e = OK;

    if (turn->leads) {
        e = sweep(s, &turn->more);
        outbox_nudge(s->outbox);
    }
    if (!turn->leads || err_failed(e))
        s->hears_since_ms = 0;
    return e;
}

Sweeper *live_sweeper_start(LiveSweeps *sweeps, int64_t interval_ms)
{
    return sweeper_start(&(SweeperOptions){
        .db = sweeps->db,
        .log = sweeps->log,
        .name = "chat-live",
        .data = sweeps,
        .tasks = {{"presences and voice", take_turn, .everywhere = true}},
        .interval_ms = interval_ms,
        .lease_retry_ms = LEASE_RETRY_MS,
    });
}
