/* What a file is, and which renditions suit it. */
#include "services/transcode/encode.h"

#include "atrium/transcode/v1/processing.atrium.h"
#include "services/transcode/sniff.h"
#include "services/transcode/testing.h"

static Probe read_video(const char *more)
{
    Probe p;
    char text[1024];

    snprintf(text, sizeof text,
             "{\"streams\":[{\"index\":0,\"codec_type\":\"video\",\"codec_name\":\"h264\",\"width\":1920,\"height\":"
             "1080%s}],"
             "\"format\":{\"format_name\":\"mov,mp4\",\"duration\":\"12.5\",\"bit_rate\":\"1000\"}}",
             more);
    assert_ok(probe_read(slice(text), &p));
    return p;
}

static void sizes_are_as_shown(void **state)
{
    Probe p = read_video(",\"side_data_list\":[{\"side_data_type\":\"Display Matrix\",\"rotation\":-90}]");
    (void)state;

    assert_int_equal(p.rotation, 90);
    assert_int_equal(p.width, 1080);
    assert_int_equal(p.height, 1920);
    p = read_video(",\"sample_aspect_ratio\":\"1:2\"");
    assert_int_equal(p.width, 960);
    assert_false(p.square_pixels);
}

static void rates_are_those_of_screens(void **state)
{
    static const struct {
        const char *json;
        int num, den;
        bool variable;
    } ROWS[] = {
        {",\"r_frame_rate\":\"30000/1001\",\"avg_frame_rate\":\"30000/1001\"", 30000, 1001, false},
        {",\"r_frame_rate\":\"90000/1\",\"avg_frame_rate\":\"173/10\"", 24000, 1001, true},
        {",\"r_frame_rate\":\"240/1\",\"avg_frame_rate\":\"240/1\"", 60, 1, false},
        {",\"r_frame_rate\":\"0/0\",\"avg_frame_rate\":\"0/0\"", 25, 1, false},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        Probe p = read_video(ROWS[i].json);
        assert_int_equal(p.fps_num, ROWS[i].num);
        assert_int_equal(p.fps_den, ROWS[i].den);
        assert_int_equal(p.variable_rate, ROWS[i].variable);
    }
}

static void a_cover_is_no_video(void **state)
{
    Probe p;
    (void)state;

    assert_reason(
        probe_read(
            SLICE_LIT("{\"streams\":[{\"codec_type\":\"video\",\"codec_name\":\"mjpeg\",\"width\":9,\"height\":9,"
                      "\"disposition\":{\"attached_pic\":1}}]}"),
            &p),
        &INPUT_UNSUPPORTED);
    assert_reason(probe_read(SLICE_LIT("[]"), &p), &INPUT_DAMAGED);
}

static void the_ladder_never_goes_up(void **state)
{
    static const struct {
        int width, height;
        size_t count;
        int top_width, top_height, first;
    } ROWS[] = {
        {1920, 1080, 5, 1920, 1080, 720}, {1080, 1920, 5, 1080, 1920, 720}, {321, 241, 1, 320, 240, 240},
        {64, 48, 1, 64, 48, 48},          {7680, 4320, 7, 3840, 2160, 720},
    };
    Rung rungs[RUNGS_MAX];
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        const Probe p = {.width = ROWS[i].width, .height = ROWS[i].height};
        size_t count = ladder_make(&p, false, rungs), first = ladder_first(rungs, count, 720);

        assert_int_equal(count, ROWS[i].count);
        assert_int_equal(rungs[count - 1].width, ROWS[i].top_width);
        assert_int_equal(rungs[count - 1].height, ROWS[i].top_height);
        assert_int_equal(MIN(rungs[first].width, rungs[first].height), ROWS[i].first);
    }
}

static void first_bytes_say_what_it_is(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *type;
    } ROWS[] = {
        {"\0\0\0\x20"
         "ftypisom",
         12, "video/mp4"},
        {"\x89PNG\r\n\x1a\n", 8, "image/png"},
        {"GIF89a", 6, "image/gif"},
        {"RIFF....WEBP", 12, "image/webp"},
        {"%PDF-1.7", 8, "application/pdf"},
        {"#EXTM3U\n", 8, ""},
        {"ffconcat version", 16, ""},
        {"", 0, ""},
    };
    MediaClass class;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        assert_string_equal(sniff(slice_of(ROWS[i].bytes, ROWS[i].len), &class), ROWS[i].type);
    assert_int_equal(class_claimed("image/bmp", "Holiday.MP4"), CLASS_VIDEO);
    assert_int_equal(class_claimed("video/mp4", "film"), CLASS_VIDEO);
    assert_int_equal(class_claimed("image/svg+xml", "drawing.svg"), CLASS_OTHER);
    assert_int_equal(class_claimed("text/plain", "notes.txt"), CLASS_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_as_shown),         cmocka_unit_test(rates_are_those_of_screens),
        cmocka_unit_test(a_cover_is_no_video),        cmocka_unit_test(the_ladder_never_goes_up),
        cmocka_unit_test(first_bytes_say_what_it_is),
    };

    return RUN(tests);
}
