/* Fuzz target: what ffprobe says (probe.c), what is planned by it (encode.c), and first bytes (sniff.c). */
#include "services/transcode/encode.h"
#include "services/transcode/sniff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 16);
    Rung rungs[RUNGS_MAX];
    Args args = {.mem = mem};
    MediaClass class;
    size_t count;
    Probe probe;

    (void)sniff(slice_of(data, MIN(size, SNIFF_BYTES)), &class);
    if (err_failed(probe_read(slice_of(data, size), &probe)) || !probe.has_video)
        return 0;
    if (probe.width <= 0 || probe.height <= 0 || probe.fps_num <= 0 || probe.fps_den <= 0 || probe.duration_s < 0)
        abort();
    count = ladder_make(&probe, false, rungs);
    if (count < 1 || count > RUNGS_MAX || ladder_first(rungs, count, 720) >= count)
        abort();
    for (size_t i = 0; i < count; i++)
        if (rungs[i].width % 2 || rungs[i].height % 2)
            abort();
    args_video(&args, &probe, rungs, count, "veryfast", 2, false);
    (void)probe_conforms(&probe, 1000000);
    return 0;
}
