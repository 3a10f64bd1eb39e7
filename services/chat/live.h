/* live: what the live half of chat needs beside the context of all handlers, and what runs in the background for it:
 * sessions' secret, the sweep of presences, orders to the voice server. */
#pragma once
#include "services/chat/session.h"
#include "services/chat/voice.h"
#include "shared/metrics.h"

typedef struct Live {
    uint8_t session_secret[SESSION_SECRET_BYTES];
    Voice *voice;
    /* Sessions by how they began; NULL: not counted (tests). */
    Counter *identified, *resumed, *not_resumed;
} Live;

/* The counters. */
void live_count_sessions(Live *live, Metrics *metrics);

/* --- the sweeper ----------------------------------------------------------------------------------------------------
 */
/* A thread that, while this instance holds the lease "chat-live", turns presence_sweep and voice_work every
 * `interval_ms`. */
typedef struct LiveSweeper LiveSweeper;
typedef struct LiveSweeperOptions {
    Db *db;
    Log *log;
    OutboxRelay *outbox; /* NULL is fine */
    Voice *voice;
    int64_t interval_ms;
} LiveSweeperOptions;
LiveSweeper *live_sweeper_start(const LiveSweeperOptions *options);
void live_sweeper_stop(LiveSweeper *s); /* NULL is fine */
