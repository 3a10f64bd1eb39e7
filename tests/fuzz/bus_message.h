/* bus_message: for fuzz targets, a message as libnats' parser makes it: its header block is not looked at yet. */
#pragma once
#include <nats/nats.h>

#include "shared/base.h"
#include "shared/slice.h"

/* Of libnats, though not in its header. */
natsStatus natsMsg_create(natsMsg **out, const char *subject, int subject_len, const char *reply, int reply_len,
                          const char *bytes, int len, int header_len);

/* What stands before the empty line is the header block, with that line. */
static inline natsMsg *bus_message(const char *subject, Slice reply, Slice bytes)
{
    ptrdiff_t end = slice_find(bytes, SLICE_LIT("\r\n\r\n"));
    natsMsg *msg = NULL;

    if (natsMsg_create(&msg, subject, (int)strlen(subject), reply.len ? reply.ptr : NULL, (int)reply.len, bytes.ptr,
                       (int)bytes.len, end < 0 ? 0 : (int)end + 4) != NATS_OK)
        abort();
    return msg;
}
