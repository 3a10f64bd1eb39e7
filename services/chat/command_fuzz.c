/* Fuzz target: what clients say on the gateway (command.c), and the sessions that they say are theirs (session.c). */
#include "services/chat/command.h"
#include "services/chat/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t SECRET[SESSION_SECRET_BYTES] = "nobody can guess what this is...";
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    Command c = command_read(mem, slice_of(arena_memdup(mem, data, size), size));
    Chat__V1__SessionFacts *facts;

    if ((c.kind == COMMAND_IDENTIFY || c.kind == COMMAND_RESUME) && (!*c.token || !c.session_id))
        abort();
    if (size > COMMAND_MAX_BYTES && c.kind != COMMAND_BROKEN)
        abort();
    if (c.kind == COMMAND_RESUME && session_id_read(mem, SECRET, slice(c.session_id), &facts))
        abort(); /* nobody makes one up */
    return 0;
}
