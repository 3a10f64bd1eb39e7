/* ring_tail: from the stream to the loop. The tail's thread unpacks each message once and puts it into a bounded queue;
 * the loop is woken when there is something in it, and takes a part of it at a time. */
#include "services/gateway/ring_internal.h"

#include "shared/message.h"

enum { ENTRY_COST_BYTES = 512 };

/* --- entries ---------------------------------------------------------------------------------------------------------
 */
static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

bool ring_users_have(const int64_t *users, size_t count, int64_t user)
{
    return count && bsearch(&user, users, count, sizeof(*users), by_number);
}

static void put_in_order(int64_t *users, size_t count)
{
    if (count > 1)
        qsort(users, count, sizeof(*users), by_number);
}

/* Each list is looked into once for each follower, and may be as long as there are followers: here, where the loop does
 * not wait, they are put in order. */
static void order_users(const Atrium__Dispatch *d)
{
    for (size_t i = 0; i < d->n_changes; i++) {
        put_in_order(d->changes[i]->users, d->changes[i]->n_users);
        put_in_order(d->changes[i]->except_users, d->changes[i]->n_except_users);
    }
    for (size_t i = 0; i < d->n_variants; i++) {
        put_in_order(d->variants[i]->users, d->variants[i]->n_users);
        put_in_order(d->variants[i]->except_users, d->variants[i]->n_except_users);
    }
}

/* One that cannot be read keeps its place among the numbers, and says nothing to anybody. */
RingEntry *ring_entry_new(Slice name, uint64_t position, int64_t at_unix_ms, Slice body)
{
    static const Atrium__Dispatch NOTHING = ATRIUM__DISPATCH__INIT;
    Arena *mem = arena_new(ENTRY_COST_BYTES + name.len + body.len * 2);
    RingEntry *entry = ARENA_NEW(mem, RingEntry);
    ProtobufCMessage *message;

    entry->mem = mem;
    entry->position = position;
    entry->at_unix_ms = at_unix_ms;
    entry->name = slice_of(arena_memdup(mem, name.ptr, name.len), name.len);
    entry->unreadable = err_failed(message_unpack(mem, &atrium__dispatch__descriptor, body, &message));
    entry->dispatch = entry->unreadable ? &NOTHING : (const Atrium__Dispatch *)message;
    order_users(entry->dispatch);
    entry->made = ARENA_ARRAY(mem, SharedFrame **, entry->dispatch->n_variants * DIALECT_COUNT);
    entry->bytes = ENTRY_COST_BYTES + arena_used(mem);
    return entry;
}

void ring_entry_free(RingEntry *entry)
{
    if (entry)
        arena_free(entry->mem);
}

/* --- the queue -------------------------------------------------------------------------------------------------------
 */
static size_t item_bytes(const RingItem *item)
{
    return item->kind == RING_ITEM_ENTRY ? item->entry->bytes : 0;
}

static void take_queued(void *data);

/* In the tail's thread. Waits while the loop is behind; what comes from the stream meanwhile waits there. */
static void put(Ring *ring, const RingItem *item)
{
    bool first;

    pthread_mutex_lock(&ring->lock);
    while (!ring->stopping && (ring->queued >= RING_QUEUE_ENTRIES || ring->queued_bytes >= RING_QUEUE_BYTES))
        pthread_cond_wait(&ring->room_made, &ring->lock);
    if (ring->stopping) {
        pthread_mutex_unlock(&ring->lock);
        if (item->kind == RING_ITEM_ENTRY)
            ring_entry_free(item->entry);
        return;
    }
    if (ring->arrived.count == ring->arrived.room) {
        ring->arrived.room = ring->arrived.room ? ring->arrived.room * 2 : 64;
        ring->arrived.list = xrealloc(ring->arrived.list, ring->arrived.room * sizeof(RingItem));
    }
    first = ring->queued++ == 0;
    ring->queued_bytes += item_bytes(item);
    ring->arrived.list[ring->arrived.count++] = *item;
    pthread_mutex_unlock(&ring->lock);
    if (first)
        loop_post(ring->g->loop, take_queued, ring);
}

/* The next part of the queue; false when it is empty. */
static bool refill(Ring *ring, size_t taken, size_t taken_bytes)
{
    bool more;

    pthread_mutex_lock(&ring->lock);
    ring->queued -= taken;
    ring->queued_bytes -= taken_bytes;
    more = ring->queued > 0;
    if (more && ring->draining.at == ring->draining.count) {
        RingItems emptied = ring->draining;

        emptied.count = emptied.at = 0;
        ring->draining = ring->arrived;
        ring->arrived = emptied;
    }
    pthread_cond_signal(&ring->room_made);
    pthread_mutex_unlock(&ring->lock);
    return more;
}

static void note_lag(Ring *ring, const RingItem *item)
{
    if (item->kind == RING_ITEM_ENTRY)
        gauge_set(ring->metrics.lag,
                  (double)MAX(clock_unix_ms(ring->g->service->clock) - item->entry->at_unix_ms, 0) / 1000);
}

/* In the loop. */
static void take_queued(void *data)
{
    Ring *ring = data;
    size_t taken = 0, taken_bytes = 0;

    if (!refill(ring, 0, 0))
        return;
    for (; taken < RING_TURN_ENTRIES && taken_bytes < RING_TURN_BYTES && ring->draining.at < ring->draining.count;
         taken++) {
        RingItem *item = &ring->draining.list[ring->draining.at++];

        taken_bytes += item_bytes(item);
        if (taken == 0)
            note_lag(ring, item);
        ring_take(ring, item);
    }
    if (refill(ring, taken, taken_bytes))
        loop_post(ring->g->loop, take_queued, ring);
}

/* --- the tail --------------------------------------------------------------------------------------------------------
 */
static void begin(void *data, const TailBegin *b)
{
    put(data, &(RingItem){.kind = RING_ITEM_BEGIN, .begin = *b});
}

static void take(void *data, const TailMessage *m)
{
    Ring *ring = data;
    Slice name = slice_skip(slice(m->subject), strlen(ring->subject) - 1);

    put(ring, &(RingItem){.kind = RING_ITEM_ENTRY, .entry = ring_entry_new(name, m->sequence, m->at_unix_ms, m->body)});
}

static void caught_up(void *data)
{
    put(data, &(RingItem){.kind = RING_ITEM_CAUGHT_UP});
}

Err ring_tail_start(Ring *ring)
{
    return tail_start(&(TailOptions){.bus = ring->g->service->bus,
                                     .clock = ring->g->service->clock,
                                     .log = ring->g->service->log,
                                     .name = ring->stream,
                                     .stream = ring->stream,
                                     .subject = ring->subject,
                                     .back_ms = ring->g->settings->ring_age_ms,
                                     .begin = begin,
                                     .take = take,
                                     .caught_up = caught_up,
                                     .data = ring},
                      &ring->tail);
}

static void drop_items(RingItems *items)
{
    for (; items->at < items->count; items->at++)
        if (items->list[items->at].kind == RING_ITEM_ENTRY)
            ring_entry_free(items->list[items->at].entry);
    free(items->list);
}

void ring_tail_stop(Ring *ring)
{
    pthread_mutex_lock(&ring->lock);
    ring->stopping = true;
    pthread_cond_signal(&ring->room_made);
    pthread_mutex_unlock(&ring->lock);
    tail_stop(ring->tail);
    loop_unpost(ring->g->loop, take_queued, ring);
    drop_items(&ring->draining);
    drop_items(&ring->arrived);
}
