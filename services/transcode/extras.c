/* extras: what makes an item pleasant: pictures to the seek bar, captions, the shape and the loudness of its sound. */
#include <errno.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "services/transcode/encode.h"
#include "services/transcode/hls.h"
#include "services/transcode/tracks.h"
#include "shared/strbuf.h"

enum {
    TILE_WIDTH = 160,
    TILES_ACROSS = 10,
    TILES_PER_SHEET = TILES_ACROSS * TILES_ACROSS,
    CUES_MAX_BYTES = 1 << 20,
    CAPTIONS_MAX_BYTES = 4 << 20,
    WAVE_RATE = 8000,
    PEAKS_MAX = 48000,
    WAVE_MAX_BYTES = 1 << 18
};

/* --- storyboard -------------------------------------------------------------------------------------------------- */
typedef struct Board {
    int interval_s, height, tiles, sheets;
} Board;

static Board plan_board(const Probe *p)
{
    Board b = {.interval_s = p->duration_s <= 120 ? 1 : p->duration_s <= 1200 ? 5 : 10};

    b.height = MAX((int)lround((double)p->height * TILE_WIDTH / p->width / 2) * 2, 2);
    b.height = MIN(b.height, TILE_WIDTH * 4);
    b.tiles = MAX((int)ceil(p->duration_s / b.interval_s), 1);
    b.sheets = (b.tiles + TILES_PER_SHEET - 1) / TILES_PER_SHEET;
    return b;
}

static const char *cue_time(Arena *mem, double at_s)
{
    int64_t ms = llround(at_s * 1000);

    return arena_printf(mem, "%02" PRId64 ":%02" PRId64 ":%02" PRId64 ".%03" PRId64, ms / 3600000, ms / 60000 % 60,
                        ms / 1000 % 60, ms % 1000);
}

/* Without a gap, from the start to the end. */
static Err put_cues(Run *run, const Board *b, Transcode__V1__StepResult *out)
{
    StrBuf text = strbuf_new(run->mem, CUES_MAX_BYTES);
    Slice done;

    strbuf_append_cstr(&text, "WEBVTT\n");
    for (int i = 0; i < b->tiles; i++) {
        int on_sheet = i % TILES_PER_SHEET;
        double end_s =
            i + 1 == b->tiles ? MAX(run->probe.duration_s, i * b->interval_s + 0.001) : (i + 1.0) * b->interval_s;

        strbuf_printf(&text, "\n%s --> %s\nstoryboard-%d.jpg#xywh=%d,%d,%d,%d\n",
                      cue_time(run->mem, (double)i * b->interval_s), cue_time(run->mem, end_s), i / TILES_PER_SHEET,
                      on_sheet % TILES_ACROSS * TILE_WIDTH, on_sheet / TILES_ACROSS * b->height, TILE_WIDTH, b->height);
    }
    if (!strbuf_finish(&text, &done))
        return err_make(&INTERNAL, "a storyboard of too many cues");
    return run_put_bytes(run,
                         &(NewAsset){.kind = TRANSCODE__V1__ASSET_KIND__STORYBOARD,
                                     .name = "storyboard.vtt",
                                     .content_type = "text/vtt; charset=utf-8"},
                         done, out);
}

static int tiles_on(const Board *b, int sheet)
{
    return MIN(b->tiles - sheet * TILES_PER_SHEET, TILES_PER_SHEET);
}

/* The last sheet is cut to the rows that it uses. */
static Err put_sheet(Run *run, const Board *b, int sheet, Transcode__V1__StepResult *out)
{
    int rows = (tiles_on(b, sheet) + TILES_ACROSS - 1) / TILES_ACROSS;
    const char *file = arena_printf(run->mem, "sheet-%d.jpg", sheet);

    if (rows < TILES_ACROSS) {
        const char *cut = arena_printf(run->mem, "cut-%d.jpg", sheet);
        Args args = {.mem = run->mem};

        ARGS_ADD(&args, "-i", file, "-vf");
        args_printf(&args, "crop=%d:%d:0:0", TILES_ACROSS * TILE_WIDTH, rows * b->height);
        ARGS_ADD(&args, "-q:v", "4", "-f", "image2", "-update", "1", cut);
        TRY(run_ffmpeg(run, args.list, 0, "cutting a storyboard", NULL));
        file = cut;
    }
    return run_put_file(run,
                        &(NewAsset){.kind = TRANSCODE__V1__ASSET_KIND__STORYBOARD_SPRITE,
                                    .name = arena_printf(run->mem, "storyboard-%d.jpg", sheet),
                                    .content_type = "image/jpeg",
                                    .width = TILES_ACROSS * TILE_WIDTH,
                                    .height = rows * b->height},
                        file, out);
}

static Err storyboard_step(Run *run, Transcode__V1__StepResult *out)
{
    Board b = plan_board(&run->probe);
    Args args = {.mem = run->mem};

    args_input(&args, run->t->settings->max_pixels, run->t->threads, 0);
    args_add(&args, "-map");
    args_printf(&args, "0:%d", run->probe.video_index);
    args_add(&args, "-vf");
    /* Rounded down, a tile is a frame of its own stretch; the last one is repeated for what the file says is there. */
    args_printf(
        &args,
        "fps=1/%d:start_time=0:round=down:eof_action=pass,tpad=stop_mode=clone:stop=%d,trim=end_frame=%d,%s,tile=%dx%d",
        b.interval_s, b.tiles, b.tiles, filter_normal(run->mem, &run->probe, TILE_WIDTH, b.height, false), TILES_ACROSS,
        TILES_ACROSS);
    ARGS_ADD(&args, "-pix_fmt", "yuvj420p", "-q:v", "4", "-map_metadata", "-1", "-f", "image2", "-start_number", "0",
             "sheet-%d.jpg");
    TRY(run_ffmpeg(run, args.list, run->probe.duration_s, "a storyboard", NULL));
    for (int i = 0; i < b.sheets; i++)
        TRY(put_sheet(run, &b, i, out));
    return put_cues(run, &b, out);
}

/* --- captions ---------------------------------------------------------------------------------------------------- */
/* BCP 47 wants two letters where there are two; containers have three, in two manners. */
static const char *language_tag(const char *code)
{
    static const char *const SHORT[][2] = {
        {"ara", "ar"}, {"bul", "bg"}, {"cat", "ca"}, {"ces", "cs"}, {"cze", "cs"}, {"chi", "zh"}, {"zho", "zh"},
        {"dan", "da"}, {"deu", "de"}, {"ger", "de"}, {"dut", "nl"}, {"nld", "nl"}, {"ell", "el"}, {"gre", "el"},
        {"eng", "en"}, {"est", "et"}, {"fas", "fa"}, {"per", "fa"}, {"fin", "fi"}, {"fra", "fr"}, {"fre", "fr"},
        {"heb", "he"}, {"hin", "hi"}, {"hrv", "hr"}, {"hun", "hu"}, {"ind", "id"}, {"ita", "it"}, {"jpn", "ja"},
        {"kor", "ko"}, {"lav", "lv"}, {"lit", "lt"}, {"nor", "no"}, {"pol", "pl"}, {"por", "pt"}, {"ron", "ro"},
        {"rum", "ro"}, {"rus", "ru"}, {"slk", "sk"}, {"slo", "sk"}, {"slv", "sl"}, {"spa", "es"}, {"srp", "sr"},
        {"swe", "sv"}, {"tha", "th"}, {"tur", "tr"}, {"ukr", "uk"}, {"vie", "vi"}};

    for (size_t i = 0; i < ARRAY_LEN(SHORT); i++)
        if (strcmp(code, SHORT[i][0]) == 0)
            return SHORT[i][1];
    return code;
}

static Err put_captions(Run *run, const ProbeSubtitle *s, size_t number, const char *file,
                        Transcode__V1__StepResult *out)
{
    Transcode__V1__Rendition *r = MESSAGE_NEW(run->mem, Transcode__V1__Rendition, transcode__v1__rendition__init);
    const char *name = arena_printf(run->mem, "captions/%zu.vtt", number), *language = language_tag(s->language);
    Slice playlist =
        hls_captions_playlist(run->mem, arena_printf(run->mem, "../%s", name), llround(run->probe.duration_s * 1000));

    SET(r, kind, TRANSCODE__V1__RENDITION_KIND__SUBTITLES);
    r->name = arena_printf(run->mem, "captions-%zu", number);
    r->uri = arena_printf(run->mem, "captions-%zu.m3u8", number);
    r->language = arena_strdup(run->mem, language);
    SET(r, is_default, s->is_default);
    SET(r, is_forced, s->is_forced);
    TRY(run_put_file(run,
                     &(NewAsset){.kind = TRANSCODE__V1__ASSET_KIND__CAPTIONS,
                                 .name = name,
                                 .content_type = "text/vtt; charset=utf-8",
                                 .language = language,
                                 .is_default = s->is_default,
                                 .is_forced = s->is_forced},
                     file, out));
    TRY(run_put_bytes(run,
                      &(NewAsset){.kind = TRANSCODE__V1__ASSET_KIND__HLS_PLAYLIST,
                                  .name = arena_printf(run->mem, "hls/%s", r->uri),
                                  .content_type = "application/vnd.apple.mpegurl"},
                      playlist, out));
    run_add_rendition(run, out, r);
    return OK;
}

/* A stream that cannot be read is noted; the others are still good. */
static Err captions_step(Run *run, Transcode__V1__StepResult *out)
{
    size_t number = 0;

    for (size_t i = 0; i < run->probe.subtitle_count; i++) {
        const ProbeSubtitle *s = &run->probe.subtitles[i];
        const char *file = arena_printf(run->mem, "captions-%zu.vtt", i);
        Args args = {.mem = run->mem};
        Err e;

        if (!s->text) {
            run_warn(run, out, "subtitles of pictures (%s) are no captions", s->language);
            continue;
        }
        args_input(&args, run->t->settings->max_pixels, 1, 0);
        args_add(&args, "-map");
        args_printf(&args, "0:%d", s->index);
        ARGS_ADD(&args, "-c:s", "webvtt", "-map_metadata", "-1", "-fs");
        args_printf(&args, "%d", CAPTIONS_MAX_BYTES);
        ARGS_ADD(&args, "-f", "webvtt", file);
        e = run_ffmpeg(run, args.list, 0, "captions", NULL);
        if (e.reason == &INPUT_DAMAGED) {
            run_warn(run, out, "subtitles (%s) cannot be read", s->language);
            continue;
        }
        TRY(e);
        TRY(put_captions(run, s, ++number, file, out));
    }
    return OK;
}

/* --- sound ------------------------------------------------------------------------------------------------------- */
typedef struct Wave {
    Run *run;
    uint8_t *peaks;
    size_t count;
    int per_second, samples, loudest; /* of the peak in the making */
    int half;                         /* the first byte of a sample; -1: none */
} Wave;

static void end_peak(Wave *w)
{
    if (w->samples && w->count < PEAKS_MAX)
        w->peaks[w->count++] = (uint8_t)MIN(w->loudest * 255 / 32767, 255);
    w->samples = 0;
    w->loudest = 0;
}

/* Little-endian samples of 16 bits. */
static void take_sound(void *data, Slice piece)
{
    Wave *w = data;

    for (size_t i = 0; i < piece.len; i++) {
        int byte = (uint8_t)piece.ptr[i];

        if (w->half < 0) {
            w->half = byte;
            continue;
        }
        w->loudest = MAX(w->loudest, abs((int16_t)(byte << 8 | w->half)));
        w->half = -1;
        if (++w->samples == WAVE_RATE / w->per_second)
            end_peak(w);
    }
}

static bool wave_cancelled(void *data)
{
    return run_cancelled(((Wave *)data)->run);
}

/* The last number behind `label` in what ebur128 summed up. */
static bool read_level(Arena *mem, Slice summary, const char *label, double *out)
{
    ptrdiff_t at = slice_find(summary, slice(label));
    char *end, *text;

    if (at < 0)
        return false;
    text = slice_cstr(mem, slice_skip(summary, (size_t)at + strlen(label)));
    *out = strtod(text, &end);
    return end != text && isfinite(*out);
}

static void take_levels(Run *run, Slice errors, Transcode__V1__StepResult *out)
{
    ptrdiff_t at = slice_find(errors, SLICE_LIT("Summary:"));
    Slice summary = slice_skip(errors, at < 0 ? errors.len : (size_t)at);
    double loudness, peak;

    out->facts = MESSAGE_NEW(run->mem, Transcode__V1__MediaFacts, transcode__v1__media_facts__init);
    if (read_level(run->mem, summary, "I:", &loudness))
        SET(out->facts, loudness_lufs, loudness);
    if (read_level(run->mem, summary, "Peak:", &peak))
        SET(out->facts, true_peak_dbtp, peak);
}

static Err put_wave(Run *run, const Wave *w, Transcode__V1__StepResult *out)
{
    StrBuf text = strbuf_new(run->mem, WAVE_MAX_BYTES);
    Slice done;

    strbuf_printf(&text, "{\"version\":1,\"per_second\":%d,\"peaks\":[", w->per_second);
    for (size_t i = 0; i < w->count; i++)
        strbuf_printf(&text, "%s%u", i ? "," : "", w->peaks[i]);
    strbuf_append_cstr(&text, "]}\n");
    if (!strbuf_finish(&text, &done))
        return err_make(&INTERNAL, "a waveform of too many peaks");
    return run_put_bytes(run,
                         &(NewAsset){.kind = TRANSCODE__V1__ASSET_KIND__WAVEFORM,
                                     .name = "waveform.json",
                                     .content_type = "application/json"},
                         done, out);
}

static Err sound_step(Run *run, Transcode__V1__StepResult *out)
{
    Wave w = {.run = run, .peaks = ARENA_ARRAY(run->mem, uint8_t, PEAKS_MAX), .half = -1};
    Args args = {.mem = run->mem};
    ChildResult result;

    w.per_second = run->probe.duration_s <= 1200 ? 20 : run->probe.duration_s <= 4800 ? 10 : 1;
    ARGS_ADD(&args, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "info");
    args_input(&args, run->t->settings->max_pixels, 1, 0);
    args_add(&args, "-map");
    args_printf(&args, "0:%d", run->probe.audio_index);
    ARGS_ADD(&args, "-af", "ebur128=peak=true:framelog=verbose,aresample=8000", "-ac", "1", "-f", "s16le", "pipe:1");
    TRY(child_run(&run->t->children, run->mem,
                  &(ChildSpec){.program = run->t->settings->ffmpeg,
                               .args = args.list,
                               .dir = run->dir,
                               .input_fd = run->input_fd,
                               .nice = run->nice,
                               .piece = take_sound,
                               .cancelled = wave_cancelled,
                               .data = &w},
                  &result));
    TRY(child_verdict(&result, "measuring the sound"));
    end_peak(&w);
    take_levels(run, result.errors, out);
    return put_wave(run, &w, out);
}

Err extras_work(Run *run)
{
    TRY(run_probe(run));
    if (run->probe.has_video)
        TRY(run_step(run, "storyboard", 0, 0.6, storyboard_step));
    if (run->probe.has_audio)
        TRY(run_step(run, "sound", 0.6, 0.85, sound_step));
    if (run->probe.subtitle_count == 0)
        return OK;
    TRY(run_step(run, "captions", 0.85, 0.98, captions_step));
    return run_step(run, "captions-package", 0.98, 1, run_put_master);
}
