/* Fuzz target: what clients say on the gateway (command.c), which may be any bytes. */
#include "services/chat/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    Command c = command_read(mem, slice_of(data, size));

    if ((c.kind == COMMAND_IDENTIFY || c.kind == COMMAND_RESUME) && (!*c.token || !c.session_id))
        abort();
    if (size > COMMAND_MAX_BYTES && c.kind != COMMAND_BROKEN)
        abort();
    return 0;
}
