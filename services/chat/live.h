/* live: what the live half of chat needs beside the context of all handlers, and what runs in the background for it:
 * sessions' secret, the sweep of presences, orders to the voice server. */
#pragma once
#include "services/chat/session.h"
#include "services/chat/voice.h"
#include "shared/sweeper.h"

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
typedef struct LiveSweeps {
    Db *db;
    Log *log;
    OutboxRelay *outbox; /* NULL is fine */
    Voice *voice;
    int64_t hears_since_ms; /* the sweeper's own; 0: does not hear the edges */
} LiveSweeps;
/* While this instance holds the lease "chat-live": presence_sweep and voice_work, every `interval_ms`. `sweeps` is
 * borrowed until sweeper_stop. */
Sweeper *live_sweeper_start(LiveSweeps *sweeps, int64_t interval_ms);
