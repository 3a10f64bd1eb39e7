/* Pages hold the text of strangers and none of their markup. */
#include "services/events/html.h"
#include "shared/testing.h"

typedef void (*Writer)(StrBuf *out, Slice text);

static void expect(Writer write, const char *text, const char *wanted)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    StrBuf out = strbuf_new(mem, 65536);

    write(&out, slice(text));
    assert_slice_equal(strbuf_slice(&out), slice(wanted));
}

static void nothing_of_a_text_is_markup(void **state)
{
    (void)state;
    expect(html_text, "<b a='x' b=\"y\">&amp;", "&lt;b a=&#39;x&#39; b=&quot;y&quot;&gt;&amp;amp;");
    expect(html_text, "caf\xc3\xa9\x01\x7f\xef\xbf\xbf\xff.",
           "caf\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd.");
    expect(html_text, "", "");
}

static void json_cannot_end_its_script(void **state)
{
    (void)state;
    expect(html_json, "{\"a\":\"</script><!-- & \xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa\"}",
           "{\"a\":\"\\u003c/script\\u003e\\u003c!-- \\u0026 \\u2028\\u2029\xe2\x80\xaa\"}");
}

static void paragraphs_are_kept(void **state)
{
    (void)state;
    expect(html_paragraphs, "one\ntwo\n\n\nthree <i>\n", "<p>one<br>\ntwo</p>\n<p>three &lt;i&gt;</p>\n");
    expect(html_paragraphs, "\n\n", "");
    expect(html_paragraphs, "same", "<p>same</p>\n");
}

static void labels_are_words(void **state)
{
    (void)state;
    expect(html_label, "isAccessibleForFree", "Is accessible for free");
    expect(html_label, "sel:version", "Version");
    expect(html_label, "schema:a&amp<b", "A&amp;amp&lt;b");
}

static void only_the_web_is_linked(void **state)
{
    static const struct {
        const char *href, *wanted;
    } CASES[] = {
        {"https://a.test/?q=\"&x", "<a href=\"https://a.test/?q=&quot;&amp;x\" rel=\"nofollow\">t</a>"},
        {"HTTP://a.test/", "<a href=\"HTTP://a.test/\" rel=\"nofollow\">t</a>"},
        {"javascript:alert(1)", "t"},
        {"data:text/html,x", "t"},
        {"", "t"},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        StrBuf out = strbuf_new(mem, 4096);

        html_link(&out, slice(CASES[i].href), SLICE_LIT("t"), "nofollow");
        assert_slice_equal(strbuf_slice(&out), slice(CASES[i].wanted));
    }
}

static void a_page_has_a_frame(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    StrBuf out = strbuf_new(mem, 65536);
    const HtmlPage page = {.title = SLICE_LIT("<Jazz>"),
                           .site = "Commons",
                           .canonical = "https://a.test/events/1",
                           .json_ld = SLICE_LIT("{\"name\":\"</script>\"}")};
    Slice text;

    (void)state;
    html_open(&out, &page, "https://a.test");
    html_close(&out, &page, "https://a.test");
    assert_true(strbuf_finish(&out, &text));
    assert_true(slice_find(text, SLICE_LIT("<title>&lt;Jazz&gt; \xc2\xb7 Commons</title>")) > 0);
    assert_true(slice_find(text, SLICE_LIT("<link rel=\"canonical\" href=\"https://a.test/events/1\">")) > 0);
    assert_true(slice_find(text, SLICE_LIT("<script type=\"application/ld+json\">{\"name\":\"\\u003c/script\\u003e\"}"
                                           "</script>")) > 0);
    assert_int_equal(slice_find(text, SLICE_LIT("<Jazz>")), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_of_a_text_is_markup), cmocka_unit_test(json_cannot_end_its_script),
        cmocka_unit_test(paragraphs_are_kept),         cmocka_unit_test(labels_are_words),
        cmocka_unit_test(only_the_web_is_linked),      cmocka_unit_test(a_page_has_a_frame),
    };

    return RUN(tests);
}
