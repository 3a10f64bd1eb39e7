/* WebVTT of what users bring. */
#include "services/media/vtt.h"

#include "atrium/reasons.atrium.h"
#include "shared/testing.h"

static const struct {
    const char *in, *out; /* NULL: refused */
} ROWS[] = {
    {"WEBVTT\n\n00:01.000 --> 00:02.500\nHello\n", "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\nHello\n"},
    /* SubRip: numbers, commas, markup of others, the line ends of others. */
    {"\xef\xbb\xbf"
     "1\r\n00:00:01,000 --> 00:00:02,000 X1:1\r\n<i>Hel</i>lo & <font color=\"red\">you</font>\r\n{\\an8}up\r\n"
     "\r\n2\r\n100:00:03,000 --> 100:00:04,000\r\na < b -> c\r\n",
     "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n<i>Hel</i>lo &amp; you\nup\n"
     "\n100:00:03.000 --> 100:00:04.000\na &lt; b -&gt; c\n"},
    /* What stays of WebVTT. */
    {"WEBVTT - a title\nKind: captions\n\nNOTE a\n\nSTYLE\n::cue { background: url(http://a/) }\n\nintro\n"
     "00:01.000 --> 00:02.000 align:start region:r position:10%,line-left line:0\n"
     "<v.loud Ann & \"Bob\">Hi <00:00:01.500><c.red.x>there</c></v> <script>no</script> &lt;b&gt; &copy;\n",
     "WEBVTT\n\n00:00:01.000 --> 00:00:02.000 align:start position:10%,line-left line:0\n"
     "<v.loud Ann &amp; \"Bob\">Hi <00:00:01.500><c.red.x>there</c></v> no &lt;b&gt; &amp;copy;\n"},
    /* In their order; those of no length and without text are left out. */
    {"WEBVTT\n\n00:03.000 --> 00:04.000\nc\n\n00:01.000 --> 00:02.000\na\n\n00:01.000 --> 00:03.000\nb\n\n"
     "00:05.000 --> 00:05.000\nd\n\n00:06.000 --> 00:07.000\n<x>\n",
     "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\na\n\n00:00:01.000 --> 00:00:03.000\nb\n\n00:00:03.000 --> "
     "00:00:04.000\nc\n"},
    /* An empty line is missing between two cues. */
    {"WEBVTT\n\n00:01.000 --> 00:02.000\na\n00:02.000 --> 00:03.000\nb",
     "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\na\n\n00:00:02.000 --> 00:00:03.000\nb\n"},
    /* No arrow comes to be at the end of a tag. */
    {"WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ann-- >a<c.red--\x01>b<c.-- >c<lang -- >d\n",
     "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n<v Ann>a<c.red>b<c>c<lang>d\n"},
    {"", NULL},
    {"WEBVTT\n", NULL},
    {"#EXTM3U\nfile:///etc/passwd\n", NULL},
    {"WEBVTT\n\n00:02.000 --> 00:01.000\na\n", NULL},
    {"WEBVTT\n\n00:61.000 --> 00:62.000\na\n", NULL},
    {"WEBVTT\n\n00:01.000 --> soon\na\n", NULL},
    {"WEBVTT\n\n00:01.000 --> 00:02.000\n\xff\n", NULL},
};

static void captions_become_webvtt_of_our_own(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Slice out, again;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        Err e = vtt_make(mem, slice(ROWS[i].in), &out);

        if (!ROWS[i].out) {
            assert_reason(e, &INVALID_ARGUMENT);
            continue;
        }
        assert_ok(e);
        assert_string_equal(slice_cstr(mem, out), ROWS[i].out);
        assert_ok(vtt_make(mem, out, &again));
        assert_true(slice_eq(out, again));
    }
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Slice out;
    Err e = vtt_make(mem, SLICE_LIT("1\n00:00:01,000 --> 00:00:02,000\na\n\n2\n00:00:03,000 -- 00:00:02,000 -->\nb\n"),
                     &out);
    (void)state;

    assert_reason(e, &INVALID_ARGUMENT);
    assert_non_null(strstr(e.text, "line 6:"));
}

static void too_much_is_refused(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 20);
    char *text = arena_alloc(mem, VTT_MAX_BYTES + 1, 1);
    Slice out;
    (void)state;

    memset(text, 'a', VTT_MAX_BYTES + 1);
    assert_reason(vtt_make(mem, slice_of(text, VTT_MAX_BYTES + 1), &out), &PAYLOAD_TOO_LARGE);
}

static void languages_have_one_form(void **state)
{
    static const struct {
        const char *in, *out;
    } TAGS[] = {
        {"de", "de"},
        {"PT-br", "pt-BR"},
        {"zh-hant-tw", "zh-Hant-TW"},
        {"es-419", "es-419"},
        {"de-1996", "de-1996"},
        {"1", NULL},
        {"d", NULL},
        {"de-", NULL},
        {"-de", NULL},
        {"de_DE", NULL},
        {"", NULL},
        {"abcdefghi", NULL},
        {"../de", NULL},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    const char *out;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(TAGS); i++) {
        assert_int_equal(vtt_language(mem, slice(TAGS[i].in), &out), TAGS[i].out != NULL);
        if (TAGS[i].out)
            assert_string_equal(out, TAGS[i].out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(captions_become_webvtt_of_our_own),
        cmocka_unit_test(what_is_wrong_is_told_with_its_line),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(languages_have_one_form),
    };

    return RUN(tests);
}
