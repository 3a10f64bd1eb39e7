/* upstream: see upstream.h. */
#include "services/gateway/upstream.h"

#include <pthread.h>

#include "atrium/reasons.atrium.h"

enum { NAME_MAX_BYTES = 128, SUBJECT_MAX_BYTES = 512 };

/* A request that waits. Slots are used again; the generation tells a late reply to an earlier user. */
typedef struct Slot {
    Upstream *upstream;
    uint32_t index, generation;
    bool waiting, streams;
    UpstreamDone done;
    void *data;
    LoopTimer *timer;
} Slot;

typedef struct Arrived {
    natsMsg **list;
    size_t count, cap;
} Arrived;

struct Upstream {
    Bus *bus;
    Loop *loop;
    natsSubscription *inbox;
    char prefix[NAME_MAX_BYTES + 16]; /* "_INBOX.gateway." */
    Slot **slots;
    size_t slot_count, slot_cap, waiting;
    uint32_t *free_list;
    size_t free_count;
    Arrived draining; /* the loop's side; changes places with `arrived` */
    Counter *late_replies, *timeouts, *nobody, *lost;

    pthread_mutex_t lock; /* guards `arrived` */
    Arrived arrived;
};

static void push(Arrived *list, natsMsg *msg)
{
    if (list->count == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 64;
        list->list = xrealloc(list->list, list->cap * sizeof(natsMsg *));
    }
    list->list[list->count++] = msg;
}

/* --- replies --------------------------------------------------------------------------------------------------------
 */
/* "….<index>-<generation>", both hexadecimal. */
static Slot *find_slot(Upstream *u, const char *subject)
{
    const char *token = strrchr(subject, '.');
    char *end;
    unsigned long index, generation;

    if (!token)
        return NULL;
    index = strtoul(token + 1, &end, 16);
    if (*end != '-')
        return NULL;
    generation = strtoul(end + 1, &end, 16);
    if (*end || index >= u->slot_count || !u->slots[index]->waiting || u->slots[index]->generation != generation)
        return NULL;
    return u->slots[index];
}

static void release(Slot *slot)
{
    Upstream *u = slot->upstream;

    loop_timer_clear(slot->timer);
    slot->waiting = false;
    slot->generation++;
    u->free_list[u->free_count++] = slot->index;
    u->waiting--;
}

static void finish(Slot *slot, UpstreamOutcome outcome, natsMsg *msg)
{
    UpstreamDone done = slot->done;
    void *data = slot->data;

    release(slot); /* first: `done` may send the next request */
    done(data, outcome, msg);
}

void upstream_forget(Upstream *u, UpstreamTicket ticket)
{
    Slot *slot = ticket.index < u->slot_count ? u->slots[ticket.index] : NULL;

    if (slot && slot->waiting && slot->generation == ticket.generation)
        release(slot);
}

static void take_reply(Upstream *u, natsMsg *msg)
{
    Slot *slot = find_slot(u, natsMsg_GetSubject(msg));

    if (!slot) {
        counter_add(u->late_replies, 1);
    } else if (natsMsg_IsNoResponders(msg)) {
        counter_add(u->nobody, 1);
        finish(slot, UPSTREAM_NOBODY, NULL);
    } else if (slot->streams) {
        slot->done(slot->data, UPSTREAM_REPLIED, msg);
    } else {
        finish(slot, UPSTREAM_REPLIED, msg);
    }
    bus_discard(u->bus, msg);
}

static void take_replies(void *data)
{
    Upstream *u = data;
    Arrived batch;

    pthread_mutex_lock(&u->lock);
    batch = u->arrived;
    u->arrived = u->draining;
    u->draining = batch;
    pthread_mutex_unlock(&u->lock);
    for (size_t i = 0; i < batch.count; i++)
        take_reply(u, batch.list[i]);
    u->draining.count = 0;
}

/* In a thread of cnats. One wake-up for all that arrives until the loop has looked. */
static void on_message(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *data)
{
    Upstream *u = data;
    bool first;

    (void)nc, (void)sub;
    bus_batch(u->bus);
    pthread_mutex_lock(&u->lock);
    first = u->arrived.count == 0;
    push(&u->arrived, msg);
    pthread_mutex_unlock(&u->lock);
    if (first)
        loop_post(u->loop, take_replies, u);
}

static void deadline_is_over(void *data)
{
    Slot *slot = data;

    counter_add(slot->upstream->timeouts, 1);
    finish(slot, UPSTREAM_LATE, NULL);
}

/* --- requests ---------------------------------------------------------------------------------------------------- */
static Slot *take_slot(Upstream *u)
{
    Slot *slot;

    if (u->free_count)
        return u->slots[u->free_list[--u->free_count]];
    if (u->slot_count == u->slot_cap) {
        u->slot_cap = u->slot_cap ? u->slot_cap * 2 : 64;
        u->slots = xrealloc(u->slots, u->slot_cap * sizeof(Slot *));
        u->free_list = xrealloc(u->free_list, u->slot_cap * sizeof(uint32_t));
    }
    slot = xcalloc(1, sizeof(*slot));
    slot->upstream = u;
    slot->index = (uint32_t)u->slot_count;
    slot->timer = loop_timer_new(u->loop, deadline_is_over, slot);
    u->slots[u->slot_count++] = slot;
    return slot;
}

Err upstream_send(Upstream *u, const UpstreamRequest *rq)
{
    char reply[SUBJECT_MAX_BYTES];
    Slot *slot;
    Err e;

    slot = take_slot(u);
    snprintf(reply, sizeof(reply), "%s%.*s.%.*s.%x-%x", u->prefix, NAME_MAX_BYTES, rq->callee, NAME_MAX_BYTES,
             bus_instance(u->bus), slot->index, slot->generation);
    e = bus_publish(u->bus, rq->subject, reply, rq->headers, rq->header_count, rq->body);
    if (err_failed(e)) {
        u->free_list[u->free_count++] = slot->index;
        return e;
    }
    slot->waiting = true;
    slot->streams = rq->out_stream != NULL;
    if (rq->out_stream)
        *rq->out_stream = (UpstreamTicket){slot->index, slot->generation};
    slot->done = rq->done;
    slot->data = rq->data;
    u->waiting++;
    loop_timer_set(slot->timer, rq->timeout_ms, 0);
    return OK;
}

void upstream_lost(Upstream *u)
{
    for (size_t i = 0; i < u->slot_count; i++)
        if (u->slots[i]->waiting) {
            counter_add(u->lost, 1);
            finish(u->slots[i], UPSTREAM_LOST, NULL);
        }
}

size_t upstream_waiting(const Upstream *u)
{
    return u->waiting;
}

Err upstream_new(Bus *bus, Loop *loop, Metrics *metrics, Upstream **out)
{
    static const char NAME[] = "atrium_upstream_failures_total";
    static const char HELP[] = "Requests to services that got no answer, and answers that came too late.";
    CLEANUP(upstream_free_at) Upstream *u = xcalloc(1, sizeof(*u));
    char subject[SUBJECT_MAX_BYTES];

    u->bus = bus;
    u->loop = loop;
    pthread_mutex_init(&u->lock, NULL);
    u->timeouts = metrics_counter(metrics, NAME, HELP, "kind=\"timeout\"");
    u->nobody = metrics_counter(metrics, NAME, HELP, "kind=\"no_responders\"");
    u->lost = metrics_counter(metrics, NAME, HELP, "kind=\"bus_lost\"");
    u->late_replies = metrics_counter(metrics, NAME, HELP, "kind=\"late_reply\"");
    snprintf(u->prefix, sizeof(u->prefix), "_INBOX.%.*s.", NAME_MAX_BYTES, bus_name(bus));
    snprintf(subject, sizeof(subject), "%s*.%.*s.*", u->prefix, NAME_MAX_BYTES, bus_instance(bus));
    TRY(bus_err(natsConnection_Subscribe(&u->inbox, bus_nats(bus), subject, on_message, u), "subscribe to replies"));
    /* Bounded by the requests that wait, each of which has one reply, and by the credit of streams. */
    TRY(bus_err(natsSubscription_SetPendingLimits(u->inbox, -1, -1), "subscribe to replies"));
    *out = MOVE(u);
    return OK;
}

void upstream_free(Upstream *u)
{
    if (!u)
        return;
    bus_unsubscribe(u->inbox);
    loop_unpost(u->loop, take_replies, u);
    for (size_t i = 0; i < u->arrived.count; i++)
        natsMsg_Destroy(u->arrived.list[i]);
    for (size_t i = 0; i < u->slot_count; i++) {
        loop_timer_free(u->slots[i]->timer);
        free(u->slots[i]);
    }
    free(u->arrived.list);
    free(u->draining.list);
    free(u->slots);
    free(u->free_list);
    pthread_mutex_destroy(&u->lock);
    free(u);
}
