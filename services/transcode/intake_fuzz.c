/* Fuzz target: events of media as they come (the part of intake.c before the database). */
#include "atrium/media/v1/events.pb-c.h"
#include "shared/blob.h"
#include "shared/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 14);
    const Media__V1__ItemUploaded *in;
    ProtobufCMessage *message;

    if (err_failed(message_unpack(mem, &media__v1__item_uploaded__descriptor, slice_of(data, size), &message)))
        return 0;
    in = (const Media__V1__ItemUploaded *)message;
    if (in->s3_key && blob_key_valid(slice(in->s3_key)) && strstr(in->s3_key, "/../"))
        abort();
    if (in->filename && !utf8_valid(utf8_take(slice(in->filename), 255)))
        abort();
    return 0;
}
