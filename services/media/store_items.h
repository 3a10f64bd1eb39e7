/* store_items: one item from its creation to its end. */
#pragma once
#include "services/media/store_quota.h"

/* --- finding ---------------------------------------------------------------------------------------------------------
 */
/* Also one in the trash: look at deleted_us. A nil id in `out` when there is none. Borrowed from rq->mem. */
Err media_store_item(Request *rq, Uuid id, ItemRow *out) MUST_CHECK;
/* The same, locked to the end of the transaction. Lock the owner first where the rules of store.h say so:
 * media_store_lock_item does both. */
Err media_store_lock_item(DbTx *tx, Arena *mem, Uuid id, ItemRow *out) MUST_CHECK;

/* --- bytes come ------------------------------------------------------------------------------------------------------
 */
typedef struct NewItem {
    Uuid id; /* uuid_v7: the caller's, since the object's key has it */
    int64_t owner_id;
    const char *title, *original_filename, *mime_type; /* "" none; within the limits of media.h */
    const char *const *tags;
    size_t tag_count;
    int64_t now_us;
} NewItem;
/* In state `uploading`, without an object. Locks the owner, and gives the item its place in his list. */
Err media_store_insert_item(DbTx *tx, const NewItem *item) MUST_CHECK;

typedef struct CompletedUpload {
    Uuid item_id;
    int64_t owner_id;
    const char *key; /* where the bytes are, durable */
    Slice sha256;    /* 32 bytes, of them */
    int64_t size_bytes;
    int64_t reserved_bytes;                            /* what the upload had set aside: given back here */
    const char *title, *original_filename, *mime_type; /* NULL or "" keeps */
    int64_t now_us;
} CompletedUpload;

typedef enum CompletedOutcome {
    COMPLETED_GONE,    /* there is no such item of this owner (any more), or it is in the trash: nothing was done, the
                          reservation stands */
    COMPLETED_ALREADY, /* it has its bytes: nothing was done. `key` is not discarded */
    COMPLETED_QUEUED,  /* is processed, or waits for an item of the same content that is */
    COMPLETED_READY    /* has the same content as a ready item, and is ready by that */
} CompletedOutcome;
/* The item's bytes are complete: object, quota, state and the event commit together or not at all. Content that the
 * owner has already is not kept twice: then `key` is discarded (the sweeper deletes it) unless it is the same key.
 * QUOTA_EXCEEDED when there are more bytes than were set aside, and too many. `*out` is the item as it is then. */
Err media_store_complete(Request *rq, DbTx *tx, const CompletedUpload *upload, CompletedOutcome *out_outcome,
                         ItemRow *out) MUST_CHECK;
/* An object in the store that nothing refers to: the sweeper deletes it after the commit. A key that ends with a slash
 * is all that begins with it. */
Err media_store_discard(DbTx *tx, const char *key, int64_t now_us) MUST_CHECK;

/* --- changed by its owner --------------------------------------------------------------------------------------------
 */
Err media_store_rename(DbTx *tx, Uuid id, const char *title, const char *original_filename) MUST_CHECK;
Err media_store_set_tags(DbTx *tx, Uuid id, char **tags, size_t count) MUST_CHECK;

/* --- processing ------------------------------------------------------------------------------------------------------
 */
/* Under the next generation, in the state `pending`; a ready item stays ready meanwhile. With the event. */
Err media_store_queue(Request *rq, DbTx *tx, ItemRow *item) MUST_CHECK;
/* Ends the processing that waits or runs: a ready item stays so, another fails as "cancelled". Items that wait for this
 * one are processed by themselves: the first of them, and the others wait for it. */
Err media_store_cancel(Request *rq, DbTx *tx, ItemRow *item) MUST_CHECK;

/* --- the end ---------------------------------------------------------------------------------------------------------
 */
/* Into the trash: hidden at once, all its tickets are worthless, its processing ends. */
Err media_store_trash(Request *rq, DbTx *tx, ItemRow *item) MUST_CHECK;
/* Out of it. What was not processed to its end is queued again. */
Err media_store_restore(Request *rq, DbTx *tx, ItemRow *item) MUST_CHECK;
/* For good: its objects are discarded unless another item has them, the quota gets them back, the event goes out. What
 * uploads have set aside for it is their business. `item` is locked, and its owner. */
Err media_store_purge(Request *rq, DbTx *tx, ItemRow *item) MUST_CHECK;

typedef struct Trash {
    ItemRow *items;
    size_t count;
    bool more;
} Trash;
/* Of one user, latest deleted first, behind (deleted_us, id) unless 0. */
Err media_store_list_trash(Request *rq, int64_t owner_id, int64_t before_us, Uuid before_id, int64_t limit,
                           Trash *out) MUST_CHECK;
/* Whose trash began before then: at most `limit` ids, oldest first; of anybody. */
Err media_store_expired_trash(Request *rq, int64_t before_us, int64_t limit, Uuid *out_ids,
                              size_t *out_count) MUST_CHECK;
