/* livekit: the voice server's tokens, both ways: JWTs by HS256 with the API secret (contracts/chat.md section 11). Ours
 * say what somebody may do in a room; those of its webhooks prove that it was LiveKit who wrote the body. */
#pragma once
#include "shared/clock.h"
#include "shared/err.h"
#include "shared/slice.h"

typedef struct LivekitGrant {
    const char *identity; /* NULL: for calls of our own */
    const char *name;     /* may be NULL */
    const char *room;     /* may be NULL */
    bool join, publish, admin, create;
    int64_t ttl_ms;
} LivekitGrant;
/* Borrowed from `mem`. */
char *livekit_token(Arena *mem, const Clock *clock, const char *key, const char *secret, const LivekitGrant *grant);

typedef enum LivekitNewsKind { LIVEKIT_OTHER, LIVEKIT_PARTICIPANT_LEFT, LIVEKIT_ROOM_FINISHED } LivekitNewsKind;
typedef struct LivekitNews {
    LivekitNewsKind kind;
    int64_t channel_id; /* of the room; 0: none of ours, then the kind is LIVEKIT_OTHER */
    int64_t user_id;    /* of LIVEKIT_PARTICIPANT_LEFT */
} LivekitNews;
enum { LIVEKIT_NEWS_MAX_BYTES = 65536, LIVEKIT_TOKEN_MAX_BYTES = 4096 };
/* A webhook: `authorization` is the header (the bare token, or after "Bearer "). UNAUTHENTICATED unless the token is of
 * our key, signed, alive and of just this body; INVALID_ARGUMENT for a body that is no event. */
Err livekit_news_read(Arena *mem, const Clock *clock, const char *key, const char *secret, Slice authorization,
                      Slice body, LivekitNews *out) MUST_CHECK;

/* "voice-<channel>": also the session_id of voice states. */
char *livekit_room(Arena *mem, int64_t channel_id);
