/* loop: see loop.h. One epoll descriptor, a table of handlers by descriptor, a binary heap of timers, and a list of
 * posted calls behind an eventfd that is written only when the loop sleeps. */
#include "shared/loop.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { LOOP_EVENTS_PER_TURN = 256, LOOP_NOT_IN_HEAP = -1 };

typedef struct FdSlot {
    LoopFdHandler handler; /* NULL: not registered */
    void *data;
    uint32_t events;
    uint32_t generation; /* tells an event of an earlier owner of the same number */
} FdSlot;

typedef struct PostedCall {
    LoopCall call;
    void *data;
} PostedCall;

typedef struct PostList {
    PostedCall *items;
    size_t count, cap;
} PostList;

struct LoopTimer {
    Loop *loop;
    LoopCall call;
    void *data;
    int64_t due_ms, period_ms;
    ptrdiff_t at; /* place in the heap */
};

struct Loop {
    int epoll_fd, wake_fd;
    int64_t now_ms;
    LoopTimer **heap;
    size_t timer_count, timer_cap;
    void (*after)(void *data);
    int64_t (*wait_ms)(void *data);
    void *turn_data;
    PostList running; /* the calls of this turn; changes places with `posted` */

    pthread_mutex_t lock; /* guards what follows */
    FdSlot *slots;
    size_t slot_count;
    PostList posted;

    atomic_bool sleeping, stop, is_running;
    _Atomic(pthread_t) owner; /* valid while is_running */
};

static int64_t monotonic_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static uint64_t event_tag(int fd, uint32_t generation)
{
    return (uint64_t)generation << 32 | (uint32_t)fd;
}

Loop *loop_new(void)
{
    Loop *loop = xcalloc(1, sizeof *loop);
    /* Edge-triggered, so that it never needs to be read. */
    struct epoll_event wake = {.events = EPOLLIN | EPOLLET, .data.u64 = UINT64_MAX};

    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->epoll_fd < 0 || loop->wake_fd < 0 || epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &wake) != 0)
        abort(); /* out of descriptors at start: nothing can work */
    pthread_mutex_init(&loop->lock, NULL);
    loop->now_ms = monotonic_ms();
    return loop;
}

void loop_free(Loop *loop)
{
    if (!loop)
        return;
    assert(!loop_is_running(loop));
    close(loop->epoll_fd);
    close(loop->wake_fd);
    pthread_mutex_destroy(&loop->lock);
    free(loop->heap);
    free(loop->slots);
    free(loop->posted.items);
    free(loop->running.items);
    free(loop);
}

/* --- descriptors ----------------------------------------------------------------------------------------------------
 */
/* The lock is held over epoll_ctl, so that table and kernel agree whichever threads add and remove. */
void loop_add_fd(Loop *loop, int fd, uint32_t epoll_events, LoopFdHandler handler, void *data)
{
    struct epoll_event event = {.events = epoll_events};
    FdSlot *slot;

    assert(fd >= 0);
    pthread_mutex_lock(&loop->lock);
    if ((size_t)fd >= loop->slot_count) {
        size_t count = MAX((size_t)fd + 1, loop->slot_count * 2);

        loop->slots = xrealloc(loop->slots, count * sizeof *loop->slots);
        memset(loop->slots + loop->slot_count, 0, (count - loop->slot_count) * sizeof *loop->slots);
        loop->slot_count = count;
    }
    slot = &loop->slots[fd];
    *slot = (FdSlot){handler, data, epoll_events, slot->generation + 1};
    event.data.u64 = event_tag(fd, slot->generation);
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0 && errno == EEXIST)
        (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, fd, &event); /* cannot fail for a registered descriptor */
    pthread_mutex_unlock(&loop->lock);
}

void loop_set_fd(Loop *loop, int fd, uint32_t epoll_events)
{
    pthread_mutex_lock(&loop->lock);
    if (fd >= 0 && (size_t)fd < loop->slot_count && loop->slots[fd].handler) {
        FdSlot *slot = &loop->slots[fd];
        struct epoll_event event = {.events = epoll_events, .data.u64 = event_tag(fd, slot->generation)};

        slot->events = epoll_events;
        (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, fd, &event); /* fails only when it was closed: then it is gone */
    }
    pthread_mutex_unlock(&loop->lock);
}

void loop_remove_fd(Loop *loop, int fd)
{
    pthread_mutex_lock(&loop->lock);
    if (fd >= 0 && (size_t)fd < loop->slot_count && loop->slots[fd].handler) {
        loop->slots[fd].handler = NULL;
        (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL); /* closed already: the kernel forgot it by itself */
    }
    pthread_mutex_unlock(&loop->lock);
}

static void dispatch_event(Loop *loop, const struct epoll_event *event)
{
    size_t fd = event->data.u64 & UINT32_MAX;
    uint32_t generation = (uint32_t)(event->data.u64 >> 32);
    FdSlot slot = {0};

    if (event->data.u64 == UINT64_MAX)
        return;
    pthread_mutex_lock(&loop->lock);
    if (fd < loop->slot_count && loop->slots[fd].generation == generation)
        slot = loop->slots[fd];
    pthread_mutex_unlock(&loop->lock);
    if (slot.handler)
        slot.handler(slot.data, event->events);
}

/* --- timers ---------------------------------------------------------------------------------------------------------
 */
static void heap_put(Loop *loop, size_t at, LoopTimer *timer)
{
    loop->heap[at] = timer;
    timer->at = (ptrdiff_t)at;
}

static void sift_up(Loop *loop, size_t at, LoopTimer *timer)
{
    while (at > 0 && timer->due_ms < loop->heap[(at - 1) / 2]->due_ms) {
        heap_put(loop, at, loop->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_put(loop, at, timer);
}

static void sift_down(Loop *loop, size_t at, LoopTimer *timer)
{
    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= loop->timer_count)
            break;
        if (child + 1 < loop->timer_count && loop->heap[child + 1]->due_ms < loop->heap[child]->due_ms)
            child++;
        if (timer->due_ms <= loop->heap[child]->due_ms)
            break;
        heap_put(loop, at, loop->heap[child]);
        at = child;
    }
    heap_put(loop, at, timer);
}

static void heap_remove(Loop *loop, LoopTimer *timer)
{
    size_t at = (size_t)timer->at;
    LoopTimer *last = loop->heap[--loop->timer_count];

    timer->at = LOOP_NOT_IN_HEAP;
    if (last == timer)
        return;
    if (at > 0 && last->due_ms < loop->heap[(at - 1) / 2]->due_ms)
        sift_up(loop, at, last);
    else
        sift_down(loop, at, last);
}

static void heap_insert(Loop *loop, LoopTimer *timer)
{
    if (loop->timer_count == loop->timer_cap) {
        loop->timer_cap = loop->timer_cap ? loop->timer_cap * 2 : 16;
        loop->heap = xrealloc(loop->heap, loop->timer_cap * sizeof(LoopTimer *));
    }
    sift_up(loop, loop->timer_count++, timer);
}

LoopTimer *loop_timer_new(Loop *loop, LoopCall call, void *data)
{
    LoopTimer *timer = xcalloc(1, sizeof *timer);

    *timer = (LoopTimer){.loop = loop, .call = call, .data = data, .at = LOOP_NOT_IN_HEAP};
    return timer;
}

void loop_timer_set(LoopTimer *timer, int64_t after_ms, int64_t period_ms)
{
    loop_timer_clear(timer);
    /* The real time, not the turn's: a long turn must not make timers fire early. */
    timer->due_ms = monotonic_ms() + MAX(after_ms, 0);
    timer->period_ms = period_ms;
    heap_insert(timer->loop, timer);
}

void loop_timer_clear(LoopTimer *timer)
{
    if (timer->at != LOOP_NOT_IN_HEAP)
        heap_remove(timer->loop, timer);
}

void loop_timer_free(LoopTimer *timer)
{
    if (!timer)
        return;
    loop_timer_clear(timer);
    free(timer);
}

static void run_timers(Loop *loop)
{
    while (loop->timer_count > 0 && loop->heap[0]->due_ms <= loop->now_ms) {
        LoopTimer *timer = loop->heap[0];

        heap_remove(loop, timer);
        if (timer->period_ms > 0) {
            /* Missed periods are skipped, not made up for. */
            timer->due_ms = MAX(timer->due_ms + timer->period_ms, loop->now_ms + 1);
            heap_insert(loop, timer);
        }
        timer->call(timer->data); /* may free the timer */
    }
}

/* --- posted calls ------------------------------------------------------------------------------------------------ */
void loop_post(Loop *loop, LoopCall call, void *data)
{
    PostList *list = &loop->posted;

    pthread_mutex_lock(&loop->lock);
    if (list->count == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 16;
        list->items = xrealloc(list->items, list->cap * sizeof *list->items);
    }
    list->items[list->count++] = (PostedCall){call, data};
    pthread_mutex_unlock(&loop->lock);
    if (atomic_exchange(&loop->sleeping, false))
        (void)!eventfd_write(loop->wake_fd, 1); /* fails only when the counter is full: then it is awake */
}

typedef struct WaitedCall {
    LoopCall call;
    void *data;
    sem_t done;
} WaitedCall;

static void run_waited(void *data)
{
    WaitedCall *w = data;

    w->call(w->data);
    sem_post(&w->done);
}

void loop_call(Loop *loop, LoopCall call, void *data)
{
    WaitedCall w = {.call = call, .data = data};

    if (!loop_is_running(loop) || loop_is_mine(loop)) {
        call(data);
        return;
    }
    sem_init(&w.done, 0, 0);
    loop_post(loop, run_waited, &w);
    while (sem_wait(&w.done) != 0)
        ; /* a signal */
    sem_destroy(&w.done);
}

static bool has_posts(Loop *loop)
{
    bool has;

    pthread_mutex_lock(&loop->lock);
    has = loop->posted.count > 0;
    pthread_mutex_unlock(&loop->lock);
    return has;
}

static void run_posts(Loop *loop)
{
    PostList list;

    pthread_mutex_lock(&loop->lock);
    list = loop->posted;
    loop->posted = loop->running;
    loop->running = list;
    pthread_mutex_unlock(&loop->lock);
    for (size_t i = 0; i < list.count; i++) {
        if (list.items[i].call)
            list.items[i].call(list.items[i].data);
    }
    loop->running.count = 0;
}

static void forget_calls(PostList *list, LoopCall call, const void *data)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].call == call && list->items[i].data == data)
            list->items[i].call = NULL;
    }
}

void loop_unpost(Loop *loop, LoopCall call, const void *data)
{
    pthread_mutex_lock(&loop->lock);
    forget_calls(&loop->posted, call, data);
    forget_calls(&loop->running, call, data);
    pthread_mutex_unlock(&loop->lock);
}

/* --- turns ------------------------------------------------------------------------------------------------------- */
static int turn_wait(Loop *loop, int64_t limit_ms)
{
    int64_t wait = limit_ms;

    if (loop->wait_ms) {
        int64_t asked = loop->wait_ms(loop->turn_data);

        if (asked >= 0 && (wait < 0 || asked < wait))
            wait = asked;
    }
    if (loop->timer_count > 0) {
        int64_t due = MAX(loop->heap[0]->due_ms - monotonic_ms(), 0);

        if (wait < 0 || due < wait)
            wait = due;
    }
    return wait < 0 ? -1 : (int)MIN(wait, INT_MAX);
}

void loop_turn(Loop *loop, int64_t wait_ms)
{
    struct epoll_event events[LOOP_EVENTS_PER_TURN];
    int wait = turn_wait(loop, wait_ms), count;

    /* Said before looking: a call posted after the look finds `sleeping` and writes the eventfd. */
    atomic_store(&loop->sleeping, true);
    if (has_posts(loop) || atomic_load(&loop->stop))
        wait = 0;
    count = epoll_wait(loop->epoll_fd, events, LOOP_EVENTS_PER_TURN, wait);
    atomic_store(&loop->sleeping, false);
    loop->now_ms = monotonic_ms();
    for (int i = 0; i < count; i++)
        dispatch_event(loop, &events[i]);
    run_timers(loop);
    run_posts(loop);
    if (loop->after) {
        loop->after(loop->turn_data);
        run_posts(loop); /* what `after` produced leaves in this turn too */
    }
}

void loop_set_turn(Loop *loop, void (*after)(void *data), int64_t (*wait_ms)(void *data), void *data)
{
    loop->after = after;
    loop->wait_ms = wait_ms;
    loop->turn_data = data;
}

int64_t loop_now_ms(const Loop *loop)
{
    return loop->now_ms;
}

void loop_run(Loop *loop)
{
    atomic_store(&loop->owner, pthread_self());
    atomic_store(&loop->is_running, true);
    while (!atomic_load(&loop->stop))
        loop_turn(loop, -1);
    atomic_store(&loop->is_running, false);
    atomic_store(&loop->stop, false);
}

void loop_stop(Loop *loop)
{
    atomic_store(&loop->stop, true);
    if (atomic_exchange(&loop->sleeping, false))
        (void)!eventfd_write(loop->wake_fd, 1);
}

bool loop_is_running(const Loop *loop)
{
    return atomic_load(&loop->is_running);
}

bool loop_is_mine(const Loop *loop)
{
    return loop_is_running(loop) && pthread_equal(atomic_load(&loop->owner), pthread_self());
}
