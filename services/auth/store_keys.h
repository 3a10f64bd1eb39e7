/* store_keys: the statements on API keys and what they did. A key is live while it is neither revoked nor expired and
 * its owner's account is active. */
#pragma once
#include "services/auth/store_tx.h"

/* By whose routes it was made. */
#define KEY_COMMONS "commons"
#define KEY_DEVELOPER "developer"
#define KEY_PERSONAL "personal"

typedef struct KeyRow {
    Uuid id; /* nil: there is none */
    int64_t owner_id;
    const char *prefix, *name, *kind, *tier;
    const char *role;          /* NULL with scopes */
    const char *const *scopes; /* of personal keys */
    size_t scope_count;
    const char *source_id; /* NULL: none */
    int64_t created_us;
    int64_t expires_us, last_used_us, revoked_us; /* 0: never */
    bool live;
} KeyRow;

/* `rotated_from` nil: none. The row's tier, kind and the rest are taken as they are. */
Err auth_store_insert_key(Request *rq, DbTx *tx, const KeyRow *key, Slice hash, Uuid rotated_from,
                          int64_t created_by) MUST_CHECK;
/* Live ones of this kind and owner. */
Err auth_store_count_keys(DbTx *tx, int64_t owner_id, const char *kind, int64_t now_us, int64_t *out) MUST_CHECK;
/* How many a developer may have, where that was told for him; else `otherwise`. */
Err auth_store_key_allowance(DbTx *tx, int64_t user_id, int64_t otherwise, int64_t *out) MUST_CHECK;

/* Which keys somebody is shown. */
typedef struct KeyFilter {
    int64_t owner_id; /* 0: everybody's */
    const char *kind; /* NULL: those of events, developers' too */
} KeyFilter;
/* The newest first, those before `before` (nil: from the newest). */
Err auth_store_list_keys(Request *rq, const KeyFilter *filter, Uuid before, int64_t limit, int64_t now_us, KeyRow **out,
                         size_t *out_count) MUST_CHECK;
/* `tx` may be NULL; with one, the row is locked. */
Err auth_store_key(Request *rq, DbTx *tx, const KeyFilter *filter, Uuid id, int64_t now_us, KeyRow *out) MUST_CHECK;

/* A login that this key was exchanged for; of `login` id, times and whence it came. False: the key is no longer good.
 */
Err auth_store_insert_key_login(DbTx *tx, Uuid key_id, const NewLogin *login, bool *out_made) MUST_CHECK;

/* Ends it and the logins that it was exchanged for, and announces that; after the commit: auth_settle. */
Err auth_store_revoke_key(Request *rq, DbTx *tx, const KeyRow *key, const Ending *ending) MUST_CHECK;
Err auth_store_revoke_keys_of(Request *rq, DbTx *tx, int64_t owner_id, const Ending *ending) MUST_CHECK;
/* It expires at the latest then. */
Err auth_store_shorten_key(DbTx *tx, Uuid id, int64_t expires_us) MUST_CHECK;

/* A live key and its owner, by the hash or (an empty hash) by the id; out_key->id is nil when there is none. */
Err auth_store_resolve_key(Request *rq, Slice hash, Uuid id, int64_t now_us, KeyRow *out_key,
                           Account *out_owner) MUST_CHECK;

/* What keys did. `day` counts from 1970-01-01. */
typedef struct UsageRow {
    Uuid key_id;
    const char *prefix, *day; /* "2026-11-20" */
    int64_t requests, errors;
} UsageRow;
typedef struct UsageFilter {
    const char *from, *to; /* days, both included */
    int64_t owner_id;      /* 0: everybody's */
    Uuid key_id;           /* nil: of all that events' administrators see */
} UsageFilter;
/* By day and key; the totals count those beyond the limit, too. */
Err auth_store_key_usage(Request *rq, const UsageFilter *filter, int64_t limit, UsageRow **out, size_t *out_count,
                         int64_t *out_requests, int64_t *out_errors) MUST_CHECK;

typedef struct UsageReport {
    Uuid id;
    const Slice *key_ids; /* of UUIDs; others are ignored */
    const int64_t *requests, *errors, *last_used_ms;
    size_t count;
} UsageReport;
/* Adds it up, unless a report of this id was. */
Err auth_store_add_usage(Request *rq, const UsageReport *report, int64_t now_us) MUST_CHECK;
Err auth_store_purge_reports(Request *rq, int64_t now_us, int64_t limit, int64_t *out_deleted) MUST_CHECK;
