/* Fuzz target: bytes of any kind as messages of the platform. The first byte chooses the type. What unpacks must pack,
 * and unpack again as the same. */
#include "shared/message.h"

#include "atrium/bus.pb-c.h"
#include "atrium/options.pb-c.h"
#include "atrium/tables.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const ProtobufCMessageDescriptor *const TYPES[] = {
    &atrium__status__descriptor,           &atrium__caller__descriptor,
    &atrium__http_body__descriptor,        &atrium__resolve_token_reply__descriptor,
    &google__protobuf__struct__descriptor, &google__protobuf__value__descriptor,
    &atrium__tables__descriptor,           &atrium__reason_rules__descriptor,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 14);
    const ProtobufCMessageDescriptor *type = TYPES[(len ? data[0] : 0) % ARRAY_LEN(TYPES)];
    ProtobufCMessage *message, *again;
    Slice packed, last;

    if (err_failed(message_unpack(mem, type, slice_skip(slice_of(data, len), 1), &message)))
        return 0;
    packed = message_pack(mem, message);
    if (err_failed(message_unpack(mem, type, packed, &again)))
        abort();
    last = message_pack(mem, again);
    if (!slice_eq(packed, last))
        abort();
    return 0;
}
