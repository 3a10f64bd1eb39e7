/* Playlists beside the files that they are of: what they say is measured again, from their own lines. */
#include "services/transcode/hls.h"

#include <math.h>

#include "services/transcode/films.h"

enum { SEGMENTS_MAX = 16 };

typedef struct Told {
    double seconds[SEGMENTS_MAX];
    int64_t bytes[SEGMENTS_MAX], offset[SEGMENTS_MAX], init_bytes;
    int count, target;
    bool ended;
} Told;

/* Of a playlist's lines. */
static Told read_playlist(const Bench *b, Slice text)
{
    Told t = {0};
    Slice line, rest = text;

    while (rest.len) {
        const char *words;
        (void)slice_cut(rest, '\n', &line, &rest);
        words = slice_cstr(b->mem, line);
        assert_true(t.count < SEGMENTS_MAX);
        if (sscanf(words, "#EXTINF:%lf,", &t.seconds[t.count]) == 1)
            continue;
        if (sscanf(words, "#EXT-X-BYTERANGE:%" SCNd64 "@%" SCNd64, &t.bytes[t.count], &t.offset[t.count]) == 2)
            t.count++;
        (void)sscanf(words, "#EXT-X-TARGETDURATION:%d", &t.target);
        (void)sscanf(words, "#EXT-X-MAP:URI=\"x.mp4\",BYTERANGE=\"%" SCNd64 "@0\"", &t.init_bytes);
        t.ended |= strcmp(words, "#EXT-X-ENDLIST") == 0;
    }
    return t;
}

/* The most of any segments in a row that last half to one and a half target durations. */
static double peak_of(const Told *t)
{
    double most = 0;

    for (int i = 0; i < t->count; i++) {
        double s = 0, bytes = 0;
        for (int k = i; k < t->count; k++) {
            s += t->seconds[k];
            bytes += (double)t->bytes[k];
            if (s >= 0.5 * t->target && s <= 1.5 * t->target)
                most = fmax(most, bytes * 8 / s);
        }
    }
    return most;
}

static Transcode__V1__Rendition rendition(char *name, Transcode__V1__RenditionKind kind)
{
    Transcode__V1__Rendition r = TRANSCODE__V1__RENDITION__INIT;

    SET(&r, kind, kind);
    r.name = name;
    r.uri = name;
    return r;
}

static Told check_media(const Bench *b, const char *path, double seconds, Transcode__V1__Rendition *r)
{
    double sum = 0, bytes = 0;
    Slice text;
    Cmaf c;
    Told t;

    assert_ok(cmaf_read_path(path, b->mem, &c));
    assert_ok(hls_media_playlist(b->mem, &c, "x.mp4", r, &text));
    t = read_playlist(b, text);
    assert_true(slice_starts_with(text, SLICE_LIT("#EXTM3U\n#EXT-X-VERSION:7\n")) && t.ended);
    assert_int_equal(t.init_bytes, c.init_bytes);
    for (int i = 0; i < t.count; i++) {
        assert_int_equal(t.offset[i], i ? t.offset[i - 1] + t.bytes[i - 1] : t.init_bytes);
        assert_true(lround(t.seconds[i]) <= t.target);
        sum += t.seconds[i];
        bytes += (double)t.bytes[i];
    }
    assert_true(fabs(sum - seconds) < 0.05);
    assert_true(fabs((double)r->duration_ms / 1000 - sum) < 0.002);
    assert_true(fabs((double)r->average - bytes * 8 / sum) < 2);
    assert_true(fabs((double)r->peak - peak_of(&t)) < 2 && r->peak >= r->average);
    assert_string_equal(r->codecs, c.codecs);
    return t;
}

static void segments_are_ranges_of_about_four_seconds(void **state)
{
    const Bench *b = *state;
    char name[] = "v";
    Transcode__V1__Rendition r = rendition(name, TRANSCODE__V1__RENDITION_KIND__VIDEO);
    Told t = check_media(b, film_avc(b), 6, &r);

    assert_int_equal(t.count, 2);
    assert_true(t.seconds[0] == 4 && t.seconds[1] == 2);
    assert_int_equal(t.target, 4);
    assert_int_equal(r.width, 64);
    assert_int_equal(r.height, 48);
}

static void sound_and_short_films(void **state)
{
    const Bench *b = *state;
    char name[] = "x";
    Transcode__V1__Rendition sound = rendition(name, TRANSCODE__V1__RENDITION_KIND__AUDIO),
                             brief = rendition(name, TRANSCODE__V1__RENDITION_KIND__VIDEO);

    check_media(b, film_aac(b), 6, &sound);
    assert_false(sound.has_width);
    assert_int_equal(check_media(b, film_hevc(b), 2, &brief).count, 1);
}

static void a_master_sums_up_its_variants(void **state)
{
    const Bench *b = *state;
    char large[] = "large", small[] = "small", late[] = "late", sound[] = "sound", captions[] = "captions", de[] = "de",
         odd[] = "d\"e";
    Transcode__V1__Rendition v = rendition(large, TRANSCODE__V1__RENDITION_KIND__VIDEO),
                             w = rendition(small, TRANSCODE__V1__RENDITION_KIND__VIDEO),
                             h = rendition(late, TRANSCODE__V1__RENDITION_KIND__VIDEO),
                             a = rendition(sound, TRANSCODE__V1__RENDITION_KIND__AUDIO),
                             s = rendition(captions, TRANSCODE__V1__RENDITION_KIND__SUBTITLES);
    Transcode__V1__Rendition *const all[] = {&h, &v, &w, &a, &s};
    char expected[160];
    Slice text;

    check_media(b, film_avc(b), 6, &v);
    SET(&v, fps_num, 25);
    SET(&v, fps_den, 1);
    w = v;
    w.name = w.uri = small;
    w.peak = v.peak / 2;
    SET(&v, first, true);
    check_media(b, film_hevc(b), 2, &h);
    check_media(b, film_aac(b), 6, &a);
    s.language = de;
    SET(&s, is_forced, true);
    assert_ok(hls_master(b->mem, all, ARRAY_LEN(all), &text));
    snprintf(expected, sizeof expected,
             "#EXT-X-STREAM-INF:BANDWIDTH=%" PRId64 ",AVERAGE-BANDWIDTH=%" PRId64
             ",CODECS=\"avc1.64001E,mp4a.40.2\",RESOLUTION=64x48,FRAME-RATE=25.000,AUDIO=",
             v.peak + a.peak, v.average + a.average);
    assert_true(slice_find(text, slice(expected)) > 0);
    assert_true(slice_find(text, SLICE_LIT("CODECS=\"hvc1.1.6.L90.90,mp4a.40.2\"")) > 0);
    assert_true(slice_find(text, SLICE_LIT("LANGUAGE=\"de\",DEFAULT=NO,AUTOSELECT=YES,FORCED=YES")) > 0);
    /* The one to begin with; then H.264 before HEVC. */
    assert_true(slice_find(text, SLICE_LIT("\nlarge\n")) < slice_find(text, SLICE_LIT("\nsmall\n")));
    assert_true(slice_find(text, SLICE_LIT("\nsmall\n")) < slice_find(text, SLICE_LIT("\nlate\n")));
    s.language = odd;
    assert_ok(hls_master(b->mem, all, ARRAY_LEN(all), &text));
    assert_true(slice_find(text, SLICE_LIT("LANGUAGE")) < 0);
    assert_ok(hls_master(b->mem, &all[3], 1, &text));
    assert_true(slice_find(text, SLICE_LIT("CODECS=\"mp4a.40.2\",CLOSED")) > 0);
    assert_true(slice_find(text, SLICE_LIT("TYPE=AUDIO")) < 0);
}

static void what_could_not_be_played_is_refused(void **state)
{
    const Bench *b = *state;
    Fragment f[] = {{.offset = 100, .size_bytes = 10, .duration = 4000, .key = false},
                    {.offset = 110, .size_bytes = 10, .start = 4000, .duration = 9000, .key = false}};
    Cmaf c = {.video = true, .timescale = 1000, .codecs = "avc1.64001E", .fragments = f, .count = 2};
    char name[] = "x";
    Transcode__V1__Rendition r = rendition(name, TRANSCODE__V1__RENDITION_KIND__VIDEO);
    Slice text;

    assert_reason(hls_media_playlist(b->mem, &c, "x.mp4", &r, &text), &INVALID_BODY);
    f[0].key = true; /* 13 s until the next key frame */
    assert_reason(hls_media_playlist(b->mem, &c, "x.mp4", &r, &text), &INVALID_BODY);
    f[1].duration = 8000;
    assert_ok(hls_media_playlist(b->mem, &c, "x.mp4", &r, &text));
}

static void captions_are_one_segment(void **state)
{
    const Bench *b = *state;
    Slice text = hls_captions_playlist(b->mem, "captions/de.vtt", 2100);

    assert_true(slice_find(text, SLICE_LIT("#EXT-X-TARGETDURATION:3\n")) > 0);
    assert_true(slice_find(text, SLICE_LIT("#EXTINF:2.100000,\ncaptions/de.vtt\n#EXT-X-ENDLIST\n")) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_are_ranges_of_about_four_seconds),
        cmocka_unit_test(sound_and_short_films),
        cmocka_unit_test(a_master_sums_up_its_variants),
        cmocka_unit_test(what_could_not_be_played_is_refused),
        cmocka_unit_test(captions_are_one_segment),
    };
    return cmocka_run_group_tests(tests, bench_set_up, bench_tear_down);
}
