/* encode: which renditions suit a source, and the arguments of ffmpeg that make them. No state, no calls. */
#pragma once
#include "services/transcode/probe.h"
#include "shared/arena.h"

enum { RUNGS_MAX = 8, RUNG_NAME_BYTES = 24 };

typedef struct Rung {
    char name[RUNG_NAME_BYTES]; /* "h264-720": of files and of the playlist */
    int width, height;          /* even; never above the source's */
    int64_t max_rate;           /* bits a second */
    bool hevc;
} Rung;

/* The ladder of a source, ascending: the usual heights below its own, and its own (2160 at most), by the shorter side,
 * so that upright video is as good. At least one. */
size_t ladder_make(const Probe *probe, bool hevc, Rung out[RUNGS_MAX]);
/* Which of them comes first: the highest whose shorter side is `first_height` at most, or the lowest. */
size_t ladder_first(const Rung *rungs, size_t count, int first_height);

/* Arguments in the making. A list that grew too long is ended, and remembered. */
typedef struct Args {
    Arena *mem;
    const char *list[CHILD_ARGS_MAX];
    size_t count;
    bool overflow;
} Args;
void args_add(Args *a, const char *text);
#define ARGS_ADD(a, ...)                                                                                               \
    do {                                                                                                               \
        const char *const more_[] = {__VA_ARGS__};                                                                     \
        for (size_t i_ = 0; i_ < ARRAY_LEN(more_); i_++)                                                               \
            args_add((a), more_[i_]);                                                                                  \
    } while (0)
void args_printf(Args *a, const char *format, ...) PRINTF_LIKE(2, 3);

/* The stranger's file, with all that guards against it; `seek_s` 0: from the start. */
void args_input(Args *a, int64_t max_pixels, int threads, double seek_s);
/* Filters that make it what screens show: upright, progressive, square, BT.709 of 8 bits. Ends without a comma. */
const char *filter_normal(Arena *mem, const Probe *probe, int width, int height, bool constant_rate);
/* All rungs from one decode; each into <name>.mp4. Key frames every two seconds, or, beside a rung that is the source's
 * own stream, where that has its own. */
void args_video(Args *a, const Probe *probe, const Rung *rungs, size_t count, const char *preset, int threads,
                bool source_keys);
/* The audio into audio.mp4: AAC, stereo. */
void args_audio(Args *a, const Probe *probe);
/* The source's own streams as they are, into `video` and audio.mp4. */
void args_copy(Args *a, const Probe *probe, const char *video);
/* Would the source's own streams play everywhere? Whether its key frames lie well shows only when they are copied. */
bool probe_conforms(const Probe *probe, int64_t max_rate);
