/* store_collections: collections, what is in them, and their sharing. */
#pragma once
#include "services/media/store.h"

typedef struct CollectionRow {
    Uuid id;
    int64_t owner_id; /* 0: there is none */
    const char *title, *description;
    bool is_public;
    Uuid share_token;
    int64_t share_generation;
    bool link_enabled;
    int64_t link_expires_us;   /* 0: never */
    const char *password_hash; /* "" none */
    bool allow_download;
    int64_t view_count;
    int64_t created_us;
} CollectionRow;

/* Whether its link opens anything now. */
bool share_link_lives(const CollectionRow *collection, int64_t now_us);

/* At most COLLECTIONS_MAX of a user: CONFLICT beyond. Locks the owner. */
Err media_store_insert_collection(DbTx *tx, const CollectionRow *collection) MUST_CHECK;
/* Newest first; borrowed from rq->mem. */
Err media_store_list_collections(Request *rq, int64_t owner_id, CollectionRow **out, size_t *out_count) MUST_CHECK;
/* `tx` NULL: only read; else locked. */
Err media_store_collection(Request *rq, DbTx *tx, Uuid id, CollectionRow *out) MUST_CHECK;
/* Title, description and all of the sharing. */
Err media_store_update_collection(DbTx *tx, const CollectionRow *collection) MUST_CHECK;
Err media_store_delete_collection(DbTx *tx, Uuid id) MUST_CHECK;
Err media_store_count_view(DbTx *tx, Uuid id) MUST_CHECK;

typedef struct CollectionItemRow {
    ItemRow item;
    int64_t added_us;
} CollectionItemRow;
/* Newest first, at most COLLECTION_ITEMS_MAX; not those in the trash. */
Err media_store_collection_items(Request *rq, Uuid id, CollectionItemRow **out, size_t *out_count) MUST_CHECK;
/* False in `out_room` when it is full. */
Err media_store_add_to_collection(DbTx *tx, Uuid id, Uuid media_id, int64_t now_us, bool *out_room) MUST_CHECK;
Err media_store_remove_from_collection(DbTx *tx, Uuid id, Uuid media_id) MUST_CHECK;
/* Whether the item is in it; the collection and the item as they are, owner_id 0 where there is none. */
Err media_store_shared_item(Request *rq, Uuid id, Uuid media_id, CollectionRow *out_collection,
                            ItemRow *out_item) MUST_CHECK;
