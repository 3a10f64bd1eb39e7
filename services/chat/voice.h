/* voice: who is in which voice channel, and the voice server (LiveKit) where they are (contracts/chat.md 5.9 and 11).
 * The media never pass through us: a client gets a short-lived token for the channel's room, and speaks with the voice
 * server itself. What must be made true there, such as throwing out who was kicked, is an order (table voice_order),
 * committed with its cause and carried out soon after, however often it takes. */
#pragma once
#include "services/chat/dispatch.h"
#include "shared/http_client.h"

typedef struct Voice Voice;

typedef struct VoiceOptions {
    const char *url; /* ws:// or wss://, as clients are told; empty with key and secret: no voice */
    const char *key, *secret;
    int64_t token_ttl_ms;
    const Clock *clock;
    Log *log;
} VoiceOptions;
/* All three or none, and a URL that we understand: INVALID_ARGUMENT, for `config check`. */
Err voice_options_check(const VoiceOptions *options) MUST_CHECK;
/* Texts are borrowed. */
Voice *voice_new(const VoiceOptions *options);
void voice_free(Voice *v); /* NULL is fine */
/* False: no voice server is configured. NULL is one that is not. */
bool voice_is_available(const Voice *v);

/* --- states that end for other reasons than the user's wish --------------------------------------------------------
 */
/* Under the guild's exclusive lock. Those who may view the channel are told; the voice server is ordered. */
Err voice_end_user(DbTx *tx, Arena *mem, int64_t guild_id, int64_t user_id) MUST_CHECK;
Err voice_end_channel(DbTx *tx, Arena *mem, int64_t guild_id, int64_t channel_id) MUST_CHECK;
/* Of those who may not be where they are any more: VIEW_CHANNEL or CONNECT was taken. `user_id` 0: of everybody. */
Err voice_end_barred(DbTx *tx, Arena *mem, int64_t guild_id, int64_t user_id) MUST_CHECK;
/* Nobody is told: the guild is about to go. */
Err voice_end_guild(DbTx *tx, int64_t guild_id) MUST_CHECK;

/* --- orders ----------------------------------------------------------------------------------------------------------
 */
enum { VOICE_TRIES_MAX = 8, VOICE_RETRY_MS = 1000 /* doubled each time */, VOICE_CALL_MS = 5000, VOICE_TURN_MAX = 20 };
/* Carries out what is due. By one instance at a time. `out_more`: there is more at once. */
Err voice_work(Voice *v, Db *db, bool *out_more) MUST_CHECK;
