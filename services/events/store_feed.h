/* store_feed: every statement of the change feed. */
#pragma once
#include "services/events/feed.h"
#include "shared/outbox.h"

typedef struct NewChange {
    Uuid id;
    const FeedChange *change;
    const char *action, *path;
    Slice entry;
} NewChange;
/* One statement: the change, without a number, and what announces it. */
Err events_store_record_change(DbTx *tx, const NewChange *row, const OutboxRow *announce) MUST_CHECK;

/* Gives the next numbers to at most `limit` committed changes, in the order in which they were written. `out_count`: so
 * many. */
Err events_store_number_changes(Db *db, int64_t timeout_ms, int64_t limit, int64_t *out_count) MUST_CHECK;
/* Hands the next at most `limit` numbered changes to the webhooks that want them, and remembers how far it came: each
 * is handed on once. `base_url`: of the URIs. `out_count`: so many; `out_told`: messages to webhooks. */
Err events_store_tell_changes(Db *db, int64_t timeout_ms, const char *base_url, int64_t limit, int64_t *out_count,
                              int64_t *out_told) MUST_CHECK;
/* Takes the documents of an event out of what webhooks were or will be told: it can be sent again. */
Err events_store_withhold(DbTx *tx, Uuid event) MUST_CHECK;

enum { CHANGES_MAX_BYTES = 1024 * 1024 }; /* of a page's entries and documents; one that is longer comes alone */
typedef struct ChangePage {
    int64_t head;    /* the last number that there is */
    int64_t reached; /* all up to here was looked at, and what fits of it is among the rows */
    bool cut;        /* there are more, within the limit, that CHANGES_MAX_BYTES leaves no room for */
    ChangeRow *rows;
    size_t count;
} ChangePage;
/* Behind `position`, at most `limit`, as the filter wants them. Borrowed from `mem`. In one statement, so that all up
 * to `head` that fits was looked at when fewer than `limit` come and none is cut. The second form is for the
 * background: it looks at numbers up to `until` only. */
Err events_store_changes(Request *rq, const FeedFilter *filter, int64_t position, int64_t limit,
                         ChangePage *out) MUST_CHECK;
Err events_store_changes_with(Db *db, int64_t timeout_ms, Arena *mem, const FeedFilter *filter, int64_t position,
                              int64_t limit, int64_t until, ChangePage *out) MUST_CHECK;
/* The number before the first change that is not older than `unix_us`. */
Err events_store_position_at(Request *rq, int64_t unix_us, int64_t *out) MUST_CHECK;
Err events_store_head(Request *rq, int64_t *out) MUST_CHECK;
