/* sweeper: takes away what nobody needs any more, in the background, in one instance at a time: trash whose time is
 * over, objects that were discarded, and (once a day) originals in the store that no row knows. */
#pragma once
#include "services/media/media.h"
#include "shared/blob.h"
#include "shared/sweeper.h"

typedef struct MediaSweeps {
    const Media *media;
    Db *db;
    const Clock *clock;
    Log *log;
    /* The sweeper's own. */
    Counter *orphans;
    int64_t orphans_at_ms;                      /* monotonic: when to look for them again */
    char orphans_after[BLOB_KEY_MAX_BYTES + 1]; /* how far it has come; "": not at it */
} MediaSweeps;
/* `sweeps` is borrowed until sweeper_stop. */
Sweeper *media_sweeper_start(MediaSweeps *sweeps, Metrics *metrics);

/* One turn of each, for tests: `*out_more` when there may be more. */
Err sweep_trash(const MediaSweeps *sweeps, bool *out_more) MUST_CHECK;
Err sweep_objects(const MediaSweeps *sweeps, bool *out_more) MUST_CHECK;
/* A page of the store behind `*after` (NULL: the first); `*after`, of `mem`, is NULL after the last. Younger than a day
 * is left alone: it may be an upload's that has not told of it yet. */
Err sweep_orphans(const MediaSweeps *sweeps, Arena *mem, const char **after, int64_t *out_found) MUST_CHECK;
