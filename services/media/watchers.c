/* watchers: see watchers.h. */
#include "services/media/watchers.h"

#include <pthread.h>

struct Watchers {
    pthread_mutex_t lock;
    pthread_cond_t news;
    uint64_t count;
    bool stopping;
};

Watchers *watchers_new(void)
{
    Watchers *w = xcalloc(1, sizeof(*w));
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->news, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return w;
}

void watchers_free(Watchers *w)
{
    if (!w)
        return;
    pthread_cond_destroy(&w->news);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

static void tell(Watchers *w, bool stop)
{
    pthread_mutex_lock(&w->lock);
    w->count++;
    w->stopping |= stop;
    pthread_cond_broadcast(&w->news);
    pthread_mutex_unlock(&w->lock);
}

void watchers_wake(Watchers *w)
{
    if (w)
        tell(w, false);
}

void watchers_stop(Watchers *w)
{
    if (w)
        tell(w, true);
}

uint64_t watchers_count(Watchers *w)
{
    uint64_t count;

    pthread_mutex_lock(&w->lock);
    count = w->count;
    pthread_mutex_unlock(&w->lock);
    return count;
}

bool watchers_wait(Watchers *w, uint64_t count, int64_t timeout_ms)
{
    int64_t end_us = clock_monotonic_us(&SYSTEM_CLOCK) + timeout_ms * 1000;
    struct timespec end = {.tv_sec = end_us / 1000000, .tv_nsec = end_us % 1000000 * 1000};
    bool stopping;
    int rc = 0;

    pthread_mutex_lock(&w->lock);
    while (!w->stopping && w->count == count && rc == 0)
        rc = pthread_cond_timedwait(&w->news, &w->lock, &end);
    stopping = w->stopping;
    pthread_mutex_unlock(&w->lock);
    return !stopping;
}
