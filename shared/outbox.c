/* outbox: rows, and the relay that publishes them.
 *
 * A turn reads the waiting rows by `pos` and publishes all of them at once, each naming the one before it in its stream
 * as the one that the stream must have stored last (Nats-Expected-Last-Msg-Id): when one is not taken, all behind it
 * are refused, so no key's order can break. After such a failure the next turn is careful: the first row of each key,
 * and the next of a key when that is acknowledged, so that what nobody takes holds up its own key alone. Jobs always go
 * so: others publish to their stream, too.
 *
 * Rows are marked after the batch: a relay that dies before publishes them again, and the stream drops what it has by
 * Nats-Msg-Id. Acknowledgements come to an inbox of our own (cnats' asynchronous publish has its own bookkeeping and
 * retries, of which we need none). */
#include "shared/outbox.h"

#include <ctype.h>
#include <jansson.h>
#include <pthread.h>

#include "atrium/realtime.pb-c.h"
#include "atrium/reasons.atrium.h"
#include "shared/streams.h"

enum {
    BATCH_ROWS = 512,
    BATCH_BYTES = 4 * 1024 * 1024, /* of payload; one row may be larger */
    ACK_TIMEOUT_MS = 5000,
    PACE_MS = 4,               /* between the beginnings of two turns: what is committed meanwhile shares the second */
    CONNECTION_CHECK_MS = 100, /* while waiting for acknowledgements */
    STATEMENT_TIMEOUT_MS = 10000,
    LEASE_RETRY_MS = 1000,
    FAILURE_PAUSE_MS = 200,
    FAILURE_LOG_MS = 10000, /* the same failure is logged no more often */
    COUNT_INTERVAL_MS = 1000,
    TURN_SPACING_US = 3000, /* between the beginnings of two turns that find few rows, unless the options say */
    CLEAN_INTERVAL_MS = 15000,
    CLEAN_ROWS = 2000,
    STREAMS_MAX = 8,
    SUBJECT_MAX_BYTES = 256,
    PAYLOAD_MAX_BYTES = 10 * 1024 * 1024,
    DISPATCH_SKIP = 100000 /* more than can have been published without being marked */
};

#define LOCK_KIND "outbox" /* as in OUTBOX_LOCK_SQL */

/* --- rows ------------------------------------------------------------------------------------------------------------
 */
static bool is_token(const char *text)
{
    if (!*text)
        return false;
    for (; *text; text++)
        if (*text == '.' || *text == '*' || *text == '>' || (unsigned char)*text <= ' ' || *text == 0x7f)
            return false;
    return true;
}

OutboxRow outbox_event(Arena *mem, IdSource *ids, const EventType *type, const char *key, const ProtobufCMessage *body)
{
    assert(is_token(key));
    assert(body->descriptor == type->body);
    return (OutboxRow){.id = uuid_v7(ids),
                       .key = arena_strdup(mem, key),
                       .subject = arena_printf(mem, "%s%s", type->subject, key),
                       .ce_type = type->type,
                       .payload = message_pack(mem, body)};
}

OutboxRow outbox_dispatch(Arena *mem, IdSource *ids, const char *domain, const char *topic, const char *key,
                          const ProtobufCMessage *dispatch)
{
    assert(dispatch->descriptor == &atrium__dispatch__descriptor);
    return (OutboxRow){.id = uuid_v7(ids),
                       .key = arena_strdup(mem, key),
                       .subject = arena_printf(mem, "dsp.%s.%s", domain, topic),
                       .ce_type = "atrium.Dispatch",
                       .payload = message_pack(mem, dispatch)};
}

Err outbox_lock(DbTx *tx, const char *key)
{
    return db_lock(tx, LOCK_KIND, slice(key));
}

Err outbox_lock_shared(DbTx *tx, const char *key)
{
    return db_lock_shared(tx, LOCK_KIND, slice(key));
}

Err outbox_insert(DbTx *tx, const OutboxRow *row, bool ordered)
{
    if (row->payload.len > PAYLOAD_MAX_BYTES || strlen(row->subject) >= SUBJECT_MAX_BYTES)
        return err_make(&INTERNAL, "%s: too large for the bus", row->ce_type);
    if (ordered)
        TRY(outbox_lock(tx, row->key));
    return db_exec(tx, "INSERT INTO outbox (id, key, subject, ce_type, payload) VALUES ($1, $2, $3, $4, $5)",
                   DB_ARGS(OUTBOX_ARGS(row)));
}

/* --- the relay --------------------------------------------------------------------------------------------------- */
typedef struct StreamState {
    char name[64];
    int64_t epoch;     /* when it was created; 0: there is none */
    uint64_t last_seq; /* as far as we know */
} StreamState;

struct OutboxRelay {
    OutboxOptions options;
    char domain[48];
    char upper[48];
    char source[64];
    Lease *lease;
    natsSubscription *acks;
    char inbox[128];
    uint64_t generation; /* of the batch in flight: late acknowledgements of earlier ones are not ours */
    StreamState streams[STREAMS_MAX];
    int stream_count;
    bool streams_known;
    bool careful; /* the last turn had a failure */
    uint64_t reconnects;
    int64_t cleaned_ms, counted_ms, logged_ms, began_ms;
    int64_t turn_us; /* when the last turn began */
    Arena *mem;      /* reset each turn */
    _Atomic uint64_t backlog;
    Counter *published, *failed; /* NULL without metrics */
    Gauge *waiting;

    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake, settled_now;
    bool nudged, stop;
    uint64_t asked, settled; /* calls of outbox_settle so far; those whose rows are published */
};

typedef struct Waiting {
    int64_t pos, created_us;
    Uuid id;
    const char *key, *subject, *ce_type;
    Slice payload;
    int next, previous; /* of the same key, -1: none */
    bool sent, acked;
    const StreamState *stream;
    int64_t seq;
} Waiting;

static int64_t now_ms(void)
{
    return clock_monotonic_ms(&SYSTEM_CLOCK);
}

/* --- streams ----------------------------------------------------------------------------------------------------- */
static Err require_streams(OutboxRelay *r)
{
    TRY(stream_require(r->options.bus, STREAM_EVENTS, r->domain));
    return r->options.dispatches ? stream_require(r->options.bus, STREAM_DISPATCHES, r->domain) : OK;
}

/* What the server has now; a stream that is not there has epoch 0. */
static Err ask_stream(OutboxRelay *r, const char *name, StreamState *out)
{
    jsStreamInfo *info = NULL;
    jsErrCode code = 0;
    natsStatus status = js_GetStreamInfo(&info, bus_jetstream(r->options.bus), name, NULL, &code);
    StreamState state = {.epoch = 0};

    snprintf(state.name, sizeof state.name, "%s", name); /* `name` may be that of `out` */
    if (status == NATS_OK) {
        state.epoch = info->Created;
        state.last_seq = info->State.LastSeq;
        jsStreamInfo_Destroy(info);
    } else if (status != NATS_NOT_FOUND && code != JSStreamNotFoundErr) {
        return bus_err(status, "ask for the stream");
    }
    *out = state;
    return OK;
}

static StreamState *find_stream(OutboxRelay *r, const char *name)
{
    for (int i = 0; i < r->stream_count; i++)
        if (strcmp(r->streams[i].name, name) == 0)
            return &r->streams[i];
    return NULL;
}

static Err remember_stream(OutboxRelay *r, const char *name, StreamState **out)
{
    StreamState state;

    TRY(ask_stream(r, name, &state));
    if (r->stream_count == STREAMS_MAX) /* a service publishes to three streams at most */
        return err_make(&INTERNAL, "%s: too many streams", name);
    r->streams[r->stream_count] = state;
    *out = &r->streams[r->stream_count++];
    return OK;
}

/* Dispatches carry numbers that clients have seen: a stream that would give them out again is emptied and counts on far
 * beyond the last one that we know of, and nothing is repeated. Who finds a jump in the numbers starts afresh. (It
 * could also be made anew, but a service may not make streams.) */
static Err skip_numbers(OutboxRelay *r, StreamState *stream, uint64_t given_out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    uint64_t last = MAX(given_out, stream->last_seq) + DISPATCH_SKIP;
    jsErrCode code = 0;
    jsOptions options;

    LOG_WARN(r->options.log, "dispatch_stream_behind", "stream", (const char *)stream->name, "last_seq",
             stream->last_seq, "counts_on_after", last);
    jsOptions_Init(&options);
    options.Stream.Purge.Sequence = last + 1;
    TRY(bus_err(js_PurgeStream(bus_jetstream(r->options.bus), stream->name, &options, &code),
                "empty the dispatch stream"));
    TRY(ask_stream(r, stream->name, stream));
    TRY(db_tx_begin_with(r->options.db, STATEMENT_TIMEOUT_MS, &tx));
    TRY(db_exec(&tx, "UPDATE outbox SET ack_epoch = $2 WHERE acked_at IS NOT NULL AND ack_stream = $1",
                DB_ARGS(db_text(slice(stream->name)), db_int64(stream->epoch))));
    return db_tx_commit(&tx);
}

/* Rows that a stream acknowledged and no longer knows wait again. */
static Err take_back(OutboxRelay *r, const StreamState *stream)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t count;

    TRY(db_tx_begin_with(r->options.db, STATEMENT_TIMEOUT_MS, &tx));
    TRY(db_exec_count(
        &tx,
        "UPDATE outbox SET acked_at = NULL WHERE acked_at IS NOT NULL AND ack_stream = $1"
        " AND (ack_seq > $2 OR ack_epoch <> $3)",
        DB_ARGS(db_text(slice(stream->name)), db_int64((int64_t)stream->last_seq), db_int64(stream->epoch)), &count));
    LOG_WARN(r->options.log, "stream_behind", "stream", (const char *)stream->name, "last_seq", stream->last_seq,
             "published_again", count);
    return db_tx_commit(&tx);
}

/* Compares what the streams hold with what they acknowledged: a file store is not synced per message, and a restored
 * one is older. At the start, after every reconnect, and when a publish failed. */
static Err check_streams(OutboxRelay *r)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    r->stream_count = 0;
    TRY(require_streams(r));
    TRY(db_read_with(r->options.db, STATEMENT_TIMEOUT_MS,
                     "SELECT ack_stream, max(ack_seq), min(ack_epoch), max(ack_epoch) FROM outbox"
                     " WHERE acked_at IS NOT NULL GROUP BY ack_stream",
                     DB_NO_ARGS, &rows));
    for (int i = 0; i < rows.count; i++) {
        StreamState *stream = NULL;
        uint64_t given_out;

        TRY(remember_stream(r, db_get_cstr(r->mem, &rows, i, 0), &stream));
        assert(stream);
        given_out = (uint64_t)db_get_int64(&rows, i, 1);
        if (given_out <= stream->last_seq && db_get_int64(&rows, i, 2) == stream->epoch &&
            db_get_int64(&rows, i, 3) == stream->epoch)
            continue;
        if (strncmp(stream->name, "DSP_", 4) == 0)
            TRY(skip_numbers(r, stream, given_out));
        else
            TRY(take_back(r, stream));
    }
    r->streams_known = true;
    return OK;
}

static uint64_t count_reconnects(Bus *bus)
{
    natsStatistics *counts = NULL;
    uint64_t reconnects = 0;

    if (natsStatistics_Create(&counts) != NATS_OK)
        abort(); /* memory */
    if (natsConnection_GetStats(bus_nats(bus), counts) == NATS_OK)
        natsStatistics_GetCounts(counts, NULL, NULL, NULL, NULL, &reconnects);
    natsStatistics_Destroy(counts);
    return reconnects;
}

/* True while there has been one connection since the streams were looked at. What was in flight on an earlier one is
 * answered no more; and a server that was away may have come back with an older state, so that publishing on would
 * overtake what it lost. */
static bool same_connection(const OutboxRelay *r)
{
    return bus_connected(r->options.bus) && count_reconnects(r->options.bus) == r->reconnects;
}

/* --- one batch --------------------------------------------------------------------------------------------------- */
static Err read_batch(OutboxRelay *r, Waiting **out, int *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Waiting *list;

    TRY(db_read_with(r->options.db, STATEMENT_TIMEOUT_MS,
                     "SELECT pos, created_at, id, key, subject, ce_type, payload FROM ("
                     "  SELECT *, sum(octet_length(payload)) OVER (ORDER BY pos) - octet_length(payload) AS before"
                     "  FROM outbox WHERE acked_at IS NULL ORDER BY pos LIMIT $1) AS batch"
                     " WHERE before <= $2 ORDER BY pos",
                     DB_ARGS(db_int64(BATCH_ROWS), db_int64(BATCH_BYTES)), &rows));
    list = ARENA_ARRAY(r->mem, Waiting, rows.count);
    for (int i = 0; i < rows.count; i++) {
        Slice payload = db_get_bytes(&rows, i, 6);
        list[i] = (Waiting){.pos = db_get_int64(&rows, i, 0),
                            .created_us = db_get_time_us(&rows, i, 1),
                            .id = db_get_uuid(&rows, i, 2),
                            .key = db_get_cstr(r->mem, &rows, i, 3),
                            .subject = db_get_cstr(r->mem, &rows, i, 4),
                            .ce_type = db_get_cstr(r->mem, &rows, i, 5),
                            .payload = slice_of(arena_memdup(r->mem, payload.ptr, payload.len), payload.len),
                            .next = -1,
                            .previous = -1};
    }
    *out = list;
    *out_count = rows.count;
    return OK;
}

/* Each row learns the next one of its key. */
static void link_keys(Waiting *list, int count)
{
    enum { SLOTS = 4 * BATCH_ROWS };
    int last[SLOTS]; /* open addressing: the latest row of each key */

    for (int i = 0; i < SLOTS; i++)
        last[i] = -1;
    for (int i = 0; i < count; i++) {
        uint32_t hash = 2166136261u;
        size_t at;

        for (const char *c = list[i].key; *c; c++)
            hash = (hash ^ (uint8_t)*c) * 16777619u;
        for (at = hash % SLOTS; last[at] >= 0 && strcmp(list[last[at]].key, list[i].key) != 0;)
            at = (at + 1) % SLOTS;
        if (last[at] >= 0) {
            list[last[at]].next = i;
            list[i].previous = last[at];
        }
        last[at] = i;
    }
}

/* `after`: the one that the stream must have stored last; NULL: any. */
static Err publish(OutboxRelay *r, Waiting *row, int index, const Waiting *after)
{
    char reply[192], id[UUID_TEXT_BYTES], before[UUID_TEXT_BYTES], when[TIME_TEXT_BYTES];
    BusHeader headers[] = {{"Nats-Msg-Id", id},
                           {"Nats-Expected-Last-Msg-Id", after ? before : NULL},
                           {"ce-specversion", "1.0"},
                           {"ce-id", id},
                           {"ce-source", r->source},
                           {"ce-type", row->ce_type},
                           {"ce-time", when},
                           {"ce-subject", row->key},
                           {"Content-Type", "application/protobuf"}};

    if (!same_connection(r))
        return err_make(&UNAVAILABLE, "publish: the bus was away");
    /* Asked for each row: who was stopped in the middle of a batch must not go on with what another has published
     * since. What slips through in between is dropped by its id. */
    if (!lease_held(r->lease))
        return err_make(&UNAVAILABLE, "publish: the lease is lost");
    uuid_format(row->id, id);
    if (after)
        uuid_format(after->id, before);
    time_format(row->created_us, 6, when);
    snprintf(reply, sizeof reply, "%s.%" PRIu64 "_%d", r->inbox, r->generation, index);
    row->sent = true;
    return bus_publish(r->options.bus, row->subject, reply, headers, ARRAY_LEN(headers), row->payload);
}

/* {"stream":"EVT_AUTH","seq":7}; with "error":{…} it did not take it, though it says its name all the same. */
static Err read_ack(OutboxRelay *r, natsMsg *msg, Waiting *row)
{
    json_t *ack = json_loadb(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg), 0, NULL);
    const char *name = json_string_value(json_object_get(ack, "stream"));
    json_t *error = json_object_get(ack, "error");
    const char *problem = json_string_value(json_object_get(error, "description"));
    StreamState *stream;
    Err e = OK;

    if (!name || error) {
        e = err_make(&UNAVAILABLE, "%s: %s", row->subject, problem ? problem : "no stream takes it");
    } else {
        stream = find_stream(r, name);
        if (!stream)
            e = remember_stream(r, name, &stream);
        if (!err_failed(e) && stream) {
            row->acked = true;
            row->stream = stream;
            row->seq = json_integer_value(json_object_get(ack, "seq"));
            /* A stream that counts from below what it had was made anew behind our back. */
            if (!json_is_true(json_object_get(ack, "duplicate")) && (uint64_t)row->seq <= stream->last_seq)
                r->streams_known = false;
            stream->last_seq = MAX(stream->last_seq, (uint64_t)row->seq);
        }
    }
    json_decref(ack);
    return e;
}

/* Index of the row that a reply belongs to; -1 when it is none of this batch. */
static int reply_index(const OutboxRelay *r, natsMsg *msg, int count)
{
    const char *tail = natsMsg_GetSubject(msg) + strlen(r->inbox) + 1;
    char *end;
    uint64_t generation = strtoull(tail, &end, 10);
    long index = *end == '_' ? strtol(end + 1, NULL, 10) : -1;

    return generation == r->generation && index >= 0 && index < count ? (int)index : -1;
}

/* Events and dispatches: nobody but us publishes to these streams. */
static int chain_of(const Waiting *row)
{
    return strncmp(row->subject, "evt.", 4) == 0 ? 0 : strncmp(row->subject, "dsp.", 4) == 0 ? 1 : -1;
}

/* May it be sent before the one of its key that is before it has been acknowledged? Only in one chain with it. */
static bool may_follow(const OutboxRelay *r, const Waiting *list, const Waiting *row)
{
    const Waiting *previous = row->previous >= 0 ? &list[row->previous] : NULL;

    if (!previous)
        return true;
    return !r->careful && previous->sent && chain_of(row) >= 0 && chain_of(row) == chain_of(previous);
}

/* All that needs no acknowledgement of another first. */
static Err publish_first(OutboxRelay *r, Waiting *list, int count, int *out_in_flight)
{
    const Waiting *last[2] = {NULL, NULL};

    for (int i = 0; i < count; i++) {
        int chain = r->careful ? -1 : chain_of(&list[i]);

        if (!may_follow(r, list, &list[i]))
            continue;
        TRY(publish(r, &list[i], i, chain >= 0 ? last[chain] : NULL));
        (*out_in_flight)++;
        if (chain >= 0)
            last[chain] = &list[i];
    }
    return OK;
}

/* The acknowledgement of a row; what waited for it is sent. */
static Err take_ack(OutboxRelay *r, natsMsg *msg, Waiting *list, int i, int *in_flight)
{
    int next = list[i].next;

    (*in_flight)--;
    TRY(read_ack(r, msg, &list[i]));
    if (next < 0 || list[next].sent)
        return OK;
    TRY(publish(r, &list[next], next, NULL));
    (*in_flight)++;
    return OK;
}

/* A failure is returned after everything in flight has answered. It holds up its key; others go on. */
static Err publish_batch(OutboxRelay *r, Waiting *list, int count)
{
    int in_flight = 0;
    Err failure, e;

    r->generation++;
    failure = publish_first(r, list, count, &in_flight);
    for (int64_t deadline_ms = now_ms() + ACK_TIMEOUT_MS; in_flight > 0;) {
        natsMsg *msg = NULL;
        natsStatus status =
            natsSubscription_NextMsg(&msg, r->acks, MIN(MAX(deadline_ms - now_ms(), 1), CONNECTION_CHECK_MS));
        int i = msg ? reply_index(r, msg, count) : -1;

        if (status == NATS_TIMEOUT && now_ms() < deadline_ms && same_connection(r))
            continue;
        if (!msg && status != NATS_NO_RESPONDERS)
            return err_failed(failure) ? failure : bus_err(status, "acknowledgement of the stream");
        if (!msg) { /* cnats keeps to itself which one it was: its row stays unacknowledged */
            in_flight--;
            failure = err_make(&UNAVAILABLE, "no stream takes a message");
            continue;
        }
        if (i >= 0) {
            e = take_ack(r, msg, list, i, &in_flight);
            if (err_failed(e) && !err_failed(failure)) /* what it refused behind the first only followed from that */
                failure = e;
        }
        natsMsg_Destroy(msg);
    }
    return failure;
}

static Err mark_acked(OutboxRelay *r, const Waiting *list, int count, int *out_marked)
{
    int64_t *pos = ARENA_ARRAY(r->mem, int64_t, count), *seq = ARENA_ARRAY(r->mem, int64_t, count);
    int64_t *epoch = ARENA_ARRAY(r->mem, int64_t, count);
    Slice *stream = ARENA_ARRAY(r->mem, Slice, count);
    CLEANUP(db_rows_done) DbRows rows = {0};
    size_t n = 0;

    for (int i = 0; i < count; i++) {
        if (!list[i].acked)
            continue;
        pos[n] = list[i].pos;
        seq[n] = list[i].seq;
        epoch[n] = list[i].stream->epoch;
        stream[n++] = slice(list[i].stream->name);
    }
    *out_marked = (int)n;
    if (n == 0)
        return OK;
    return db_read_with(
        r->options.db, STATEMENT_TIMEOUT_MS,
        "UPDATE outbox AS o SET acked_at = now(), ack_stream = a.stream, ack_seq = a.seq,"
        " ack_epoch = a.epoch"
        " FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[]) AS a (pos, stream, seq, epoch)"
        " WHERE o.pos = a.pos AND o.acked_at IS NULL",
        DB_ARGS(db_int64_array(pos, n), db_text_array(stream, n), db_int64_array(seq, n), db_int64_array(epoch, n)),
        &rows);
}

/* --- turns ------------------------------------------------------------------------------------------------------- */
static void set_backlog(OutboxRelay *r, uint64_t rows)
{
    r->backlog = rows;
    if (r->waiting)
        gauge_set(r->waiting, (double)rows);
}

/* A batch that is not full is all there was. A long backlog is counted now and then. */
static Err count_backlog(OutboxRelay *r, int count, int marked)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    if (count < BATCH_ROWS) {
        set_backlog(r, (uint64_t)(count - marked));
        return OK;
    }
    if (now_ms() - r->counted_ms < COUNT_INTERVAL_MS)
        return OK;
    r->counted_ms = now_ms();
    TRY(db_read_with(r->options.db, STATEMENT_TIMEOUT_MS, "SELECT count(*) FROM outbox WHERE acked_at IS NULL",
                     DB_NO_ARGS, &rows));
    set_backlog(r, (uint64_t)db_get_int64(&rows, 0, 0));
    return OK;
}

static Err clean(OutboxRelay *r)
{
    int64_t deleted = CLEAN_ROWS;

    if (now_ms() - r->cleaned_ms < MIN(CLEAN_INTERVAL_MS, MAX(r->options.keep_acked_ms, r->options.poll_ms)))
        return OK;
    r->cleaned_ms = now_ms();
    while (deleted == CLEAN_ROWS) {
        CLEANUP(db_tx_done) DbTx tx = {0};
        TRY(db_tx_begin_with(r->options.db, STATEMENT_TIMEOUT_MS, &tx));
        TRY(db_exec_count(&tx,
                          "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE acked_at <"
                          " now() - $1 * interval '1 millisecond' LIMIT $2)",
                          DB_ARGS(db_double((double)r->options.keep_acked_ms), db_int64(CLEAN_ROWS)), &deleted));
        TRY(db_tx_commit(&tx));
    }
    return OK;
}

/* Was that not all there is? */
static bool is_full(const Waiting *list, int count)
{
    size_t bytes = 0;

    for (int i = 0; i < count; i++)
        bytes += list[i].payload.len;
    return count == BATCH_ROWS || bytes > BATCH_BYTES;
}

/* `*out_more`: there may be more, and there is no need to wait for it. */
static Err turn(OutboxRelay *r, bool *out_more)
{
    uint64_t reconnects = count_reconnects(r->options.bus);
    int count, marked = 0;
    Waiting *list;
    Err e;

    *out_more = false;
    if (reconnects != r->reconnects)
        r->streams_known = false;
    r->reconnects = reconnects;
    if (!r->streams_known)
        TRY(check_streams(r));
    TRY(read_batch(r, &list, &count));
    if (count == 0) {
        set_backlog(r, 0);
        return clean(r);
    }
    link_keys(list, count);
    e = publish_batch(r, list, count);
    r->careful = err_failed(e);
    TRY(mark_acked(r, list, count, &marked));
    if (r->published)
        counter_add(r->published, (uint64_t)marked);
    *out_more = marked > 0 && (err_failed(e) || is_full(list, count));
    TRY(count_backlog(r, count, marked));
    if (err_failed(e)) {
        r->streams_known = false;
        return e;
    }
    return clean(r);
}

static void report(OutboxRelay *r, Err e)
{
    if (r->failed)
        counter_add(r->failed, 1);
    if (r->logged_ms != 0 && now_ms() - r->logged_ms < FAILURE_LOG_MS)
        return;
    r->logged_ms = now_ms();
    LOG_WARN(r->options.log, "outbox_failed", "reason", e.reason->key, "error", (const char *)e.text, "backlog",
             (uint64_t)r->backlog);
}

static bool may_work(const OutboxRelay *r)
{
    return lease_held(r->lease) && bus_connected(r->options.bus) && bus_slot_active(r->options.bus);
}

/* With the lock. */
static void wait_until(OutboxRelay *r, int64_t until_ms, bool nudges_count)
{
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};

    while (!r->stop && !(nudges_count && r->nudged) && now_ms() < until_ms)
        pthread_cond_timedwait(&r->wake, &r->lock, &until);
}

/* Until a nudge, or `ms` are over; a failure's pause is not shortened by nudges. False when it is time to stop. */
static bool wait_for_work(OutboxRelay *r, int64_t ms, bool failed, uint64_t *out_asked)
{
    bool stop;

    pthread_mutex_lock(&r->lock);
    wait_until(r, now_ms() + ms, !failed);
    if (ms > 0)
        wait_until(r, r->began_ms + PACE_MS, false);
    r->began_ms = now_ms();
    r->nudged = false;
    *out_asked = r->asked;
    stop = r->stop;
    pthread_mutex_unlock(&r->lock);
    return !stop;
}

/* A turn that began after these were asked left nothing behind. */
static void settle(OutboxRelay *r, uint64_t asked)
{
    pthread_mutex_lock(&r->lock);
    r->settled = asked;
    pthread_cond_broadcast(&r->settled_now);
    pthread_mutex_unlock(&r->lock);
}

/* Each commit nudges. Without a pause a busy service would pay a turn, with its statements, for every row or two; with
 * it, a row that comes alone still leaves at once. */
static void space_turns(OutboxRelay *r)
{
    int64_t spacing_us = r->options.spacing_ms ? r->options.spacing_ms * 1000 : TURN_SPACING_US;
    int64_t early_us = r->turn_us + spacing_us - clock_monotonic_us(&SYSTEM_CLOCK);
    const struct timespec pause = {.tv_nsec = early_us * 1000};

    if (early_us > 0 && early_us <= spacing_us)
        (void)nanosleep(&pause, NULL); /* cut short by a signal it was a shorter pause */
    r->turn_us = clock_monotonic_us(&SYSTEM_CLOCK);
}

static void *run(void *data)
{
    OutboxRelay *r = data;
    bool more = false, failed = false;
    uint64_t asked;

    while (wait_for_work(r, failed ? FAILURE_PAUSE_MS : more ? 0 : r->options.poll_ms, failed, &asked)) {
        if (!more)
            space_turns(r);
        more = false;
        failed = true;
        if (may_work(r)) {
            Err e = turn(r, &more);
            if (err_failed(e))
                report(r, e);
            else if (r->backlog == 0)
                settle(r, asked);
            failed = err_failed(e) && !more;
            arena_reset(r->mem);
        } else {
            r->streams_known = false; /* another relay may have worked meanwhile */
        }
    }
    return NULL;
}

/* --- starting and stopping --------------------------------------------------------------------------------------- */
static void add_metrics(OutboxRelay *r, Metrics *metrics)
{
    r->published =
        metrics_counter(metrics, "atrium_outbox_published_total", "Outbox rows acknowledged by a stream.", "");
    r->failed = metrics_counter(metrics, "atrium_outbox_failures_total", "Turns of the outbox relay that failed.", "");
    r->waiting = metrics_gauge(metrics, "atrium_outbox_backlog", "Outbox rows not yet acknowledged.", "");
}

static OutboxRelay *make(const OutboxOptions *options)
{
    OutboxRelay *r = xcalloc(1, sizeof *r);
    pthread_condattr_t attributes;

    assert(options->spacing_ms >= 0 && options->spacing_ms < 1000);
    r->options = *options;
    r->options.poll_ms = MAX(options->poll_ms, 1);
    r->mem = arena_new(256 * 1024);
    snprintf(r->domain, sizeof r->domain, "%s", options->domain);
    for (size_t i = 0; r->domain[i]; i++)
        r->upper[i] = (char)toupper((unsigned char)r->domain[i]);
    snprintf(r->source, sizeof r->source, "//atrium/%s", r->domain);
    snprintf(r->inbox, sizeof r->inbox, "_INBOX.%s.outbox.%s%" PRIx64, bus_name(options->bus),
             bus_instance(options->bus), random_uint64());
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&r->wake, &attributes);
    pthread_cond_init(&r->settled_now, &attributes);
    pthread_condattr_destroy(&attributes);
    if (options->metrics)
        add_metrics(r, options->metrics);
    return r;
}

static void destroy(OutboxRelay *r)
{
    lease_free(r->lease);
    natsSubscription_Destroy(r->acks);
    arena_free(r->mem);
    pthread_cond_destroy(&r->wake);
    pthread_cond_destroy(&r->settled_now);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

Err outbox_relay_start(const OutboxOptions *options, OutboxRelay **out)
{
    OutboxRelay *r = make(options);
    Err e = require_streams(r);

    if (!err_failed(e))
        e = bus_err(
            natsConnection_SubscribeSync(&r->acks, bus_nats(options->bus), arena_printf(r->mem, "%s.*", r->inbox)),
            "subscribe to acknowledgements");
    if (err_failed(e)) {
        destroy(r);
        return err_wrap(e, "outbox");
    }
    r->lease = lease_new(options->db, options->log, "outbox", LEASE_RETRY_MS);
    if (pthread_create(&r->thread, NULL, run, r) != 0)
        abort(); /* no more threads: as good as no more memory */
    *out = r;
    return OK;
}

void outbox_nudge(OutboxRelay *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->nudged = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

bool outbox_settle(OutboxRelay *r, int64_t timeout_ms)
{
    int64_t until_ms = now_ms() + timeout_ms;
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    uint64_t mine;
    bool settled;

    if (!r || !lease_held(r->lease)) {
        outbox_nudge(r);
        return false;
    }
    pthread_mutex_lock(&r->lock);
    mine = ++r->asked;
    r->nudged = true;
    pthread_cond_signal(&r->wake);
    while (r->settled < mine && !r->stop && now_ms() < until_ms)
        pthread_cond_timedwait(&r->settled_now, &r->lock, &until);
    settled = r->settled >= mine;
    pthread_mutex_unlock(&r->lock);
    return settled;
}

void outbox_relay_stop(OutboxRelay *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_signal(&r->wake);
    pthread_cond_broadcast(&r->settled_now);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    destroy(r);
}

uint64_t outbox_backlog(const OutboxRelay *r)
{
    return r->backlog;
}
