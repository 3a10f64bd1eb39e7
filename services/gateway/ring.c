/* ring: see ring.h. The rings, what they keep, and the order in which a dispatch has its effects. */
#include "services/gateway/ring_internal.h"

#include "shared/streams.h"

enum { FIRST_ROOM = 1024 };

/* --- what is kept ------------------------------------------------------------------------------------------------ */
static void drop_first(Ring *ring)
{
    RingEntry *entry = ring->list[ring->first];

    ring->first = (ring->first + 1) & (ring->room - 1);
    ring->count--;
    ring->oldest = entry->position + 1;
    ring->bytes -= entry->bytes;
    if (entry->mark)
        HASH_DELETE(hh, ring->marks, entry);
    topics_release(ring->topics, entry->topic);
    ring_free_frames(entry);
    ring_entry_free(entry);
}

void ring_drop_old(Ring *ring)
{
    const GatewaySettings *s = ring->g->settings;
    int64_t before_ms = clock_unix_ms(ring->g->service->clock) - s->ring_age_ms;

    while (ring->count && (ring->bytes > (size_t)s->ring_bytes || ring->list[ring->first]->at_unix_ms < before_ms))
        drop_first(ring);
}

static void grow(Ring *ring)
{
    size_t room = ring->room ? ring->room * 2 : FIRST_ROOM;
    RingEntry **list = xmalloc(room * sizeof(RingEntry *));

    for (size_t i = 0; i < ring->count; i++)
        list[i] = ring->list[(ring->first + i) & (ring->room - 1)];
    free(ring->list);
    ring->list = list;
    ring->room = room;
    ring->first = 0;
}

/* Of a mark that comes twice the first counts. */
static void index_mark(Ring *ring, RingEntry *entry)
{
    const char *mark = entry->dispatch->mark;
    RingEntry *known = NULL;

    if (!mark || !mark[0])
        return;
    HASH_FIND(hh, ring->marks, mark, (unsigned)strlen(mark), known);
    if (known)
        return;
    entry->mark = mark;
    HASH_ADD_KEYPTR(hh, ring->marks, entry->mark, (unsigned)strlen(mark), entry);
}

static void keep(Ring *ring, RingEntry *entry)
{
    if (ring->count == ring->room)
        grow(ring);
    if (ring->count == 0)
        ring->oldest = entry->position;
    ring->list[(ring->first + ring->count++) & (ring->room - 1)] = entry;
    ring->bytes += entry->bytes;
    entry->topic = topics_hold(ring->topics, entry->name);
    index_mark(ring, entry);
}

/* --- what is lost ------------------------------------------------------------------------------------------------ */
/* What lay between is not known to anybody any more: clients come again, and find that they are too late. Requests that
 * are under way are of an earlier generation, and end their sockets when their replies are to be applied. */
static void lose(Ring *ring, const char *why)
{
    ring->generation++;
    while (ring->count)
        drop_first(ring);
    counter_add(ring->metrics.losses, 1);
    LOG_WARN(ring->g->service->log, "dispatches_lost", "domain", ring->domain, "why", why, "after", ring->position);
    for (RingSocket *rs = ring->sockets; rs; rs = rs->next) {
        ring_stop_lagging(rs);
        socket_break(rs->socket, RING_CLOSE_LOST, "come again");
    }
}

static void begin(Ring *ring, const TailBegin *b)
{
    if (ring->begun)
        lose(ring, "another stream, or an older state of it");
    ring->begun = true;
    ring->filled = false;
    ring->position = 0;
    ring->base = b->last;
    snprintf(ring->epoch, sizeof(ring->epoch), "%" PRId64, b->epoch);
}

static void caught_up(Ring *ring)
{
    if (ring->filled)
        return;
    if (!ring->position) { /* there was nothing that is young enough */
        ring->position = ring->base;
        ring->oldest = ring->base + 1;
    }
    ring->filled = true;
}

/* --- a dispatch -----------------------------------------------------------------------------------------------------
 */
/* Changes first: who gains a topic sees the dispatch that says so, who loses it does not. */
static void take_entry(Ring *ring, RingEntry *entry)
{
    Topic *topic;
    RingSocket *rs;

    if (ring->position && entry->position <= ring->position) {
        ring_entry_free(entry); /* read again after a lost connection */
        return;
    }
    if (ring->position && entry->position != ring->position + 1)
        lose(ring, "a jump in the numbers");
    ring->position = entry->position;
    keep(ring, entry);
    counter_add(ring->metrics.dispatches, 1);
    if (entry->unreadable)
        counter_add(ring->metrics.unreadable, 1);
    ring_change_audience(ring, entry);
    topic = entry->topic;
    for (uint32_t i = 0; i < topic->count; i++) {
        rs = (RingSocket *)topic->list[i]->follower;
        if (topic->list[i]->since < entry->position && !rs->lagging)
            ring_write(ring, entry, rs);
    }
    if (entry->mark)
        ring_note_dispatch_mark(ring, entry->mark);
    ring_drop_old(ring);
}

void ring_take(Ring *ring, RingItem *item)
{
    switch (item->kind) {
    case RING_ITEM_BEGIN:
        begin(ring, &item->begin);
        break;
    case RING_ITEM_ENTRY:
        take_entry(ring, item->entry);
        break;
    case RING_ITEM_CAUGHT_UP:
        caught_up(ring);
        break;
    }
}

/* --- a ring ---------------------------------------------------------------------------------------------------------
 */
static void look(void *data)
{
    Ring *ring = data;
    int64_t now_ms = clock_unix_ms(ring->g->service->clock);

    ring_drop_old(ring);
    gauge_set(ring->metrics.topics, (double)topics_count(ring->topics));
    gauge_set(ring->metrics.entries, (double)ring->count);
    gauge_set(ring->metrics.bytes, (double)ring->bytes);
    gauge_set(ring->metrics.age, ring->count ? (double)(now_ms - ring->list[ring->first]->at_unix_ms) / 1000 : 0);
}

static void add_metrics(Ring *ring)
{
    Metrics *m = ring->g->service->metrics;
    char labels[64];

    snprintf(labels, sizeof(labels), "domain=\"%s\"", ring->domain);
    ring->metrics.topics = metrics_gauge(m, "atrium_ring_topics",
                                         "Topics that sockets follow, or that the ring has dispatches of.", labels);
    ring->metrics.entries = metrics_gauge(m, "atrium_ring_entries", "Dispatches that are kept.", labels);
    ring->metrics.bytes =
        metrics_gauge(m, "atrium_ring_bytes", "What they take, with the frames that were made of them.", labels);
    ring->metrics.age = metrics_gauge(m, "atrium_ring_oldest_seconds", "Age of the oldest dispatch.", labels);
    ring->metrics.lag =
        metrics_gauge(m, "atrium_ring_lag_seconds", "From the stream to the loop, of the latest dispatches.", labels);
    ring->metrics.held = metrics_gauge(m, "atrium_ring_held_answers", "Answers that wait for a mark.", labels);
    ring->metrics.dispatches = metrics_counter(m, "atrium_ring_dispatches_total", "Dispatches taken.", labels);
    ring->metrics.writes =
        metrics_counter(m, "atrium_ring_writes_total", "Frames of dispatches queued to sockets.", labels);
    ring->metrics.unreadable = metrics_counter(m, "atrium_ring_unreadable_total",
                                               "Dispatches, and frames of them, that could not be read.", labels);
    ring->metrics.losses = metrics_counter(m, "atrium_ring_losses_total",
                                           "Times that dispatches were lost: all sockets came again.", labels);
    ring->metrics.late = metrics_counter(m, "atrium_ring_late_marks_total",
                                         "Answers that waited for a mark, and were sent without it.", labels);
}

Ring *ring_new(Gateway *g, const char *domain)
{
    Ring *ring = xcalloc(1, sizeof(*ring));

    ring->g = g;
    ring->domain = xstrdup(domain);
    stream_name(STREAM_DISPATCHES, domain, ring->stream);
    snprintf(ring->subject, sizeof(ring->subject), "dsp.%s.>", domain);
    ring->topics = topics_new();
    ring->look = loop_timer_new(g->loop, look, ring);
    loop_timer_set(ring->look, RING_LOOK_MS, RING_LOOK_MS);
    ring->pace = loop_timer_new(g->loop, ring_go_on, ring);
    pthread_mutex_init(&ring->lock, NULL);
    pthread_cond_init(&ring->room_made, NULL);
    add_metrics(ring);
    return ring;
}

void ring_free(Ring *ring)
{
    if (!ring)
        return;
    ring_tail_stop(ring);
    ring_holds_free(ring);
    while (ring->count)
        drop_first(ring);
    loop_timer_free(ring->look);
    loop_timer_free(ring->pace);
    topics_free(ring->topics);
    pthread_cond_destroy(&ring->room_made);
    pthread_mutex_destroy(&ring->lock);
    free(ring->list);
    free(ring->domain);
    free(ring);
}

/* --- all rings
 * -------------------------------------------------------------------------------------------------------- */
Ring *ring_find(const Rings *all, const char *domain)
{
    for (Ring *ring = all->first; ring; ring = ring->next)
        if (strcmp(ring->domain, domain) == 0)
            return ring;
    return NULL;
}

void rings_reload(Rings *all)
{
    size_t count;
    const Operation *const *sockets = tables_sockets(all->g->tables, &count);

    for (size_t i = 0; i < count; i++) {
        Ring *ring;
        Err e;

        if (ring_find(all, sockets[i]->domain))
            continue;
        ring = ring_new(all->g, sockets[i]->domain);
        e = ring_tail_start(ring);
        if (err_failed(e))
            LOG_ERROR(all->g->service->log, "ring_without_tail", "domain", ring->domain, "error", (const char *)e.text);
        pthread_mutex_lock(&all->lock);
        ring->next = all->first;
        all->first = ring;
        pthread_mutex_unlock(&all->lock);
    }
}

Rings *rings_new(Gateway *g)
{
    Rings *all = xcalloc(1, sizeof(*all));

    all->g = g;
    pthread_mutex_init(&all->lock, NULL);
    rings_reload(all);
    return all;
}

void rings_free(Rings *all)
{
    if (!all)
        return;
    while (all->first) {
        Ring *ring = all->first;

        all->first = ring->next;
        ring_free(ring);
    }
    pthread_mutex_destroy(&all->lock);
    free(all);
}

bool rings_ready(Rings *all)
{
    bool ready = true;

    pthread_mutex_lock(&all->lock);
    for (const Ring *ring = all->first; ring && ready; ring = ring->next)
        ready = ring->tail && ring->filled && tail_current(ring->tail);
    pthread_mutex_unlock(&all->lock);
    return ready;
}
