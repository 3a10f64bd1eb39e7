/* store_export: which files an archive has. */
#pragma once
#include "services/media/store.h"

typedef struct ExportRow {
    const char *filename, *object_key;
    int64_t size_bytes, created_us;
} ExportRow;
typedef struct ExportList {
    ExportRow *rows;
    size_t count;
    const char *title; /* of the collection; "" of a selection */
    bool there;        /* false: no such collection of this owner */
} ExportList;
/* Of the owner's items alone, complete ones outside the trash, or those of them that are ready; COLLECTION_ITEMS_MAX at
 * most. Borrowed from rq->mem. */
Err media_store_export_collection(Request *rq, int64_t owner_id, Uuid collection_id, bool only_ready,
                                  ExportList *out) MUST_CHECK;
/* In the order of `ids`' times, each once. */
Err media_store_export_items(Request *rq, int64_t owner_id, const Uuid *ids, size_t count, ExportList *out) MUST_CHECK;
