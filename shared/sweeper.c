/* sweeper: see sweeper.h. */
#include "shared/sweeper.h"

#include <pthread.h>

enum { LEASE_RETRY_MS = 5000 };

struct Sweeper {
    SweeperOptions o;
    Lease *lease;
    pthread_t thread;
    pthread_mutex_t lock; /* guards `stopping` */
    pthread_cond_t wake;
    bool stopping;
};

/* False when it is time to stop. */
static bool wait_ms(Sweeper *s, int64_t ms)
{
    int64_t end_us = clock_monotonic_us(&SYSTEM_CLOCK) + ms * 1000;
    const struct timespec end = {.tv_sec = end_us / 1000000, .tv_nsec = end_us % 1000000 * 1000};
    bool stopping;
    int rc = 0;

    pthread_mutex_lock(&s->lock);
    while (!s->stopping && rc == 0)
        rc = pthread_cond_timedwait(&s->wake, &s->lock, &end);
    stopping = s->stopping;
    pthread_mutex_unlock(&s->lock);
    return !stopping;
}

static bool take_turn(Sweeper *s, const SweeperTask *task, bool leads)
{
    SweeperTurn turn = {.data = s->o.data, .leads = leads};
    Err e = task->turn(&turn);

    if (err_failed(e)) {
        if (s->o.failures)
            counter_add(s->o.failures, 1);
        LOG_WARN(s->o.log, "sweep_failed", "sweeper", s->o.name, "what", task->what, "error", (const char *)e.text);
        return false;
    }
    if (task->turns)
        counter_add(task->turns, 1);
    return turn.more;
}

/* Until nothing is left, a failure or the end of the lease. False when it is time to stop. */
static bool work_through(Sweeper *s, const SweeperTask *task)
{
    bool more = true;

    while (more) {
        bool leads = lease_held(s->lease);

        if (!leads && !task->everywhere)
            return true;
        more = take_turn(s, task, leads);
        if (!wait_ms(s, more ? s->o.pause_ms : 0))
            return false;
    }
    return true;
}

static void *run(void *data)
{
    Sweeper *s = data;

    while (wait_ms(s, s->o.interval_ms))
        for (size_t i = 0; i < SWEEPER_TASKS_MAX && s->o.tasks[i].turn; i++)
            if (!work_through(s, &s->o.tasks[i]))
                return NULL;
    return NULL;
}

Sweeper *sweeper_start(const SweeperOptions *options)
{
    Sweeper *s = xcalloc(1, sizeof *s);
    pthread_condattr_t monotonic;

    s->o = *options;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    s->lease = lease_new(options->db, options->log, options->name,
                         options->lease_retry_ms ? options->lease_retry_ms : LEASE_RETRY_MS);
    if (pthread_create(&s->thread, NULL, run, s) != 0)
        abort(); /* no more threads: as good as no more memory */
    return s;
}

void sweeper_stop(Sweeper *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    lease_free(s->lease);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
