/* ring_hold: answers that wait until something was written to a socket (Atrium-After). Those that are over are told at
 * the end of the turn, behind the output of the sockets that was queued before. */
#include "services/gateway/ring_internal.h"

static const char OF_USER[] = "user:";

static void unlink_hold(RingHold **list, RingHold *h)
{
    *(h->previous ? &h->previous->next : list) = h->next;
    if (h->next)
        h->next->previous = h->previous;
    h->next = h->previous = NULL;
}

static void link_hold(RingHold **list, RingHold *h)
{
    h->next = *list;
    if (h->next)
        h->next->previous = h;
    *list = h;
}

static void free_hold(RingHold *h)
{
    Ring *ring = h->ring;

    unlink_hold(h->done ? &ring->over : &ring->waiting, h);
    gauge_add(ring->metrics.held, -1);
    h->x->hold = NULL;
    loop_timer_free(h->timer);
    free(h);
}

static void tell(RingHold *h)
{
    Exchange *x = h->x;
    void (*over)(Exchange * x) = h->over;

    free_hold(h);
    over(x);
}

static void tell_over(void *data)
{
    Ring *ring = data;

    while (ring->over)
        tell(ring->over);
}

static void end_hold(Ring *ring, RingHold *h)
{
    bool first = !ring->over;

    unlink_hold(&ring->waiting, h);
    h->done = true;
    link_hold(&ring->over, h);
    if (first)
        loop_post(ring->g->loop, tell_over, ring);
}

static void too_late(void *data)
{
    RingHold *h = data;

    if (h->done)
        return;
    counter_add(h->ring->metrics.late, 1);
    tell(h);
}

void ring_note_dispatch_mark(Ring *ring, const char *mark)
{
    for (RingHold *h = ring->waiting, *next; h; h = next) {
        next = h->next;
        if (!h->of_user && strcmp(h->mark, mark) == 0)
            end_hold(ring, h);
    }
}

void ring_note_socket_mark(RingSocket *rs, const char *mark)
{
    for (RingHold *h = rs->ring->waiting, *next; h; h = next) {
        next = h->next;
        if (h->of_user && rs->follower.user && h->user == rs->follower.user && strcmp(h->mark, mark) == 0)
            end_hold(rs->ring, h);
    }
}

/* --- what is so already
 * ----------------------------------------------------------------------------------------------- */
static bool has_marked_socket(const Ring *ring, int64_t user, const char *mark)
{
    for (Follower *f = topics_first_of_user(ring->topics, user); f; f = f->next_of_user) {
        const RingSocket *rs = (const RingSocket *)f;

        for (size_t i = 0; i < rs->mark_count; i++)
            if (strcmp(rs->marks[i], mark) == 0)
                return true;
    }
    return false;
}

static bool follows_something(const Ring *ring, int64_t user)
{
    for (const Follower *f = topics_first_of_user(ring->topics, user); f; f = f->next_of_user)
        if (f->count)
            return true;
    return false;
}

static bool was_dispatched(const Ring *ring, const char *mark)
{
    RingEntry *entry;

    HASH_FIND(hh, ring->marks, mark, (unsigned)strlen(mark), entry);
    return entry != NULL;
}

bool ring_hold(Exchange *x, const char *after, void (*over)(Exchange *x))
{
    Rings *all = x->gateway->rings;
    Ring *ring = all && x->op ? ring_find(all, x->op->domain) : NULL;
    bool of_user = strncmp(after, OF_USER, sizeof(OF_USER) - 1) == 0;
    const char *mark = of_user ? after + sizeof(OF_USER) - 1 : after;
    RingHold *h;

    if (!ring || !x->user_id || !mark[0] || strlen(mark) >= RING_MARK_MAX_BYTES)
        return false;
    if (of_user ? has_marked_socket(ring, x->user_id, mark)
                : !follows_something(ring, x->user_id) || was_dispatched(ring, mark))
        return false;
    h = xcalloc(1, sizeof(*h));
    h->x = x;
    h->over = over;
    h->ring = ring;
    h->user = x->user_id;
    h->of_user = of_user;
    snprintf(h->mark, sizeof(h->mark), "%s", mark);
    h->timer = loop_timer_new(ring->g->loop, too_late, h);
    loop_timer_set(h->timer, RING_HOLD_MS, 0);
    link_hold(&ring->waiting, h);
    gauge_add(ring->metrics.held, 1);
    x->hold = h;
    return true;
}

void ring_release(Exchange *x)
{
    if (x->hold)
        free_hold(x->hold);
}

void ring_holds_free(Ring *ring)
{
    loop_unpost(ring->g->loop, tell_over, ring);
    while (ring->waiting)
        free_hold(ring->waiting);
    while (ring->over)
        free_hold(ring->over);
}
