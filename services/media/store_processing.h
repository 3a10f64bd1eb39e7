/* store_processing: how far the processing of items is, and what came of it. Events of transcode change these; they may
 * come twice, late, and of processings that nobody waits for any more: what does not fit any more changes nothing. */
#pragma once
#include "services/media/store.h"

typedef struct ProcessingRow {
    Uuid media_id; /* nil: there is none */
    int64_t generation;
    const char *state; /* "pending", "processing", "completed", "failed" */
    const char *step;  /* "" not known */
    int32_t progress, attempt;
    const char *error_code, *error_message; /* "" none */
    bool error_retryable;
    int64_t updated_us;
    int64_t version; /* grows with each change of the row */
} ProcessingRow;

/* `tx` may be NULL. Of the item, or of the one that it waits for; a nil media_id in `out` when there is none. */
Err media_store_processing(Request *rq, DbTx *tx, const ItemRow *item, ProcessingRow *out) MUST_CHECK;

/* In the transaction that has the item locked. */
Err media_store_begin_processing(DbTx *tx, Uuid media_id, int64_t generation, int64_t now_us) MUST_CHECK;
/* `*out_ended`: it was not over. */
Err media_store_cancel_processing(DbTx *tx, Uuid media_id, int64_t now_us, bool *out_ended) MUST_CHECK;

/* --- what transcode tells ---------------------------------------------------------------------------------------- */
typedef struct AssetRow {
    const char *kind; /* transcode's AssetKind in lower case: "hls_master" */
    const char *name, *key, *content_type;
    int64_t size_bytes;
    int32_t width, height;         /* 0 none */
    const char *codecs, *language; /* "" none */
    bool is_default, is_forced;
} AssetRow;

typedef struct FinishedRow {
    Uuid media_id;
    int64_t generation;
    int32_t attempt;
    const AssetRow *assets;
    size_t asset_count;
    const char *mime_type; /* "" keeps */
    int32_t width, height; /* 0 none */
    int64_t duration_ms;   /* -1 none */
    const char *thumbhash; /* "" none */
    char **warnings;
    size_t warning_count;
} FinishedRow;

/* An attempt begins. */
Err media_store_started(DbTx *tx, Arena *mem, Uuid media_id, int64_t generation, const char *job_id, int32_t attempt,
                        int64_t now_us) MUST_CHECK;
/* Never back within an attempt. `step` NULL keeps. */
Err media_store_progressed(DbTx *tx, Uuid media_id, int64_t generation, int32_t attempt, const char *step,
                           int32_t progress, int64_t now_us) MUST_CHECK;
/* The item and those that wait for it are ready and play what was made. Assets of a processing that is of no interest
 * any more are discarded. */
Err media_store_finished(DbTx *tx, Arena *mem, const FinishedRow *row, int64_t now_us) MUST_CHECK;
/* Further assets of a processing that items play; discarded where none does. */
Err media_store_extended(DbTx *tx, Arena *mem, const FinishedRow *row, int64_t now_us) MUST_CHECK;
/* For good: items fail unless they are ready. */
Err media_store_failed(DbTx *tx, Arena *mem, Uuid media_id, int64_t generation, int32_t attempt, const char *code,
                       const char *message, bool retryable, int64_t now_us) MUST_CHECK;

/* --- what plays ----------------------------------------------------------------------------------------------------
 */
/* At most ASSETS_MAX, by name; borrowed from rq->mem. */
enum { ASSETS_MAX = 500 };
Err media_store_assets(Request *rq, Uuid media_id, int64_t generation, AssetRow **out, size_t *out_count) MUST_CHECK;
/* One of them; `out->name` is NULL when there is none. */
Err media_store_asset(Request *rq, Uuid media_id, int64_t generation, const char *name, AssetRow *out) MUST_CHECK;
/* One item less plays it; with the last its assets are discarded. */
Err media_store_drop_rendition(DbTx *tx, Arena *mem, Uuid media_id, int64_t generation, int64_t now_us) MUST_CHECK;
/* What several renditions are told by: master playlists, posters, captions and the like, not their many segments; by
 * media id, generation and name. */
typedef struct PlayableRow {
    Uuid media_id;
    int64_t generation;
    AssetRow asset;
} PlayableRow;
Err media_store_playable(Request *rq, const ItemRow *items, size_t count, PlayableRow **out,
                         size_t *out_count) MUST_CHECK;
