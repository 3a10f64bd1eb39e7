/* encode: see the header. */
#include "services/transcode/encode.h"

#include <math.h>

enum { KEY_S = 2, SIDE_MIN = 16, FILTER_THREADS = 2 };

typedef struct Size {
    int side; /* the shorter one */
    int64_t max_rate;
} Size;

static const Size SIZES[] = {{240, 400000},   {360, 800000},   {480, 1400000},  {720, 2800000},
                             {1080, 5000000}, {1440, 9000000}, {2160, 16000000}};

static int even(double value)
{
    return MAX((int)floor(value / 2) * 2, SIDE_MIN);
}

static void make_rung(const Probe *p, int side, int64_t max_rate, bool hevc, Rung *out)
{
    int shorter = MIN(p->width, p->height);
    double scale = MIN((double)side / shorter, 1);

    *out = (Rung){.width = even(p->width * scale),
                  .height = even(p->height * scale),
                  .hevc = hevc,
                  .max_rate = hevc ? max_rate * 6 / 10 : max_rate};
    snprintf(out->name, sizeof out->name, "%s-%d", hevc ? "hevc" : "h264", side);
}

size_t ladder_make(const Probe *p, bool hevc, Rung out[RUNGS_MAX])
{
    int shorter = MIN(p->width, p->height), top = MIN(shorter, SIZES[ARRAY_LEN(SIZES) - 1].side);
    size_t count = 0, i = 0;

    /* One that is hardly smaller than the source's own is not worth its bytes. */
    for (; i < ARRAY_LEN(SIZES) && SIZES[i].side * 10 <= top * 9; i++)
        make_rung(p, SIZES[i].side, SIZES[i].max_rate, hevc, &out[count++]);
    i = MIN(i, ARRAY_LEN(SIZES) - 1);
    make_rung(p, top, SIZES[i].max_rate, hevc, &out[count++]);
    return count;
}

size_t ladder_first(const Rung *rungs, size_t count, int first_height)
{
    size_t chosen = 0;

    for (size_t i = 0; i < count; i++)
        if (MIN(rungs[i].width, rungs[i].height) <= first_height)
            chosen = i;
    return chosen;
}

/* --- arguments --------------------------------------------------------------------------------------------------- */
void args_add(Args *a, const char *text)
{
    if (a->count + 1 >= ARRAY_LEN(a->list)) {
        a->overflow = true;
        return;
    }
    a->list[a->count++] = text;
    a->list[a->count] = NULL;
}

void args_printf(Args *a, const char *format, ...)
{
    char text[4096];
    va_list args;

    va_start(args, format);
    a->overflow |= vsnprintf(text, sizeof text, format, args) >= (int)sizeof text;
    va_end(args);
    args_add(a, arena_strdup(a->mem, text));
}

void args_input(Args *a, int64_t max_pixels, int threads, double seek_s)
{
    ARGS_ADD(a, "-protocol_whitelist", "file", "-format_whitelist", PROBE_FORMATS, "-max_pixels");
    args_printf(a, "%" PRId64, max_pixels);
    args_add(a, "-threads");
    args_printf(a, "%d", threads);
    if (seek_s > 0) {
        args_add(a, "-ss");
        args_printf(a, "%.3f", seek_s);
    }
    ARGS_ADD(a, "-i", CHILD_INPUT);
}

const char *filter_normal(Arena *mem, const Probe *p, int width, int height, bool constant_rate)
{
    const char *rate = "";

    if (constant_rate)
        rate = arena_printf(mem, "fps=%d/%d:start_time=0,", p->fps_num, p->fps_den);
    return arena_printf(mem, "%s%s%sscale=%d:%d:flags=bicubic,setsar=1,format=yuv420p",
                        p->interlaced ? "bwdif=mode=send_frame," : "", rate,
                        p->hdr[0] && p->transfer[0] ? "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,"
                                                      "tonemap=tonemap=hable:desat=0,zscale=t=bt709:m=bt709:r=tv,"
                                                    : "",
                        width, height);
}

/* Fragments of a CMAF track begin with key frames, and those lie every two seconds of what is seen, in every rung
 * alike. No metadata of the source goes along: it may say where and by whom it was made. */
static void add_track_output(Args *a, const char *file)
{
    ARGS_ADD(a, "-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact", "-f", "mp4");
    args_add(a, file);
}

static void add_encoder(Args *a, const Rung *r, const char *preset, int threads, bool source_keys)
{
    if (r->hevc) {
        ARGS_ADD(a, "-c:v", "libx265", "-preset", preset, "-crf", "26", "-tag:v", "hvc1", "-profile:v", "main",
                 "-x265-params");
        args_printf(a,
                    "log-level=error:scenecut=0:open-gop=0:keyint=-1:min-keyint=1:vbv-maxrate=%" PRId64
                    ":vbv-bufsize=%" PRId64,
                    r->max_rate / 1000, r->max_rate / 500);
    } else {
        ARGS_ADD(a, "-c:v", "libx264", "-preset", preset, "-crf", "22", "-profile:v", "high", "-x264-params",
                 "scenecut=0:open-gop=0:keyint=infinite:min-keyint=1", "-maxrate");
        args_printf(a, "%" PRId64, r->max_rate);
        args_add(a, "-bufsize");
        args_printf(a, "%" PRId64, r->max_rate * 2);
    }
    args_add(a, "-threads");
    args_printf(a, "%d", threads);
    ARGS_ADD(a, "-force_key_frames");
    if (source_keys)
        args_add(a, "source");
    else
        args_printf(a, "expr:gte(t,n_forced*%d)", KEY_S);
}

static void add_graph(Args *a, const Probe *p, const Rung *rungs, size_t count)
{
    const Rung *top = &rungs[count - 1];
    const char *graph =
        arena_printf(a->mem, "[0:%d]%s", p->video_index, filter_normal(a->mem, p, top->width, top->height, true));

    if (count == 1) {
        args_printf(a, "%s[v0]", graph);
        return;
    }
    graph = arena_printf(a->mem, "%s,split=%zu", graph, count);
    for (size_t i = 0; i < count; i++)
        graph = arena_printf(a->mem, "%s[s%zu]", graph, i);
    for (size_t i = 0; i < count; i++)
        graph = arena_printf(a->mem, "%s;[s%zu]scale=%d:%d:flags=bicubic,setsar=1[v%zu]", graph, i, rungs[i].width,
                             rungs[i].height, i);
    args_add(a, graph);
}

void args_video(Args *a, const Probe *p, const Rung *rungs, size_t count, const char *preset, int threads,
                bool source_keys)
{
    args_add(a, "-filter_complex");
    add_graph(a, p, rungs, count);
    for (size_t i = 0; i < count; i++) {
        args_add(a, "-map");
        args_printf(a, "[v%zu]", i);
        add_encoder(a, &rungs[i], preset, threads, source_keys);
        ARGS_ADD(a, "-movflags", "+frag_keyframe+delay_moov+default_base_moof");
        add_track_output(a, arena_printf(a->mem, "%s.mp4", rungs[i].name));
    }
}

static void add_audio_output(Args *a)
{
    ARGS_ADD(a, "-movflags", "+delay_moov+default_base_moof", "-frag_duration", "4000000");
    add_track_output(a, "audio.mp4");
}

void args_audio(Args *a, const Probe *p)
{
    args_add(a, "-map");
    args_printf(a, "0:%d", p->audio_index);
    ARGS_ADD(a, "-c:a", "aac", "-b:a", "128k", "-ac", "2", "-ar", "48000", "-af",
             "aresample=48000:async=1:first_pts=0");
    add_audio_output(a);
}

void args_copy(Args *a, const Probe *p, const char *video)
{
    args_add(a, "-map");
    args_printf(a, "0:%d", p->video_index);
    ARGS_ADD(a, "-c:v", "copy", "-movflags", "+frag_keyframe+delay_moov+default_base_moof");
    add_track_output(a, video);
    if (!p->has_audio)
        return;
    args_add(a, "-map");
    args_printf(a, "0:%d", p->audio_index);
    ARGS_ADD(a, "-c:a", "copy");
    add_audio_output(a);
}

static bool is_one_of(const char *word, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, list[i]) == 0)
            return true;
    return false;
}

bool probe_conforms(const Probe *p, int64_t max_rate)
{
    static const char *const PROFILES[] = {"High", "Main", "Constrained Baseline", "Baseline"};

    if (!p->has_video || strncmp(p->container, "mov,", 4) != 0 || strcmp(p->video_codec, "h264") != 0 ||
        !is_one_of(p->video_profile, PROFILES, ARRAY_LEN(PROFILES)) || strcmp(p->pixel_format, "yuv420p") != 0)
        return false;
    if (p->rotation || !p->square_pixels || p->interlaced || p->variable_rate || p->hdr[0] || p->coded_width % 2 ||
        p->coded_height % 2 || MIN(p->coded_width, p->coded_height) < SIDE_MIN || fabs(p->video_start_s) > 0.02)
        return false;
    if (p->bit_rate <= 0 || p->bit_rate > max_rate)
        return false;
    return !p->has_audio || (strcmp(p->audio_codec, "aac") == 0 && strcmp(p->audio_profile, "LC") == 0 &&
                             p->audio_channels <= 2 && p->audio_rate <= 48000 && fabs(p->audio_start_s) < 0.05);
}
