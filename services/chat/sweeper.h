/* sweeper: what happens by itself, in the background, in one instance at a time: uploads that no message takes become
 * messages of their own (dialect W) or are given back, and channels that are gone lose their messages. */
#pragma once
#include "services/chat/chat.h"
#include "shared/lease.h"
#include "shared/metrics.h"

typedef struct Sweeper Sweeper;
typedef struct SweeperOptions {
    const Chat *chat;
    Db *db;
    const Clock *clock;
    Log *log;
    Metrics *metrics;
} SweeperOptions;
Err sweeper_start(const SweeperOptions *options, Sweeper **out) MUST_CHECK;
void sweeper_stop(Sweeper *sweeper); /* NULL is fine */

/* One turn of each, for tests: `*out_more` when there may be more. */
Err sweep_lone_uploads(const SweeperOptions *options, bool *out_more) MUST_CHECK;
Err sweep_old_uploads(const SweeperOptions *options, bool *out_more) MUST_CHECK;
Err sweep_channels(const SweeperOptions *options, bool *out_more) MUST_CHECK;
