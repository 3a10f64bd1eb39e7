/* renditions: what follows an item that can be shown: the other rungs, then HEVC. */
#include "services/transcode/encode.h"
#include "services/transcode/tracks.h"

/* One decode for all rungs; each is put away by itself. */
static Err encode_rungs(Run *run, const Rung *rungs, size_t count, bool source_keys, Transcode__V1__StepResult *out)
{
    Args args = {.mem = run->mem};
    Probe *p = &run->probe;

    args_input(&args, run->t->settings->max_pixels, run->t->threads, 0);
    args_video(&args, p, rungs, count, run->t->settings->preset, run->t->threads, source_keys);
    if (args.overflow)
        return err_make(&INTERNAL, "too many arguments for ffmpeg");
    TRY(run_ffmpeg(run, args.list, p->duration_s, "encoding", NULL));
    p->has_audio = false; /* it is there already */
    for (size_t i = 0; i < count; i++) {
        const char *file = arena_printf(run->mem, "%s.mp4", rungs[i].name);
        Tracks tracks;

        TRY(tracks_read(run, file, &tracks));
        TRY(tracks_put(run, &tracks, rungs[i].name, file, false, out));
    }
    return OK;
}

/* Those of the ladder that there are not yet. */
static Err encode_missing(Run *run, bool hevc, Transcode__V1__StepResult *out)
{
    Rung rungs[RUNGS_MAX], missing[RUNGS_MAX];
    size_t count = ladder_make(&run->probe, hevc, rungs), n = 0;
    Transcode__V1__StepResult *all;
    bool source_keys = false;

    TRY(run_all_results(run, &all));
    for (size_t i = 0; i < all->n_renditions; i++)
        source_keys |= all->renditions[i]->copied;
    for (size_t i = 0; i < count; i++) {
        bool there = false;
        for (size_t j = 0; j < all->n_renditions; j++)
            there |= all->renditions[j]->name && strcmp(all->renditions[j]->name, rungs[i].name) == 0;
        if (!there)
            missing[n++] = rungs[i];
    }
    return n ? encode_rungs(run, missing, n, source_keys, out) : OK;
}

static Err ladder_step(Run *run, Transcode__V1__StepResult *out)
{
    return encode_missing(run, false, out);
}

static Err hevc_step(Run *run, Transcode__V1__StepResult *out)
{
    return encode_missing(run, true, out);
}

Err renditions_work(Run *run)
{
    TRY(run_probe(run));
    TRY(run_step(run, "ladder", 0, 0.4, ladder_step));
    TRY(run_step(run, "ladder-package", 0.4, 0.41, run_put_master));
    if (!run->t->settings->hevc)
        return OK;
    TRY(run_step(run, "hevc", 0.41, 0.99, hevc_step));
    return run_step(run, "hevc-package", 0.99, 1, run_put_master);
}
