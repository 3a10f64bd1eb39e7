/* socket_frame: frames made once, for as many connections as are to have them. */
#include "services/gateway/socket_internal.h"

enum { SCRATCH_BYTES = 8192, HEAD_MAX_BYTES = 10, OPCODE_TEXT = 1, OPCODE_BINARY = 2, FIN = 0x80 };

/* RFC 6455 section 5.2, from a server: one frame, not masked. */
static size_t write_head(char out[HEAD_MAX_BYTES], unsigned opcode, size_t len)
{
    size_t used = 2;

    out[0] = (char)(FIN | opcode);
    if (len < 126) {
        out[1] = (char)len;
        return used;
    }
    if (len <= UINT16_MAX) {
        out[1] = 126;
        for (int shift = 8; shift >= 0; shift -= 8)
            out[used++] = (char)(len >> shift);
        return used;
    }
    out[1] = 127;
    for (int shift = 56; shift >= 0; shift -= 8)
        out[used++] = (char)((uint64_t)len >> shift);
    return used;
}

static SharedFrame *frame_of(Slice head, Slice payload)
{
    SharedFrame *frame = xmalloc(sizeof(*frame) + head.len + payload.len);

    frame->references = 1;
    frame->len = (uint32_t)(head.len + payload.len);
    memcpy(frame->bytes, head.ptr, head.len);
    if (payload.len)
        memcpy(frame->bytes + head.len, payload.ptr, payload.len);
    return frame;
}

SharedFrame *shared_frame_raw(Slice bytes)
{
    return frame_of(bytes, SLICE_LIT(""));
}

SharedFrame *shared_frame_control(unsigned opcode, Slice payload)
{
    char head[HEAD_MAX_BYTES];

    return frame_of(slice_of(head, write_head(head, opcode, payload.len)), payload);
}

SharedFrame *shared_frame_new(Slice payload, bool binary)
{
    char head[HEAD_MAX_BYTES];

    return frame_of(slice_of(head, write_head(head, binary ? OPCODE_BINARY : OPCODE_TEXT, payload.len)), payload);
}

SharedFrame *shared_frame_ref(SharedFrame *frame)
{
    frame->references++;
    return frame;
}

void shared_frame_unref(SharedFrame *frame)
{
    if (frame && --frame->references == 0)
        free(frame);
}

static bool append_part(const TypeTables *types, const JsonWriteOptions *options, const Atrium__FramePart *part,
                        uint64_t position, StrBuf *out)
{
    const MessageType *type;

    if (part->has_text)
        strbuf_append(out, slice_of(part->text.data, part->text.len));
    if (part->position)
        strbuf_append_uint64(out, position);
    if (!part->message)
        return true;
    type = types_find(types, slice(part->message->type));
    return type && wire_to_json(options, type, slice_of(part->message->wire.data, part->message->wire.len), out);
}

SharedFrame *shared_frame_build(const TypeTables *types, int dialect, const Atrium__SocketFrame *frame,
                                uint64_t position)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(SCRATCH_BYTES);
    const JsonWriteOptions options = {.dialect = dialect, .escape_html = dialect_get(dialect)->escape_html};
    StrBuf out = strbuf_new(mem, SOCKET_FRAME_OUT_MAX_BYTES);
    Slice text;

    for (size_t i = 0; i < frame->n_parts; i++)
        if (!append_part(types, &options, frame->parts[i], position, &out))
            return NULL;
    if (!strbuf_finish(&out, &text) || (!frame->binary && !utf8_valid(text)))
        return NULL;
    return shared_frame_new(text, frame->binary);
}
