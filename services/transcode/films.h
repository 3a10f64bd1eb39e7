/* films: small files for tests, made by ffmpeg when they are first asked for, as the service has its own made. */
#pragma once
#include "services/transcode/testing.h"

/* Runs ffmpeg in the bench's folder, confined. Fails the test when it fails. */
static inline void film_run(const Bench *b, const char *const *args)
{
    ChildResult r;

    assert_ok(child_run(&b->children, b->mem,
                        &(ChildSpec){.program = "/usr/bin/ffmpeg", .args = args, .dir = b->dir, .input_fd = -1}, &r));
    if (r.end != CHILD_EXITED || r.status != 0)
        fail_msg("ffmpeg: end %d, status %d: " SLICE_FMT, (int)r.end, r.status, SLICE_ARG(r.errors));
}

#define FILM_QUIET "-v", "error", "-nostdin", "-y"
#define FILM_FRAGMENTS "-movflags", "+frag_keyframe+delay_moov+default_base_moof", "-f", "mp4"

/* Six seconds, 25 frames each, a key frame every two. High profile, level 3. */
static inline const char *film_avc(const Bench *b)
{
    if (access(bench_path(b, "avc.mp4"), R_OK) == 0)
        return bench_path(b, "avc.mp4");
    film_run(b, (const char *const[]){FILM_QUIET,
                                      "-f",
                                      "lavfi",
                                      "-i",
                                      "testsrc2=s=64x48:r=25:d=6",
                                      "-c:v",
                                      "libx264",
                                      "-threads",
                                      "1",
                                      "-preset",
                                      "ultrafast",
                                      "-pix_fmt",
                                      "yuv420p",
                                      "-profile:v",
                                      "high",
                                      "-level",
                                      "3.0",
                                      "-x264-params",
                                      "scenecut=0:open-gop=0:keyint=50:8x8dct=1",
                                      FILM_FRAGMENTS,
                                      "avc.mp4",
                                      NULL});
    return bench_path(b, "avc.mp4");
}

/* Two seconds, a key frame at each. Main profile, level 3. */
static inline const char *film_hevc(const Bench *b)
{
    if (access(bench_path(b, "hevc.mp4"), R_OK) == 0)
        return bench_path(b, "hevc.mp4");
    film_run(b, (const char *const[]){FILM_QUIET, "-f", "lavfi", "-i", "testsrc2=s=64x64:r=10:d=2", "-c:v", "libx265",
                                      "-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params",
                                      "log-level=error:pools=none:keyint=10:scenecut=0:open-gop=0:level-idc=30",
                                      FILM_FRAGMENTS, "hevc.mp4", NULL});
    return bench_path(b, "hevc.mp4");
}

/* Six seconds of sound, in fragments of about two. */
static inline const char *film_aac(const Bench *b)
{
    if (access(bench_path(b, "aac.mp4"), R_OK) == 0)
        return bench_path(b, "aac.mp4");
    film_run(b, (const char *const[]){FILM_QUIET, "-f", "lavfi", "-i", "sine=d=6:r=48000", "-c:a", "aac", "-ac", "2",
                                      "-movflags", "+delay_moov+default_base_moof", "-frag_duration", "2000000", "-f",
                                      "mp4", "aac.mp4", NULL});
    return bench_path(b, "aac.mp4");
}
