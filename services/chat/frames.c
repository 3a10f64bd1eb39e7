/* frames: see frames.h. */
#include "services/chat/frames.h"

static Atrium__FramePart *text_part(Arena *mem, const char *text)
{
    Atrium__FramePart *part = MESSAGE_NEW(mem, Atrium__FramePart, atrium__frame_part__init);

    part->has_text = true;
    part->text = (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
    return part;
}

static Atrium__FramePart *position_part(Arena *mem)
{
    Atrium__FramePart *part = MESSAGE_NEW(mem, Atrium__FramePart, atrium__frame_part__init);

    SET(part, position, true);
    return part;
}

static Atrium__FramePart *message_part(Arena *mem, const ProtobufCMessage *data)
{
    Atrium__FramePart *part = MESSAGE_NEW(mem, Atrium__FramePart, atrium__frame_part__init);
    Slice wire = message_pack(mem, data);

    part->message = MESSAGE_NEW(mem, Atrium__FrameMessage, atrium__frame_message__init);
    part->message->type = (char *)(uintptr_t)data->descriptor->name;
    part->message->has_wire = true;
    part->message->wire = (ProtobufCBinaryData){wire.len, (uint8_t *)(uintptr_t)wire.ptr};
    return part;
}

static Atrium__SocketFrame *new_frame(Arena *mem, size_t parts_max)
{
    Atrium__SocketFrame *frame = MESSAGE_NEW(mem, Atrium__SocketFrame, atrium__socket_frame__init);

    frame->parts = ARENA_ARRAY(mem, Atrium__FramePart *, parts_max);
    return frame;
}

Atrium__SocketFrame *chat_frame(Arena *mem, ChatEvent event)
{
    Atrium__SocketFrame *frame = new_frame(mem, 5);

    frame->parts[frame->n_parts++] = text_part(mem, arena_printf(mem, "{\"op\":0,\"t\":\"%s\",\"s\":", event.name));
    frame->parts[frame->n_parts++] = position_part(mem);
    frame->parts[frame->n_parts++] = text_part(mem, ",\"d\":");
    frame->parts[frame->n_parts++] = event.data ? message_part(mem, event.data) : text_part(mem, "{}");
    frame->parts[frame->n_parts++] = text_part(mem, "}");
    return frame;
}

Atrium__SocketFrame **chat_frames(Arena *mem, const ChatEvent *events, size_t count)
{
    Atrium__SocketFrame **list = ARENA_ARRAY(mem, Atrium__SocketFrame *, count);

    for (size_t i = 0; i < count; i++)
        list[i] = chat_frame(mem, events[i]);
    return list;
}

Atrium__SocketFrame *frame_op(Arena *mem, int op, const char *json)
{
    Atrium__SocketFrame *frame = new_frame(mem, 1);

    frame->parts[frame->n_parts++] = text_part(mem, json ? arena_printf(mem, "{\"op\":%d,\"d\":%s}", op, json)
                                                         : arena_printf(mem, "{\"op\":%d}", op));
    return frame;
}
