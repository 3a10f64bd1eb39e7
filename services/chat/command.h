/* command: what a client says on the gateway, {"op":…,"d":…} (contracts/chat.md section 7), read from a frame. */
#pragma once
#include "services/chat/status.h"

typedef enum CommandKind {
    COMMAND_BROKEN,  /* no JSON object with an integer `op`, or a `d` of the wrong shape: 4002 */
    COMMAND_UNKNOWN, /* an op that is not the client's to send: 4001 */
    COMMAND_HEARTBEAT,
    COMMAND_IDENTIFY,
    COMMAND_PRESENCE,
    COMMAND_RESUME
} CommandKind;

typedef struct Command {
    CommandKind kind;
    const char *token; /* IDENTIFY, RESUME: not empty */
    /* RESUME. "" and -1 when it says none: a resume is never refused for what is wrong with these. */
    const char *session_id;
    int64_t sequence;
    Status status; /* PRESENCE; STATUS_OFFLINE: none that can be chosen, to be ignored */
} Command;

enum { COMMAND_MAX_BYTES = 4096 };

/* Texts are borrowed from `mem`. Anything at all may stand in `frame`. */
Command command_read(Arena *mem, Slice frame);
