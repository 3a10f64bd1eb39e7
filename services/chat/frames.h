/* frames: what the chat gateway writes, as frames of parts: {"op":…,"d":…,"s":…,"t":…} (contracts/chat.md section 7).
 * Positions and messages are filled in by the edge, in each connection's dialect. All is borrowed from `mem`. */
#pragma once
#include "services/chat/dispatch.h"

enum { /* op */
       OP_DISPATCH = 0,
       OP_HEARTBEAT = 1,
       OP_IDENTIFY = 2,
       OP_PRESENCE = 3,
       OP_RESUME = 6,
       OP_RECONNECT = 7,
       OP_HELLO = 10,
       OP_HEARTBEAT_ACK = 11
};

/* Of one event: chat_frame (dispatch.h). */
Atrium__SocketFrame **chat_frames(Arena *mem, const ChatEvent *events, size_t count);
/* {"op":n}, or {"op":n,"d":<json>}: `json` is text as it is. */
Atrium__SocketFrame *frame_op(Arena *mem, int op, const char *json);

/* Events under construction, `max` at most. */
typedef struct ChatEvents {
    ChatEvent *list;
    size_t count, max;
} ChatEvents;
static inline ChatEvents chat_events_new(Arena *mem, size_t max)
{
    return (ChatEvents){.list = ARENA_ARRAY(mem, ChatEvent, max), .max = max};
}
static inline void chat_events_add(ChatEvents *events, const char *name, const ProtobufCMessage *data)
{
    assert(events->count < events->max);
    events->list[events->count++] = (ChatEvent){name, data};
}
