/* store_uploads: uploads in the database. See store.h for locks: the owner's row comes first. */
#pragma once
#include "services/media/store.h"

typedef struct UploadRow {
    Uuid id; /* nil: there is none */
    int64_t owner_id;
    Uuid media_id;    /* nil: a part of a tus concatenation */
    const char *kind; /* "put", "tus", "form", "parts" */
    bool complete;
    const char *object_key, *blob_state;
    int64_t size_bytes; /* -1: nobody said */
    int64_t part_bytes; /* of "parts": all but the last are so long; else 0 */
    const char *content_type;
    Slice sha256; /* 32 bytes, or empty */
    const char *title;
    const char *tus_metadata, *tus_concat;
    int64_t reserved_bytes;
    int64_t created_us, expires_us;
} UploadRow;

Err media_store_insert_upload(DbTx *tx, const UploadRow *row) MUST_CHECK;
/* A nil id when there is none. Borrowed from rq->mem. */
Err media_store_upload(Request *rq, Uuid id, UploadRow *out) MUST_CHECK;
Err media_store_upload_of_item(Request *rq, Uuid media_id, UploadRow *out) MUST_CHECK;
/* Locks it. */
Err media_store_lock_upload(DbTx *tx, Arena *mem, Uuid id, UploadRow *out) MUST_CHECK;
Err media_store_set_upload_size(DbTx *tx, Uuid id, int64_t size_bytes) MUST_CHECK;
Err media_store_set_upload_reserved(DbTx *tx, Uuid id, int64_t reserved_bytes) MUST_CHECK;
/* Unless there is nothing any more that it could become: its item is gone. */
Err media_store_touch_upload(DbTx *tx, Uuid id, int64_t expires_us) MUST_CHECK;
/* Nobody begins with it any more; the sweeper takes it. */
Err media_store_expire_upload(DbTx *tx, Uuid id, int64_t now_us) MUST_CHECK;
/* Nothing is reserved any more; of a part of a concatenation `reserved_bytes` stay. */
Err media_store_complete_upload_row(DbTx *tx, Uuid id, int64_t size_bytes, int64_t reserved_bytes,
                                    int64_t expires_us) MUST_CHECK;
Err media_store_delete_upload(DbTx *tx, Uuid id) MUST_CHECK;
/* The item of an upload that came to nothing. */
Err media_store_delete_unfinished_item(DbTx *tx, Uuid media_id) MUST_CHECK;

/* `writer` has it now, unless another one has it that lives: WRITER_LEASE and its name is then held as a lease. */
#define WRITER_LEASE "writer/"
Err media_store_claim_upload(DbTx *tx, Uuid id, Uuid writer, bool *out) MUST_CHECK;
Err media_store_disclaim_upload(DbTx *tx, Uuid id, Uuid writer) MUST_CHECK;

enum { EXPIRED_UPLOADS_MAX = 100 };
/* Of an account: at most EXPIRED_UPLOADS_MAX. Borrowed from rq->mem. */
Err media_store_uploads_of_owner(Request *rq, int64_t owner_id, UploadRow **out, size_t *out_count) MUST_CHECK;
/* At most EXPIRED_UPLOADS_MAX of those that are over, oldest first. Borrowed from `mem`. */
Err media_store_expired_uploads(DbTx *tx, Arena *mem, int64_t now_us, UploadRow **out, size_t *out_count) MUST_CHECK;
/* Does any upload have this state of the store's? */
Err media_store_knows_blob_state(DbTx *tx, const char *blob_state, bool *out) MUST_CHECK;
