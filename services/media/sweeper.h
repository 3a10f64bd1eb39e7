/* sweeper: takes away what nobody needs any more, in the background, in one instance at a time: trash whose time is
 * over, objects that were discarded, and (once a day) originals in the store that no row knows. */
#pragma once
#include "services/media/media.h"
#include "shared/lease.h"

typedef struct Sweeper Sweeper;
typedef struct SweeperOptions {
    const Media *media;
    Db *db;
    const Clock *clock;
    Log *log;
    Metrics *metrics;
} SweeperOptions;
Err sweeper_start(const SweeperOptions *options, Sweeper **out) MUST_CHECK;
void sweeper_stop(Sweeper *sweeper); /* NULL is fine */

/* One turn of each, for tests: `*out_more` when there may be more. */
Err sweep_trash(const SweeperOptions *options, bool *out_more) MUST_CHECK;
Err sweep_objects(const SweeperOptions *options, bool *out_more) MUST_CHECK;
/* A page of the store behind `*after` (NULL: the first); `*after`, of `mem`, is NULL after the last. Younger than a day
 * is left alone: it may be an upload's that has not told of it yet. */
Err sweep_orphans(const SweeperOptions *options, Arena *mem, const char **after, int64_t *out_found) MUST_CHECK;
