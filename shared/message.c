#include "shared/message.h"

#include "atrium/reasons.atrium.h"

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };
enum { VARINT_MAX_BYTES = 10, TAG_WIRE_BITS = 3 };

static void *take(void *data, size_t size)
{
    return arena_alloc_raw(data, size, _Alignof(max_align_t));
}

/* The arena gives everything back at once. */
static void keep(void *data, void *pointer)
{
    (void)data, (void)pointer;
}

static bool read_varint(Slice *rest, uint64_t *out)
{
    uint64_t value = 0;

    for (size_t i = 0; i < rest->len && i < VARINT_MAX_BYTES; i++) {
        uint8_t byte = (uint8_t)rest->ptr[i];
        value |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (!(byte & 0x80)) {
            *rest = slice_skip(*rest, i + 1);
            *out = value;
            return true;
        }
    }
    return false;
}

static bool skip_bytes(Slice *rest, uint64_t len)
{
    if (len > rest->len)
        return false;
    *rest = slice_skip(*rest, (size_t)len);
    return true;
}

static Err broken(const ProtobufCMessageDescriptor *type)
{
    return err_make(&INVALID_BODY, "not a message %s", type->name);
}

static Err walk(const ProtobufCMessageDescriptor *type, Slice rest, int depth);

static Err walk_bytes(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field, Slice value,
                      int depth)
{
    if (!field)
        return OK;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return walk(field->descriptor, value, depth + 1);
    /* A NUL is fine UTF-8, but would cut the text short in C: what was checked would not be what is meant. */
    if (field->type == PROTOBUF_C_TYPE_STRING && (!utf8_valid(value) || slice_find_char(value, '\0') >= 0))
        return err_make(&INVALID_BODY, "%s.%s: not UTF-8 text", type->name, field->name);
    return OK;
}

/* Looks at the bytes before protobuf-c does: it has no bound on nesting (34 kB overflow the stack) and takes any bytes
 * for text. What else it finds wrong is left to it. */
static Err walk(const ProtobufCMessageDescriptor *type, Slice rest, int depth)
{
    uint64_t tag, value;

    if (depth > MESSAGE_MAX_DEPTH)
        return err_make(&INVALID_BODY, "nested deeper than %d messages", MESSAGE_MAX_DEPTH);
    while (rest.len > 0) {
        const ProtobufCFieldDescriptor *field;
        if (!read_varint(&rest, &tag) || tag > UINT32_MAX || tag >> TAG_WIRE_BITS == 0)
            return broken(type);
        field = protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> TAG_WIRE_BITS));
        switch (tag & ((1 << TAG_WIRE_BITS) - 1)) {
        case WIRE_VARINT:
            if (!read_varint(&rest, &value))
                return broken(type);
            break;
        case WIRE_FIXED64:
            if (!skip_bytes(&rest, 8))
                return broken(type);
            break;
        case WIRE_FIXED32:
            if (!skip_bytes(&rest, 4))
                return broken(type);
            break;
        case WIRE_BYTES: {
            Slice start;
            if (!read_varint(&rest, &value))
                return broken(type);
            start = rest;
            if (!skip_bytes(&rest, value))
                return broken(type);
            TRY(walk_bytes(type, field, slice_take(start, (size_t)value), depth));
            break;
        }
        default: /* groups are not used */
            return broken(type);
        }
    }
    return OK;
}

Err message_unpack(Arena *mem, const ProtobufCMessageDescriptor *type, Slice wire, ProtobufCMessage **out)
{
    ProtobufCAllocator allocator = {.alloc = take, .free = keep, .allocator_data = mem};
    ProtobufCMessage *message;

    TRY(walk(type, wire, 0));
    message = protobuf_c_message_unpack(type, &allocator, wire.len, (const uint8_t *)(wire.ptr ? wire.ptr : ""));
    if (!message)
        return broken(type);
    *out = message;
    return OK;
}

Slice message_pack(Arena *mem, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = arena_alloc_raw(mem, size, 1);

    return slice_of(bytes, protobuf_c_message_pack(message, bytes));
}

ProtobufCMessage *message_new(Arena *mem, const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = arena_alloc(mem, type->sizeof_message, _Alignof(max_align_t));

    protobuf_c_message_init(type, message);
    return message;
}
