/* sweeper: what happens by itself, in the background, in one instance at a time: uploads that no message takes become
 * messages of their own (dialect W) or are given back, and channels that are gone lose their messages. */
#pragma once
#include "services/chat/chat.h"
#include "shared/sweeper.h"

typedef struct ChatSweeps {
    const Chat *chat;
    Db *db;
    const Clock *clock;
    Log *log;
} ChatSweeps;
/* `sweeps` is borrowed until sweeper_stop. */
Sweeper *chat_sweeper_start(ChatSweeps *sweeps, Metrics *metrics);

/* One turn of each, for tests: `*out_more` when there may be more. */
Err sweep_lone_uploads(const ChatSweeps *sweeps, bool *out_more) MUST_CHECK;
Err sweep_old_uploads(const ChatSweeps *sweeps, bool *out_more) MUST_CHECK;
Err sweep_channels(const ChatSweeps *sweeps, bool *out_more) MUST_CHECK;
