/* outbox: domain events and dispatches that commit with the change they tell of (DESIGN section 3), and the relay that
 * brings them to JetStream: in order per key, at least once, de-duplicated by Nats-Msg-Id. And the consuming side. */
#pragma once
#include "shared/bus.h"
#include "shared/db.h"
#include "shared/lease.h"
#include "shared/message.h"
#include "shared/metrics.h"

/* Generated from a message with (atrium.event): AUTH_V1_LOGIN_ENDED_EVENT. */
typedef struct EventType {
    const char *subject; /* up to the key: "evt.auth.login.ended." */
    const char *type;    /* CloudEvents type */
    const ProtobufCMessageDescriptor *body;
} EventType;

typedef struct OutboxRow {
    Uuid id;         /* also ce-id and Nats-Msg-Id */
    const char *key; /* ordered per key */
    const char *subject;
    const char *ce_type;
    Slice payload;
} OutboxRow;

/* For an event: subject and key from `key`, which must be a subject token. Borrowed from `mem`. */
OutboxRow outbox_event(Arena *mem, IdSource *ids, const EventType *type, const char *key, const ProtobufCMessage *body);
/* For a Dispatch (proto/atrium/realtime.proto): to `dsp.<domain>.<topic>`. The caller holds the lock of `key`. */
OutboxRow outbox_dispatch(Arena *mem, IdSource *ids, const char *domain, const char *topic, const char *key,
                          const ProtobufCMessage *dispatch);

/* Order. What is inserted under one key is published in the order of the commits when each transaction holds the key's
 * lock before it mints ids and inserts, to its end. Finer: several transactions hold the lock of a wide key (a guild)
 * shared, and that of something within it (a channel, any name that is no key of rows) exclusively; then what happens
 * in one channel is in the order of its commits, different channels do not wait for each other, and who holds the wide
 * key exclusively stands between: nothing posted later overtakes it, and nothing posted before comes after it. The rows
 * of all of them have the wide key. Locks are taken wide first. */
Err outbox_lock(DbTx *tx, const char *key) MUST_CHECK;
Err outbox_lock_shared(DbTx *tx, const char *key) MUST_CHECK;
/* The same within a statement of one's own; `key`: an expression of type text. In a CTE that is MATERIALIZED and that
 * the INSERT into outbox selects from, so that it runs first. */
#define OUTBOX_LOCK_KEY_SQL(key) "hashtextextended(current_schema() || '/lock/outbox/' || " key ", 0)"
#define OUTBOX_LOCK_SQL(key) "pg_advisory_xact_lock(" OUTBOX_LOCK_KEY_SQL(key) ")"
#define OUTBOX_LOCK_SHARED_SQL(key) "pg_advisory_xact_lock_shared(" OUTBOX_LOCK_KEY_SQL(key) ")"

/* Locks the key first when `ordered`: then order per key is commit order. */
Err outbox_insert(DbTx *tx, const OutboxRow *row, bool ordered) MUST_CHECK;
/* For statements that insert the row themselves: INSERT INTO outbox (id, key, subject, ce_type, payload). */
#define OUTBOX_ARGS(row)                                                                                               \
    db_uuid((row)->id), db_text(slice((row)->key)), db_text(slice((row)->subject)), db_text(slice((row)->ce_type)),    \
        db_bytes((row)->payload)

typedef struct OutboxRelay OutboxRelay;
typedef struct OutboxOptions {
    Db *db;
    Bus *bus;
    Log *log;
    Metrics *metrics;
    const char *domain;
    int64_t poll_ms;       /* without a nudge */
    int64_t keep_acked_ms; /* ten minutes: JetStream does not fsync each message */
    bool dispatches;       /* also publishes to DSP_<DOMAIN> */
    int64_t spacing_ms;    /* under 1 s, between turns that find few rows: fewer turns, later events; 0: the usual */
} OutboxOptions;
/* Relays whenever it holds the lease, to the stream EVT_<DOMAIN>, which is there (streams.h). Rows acknowledged lately
 * are published again when the stream is found behind them (restored from an older state). */
Err outbox_relay_start(const OutboxOptions *options, OutboxRelay **out) MUST_CHECK;
void outbox_nudge(OutboxRelay *relay); /* after a commit; any thread; NULL is fine */
/* Nudges, and waits until JetStream has what was committed before the call; false after `timeout_ms`, and at once when
 * another instance holds the lease (its relay polls). For what others must know before the caller has its answer. */
bool outbox_settle(OutboxRelay *relay, int64_t timeout_ms);
void outbox_relay_stop(OutboxRelay *relay);
/* Rows not yet acknowledged, as of the last turn. */
uint64_t outbox_backlog(const OutboxRelay *relay);

/* --- consuming ------------------------------------------------------------------------------------------------------
 */
typedef struct Event {
    const char *subject, *id, *type, *source; /* CloudEvents attributes */
    const char *key;                          /* last token of the subject */
    int64_t time_us;
    Slice body;
    uint64_t stream_sequence;
    int delivery; /* 1 is the first */
} Event;
/* OK acknowledges. A failure comes again later with back-off, up to max_deliveries, then goes to the dead letters. */
typedef Err (*EventHandler)(void *context, Arena *mem, const Event *event);

typedef struct EventConsumerOptions {
    Bus *bus;
    Log *log;
    Metrics *metrics;
    const char *stream;  /* "EVT_AUTH" */
    const char *durable; /* one name for both slots: "chat-auth-users" */
    const char *filter;  /* "evt.auth.user.deleted.*" */
    int max_deliveries;  /* 0: 10 */
    EventHandler handler;
    void *context;
} EventConsumerOptions;
typedef struct EventConsumer EventConsumer;
Err event_consumer_start(const EventConsumerOptions *options, EventConsumer **out) MUST_CHECK;
void event_consumer_stop(EventConsumer *c);
