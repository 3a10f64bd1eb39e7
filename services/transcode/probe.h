/* probe: what ffprobe says of a file, normalised: sizes as shown (rotation and sample aspect applied), rates as
 * fractions, times in seconds. Reading it is apart from running it, for tests and fuzzing. */
#pragma once
#include "services/transcode/child.h"

enum { PROBE_SUBTITLES_MAX = 32, PROBE_OUTPUT_MAX_BYTES = 1 << 20, PROBE_WORD_BYTES = 32 };

typedef struct ProbeSubtitle {
    int index; /* of the stream in the file */
    bool text, is_default, is_forced;
    char language[PROBE_WORD_BYTES]; /* "und" when unknown */
} ProbeSubtitle;

typedef struct Probe {
    char container[64]; /* ffprobe's format_name */
    double duration_s;  /* as the file says, of what is watched and heard; 0 unknown */
    double start_s;
    int64_t bit_rate;

    bool has_video;
    int video_index;
    int coded_width, coded_height, width, height; /* as stored; as shown, before any scaling */
    int rotation;                                 /* clockwise, to be applied: 0, 90, 180, 270 */
    bool square_pixels, interlaced, variable_rate;
    int fps_num, fps_den; /* of the result: CFR */
    double video_start_s;
    char video_codec[PROBE_WORD_BYTES], video_profile[PROBE_WORD_BYTES], pixel_format[PROBE_WORD_BYTES];
    char hdr[16]; /* "", "hdr10", "hlg", "dolby_vision" */
    char transfer[PROBE_WORD_BYTES];

    bool has_audio;
    int audio_index, audio_channels, audio_rate;
    double audio_start_s;
    char audio_codec[PROBE_WORD_BYTES], audio_profile[PROBE_WORD_BYTES];

    ProbeSubtitle subtitles[PROBE_SUBTITLES_MAX];
    size_t subtitle_count;
} Probe;

/* Demuxers that strangers' files may have. Lists of files (concat, HLS, DASH, image sequences) are none of them. */
extern const char PROBE_FORMATS[];

/* Of ffprobe's JSON. INPUT_UNSUPPORTED: nothing to be seen or heard in it. */
Err probe_read(Slice json, Probe *out) MUST_CHECK;

typedef struct ProbeTool {
    const Children *children;
    const char *ffprobe;
    const char *dir;
    int64_t max_pixels;
    int64_t max_duration_ms;
    bool (*cancelled)(void *data);
    void *data;
} ProbeTool;
/* Of the file at `input_fd`. INPUT_…, CHILD_OUT_OF_BOUNDS, WORKER_TROUBLE, JOB_CANCELLED. */
Err probe_run(const ProbeTool *tool, Arena *mem, int input_fd, Probe *out) MUST_CHECK;

/* What is wrong with a child that did not end well, as a reason: `what` names it for people. OK when all is well. */
Err child_verdict(const ChildResult *result, const char *what) MUST_CHECK;
