/* hls: see the header. */
#include "services/transcode/hls.h"

#include <math.h>

#include "atrium/reasons.atrium.h"
#include "shared/strbuf.h"

typedef struct Segment {
    uint64_t offset, size_bytes, duration;
} Segment;

static double seconds(const Cmaf *cmaf, uint64_t duration)
{
    return (double)duration / cmaf->timescale;
}

/* Fragments joined until they are long enough; each segment begins with a key frame. Fragments lie one behind the
 * other, so a segment is one range. */
static Err make_segments(Arena *mem, const Cmaf *cmaf, Segment **out, size_t *out_count)
{
    Segment *segments = ARENA_ARRAY(mem, Segment, cmaf->count);
    uint64_t enough = (uint64_t)cmaf->timescale * HLS_SEGMENT_MS / 1000;
    size_t count = 0;

    for (size_t i = 0; i < cmaf->count; i++) {
        const Fragment *f = &cmaf->fragments[i];
        Segment *s = count ? &segments[count - 1] : NULL;

        /* A frame's length less: encoders' clocks round. */
        if (!s || (f->key && s->duration + enough / 100 >= enough)) {
            if (!f->key)
                return err_make(&INVALID_BODY, "a segment does not begin with a key frame");
            segments[count++] = (Segment){.offset = f->offset, .size_bytes = f->size_bytes, .duration = f->duration};
            continue;
        }
        s->size_bytes = f->offset + f->size_bytes - s->offset;
        s->duration += f->duration;
    }
    for (size_t i = 0; i < count; i++)
        if (seconds(cmaf, segments[i].duration) * 1000 > HLS_SEGMENT_MAX_MS)
            return err_make(&INVALID_BODY, "a segment of more than %d s", HLS_SEGMENT_MAX_MS / 1000);
    *out = segments;
    *out_count = count;
    return OK;
}

static long target_duration(const Cmaf *cmaf, const Segment *segments, size_t count)
{
    double longest = 0;

    for (size_t i = 0; i < count; i++)
        longest = MAX(longest, seconds(cmaf, segments[i].duration));
    return MAX(lround(longest), 1);
}

/* RFC 8216, 4.1: the largest bit rate of any contiguous set of segments that lasts 0.5 to 1.5 target durations. */
static int64_t peak_rate(const Cmaf *cmaf, const Segment *segments, size_t count, long target)
{
    double peak = 0;
    uint64_t all_bytes = 0, all_duration = 0;

    for (size_t i = 0; i < count; i++) {
        uint64_t bytes = 0, duration = 0;

        for (size_t j = i; j < count; j++) {
            bytes += segments[j].size_bytes;
            duration += segments[j].duration;
            if (seconds(cmaf, duration) > 1.5 * (double)target)
                break;
            if (seconds(cmaf, duration) >= 0.5 * (double)target)
                peak = MAX(peak, (double)bytes * 8 / seconds(cmaf, duration));
        }
        all_bytes += segments[i].size_bytes;
        all_duration += segments[i].duration;
    }
    if (peak == 0) /* shorter than that altogether */
        peak = (double)all_bytes * 8 / seconds(cmaf, all_duration);
    return (int64_t)ceil(peak);
}

static void measure(const Cmaf *cmaf, const Segment *segments, size_t count, long target, Transcode__V1__Rendition *r)
{
    uint64_t bytes = 0, duration = 0;

    for (size_t i = 0; i < count; i++) {
        bytes += segments[i].size_bytes;
        duration += segments[i].duration;
    }
    SET(r, peak, peak_rate(cmaf, segments, count, target));
    SET(r, average, (int64_t)ceil((double)bytes * 8 / seconds(cmaf, duration)));
    SET(r, duration_ms, llround(seconds(cmaf, duration) * 1000));
}

Err hls_media_playlist(Arena *mem, const Cmaf *cmaf, const char *file, Transcode__V1__Rendition *rendition, Slice *out)
{
    StrBuf text = strbuf_new(mem, HLS_PLAYLIST_MAX_BYTES);
    Segment *segments = NULL;
    size_t count = 0;
    long target;

    TRY(make_segments(mem, cmaf, &segments, &count));
    target = target_duration(cmaf, segments, count);
    strbuf_printf(&text,
                  "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:%ld\n#EXT-X-MEDIA-SEQUENCE:0\n"
                  "#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n"
                  "#EXT-X-MAP:URI=\"%s\",BYTERANGE=\"%" PRIu64 "@0\"\n",
                  target, file, cmaf->init_bytes);
    for (size_t i = 0; i < count; i++)
        strbuf_printf(&text, "#EXTINF:%.6f,\n#EXT-X-BYTERANGE:%" PRIu64 "@%" PRIu64 "\n%s\n",
                      seconds(cmaf, segments[i].duration), segments[i].size_bytes, segments[i].offset, file);
    strbuf_append_cstr(&text, "#EXT-X-ENDLIST\n");
    if (!strbuf_finish(&text, out))
        return err_make(&INVALID_BODY, "too many segments");
    measure(cmaf, segments, count, target, rendition);
    rendition->codecs = arena_strdup(mem, cmaf->codecs);
    if (cmaf->video) {
        SET(rendition, width, (int32_t)cmaf->width);
        SET(rendition, height, (int32_t)cmaf->height);
    }
    return OK;
}

/* --- the master -------------------------------------------------------------------------------------------------- */
typedef struct Master {
    StrBuf text;
    const Transcode__V1__Rendition *audio; /* NULL: silent */
    bool subtitles;
} Master;

static const char *yes_no(bool value)
{
    return value ? "YES" : "NO";
}

/* Players take only some letters in a language; whoever said something else gets none. */
static bool language_fits(const char *language)
{
    for (const char *c = language; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '-'))
            return false;
    return language[0] && strcmp(language, "und") != 0;
}

static void put_group(Master *m, const Transcode__V1__Rendition *r, const char *type, const char *group)
{
    bool named = r->language && language_fits(r->language);

    strbuf_printf(&m->text, "#EXT-X-MEDIA:TYPE=%s,GROUP-ID=\"%s\",NAME=\"%s\"", type, group, r->name);
    if (named)
        strbuf_printf(&m->text, ",LANGUAGE=\"%s\"", r->language);
    strbuf_printf(&m->text, ",DEFAULT=%s,AUTOSELECT=YES", yes_no(r->is_default));
    if (r->kind == TRANSCODE__V1__RENDITION_KIND__SUBTITLES)
        strbuf_printf(&m->text, ",FORCED=%s", yes_no(r->is_forced));
    else
        strbuf_append_cstr(&m->text, ",CHANNELS=\"2\"");
    strbuf_printf(&m->text, ",URI=\"%s\"\n", r->uri);
}

static void put_variant(Master *m, const Transcode__V1__Rendition *r)
{
    const Transcode__V1__Rendition *audio = r->kind == TRANSCODE__V1__RENDITION_KIND__VIDEO ? m->audio : NULL;

    strbuf_printf(&m->text, "#EXT-X-STREAM-INF:BANDWIDTH=%" PRId64 ",AVERAGE-BANDWIDTH=%" PRId64 ",CODECS=\"%s%s%s\"",
                  r->peak + (audio ? audio->peak : 0), r->average + (audio ? audio->average : 0), r->codecs,
                  audio ? "," : "", audio ? audio->codecs : "");
    if (r->kind == TRANSCODE__V1__RENDITION_KIND__VIDEO)
        strbuf_printf(&m->text, ",RESOLUTION=%dx%d,FRAME-RATE=%.3f", r->width, r->height,
                      (double)r->fps_num / MAX(r->fps_den, 1));
    if (audio)
        strbuf_append_cstr(&m->text, ",AUDIO=\"audio\"");
    if (m->subtitles)
        strbuf_append_cstr(&m->text, ",SUBTITLES=\"captions\"");
    strbuf_printf(&m->text, ",CLOSED-CAPTIONS=NONE\n%s\n", r->uri);
}

/* The first one is what players begin with; then H.264 before others, small before large. */
static int by_rank(const void *a, const void *b)
{
    const Transcode__V1__Rendition *x = *(Transcode__V1__Rendition *const *)a,
                                   *y = *(Transcode__V1__Rendition *const *)b;
    int codec = strncmp(x->codecs, y->codecs, 4);

    if (x->first != y->first)
        return x->first ? -1 : 1;
    if (codec != 0)
        return codec;
    return x->peak < y->peak ? -1 : x->peak > y->peak;
}

Err hls_master(Arena *mem, Transcode__V1__Rendition *const *renditions, size_t count, Slice *out)
{
    Transcode__V1__Rendition **videos = ARENA_ARRAY(mem, Transcode__V1__Rendition *, count + 1);
    Master m = {.text = strbuf_new(mem, HLS_MASTER_MAX_BYTES)};
    size_t video_count = 0;

    strbuf_append_cstr(&m.text, "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    for (size_t i = 0; i < count; i++) {
        switch (renditions[i]->kind) {
        case TRANSCODE__V1__RENDITION_KIND__VIDEO:
            videos[video_count++] = renditions[i];
            break;
        case TRANSCODE__V1__RENDITION_KIND__AUDIO:
            m.audio = renditions[i];
            break;
        case TRANSCODE__V1__RENDITION_KIND__SUBTITLES:
            m.subtitles = true;
            break;
        default:
            break;
        }
    }
    if (video_count && m.audio)
        put_group(&m, m.audio, "AUDIO", "audio");
    for (size_t i = 0; i < count; i++)
        if (renditions[i]->kind == TRANSCODE__V1__RENDITION_KIND__SUBTITLES)
            put_group(&m, renditions[i], "SUBTITLES", "captions");
    qsort(videos, video_count, sizeof *videos, by_rank); /* NOLINT(bugprone-sizeof-expression): pointers it is */
    for (size_t i = 0; i < video_count; i++)
        put_variant(&m, videos[i]);
    if (video_count == 0 && m.audio)
        put_variant(&m, m.audio);
    if (!strbuf_finish(&m.text, out))
        return err_make(&INTERNAL, "a master of too many renditions");
    return OK;
}

Slice hls_captions_playlist(Arena *mem, const char *file, int64_t duration_ms)
{
    double duration_s = (double)MAX(duration_ms, 1) / 1000;

    return slice(arena_printf(mem,
                              "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:%ld\n#EXT-X-MEDIA-SEQUENCE:0\n"
                              "#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:%.6f,\n%s\n#EXT-X-ENDLIST\n",
                              MAX(lround(ceil(duration_s)), 1), duration_s, file));
}
