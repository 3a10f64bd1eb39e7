/* feed_tail: the background of the change feed, one thread per instance: it numbers what has been committed, keeps the
 * latest rows in a ring, and sends them to all who watch, with as much as each one's credit allows; see feed.h.
 *
 * The lock is of the nudges and of the watchers that have just come; everything else is the thread's own. */
#include <pthread.h>

#include "atrium/bus.pb-c.h"
#include "atrium/reasons.atrium.h"
#include "services/events/filters.h"
#include "services/events/store_feed.h"
#include "shared/message.h"

enum {
    NUMBER_BATCH = 500,
    TELL_BATCH = 200, /* changes handed to webhooks in a turn */
    TELL_TIMEOUT_MS = 5000,
    TELL_AGAIN_MS = 2000, /* after a failure */
    DB_TIMEOUT_MS = 10000,
    LOOK_MS = 500,  /* without a nudge: what another instance has written or numbered */
    PAUSE_MS = 40,  /* before a turn, so that what is committed meanwhile shares its commit */
    BEHIND_MS = 50, /* somebody waits for credit, or for the table */
    FAILED_MS = 1000,
    RING_ROWS = 512,
    SEATS = 4096,
    RING_BYTES_MAX = 4 * 1024 * 1024,
    RING_READ = 100,  /* rows a statement */
    PAGE_READ = 50,   /* for one watcher that is behind the ring, */
    PAGE_SCAN = 2000, /* out of so many, */
    PAGE_TIMEOUT_MS = 1000,
    PAGES_A_TURN = 8, /* over all watchers: numbering waits for them */
    STALLED_S = 60,   /* who takes nothing of what waits for him for so long has to come again */
    HELD_MAX_BYTES = 8 * 1024 * 1024,
    TURN_BYTES = 64 * 1024
};

typedef struct Watcher Watcher;
struct Watcher {
    Watcher *next;
    RpcStream *stream;
    RpcDeferred *deferred;
    FeedFilter filter;  /* in the request's arena, as the watcher */
    int64_t position;   /* the last number that it has, or does not want */
    uint32_t seat;      /* of its address */
    bool greeted;       /* it knows where it begins */
    bool waits;         /* there is more than its credit allows */
    int64_t stalled_us; /* since when it has not taken what is there; 0: it has */
    Slice held; /* read from the table, and more than its credit: until it takes this, nothing is read for it; malloc */
    int64_t held_sequence;
};

typedef struct RingRow {
    int64_t sequence;
    char action[8], entity[16];
    char *bytes; /* one allocation: */
    Slice plain, full;
} RingRow;

struct Feed {
    FeedOptions options;
    pthread_t thread;
    bool running;
    Gauge *watching;
    Counter *numbered;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    unsigned nudges;
    bool stopping;
    Watcher *arrived;
    size_t watcher_count;  /* those that have arrived, too */
    uint16_t seats[SEATS]; /* the same by address; addresses of one hash share theirs */

    Watcher *watchers; /* from here on the thread's own */
    RingRow ring[RING_ROWS];
    size_t first, count, ring_bytes;
    int64_t before; /* the number before the ring's first row: it has all that follows, up to `head` */
    int64_t head;
    bool ring_open;          /* it is kept while somebody watches */
    size_t pages, page_turn; /* read in this turn; whose turn it is among those behind the ring */
    size_t behind;           /* how many of them were met in this turn */
    size_t held_bytes;       /* of all watchers */
    int64_t tell_batch, tell_after_us;
};

/* --- the ring ---------------------------------------------------------------------------------------------------- */
static RingRow *ring_at(Feed *f, size_t index)
{
    return &f->ring[(f->first + index) % RING_ROWS];
}

static void drop_oldest(Feed *f)
{
    RingRow *row = ring_at(f, 0);

    f->before = row->sequence;
    f->ring_bytes -= row->plain.len + row->full.len;
    free(row->bytes);
    *row = (RingRow){.bytes = NULL};
    f->first = (f->first + 1) % RING_ROWS;
    f->count--;
}

static void empty_ring(Feed *f, int64_t position)
{
    while (f->count)
        drop_oldest(f);
    f->before = f->head = position;
}

static Slice pack_entry(Arena *mem, const char *base_url, const ChangeRow *row, bool snapshot)
{
    Atrium__EventBody event = ATRIUM__EVENT_BODY__INIT;
    StrBuf text = strbuf_new(mem, 8 * 1024 * 1024);
    Slice data;

    feed_write_entry(&text, base_url, row, snapshot);
    if (!strbuf_finish(&text, &data))
        data = SLICE_LIT("{}"); /* an entry and its document are bounded far below that */
    event.id = feed_cursor(mem, row->sequence);
    SET(&event, data, ((ProtobufCBinaryData){.len = data.len, .data = (uint8_t *)(uintptr_t)data.ptr}));
    return message_pack(mem, &event.base);
}

static void add_row(Feed *f, Arena *mem, const ChangeRow *row)
{
    Slice plain = pack_entry(mem, f->options.base_url, row, false);
    Slice full = pack_entry(mem, f->options.base_url, row, true);
    RingRow *at;

    while (row->withheld && f->count) /* what is older may show it: the table knows better */
        drop_oldest(f);
    while (f->count == RING_ROWS || (f->count && f->ring_bytes + plain.len + full.len > RING_BYTES_MAX))
        drop_oldest(f);
    at = ring_at(f, f->count++);
    *at = (RingRow){.sequence = row->sequence, .bytes = xmalloc(plain.len + full.len)};
    (void)snprintf(at->action, sizeof(at->action), "%s", row->action);
    (void)snprintf(at->entity, sizeof(at->entity), "%s", feed_entity_name(row->entity));
    memcpy(at->bytes, plain.ptr, plain.len);
    memcpy(at->bytes + plain.len, full.ptr, full.len);
    at->plain = slice_of(at->bytes, plain.len);
    at->full = slice_of(at->bytes + plain.len, full.len);
    f->ring_bytes += plain.len + full.len;
    f->head = row->sequence;
}

static const FeedFilter ALL = {.action = "", .entity = "", .snapshots = true};

static Err read_rows(Feed *f, Arena *mem, int64_t limit, ChangePage *out)
{
    return events_store_changes_with(f->options.db, DB_TIMEOUT_MS, mem, &ALL, f->head, limit, INT64_MAX, out);
}

/* Begins where the feed is now. Who is further back is served from the table. */
static Err open_ring(Feed *f)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    ChangePage page;

    if (f->ring_open)
        return OK;
    TRY(read_rows(f, mem, 0, &page));
    empty_ring(f, page.head);
    f->ring_open = true;
    return OK;
}

/* All that is new. */
static Err fill_ring(Feed *f)
{
    ChangePage page;

    TRY(open_ring(f));
    do {
        CLEANUP(arena_free_at) Arena *mem = arena_new(TURN_BYTES);

        TRY(read_rows(f, mem, RING_READ, &page));
        if (page.head - f->head > RING_ROWS) { /* too far to be worth it */
            empty_ring(f, page.head);
            return OK;
        }
        for (size_t i = 0; i < page.count; i++)
            add_row(f, mem, &page.rows[i]);
    } while (page.reached < page.head);
    return OK;
}

/* --- those who watch --------------------------------------------------------------------------------------------- */
static bool wants(const FeedFilter *filter, const char *action, const char *entity)
{
    return (!*filter->action || strcmp(filter->action, action) == 0) &&
           (!*filter->entity || strcmp(filter->entity, entity) == 0);
}

static Err try_send(Watcher *w, Slice packed, bool *out_sent)
{
    TRY(rpc_stream_try(w->stream, packed, out_sent));
    if (*out_sent)
        w->stalled_us = 0;
    else if (!w->stalled_us)
        w->stalled_us = clock_monotonic_us(&SYSTEM_CLOCK);
    return OK;
}

static Err greet(Watcher *w)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    Atrium__EventBody event = ATRIUM__EVENT_BODY__INIT;
    char *data;

    event.id = feed_cursor(mem, w->position);
    event.event = arena_strdup(mem, "position");
    data = arena_printf(mem, "{\"cursor\":\"%s\"}", event.id);
    SET(&event, data, ((ProtobufCBinaryData){.len = strlen(data), .data = (uint8_t *)data}));
    return try_send(w, message_pack(mem, &event.base), &w->greeted);
}

static Err send_from_ring(Feed *f, Watcher *w)
{
    /* Rows of the ring have numbers one after the other: none is left out when it is filled. */
    for (size_t i = (size_t)(w->position - f->before); i < f->count; i++) {
        const RingRow *row = ring_at(f, i);
        bool sent = true;

        if (wants(&w->filter, row->action, row->entity))
            TRY(try_send(w, w->filter.snapshots ? row->full : row->plain, &sent));
        w->waits = !sent;
        if (!sent)
            return OK;
        w->position = row->sequence;
    }
    return OK;
}

static void drop_held(Feed *f, Watcher *w)
{
    f->held_bytes -= w->held.len;
    free((void *)(uintptr_t)w->held.ptr);
    w->held = (Slice){"", 0};
}

static Err hold(Feed *f, Watcher *w, Slice packed, int64_t sequence)
{
    char *copy;

    if (f->held_bytes + packed.len > HELD_MAX_BYTES)
        return err_make(&RATE_LIMITED, "too many read this feed slowly");
    copy = xmalloc(packed.len);
    memcpy(copy, packed.ptr, packed.len);
    w->held = slice_of(copy, packed.len);
    w->held_sequence = sequence;
    f->held_bytes += packed.len;
    return OK;
}

static Err send_held(Feed *f, Watcher *w)
{
    bool sent;

    if (!w->held.len)
        return OK;
    TRY(try_send(w, w->held, &sent));
    if (!sent)
        return OK;
    w->position = w->held_sequence;
    drop_held(f, w);
    return OK;
}

/* One page: the others wait, too. */
static Err send_page(Feed *f, Watcher *w)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(TURN_BYTES);
    ChangePage page;

    TRY(events_store_changes_with(f->options.db, PAGE_TIMEOUT_MS, mem, &w->filter, w->position, PAGE_READ,
                                  w->position + PAGE_SCAN, &page));
    for (size_t i = 0; i < page.count; i++) {
        const ChangeRow *row = &page.rows[i];
        Slice packed = pack_entry(mem, f->options.base_url, row, w->filter.snapshots);
        bool sent;

        TRY(try_send(w, packed, &sent));
        if (!sent)
            return hold(f, w, packed, row->sequence);
        w->position = row->sequence;
    }
    w->position = MAX(w->position, page.reached);
    return OK;
}

/* In turn with the others that are behind the ring. */
static Err send_from_table(Feed *f, Watcher *w)
{
    size_t place = f->behind++;
    Err e;

    w->waits = true;
    if (place < f->page_turn || f->pages == PAGES_A_TURN)
        return OK;
    f->pages++;
    e = send_page(f, w);
    if (err_failed(e)) /* each one may have waited for the time limit */
        f->pages = PAGES_A_TURN;
    return e;
}

static Err serve_watcher(Feed *f, Watcher *w)
{
    w->waits = false;
    if (rpc_stream_cancelled(w->stream))
        return err_make(&CANCELLED, "the reader is gone");
    if (!w->greeted)
        TRY(greet(w));
    else if (w->held.len)
        TRY(send_held(f, w));
    w->waits = !w->greeted || w->held.len;
    if (w->stalled_us && clock_monotonic_us(&SYSTEM_CLOCK) - w->stalled_us > (int64_t)STALLED_S * 1000000)
        return err_make(&RATE_LIMITED, "the reader takes nothing: come again from the last id");
    if (w->waits || w->position >= f->head)
        return OK;
    return w->position < f->before ? send_from_table(f, w) : send_from_ring(f, w);
}

/* Under the lock. */
static void leave(Feed *f, uint32_t seat)
{
    f->watcher_count--;
    f->seats[seat]--;
}

static void end_watcher(Feed *f, Watcher **at, Err e)
{
    Watcher *w = *at;
    uint32_t seat;

    *at = w->next;
    if (w->held.len)
        drop_held(f, w);
    seat = w->seat;
    rpc_finish(w->deferred, e, NULL); /* its memory is gone from here on */
    pthread_mutex_lock(&f->lock);
    leave(f, seat);
    pthread_mutex_unlock(&f->lock);
}

/* A database that is away is no reason to end a stream: it waits. */
static bool ends_it(Err e)
{
    return err_failed(e) && e.reason != &UNAVAILABLE && e.reason != &DEADLINE_EXCEEDED;
}

/* True: somebody waits for credit or is behind. */
static bool serve_watchers(Feed *f)
{
    bool behind = false;
    size_t count = 0;

    f->pages = f->behind = 0;
    for (Watcher **at = &f->watchers; *at;) {
        Err e = serve_watcher(f, *at);

        if (ends_it(e) || rpc_stream_cancelled((*at)->stream)) {
            end_watcher(f, at, err_failed(e) ? e : err_make(&CANCELLED, "the reader is gone"));
            continue;
        }
        behind |= (*at)->waits || err_failed(e);
        at = &(*at)->next;
        count++;
    }
    f->page_turn = f->page_turn + f->pages < f->behind ? f->page_turn + f->pages : 0;
    gauge_set(f->watching, (double)count);
    return behind;
}

static void take_arrivals(Feed *f)
{
    Watcher *arrived;

    pthread_mutex_lock(&f->lock);
    arrived = MOVE(f->arrived);
    pthread_mutex_unlock(&f->lock);
    while (arrived) {
        Watcher *w = arrived;

        arrived = w->next;
        w->next = f->watchers;
        f->watchers = w;
    }
}

/* --- the turns --------------------------------------------------------------------------------------------------- */
static Err number_all(Feed *f)
{
    int64_t count;

    do {
        TRY(events_store_number_changes(f->options.db, DB_TIMEOUT_MS, NUMBER_BATCH, &count));
        counter_add(f->numbered, (uint64_t)count);
    } while (count == NUMBER_BATCH);
    return OK;
}

/* One batch a turn, so that the feed waits for no webhook. What many webhooks want may be too much for one statement:
 * then half of it, until it goes. True: there is more. */
static bool tell_some(Feed *f)
{
    int64_t count = 0, told = 0, now_us = clock_monotonic_us(&SYSTEM_CLOCK);
    bool more;
    Err e;

    if (now_us < f->tell_after_us)
        return false;
    e = events_store_tell_changes(f->options.db, TELL_TIMEOUT_MS, f->options.base_url, f->tell_batch, &count, &told);
    if (err_failed(e)) {
        LOG_WARN(f->options.log, "feed_tell_failed", "error", (const char *)e.text);
        f->tell_batch = MAX(f->tell_batch / 2, 1);
        f->tell_after_us = clock_monotonic_us(&SYSTEM_CLOCK) + (int64_t)TELL_AGAIN_MS * 1000;
        return false;
    }
    more = count == f->tell_batch;
    f->tell_batch = MIN(f->tell_batch * 2, TELL_BATCH);
    if (told)
        webhook_sender_nudge(f->options.webhooks);
    return more;
}

static int64_t take_turn(Feed *f)
{
    bool behind = false;
    Err e = number_all(f);

    take_arrivals(f);
    f->ring_open &= f->watchers != NULL;
    if (!err_failed(e) && f->watchers)
        e = fill_ring(f);
    if (err_failed(e))
        LOG_WARN(f->options.log, "feed_turn_failed", "error", (const char *)e.text);
    else
        behind = tell_some(f);
    behind |= serve_watchers(f);
    return err_failed(e) ? FAILED_MS : behind ? BEHIND_MS : LOOK_MS;
}

/* Until the time is over or, with `news`, a nudge comes that is newer than `seen`. */
static bool wait_on(Feed *f, int64_t ms, bool news, unsigned *seen)
{
    int64_t end_us = clock_monotonic_us(&SYSTEM_CLOCK) + ms * 1000;
    struct timespec end = {.tv_sec = end_us / 1000000, .tv_nsec = end_us % 1000000 * 1000};
    bool stop;
    int rc = 0;

    pthread_mutex_lock(&f->lock);
    while (!f->stopping && !(news && f->nudges != *seen) && rc == 0)
        rc = pthread_cond_timedwait(&f->wake, &f->lock, &end);
    *seen = f->nudges;
    stop = f->stopping;
    pthread_mutex_unlock(&f->lock);
    return !stop;
}

static void *run_feed(void *data)
{
    Feed *f = data;
    unsigned nudges = 0;
    int64_t wait_ms = 0;

    while (wait_on(f, wait_ms, true, &nudges) && wait_on(f, PAUSE_MS, false, &nudges))
        wait_ms = take_turn(f);
    take_arrivals(f);
    while (f->watchers)
        end_watcher(f, &f->watchers, err_make(&UNAVAILABLE, "the server is stopping"));
    empty_ring(f, 0);
    return NULL;
}

Err feed_start(const FeedOptions *options, Feed **out)
{
    Feed *f = xcalloc(1, sizeof(*f));
    pthread_condattr_t monotonic;

    f->options = *options;
    f->tell_batch = TELL_BATCH;
    f->watching = metrics_gauge(options->metrics, "atrium_events_feed_watchers", "Streams of the change feed.", "");
    f->numbered = metrics_counter(options->metrics, "atrium_events_feed_numbered_total",
                                  "Changes that this instance has numbered.", "");
    pthread_mutex_init(&f->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&f->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    f->running = pthread_create(&f->thread, NULL, run_feed, f) == 0;
    if (!f->running) {
        feed_stop(f);
        return err_make(&UNAVAILABLE, "the change feed: no thread");
    }
    *out = f;
    return OK;
}

void feed_nudge(Feed *feed)
{
    if (!feed)
        return;
    pthread_mutex_lock(&feed->lock);
    feed->nudges++;
    pthread_cond_signal(&feed->wake);
    pthread_mutex_unlock(&feed->lock);
}

void feed_stop(Feed *feed)
{
    if (!feed)
        return;
    pthread_mutex_lock(&feed->lock);
    feed->stopping = true;
    pthread_cond_signal(&feed->wake);
    pthread_mutex_unlock(&feed->lock);
    if (feed->running)
        pthread_join(feed->thread, NULL);
    pthread_cond_destroy(&feed->wake);
    pthread_mutex_destroy(&feed->lock);
    free(feed);
}

static Err admit(Feed *f, uint32_t seat)
{
    Err e = OK;

    pthread_mutex_lock(&f->lock);
    if (f->stopping || f->watcher_count >= FEED_WATCHERS_MAX) {
        e = err_make(&UNAVAILABLE, "too many watch this feed");
    } else if (f->seats[seat] >= f->options.streams_per_address) {
        e = err_make(&RATE_LIMITED, "this address has %zu streams open", f->options.streams_per_address);
    } else {
        f->watcher_count++;
        f->seats[seat]++;
    }
    pthread_mutex_unlock(&f->lock);
    return e;
}

static uint32_t seat_of(const Request *rq)
{
    return (uint32_t)(hash_text(HASH_START, rq->client_address ? rq->client_address : "") % SEATS);
}

Err feed_watch(Feed *feed, Request *rq, RpcStream *stream, const FeedFilter *filter, int64_t position)
{
    Watcher *w = ARENA_NEW(rq->mem, Watcher);
    Err e;

    TRY(admit(feed, seat_of(rq)));
    *w = (Watcher){.stream = stream, .filter = *filter, .position = position, .seat = seat_of(rq)};
    e = rpc_defer(rq, &w->deferred);
    pthread_mutex_lock(&feed->lock);
    if (!w->deferred) { /* it cannot be: e says why */
        leave(feed, w->seat);
        pthread_mutex_unlock(&feed->lock);
        return e;
    }
    w->next = feed->arrived;
    feed->arrived = w;
    feed->nudges++;
    pthread_cond_signal(&feed->wake);
    pthread_mutex_unlock(&feed->lock);
    return e;
}
