/* first: until an item can be shown. */
#include <math.h>

#include "services/transcode/encode.h"
#include "services/transcode/hls.h"
#include "services/transcode/pictures.h"
#include "services/transcode/tracks.h"

/* A source of so many times the rate that we would give it is still better copied at once: smaller rungs follow. */
enum { COPY_RATE_FACTOR = 4 };

/* Missing at the end of what the file says it has: of little, a warning; of much, a failure. */
#define MISSING_NOTED_S 0.5
#define MISSING_NOTED_SHARE 0.02
#define MISSING_FATAL_S 1.0
#define MISSING_FATAL_SHARE 0.1

static Err compare_span(Run *run, double got_s, Transcode__V1__StepResult *out)
{
    double wanted_s = run->probe.duration_s, missing_s = wanted_s - got_s;

    if (wanted_s <= 0 || missing_s <= MAX(MISSING_NOTED_S, wanted_s * MISSING_NOTED_SHARE))
        return OK;
    if (missing_s > MAX(MISSING_FATAL_S, wanted_s * MISSING_FATAL_SHARE))
        return err_make(&INPUT_TRUNCATED, "%.1f s of %.1f s are missing", missing_s, wanted_s);
    run_warn(run, out, "truncated: %.1f s of %.1f s are missing", missing_s, wanted_s);
    return OK;
}

/* Matroska without a length says so only here. */
static void note_errors(Run *run, const ChildResult *child, Transcode__V1__StepResult *out)
{
    if (slice_find(child->errors, SLICE_LIT("File ended prematurely")) >= 0)
        run_warn(run, out, "truncated: the file ends in the middle");
    else if (child->error_lines)
        run_warn(run, out, "damaged: %" PRIu64 " decoding errors", child->error_lines);
}

/* --- facts ------------------------------------------------------------------------------------------------------- */
static char *word_or_null(Run *run, const char *word)
{
    return word[0] ? arena_strdup(run->mem, word) : NULL;
}

/* The container is told apart from its kin by what ffprobe read. */
static const char *type_of(const Run *run)
{
    const Probe *p = &run->probe;
    bool matroska = strcmp(run->mime_type, "video/x-matroska") == 0;
    static const char *const WEB[] = {"vp8", "vp9", "av1"};

    if (matroska && p->has_video)
        for (size_t i = 0; i < ARRAY_LEN(WEB); i++)
            if (strcmp(p->video_codec, WEB[i]) == 0)
                return "video/webm";
    if (p->has_video || strncmp(run->mime_type, "audio/", 6) == 0)
        return strcmp(run->mime_type, "application/ogg") == 0 ? "video/ogg" : run->mime_type;
    if (matroska)
        return strcmp(p->audio_codec, "opus") == 0 || strcmp(p->audio_codec, "vorbis") == 0 ? "audio/webm"
                                                                                            : "audio/x-matroska";
    if (strcmp(run->mime_type, "application/ogg") == 0)
        return "audio/ogg";
    return strncmp(p->container, "mov,", 4) == 0 ? "audio/mp4" : run->mime_type;
}

static void fill_video_facts(Run *run, Transcode__V1__MediaFacts *f)
{
    const Probe *p = &run->probe;

    SET(f, width, p->width);
    SET(f, height, p->height);
    SET(f, fps_num, p->fps_num);
    SET(f, fps_den, p->fps_den);
    SET(f, rotation, p->rotation);
    f->video_codec = word_or_null(run, p->video_codec);
    f->video_profile = word_or_null(run, p->video_profile);
    f->pixel_format = word_or_null(run, p->pixel_format);
    f->hdr = word_or_null(run, p->hdr);
}

static Transcode__V1__MediaFacts *make_facts(Run *run)
{
    Transcode__V1__MediaFacts *f = MESSAGE_NEW(run->mem, Transcode__V1__MediaFacts, transcode__v1__media_facts__init);
    const Probe *p = &run->probe;

    f->mime_type = arena_strdup(run->mem, type_of(run));
    f->container = word_or_null(run, p->container);
    SET(f, duration_ms, llround(p->duration_s * 1000));
    SET(f, bit_rate, p->bit_rate);
    if (p->has_video)
        fill_video_facts(run, f);
    if (p->has_audio) {
        f->audio_codec = word_or_null(run, p->audio_codec);
        SET(f, audio_channels, p->audio_channels);
        SET(f, audio_sample_rate, p->audio_rate);
    }
    f->bitmap_subtitles = ARENA_ARRAY(run->mem, char *, p->subtitle_count + 1);
    SET(f, text_subtitles, 0);
    for (size_t i = 0; i < p->subtitle_count; i++) {
        if (p->subtitles[i].text)
            f->text_subtitles++;
        else
            f->bitmap_subtitles[f->n_bitmap_subtitles++] = arena_strdup(run->mem, p->subtitles[i].language);
    }
    return f;
}

/* --- steps ------------------------------------------------------------------------------------------------------- */
static Err probe_step(Run *run, Transcode__V1__StepResult *out)
{
    out->facts = make_facts(run);
    return OK;
}

/* The true length, where the file says none. */
static void correct_duration(Run *run, double got_s, Transcode__V1__StepResult *out)
{
    if (run->probe.duration_s > 0)
        return;
    out->facts = MESSAGE_NEW(run->mem, Transcode__V1__MediaFacts, transcode__v1__media_facts__init);
    SET(out->facts, duration_ms, llround(got_s * 1000));
}

/* Into one file for players that know no playlists, and for downloads. */
static Err put_progressive(Run *run, const char *video, const Tracks *tracks, Transcode__V1__StepResult *out)
{
    Args args = {.mem = run->mem};
    bool faststart;
    const char *name =
        tracks->video ? arena_printf(run->mem, "mp4/%d.mp4", MIN(tracks->width, tracks->height)) : "audio.m4a";
    const char *codecs = tracks->video && tracks->audio
                             ? arena_printf(run->mem, "%s,%s", tracks->video_codecs, tracks->audio_codecs)
                         : tracks->video ? tracks->video_codecs
                                         : tracks->audio_codecs;

    if (tracks->video)
        ARGS_ADD(&args, "-i", video);
    if (tracks->audio)
        ARGS_ADD(&args, "-i", "audio.mp4");
    if (tracks->video && tracks->audio)
        ARGS_ADD(&args, "-map", "0", "-map", "1");
    ARGS_ADD(&args, "-c", "copy", "-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact", "-movflags",
             "+faststart", "-f", "mp4", "progressive.mp4");
    TRY(run_ffmpeg(run, args.list, 0, "joining", NULL));
    TRY(mp4_is_faststart(run_path(run, "progressive.mp4"), &faststart));
    if (!faststart)
        return err_make(&INTERNAL, "what was made begins with its data");
    return run_put_file(run,
                        &(NewAsset){.kind = TRANSCODE__V1__ASSET_KIND__PROGRESSIVE,
                                    .name = name,
                                    .content_type = tracks->video ? "video/mp4" : "audio/mp4",
                                    .width = tracks->width,
                                    .height = tracks->height,
                                    .codecs = codecs},
                        "progressive.mp4", out);
}

/* The source's own streams, when they play everywhere and can be cut into segments: within seconds, and as they are.
 * False when they cannot. */
static Err try_copy(Run *run, const Rung *top, Transcode__V1__StepResult *out, Tracks *tracks, bool *copied)
{
    Args args = {.mem = run->mem};
    Transcode__V1__StepResult tried = TRANSCODE__V1__STEP_RESULT__INIT;
    ChildResult child;
    Err e;

    *copied = false;
    if (!probe_conforms(&run->probe, top->max_rate * COPY_RATE_FACTOR))
        return OK;
    args_input(&args, run->t->settings->max_pixels, 1, 0);
    args_copy(&args, &run->probe, "source.mp4");
    e = run_ffmpeg(run, args.list, run->probe.duration_s, "copying", &child);
    if (e.reason == &INPUT_DAMAGED)
        return OK; /* the decoder may get further */
    TRY(e);
    e = tracks_read(run, "source.mp4", tracks);
    if (e.reason == &INVALID_BODY)
        return OK;
    TRY(e);
    e = tracks_check(run, tracks);
    if (e.reason == &INVALID_BODY)
        return OK; /* key frames too far apart */
    TRY(e);
    note_errors(run, &child, &tried);
    TRY(tracks_put(run, tracks, arena_printf(run->mem, "h264-%d", MIN(tracks->width, tracks->height)), "source.mp4",
                   true, &tried));
    SET(tried.renditions[0], copied, true);
    *out = tried;
    *copied = true;
    return OK;
}

static Err encode_rung(Run *run, const Rung *rung, Transcode__V1__StepResult *out, Tracks *tracks)
{
    const TranscodeSettings *s = run->t->settings;
    Args args = {.mem = run->mem};
    ChildResult child;

    args_input(&args, s->max_pixels, run->t->threads, 0);
    if (rung)
        args_video(&args, &run->probe, rung, 1, s->preset, run->t->threads, false);
    if (run->probe.has_audio)
        args_audio(&args, &run->probe);
    TRY(run_ffmpeg(run, args.list, run->probe.duration_s, "encoding", &child));
    note_errors(run, &child, out);
    TRY(tracks_read(run, rung ? arena_printf(run->mem, "%s.mp4", rung->name) : NULL, tracks));
    return tracks_put(run, tracks, rung ? rung->name : NULL, rung ? arena_printf(run->mem, "%s.mp4", rung->name) : NULL,
                      true, out);
}

static Err encode_step(Run *run, Transcode__V1__StepResult *out)
{
    Rung rungs[RUNGS_MAX];
    Tracks tracks = {0};
    const char *video = NULL;
    bool copied = false;

    if (run->probe.has_video) {
        size_t count = ladder_make(&run->probe, false, rungs);
        size_t first = ladder_first(rungs, count, (int)run->t->settings->first_height);

        video = "source.mp4";
        TRY(try_copy(run, &rungs[count - 1], out, &tracks, &copied));
        if (!copied) {
            video = arena_printf(run->mem, "%s.mp4", rungs[first].name);
            TRY(encode_rung(run, &rungs[first], out, &tracks));
        }
    } else {
        TRY(encode_rung(run, NULL, out, &tracks));
    }
    TRY(compare_span(run, tracks.span_s, out));
    correct_duration(run, tracks.span_s, out);
    return put_progressive(run, video, &tracks, out);
}

/* --- the whole --------------------------------------------------------------------------------------------------- */
static Err video_work(Run *run, int *following, size_t *following_count)
{
    TRY(run_probe(run));
    TRY(run_step(run, "probe", 0, 0.02, probe_step));
    TRY(run_step(run, "encode", 0.02, 0.9, encode_step));
    TRY(run_step(run, "package", 0.9, 0.92, run_put_master));
    if (run->probe.has_video) {
        TRY(run_step(run, "poster", 0.92, 1, poster_step));
        following[(*following_count)++] = TRANSCODE__V1__JOB_KIND__RENDITIONS;
    }
    following[(*following_count)++] = TRANSCODE__V1__JOB_KIND__EXTRAS;
    return OK;
}

static Err untouched_step(Run *run, Transcode__V1__StepResult *out)
{
    if (run->mime_type[0] == 0)
        return OK;
    out->facts = MESSAGE_NEW(run->mem, Transcode__V1__MediaFacts, transcode__v1__media_facts__init);
    out->facts->mime_type = arena_strdup(run->mem, run->mime_type);
    return OK;
}

/* What it is decides, not what it is called; but what is called video, sound or a picture and is none of the three
 * is no ordinary file: it is a playlist that wants other files read, or a mistake. */
Err first_work(Run *run, int *following, size_t *following_count)
{
    MediaClass claimed = class_claimed(run->row.mime_type, run->row.filename);
    bool moving = false;

    TRY(run_open_input(run));
    if (run->class == CLASS_IMAGE) {
        TRY(run_step(run, "picture", 0, 0.5, picture_step));
        TRY(picture_moves(run, &moving));
        return moving ? video_work(run, following, following_count) : OK;
    }
    if (run->class == CLASS_VIDEO || run->class == CLASS_AUDIO)
        return video_work(run, following, following_count);
    if (claimed != CLASS_OTHER && claimed != run->class)
        return err_make(&INPUT_UNSUPPORTED, "this is not what it is called");
    return run_step(run, "look", 0, 1, untouched_step);
}
