/* live: the sweeper, see live.h. */
#include "services/chat/live.h"

#include <pthread.h>

#include "services/chat/presence.h"
#include "shared/lease.h"

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

struct LiveSweeper {
    LiveSweeperOptions o;
    Lease *lease;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;
    int64_t hears_since_ms; /* 0: not */
};

/* True when it is time to end. */
static bool wait_for_turn(LiveSweeper *s, int64_t wait_ms)
{
    struct timespec until;
    bool stop;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += wait_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&s->lock);
    while (!s->stop && wait_ms > 0 && pthread_cond_timedwait(&s->wake, &s->lock, &until) == 0)
        ;
    stop = s->stop;
    pthread_mutex_unlock(&s->lock);
    return stop;
}

/* When nobody could answer them, or the database was away, edges look as if they were gone: everybody would be shown
 * offline. They are judged when they have had the time to speak. */
static bool may_judge(LiveSweeper *s)
{
    int64_t now_ms = clock_monotonic_ms(&SYSTEM_CLOCK);

    if (!s->hears_since_ms)
        s->hears_since_ms = now_ms;
    return now_ms - s->hears_since_ms >= HEARING_MS;
}

static bool turn(LiveSweeper *s)
{
    bool more = false, more_orders = false;
    Err e = OK;

    if (!lease_held(s->lease)) {
        s->hears_since_ms = 0;
        return false;
    }
    if (may_judge(s))
        e = presence_sweep(s->o.db, s->o.log, &more);
    if (!err_failed(e))
        e = voice_work(s->o.voice, s->o.db, &more_orders);
    if (err_failed(e)) {
        s->hears_since_ms = 0;
        LOG_WARN(s->o.log, "live_sweep_failed", "reason", e.reason->key, "error", e.text);
    }
    outbox_nudge(s->o.outbox);
    return !err_failed(e) && (more || more_orders);
}

static void *sweep(void *data)
{
    LiveSweeper *s = data;

    while (!wait_for_turn(s, turn(s) ? 0 : s->o.interval_ms))
        ;
    return NULL;
}

LiveSweeper *live_sweeper_start(const LiveSweeperOptions *options)
{
    LiveSweeper *s = xcalloc(1, sizeof *s);
    pthread_condattr_t monotonic;

    s->o = *options;
    s->lease = lease_new(options->db, options->log, "chat-live", LEASE_RETRY_MS);
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&s->thread, NULL, sweep, s))
        abort();
    return s;
}

void live_sweeper_stop(LiveSweeper *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    lease_free(s->lease);
    free(s);
}
