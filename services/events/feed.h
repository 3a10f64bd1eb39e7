/* feed: the change feed (contract section 14): what has become of public events, places and organisations.
 *
 *   who        does
 *   writer     feed_record() in the transaction of the change: a row without a number, and the event on the bus;
 *              after the commit feed_nudge()
 *   sequencer  one at a time over all instances, a few milliseconds later: numbers what has been committed, without
 *              gaps and in the order in which it becomes visible (per entity, of its versions): who has read up to n
 *              has missed nothing below. Then, at a pace of its own, hands it to webhooks
 *   readers    pages by number; streams out of a ring of the latest, or from the table when they are behind it
 *
 * Writers wait for no one: an advisory lock held to a writer's commit would let one commit at a time through. Numbers
 * from the transactions' snapshot would make every reader wait for the longest transaction of the whole database. */
#pragma once
#include "shared/db.h"
#include "shared/metrics.h"
#include "shared/rpc.h"
#include "shared/webhook.h"

typedef enum FeedEntity { FEED_EVENT, FEED_PLACE, FEED_ORGANIZATION, FEED_ENTITY_COUNT } FeedEntity;
const char *feed_entity_name(FeedEntity entity);       /* "event" … */
const char *feed_entity_collection(FeedEntity entity); /* "events" … */

enum { FEED_POINTERS_MAX = 200 }; /* of one change; beyond it the whole document ("") counts as changed */

/* What feed_record is told. Texts: NULL or "" is none. */
typedef struct FeedChange {
    FeedEntity entity;
    Uuid id; /* the ULID's bits */
    int64_t version;
    int64_t at_us;
    /* Seen by anybody before and after. Neither: there is no change to tell; else create, update or delete follows. */
    bool was_public, is_public;
    const Slice *pointers; /* JSON Pointers of what has changed: "/name" */
    size_t pointer_count;
    Slice snapshot; /* a JSON object: the public document now; when it is gone, its tombstone. Without @context */
    const char *deletion_reason;
    Uuid superseded_by; /* nil: none */
    const char *license_url, *license_status;
    const char *federation_uri; /* of what came from another node: its URI there */
    int64_t source_us;          /* when the source says it is from; 0: it does not say */
    const char *domain;
    const Slice *keywords; /* folded */
    size_t keyword_count;
    bool located;
    double latitude, longitude;
} FeedChange;

/* Last in the transaction, which holds the entity's row locked. One statement: the change and the event. */
Err feed_record(DbTx *tx, Arena *mem, IdSource *ids, const FeedChange *change) MUST_CHECK;

/* --- the background ---------------------------------------------------------------------------------------------- */
typedef struct Feed Feed;
typedef struct FeedOptions {
    Db *db;
    Log *log;
    Metrics *metrics;
    WebhookSender *webhooks; /* told when there is something to send; NULL: nobody sends */
    const char *base_url;    /* of URIs, without a slash at its end */
    size_t streams_per_address;
} FeedOptions;
/* Owned by the caller; the options' parts outlive it. */
Err feed_start(const FeedOptions *options, Feed **out) MUST_CHECK;
void feed_stop(Feed *feed);  /* ends all streams; NULL is fine */
void feed_nudge(Feed *feed); /* after a commit; any thread; NULL is fine */

/* --- what a reader asks for -------------------------------------------------------------------------------------- */
typedef struct FeedFilter {
    const char *action; /* "" any */
    const char *entity; /* "" any */
    bool snapshots;
} FeedFilter;

/* From a handler that streams: from here on the stream is the feed's, which sends what comes after `position` until the
 * reader leaves. Returns what the handler returns. UNAVAILABLE: there are FEED_WATCHERS_MAX; RATE_LIMITED: its address
 * has as many as it may. */
enum { FEED_WATCHERS_MAX = 4000 };
Err feed_watch(Feed *feed, Request *rq, RpcStream *stream, const FeedFilter *filter, int64_t position) MUST_CHECK;

/* --- how it looks ------------------------------------------------------------------------------------------------ */
/* A row of the table as an entry: members and braces. */
typedef struct ChangeRow {
    int64_t sequence;
    FeedEntity entity;
    const char *path;                      /* of its URI: "events/01J…" */
    const char *action;                    /* "create", "update", "delete" */
    Slice entry, snapshot, federation_uri; /* snapshot: "null" where withheld; "" where nobody asked for it */
    bool withheld;                         /* of an event that was taken down */
} ChangeRow;
void feed_write_entry(StrBuf *out, const char *base_url, const ChangeRow *row, bool snapshot);

/* Where a reader is: the base64url of "seq_<number>" (W). Borrowed from `mem`. */
char *feed_cursor(Arena *mem, int64_t sequence);
bool feed_cursor_read(Arena *mem, Slice cursor, int64_t *out);
