/* probe: see the header. */
#include "services/transcode/probe.h"

#include <jansson.h>
#include <math.h>

#include "atrium/transcode/v1/processing.atrium.h"

enum { PROBE_WALL_MS = 120000, SIDE_MAX = 65536, FPS_MAX = 60 };

const char PROBE_FORMATS[] =
    "mov,matroska,webm,avi,asf,flv,mpeg,mpegts,mpegvideo,mxf,ogg,wav,w64,mp3,flac,aac,ac3,amr,aiff,caf,"
    "gif";

/* --- JSON -------------------------------------------------------------------------------------------------------- */
static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static void copy_word(char *to, size_t size, const char *from)
{
    size_t n = 0;

    /* What does not look like a word of ffprobe's may be anything. */
    for (; *from && n + 1 < size; from++)
        if ((*from >= '!' && *from <= '~' && *from != '"' && *from != '\\') || *from == ' ')
            to[n++] = *from;
    to[n] = 0;
}

/* Finite, or 0. */
static double number_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    double number = json_is_string(value) ? strtod(json_string_value(value), NULL) : json_number_value(value);

    return isfinite(number) && fabs(number) < 1e15 ? number : 0;
}

static int int_of(const json_t *object, const char *name)
{
    double number = number_of(object, name);
    return number > -1e9 && number < 1e9 ? (int)number : 0;
}

static bool flag_of(const json_t *stream, const char *name)
{
    return int_of(json_object_get(stream, "disposition"), name) == 1;
}

static bool fraction_of(const json_t *object, const char *name, char separator, int *num, int *den)
{
    const char *text = text_of(object, name);
    char *end;
    long a = strtol(text, &end, 10), b;

    if (end == text || *end != separator)
        return false;
    b = strtol(end + 1, NULL, 10);
    if (a <= 0 || b <= 0 || a > 1000000000 || b > 1000000000)
        return false;
    *num = (int)a;
    *den = (int)b;
    return true;
}

/* --- video ------------------------------------------------------------------------------------------------------- */
static int gcd(int a, int b)
{
    while (b) {
        int rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The nominal rate where it is the true one; else, and above what is shown anyway, the next usual one. */
static void choose_rate(const json_t *stream, Probe *out)
{
    static const int USUAL[][2] = {{10, 1},       {12, 1}, {15, 1}, {24000, 1001}, {24, 1},       {25, 1},
                                   {30000, 1001}, {30, 1}, {48, 1}, {50, 1},       {60000, 1001}, {60, 1}};
    int n = 0, d = 1, an = 0, ad = 1, divisor;
    bool nominal = fraction_of(stream, "r_frame_rate", '/', &n, &d);
    bool average = fraction_of(stream, "avg_frame_rate", '/', &an, &ad);
    double rate = average ? (double)an / ad : nominal ? (double)n / d : 0;

    if (nominal && (!average || fabs(rate - (double)n / d) < rate / 100) && (double)n / d <= FPS_MAX + 1) {
        divisor = gcd(n, d);
        out->fps_num = n / divisor;
        out->fps_den = d / divisor;
        return;
    }
    out->variable_rate = nominal && average && fabs(rate - (double)n / d) >= rate / 100;
    out->fps_num = rate > 0 ? FPS_MAX : 25;
    out->fps_den = 1;
    for (size_t i = 0; i < ARRAY_LEN(USUAL) && rate > 0; i++) {
        if ((double)USUAL[i][0] / USUAL[i][1] < rate * 0.99)
            continue;
        out->fps_num = USUAL[i][0];
        out->fps_den = USUAL[i][1];
        return;
    }
}

static void read_side_data(const json_t *stream, Probe *out)
{
    size_t i;
    const json_t *item;

    json_array_foreach(json_object_get(stream, "side_data_list"), i, item)
    {
        const char *type = text_of(item, "side_data_type");

        if (strcmp(type, "Display Matrix") == 0)
            out->rotation = (((-int_of(item, "rotation") % 360) + 360 + 45) / 90 * 90) % 360;
        if (strncmp(type, "DOVI", 4) == 0)
            snprintf(out->hdr, sizeof out->hdr, "dolby_vision");
    }
}

static void read_hdr(Probe *out)
{
    if (strcmp(out->transfer, "smpte2084") == 0 && !out->hdr[0])
        snprintf(out->hdr, sizeof out->hdr, "hdr10");
    else if (strcmp(out->transfer, "arib-std-b67") == 0 && !out->hdr[0])
        snprintf(out->hdr, sizeof out->hdr, "hlg");
}

static Err read_video(const json_t *stream, Probe *out)
{
    int num = 1, den = 1;
    const char *order = text_of(stream, "field_order");

    out->has_video = true;
    out->video_index = int_of(stream, "index");
    out->coded_width = int_of(stream, "width");
    out->coded_height = int_of(stream, "height");
    if (out->coded_width <= 0 || out->coded_height <= 0 || out->coded_width > SIDE_MAX || out->coded_height > SIDE_MAX)
        return err_make(&INPUT_DAMAGED, "the video has no size");
    out->square_pixels = !fraction_of(stream, "sample_aspect_ratio", ':', &num, &den) || num == den;
    out->width = out->coded_width;
    out->height = out->coded_height;
    /* Absurd aspects are noise. */
    if (!out->square_pixels && num / den < 8 && den / num < 8)
        out->width = (int)MAX(MIN(lround((double)out->coded_width * num / den), SIDE_MAX), 1);
    copy_word(out->video_codec, sizeof out->video_codec, text_of(stream, "codec_name"));
    copy_word(out->video_profile, sizeof out->video_profile, text_of(stream, "profile"));
    copy_word(out->pixel_format, sizeof out->pixel_format, text_of(stream, "pix_fmt"));
    copy_word(out->transfer, sizeof out->transfer, text_of(stream, "color_transfer"));
    out->interlaced = order[0] && strcmp(order, "progressive") != 0 && strcmp(order, "unknown") != 0;
    out->video_start_s = number_of(stream, "start_time");
    choose_rate(stream, out);
    read_side_data(stream, out);
    read_hdr(out);
    if (out->rotation % 180) {
        int height = out->height;
        out->height = out->width;
        out->width = height;
    }
    return OK;
}

/* --- the rest ---------------------------------------------------------------------------------------------------- */
static void read_audio(const json_t *stream, Probe *out)
{
    out->has_audio = true;
    out->audio_index = int_of(stream, "index");
    out->audio_channels = int_of(stream, "channels");
    out->audio_rate = int_of(stream, "sample_rate");
    out->audio_start_s = number_of(stream, "start_time");
    copy_word(out->audio_codec, sizeof out->audio_codec, text_of(stream, "codec_name"));
    copy_word(out->audio_profile, sizeof out->audio_profile, text_of(stream, "profile"));
}

static void read_subtitle(const json_t *stream, Probe *out)
{
    static const char *const TEXT[] = {"subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text"};
    const char *codec = text_of(stream, "codec_name"), *language;
    ProbeSubtitle *s;

    if (out->subtitle_count == PROBE_SUBTITLES_MAX)
        return;
    s = &out->subtitles[out->subtitle_count++];
    *s = (ProbeSubtitle){.index = int_of(stream, "index"),
                         .is_default = flag_of(stream, "default"),
                         .is_forced = flag_of(stream, "forced")};
    for (size_t i = 0; i < ARRAY_LEN(TEXT); i++)
        s->text |= strcmp(codec, TEXT[i]) == 0;
    language = text_of(json_object_get(stream, "tags"), "language");
    copy_word(s->language, sizeof s->language, language[0] ? language : "und");
}

/* "00:01:02.500000000", as Matroska's tags have it. */
static double tagged_duration(const json_t *stream)
{
    const char *text = text_of(json_object_get(stream, "tags"), "DURATION");
    int hours, minutes;
    double rest;

    if (sscanf(text, "%d:%d:%lf", &hours, &minutes, &rest) != 3 || hours < 0 || hours > 100000 || minutes < 0 ||
        minutes > 59 || !(rest >= 0 && rest < 60))
        return 0;
    return hours * 3600.0 + minutes * 60.0 + rest;
}

static double stream_end(const json_t *stream)
{
    double duration = number_of(stream, "duration");
    /* The tag says when the stream ends, not how long it is. */
    return duration > 0 ? duration : MAX(tagged_duration(stream) - MAX(number_of(stream, "start_time"), 0), 0);
}

/* The first of each kind, unless another one is marked as the default. A cover is no video. */
static Err read_stream(const json_t *stream, Probe *out, double *longest)
{
    const char *type = text_of(stream, "codec_type");

    if (strcmp(type, "video") == 0 && !flag_of(stream, "attached_pic") && !flag_of(stream, "timed_thumbnails")) {
        if (out->has_video || !text_of(stream, "codec_name")[0])
            return OK;
        *longest = MAX(*longest, stream_end(stream));
        return read_video(stream, out);
    }
    if (strcmp(type, "audio") == 0 && text_of(stream, "codec_name")[0] && int_of(stream, "channels") > 0) {
        if (!out->has_audio) {
            *longest = MAX(*longest, stream_end(stream));
            read_audio(stream, out);
        }
    } else if (strcmp(type, "subtitle") == 0) {
        read_subtitle(stream, out);
    }
    return OK;
}

static Err read_root(const json_t *root, Probe *out)
{
    const json_t *format = json_object_get(root, "format"), *stream;
    double longest = 0;
    size_t i;

    json_array_foreach(json_object_get(root, "streams"), i, stream) TRY(read_stream(stream, out, &longest));
    if (!out->has_video && !out->has_audio)
        return err_make(&INPUT_UNSUPPORTED, "there is nothing to be seen or heard in it");
    copy_word(out->container, sizeof out->container, text_of(format, "format_name"));
    out->duration_s = longest > 0 ? longest : MAX(number_of(format, "duration"), 0);
    out->start_s = number_of(format, "start_time");
    out->bit_rate = (int64_t)MAX(number_of(format, "bit_rate"), 0);
    return OK;
}

Err probe_read(Slice json, Probe *out)
{
    json_error_t error;
    json_t *root = json_loadb(json.ptr, json.len, 0, &error);
    Probe probe = {0};
    Err e;

    if (!json_is_object(root)) {
        json_decref(root);
        return err_make(&INPUT_DAMAGED, "it cannot be examined");
    }
    e = read_root(root, &probe);
    json_decref(root);
    TRY(e);
    *out = probe;
    return OK;
}

/* --- running it -------------------------------------------------------------------------------------------------- */
Err child_verdict(const ChildResult *r, const char *what)
{
    switch (r->end) {
    case CHILD_LIMIT:
        return err_make(&CHILD_OUT_OF_BOUNDS, "%s took more than it may", what);
    case CHILD_TOO_MUCH:
        return err_make(&CHILD_OUT_OF_BOUNDS, "%s said more than it may", what);
    case CHILD_CANCELLED:
        return err_make(&JOB_CANCELLED, "%s was cancelled", what);
    case CHILD_KILLED:
        return err_make(&WORKER_TROUBLE, "%s ended by signal %d", what, r->status);
    case CHILD_EXITED:
        break;
    }
    if (r->status == 0)
        return OK;
    if (slice_find(r->errors, SLICE_LIT("No space left")) >= 0)
        return err_make(&WORKER_TROUBLE, "%s had no room on the disk", what);
    return err_make(&INPUT_DAMAGED, "%s failed", what);
}

static Err judge_probe(const ChildResult *r)
{
    if (r->end == CHILD_EXITED && r->status != 0) {
        if (slice_find(r->errors, SLICE_LIT("moov atom not found")) >= 0)
            return err_make(&INPUT_TRUNCATED, "the file ends before its index");
        if (slice_find(r->errors, SLICE_LIT("max_pixels")) >= 0)
            return err_make(&INPUT_TOO_LARGE, "the picture has too many pixels");
        return err_make(&INPUT_UNSUPPORTED, "this format is not supported");
    }
    return child_verdict(r, "examination");
}

Err probe_run(const ProbeTool *tool, Arena *mem, int input_fd, Probe *out)
{
    const char *const args[] = {"-v",
                                "error",
                                "-hide_banner",
                                "-protocol_whitelist",
                                "file",
                                "-format_whitelist",
                                PROBE_FORMATS,
                                "-show_format",
                                "-show_streams",
                                "-of",
                                "json",
                                CHILD_INPUT,
                                NULL};
    ChildResult result;
    Probe probe;

    TRY(child_run(tool->children, mem,
                  &(ChildSpec){.program = tool->ffprobe,
                               .args = args,
                               .dir = tool->dir,
                               .input_fd = input_fd,
                               .wall_ms = PROBE_WALL_MS,
                               .output_max_bytes = PROBE_OUTPUT_MAX_BYTES,
                               .cancelled = tool->cancelled,
                               .data = tool->data},
                  &result));
    TRY(judge_probe(&result));
    TRY(probe_read(result.output, &probe));
    if (probe.has_video && (int64_t)probe.coded_width * probe.coded_height > tool->max_pixels)
        return err_make(&INPUT_TOO_LARGE, "%dx%d pixels are more than %" PRId64, probe.coded_width, probe.coded_height,
                        tool->max_pixels);
    if (probe.duration_s * 1000 > (double)tool->max_duration_ms)
        return err_make(&INPUT_TOO_LARGE, "it lasts longer than %" PRId64 " s", tool->max_duration_ms / 1000);
    *out = probe;
    return OK;
}
