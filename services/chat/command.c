/* command: see command.h. By jansson: a client speaks rarely, and COMMAND_MAX_BYTES bounds how deep it can nest. */
#include "services/chat/command.h"

#include <jansson.h>

#include "services/chat/frames.h"
#include "services/chat/status.h"

static const char *text_member(Arena *mem, const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? arena_strdup(mem, text) : "";
}

/* {"token": …}, and for RESUME what it resumes. The browser client may send null for what it does not have. */
static Command read_login(Arena *mem, const json_t *d, CommandKind kind)
{
    const json_t *sequence = json_object_get(d, "seq");
    Command c = {.kind = kind,
                 .token = text_member(mem, d, "token"),
                 .session_id = text_member(mem, d, "session_id"),
                 .sequence = json_is_integer(sequence) ? json_integer_value(sequence) : -1};

    if (!*c.token)
        c.kind = COMMAND_BROKEN;
    return c;
}

static Command read_presence(const json_t *d)
{
    const json_t *status = json_object_get(d, "status");

    if (!json_is_object(d))
        return (Command){.kind = COMMAND_BROKEN};
    return (Command){.kind = COMMAND_PRESENCE, .status = status_parse(slice(json_string_value(status)))};
}

static Command read_object(Arena *mem, const json_t *root)
{
    const json_t *op = json_object_get(root, "op"), *d = json_object_get(root, "d");

    if (!json_is_integer(op))
        return (Command){.kind = COMMAND_BROKEN};
    switch (json_integer_value(op)) {
    case OP_HEARTBEAT:
        return (Command){.kind = COMMAND_HEARTBEAT};
    case OP_IDENTIFY:
        return read_login(mem, d, COMMAND_IDENTIFY);
    case OP_PRESENCE:
        return read_presence(d);
    case OP_RESUME:
        return read_login(mem, d, COMMAND_RESUME);
    default:
        return (Command){.kind = COMMAND_UNKNOWN};
    }
}

Command command_read(Arena *mem, Slice frame)
{
    Command command = {.kind = COMMAND_BROKEN};
    json_t *root;

    if (frame.len > COMMAND_MAX_BYTES)
        return command;
    root = json_loadb(frame.ptr, frame.len, 0, NULL);
    if (root)
        command = read_object(mem, root);
    json_decref(root);
    return command;
}
