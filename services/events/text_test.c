/* Texts of strangers, and how names are compared. */
#include "services/events/text.h"

#include "shared/testing.h"

static const struct {
    TextShape shape;
    const char *in, *out;
} CLEANED[] = {
    {TEXT_LINE, "  Jazz \t at\n\nthe   Caf\xc3\xa9 ", "Jazz at the Caf\xc3\xa9"},
    {TEXT_LINE, "<b>Jazz</b> &amp; Blues", "Jazz & Blues"},
    {TEXT_LINE, "&lt;script&gt;alert(1)&lt;/script&gt;Jazz", "Jazz"},
    {TEXT_LINE, "<script>alert('<b>')</script>Jazz<style>b{}</style>", "Jazz"},
    {TEXT_LINE, "<<b>script>alert(1)<</b>/script>", ""},
    {TEXT_LINE, "<<<<<<<<<<<b>b>b>b>b>b>b>b>b>b>b>x", "b>b>b>x"},
    {TEXT_LINE, "I <3 jazz, 1 < 2 & R&B; &unknown; &#9;", "I <3 jazz, 1 < 2 & R&B; &unknown;"},
    {TEXT_LINE, "it&#146;s caf&eacute; &#x1F3B7; &apos;&#0;&#xD800;&#99999999;",
     "it\xe2\x80\x99s caf\xc3\xa9 "
     "\xf0\x9f\x8e\xb7 '"},
    {TEXT_LINE, "<a href=\"x>y\" title='>'>link</a> <!-- a > b -->end <img src=x onerror=alert(1)", "link end"},
    {TEXT_LINE, "a\xc2\xa0\xe2\x80\x89z\x01\xef\xbb\xbf\xe2\x80\x8b!", "a z!"},
    {TEXT_LINE, "<\x01script>x</script>y", "y"},
    /* Overrides of direction go; a joiner between letters stays, and is nothing where it stands alone. */
    {TEXT_LINE,
     "gpj.\xe2\x80\xae"
     "evil\xe2\x81\xa0",
     "gpj.evil"},
    {TEXT_LINE, "\xe0\xa4\x95\xe0\xa5\x8d\xe2\x80\x8d\xe0\xa4\xb7", "\xe0\xa4\x95\xe0\xa5\x8d\xe2\x80\x8d\xe0\xa4\xb7"},
    {TEXT_LINE, "\xe2\x80\x8d \xe2\x80\x8e&zwnj;", ""},
    {TEXT_PARAGRAPHS, "one\ntwo\n \nthree\r\n\r\n\r\nfour", "one two\n\nthree\n\nfour"},
    {TEXT_PARAGRAPHS, "<p>one</p><p>two<br>more</p><ul><li>a</li></ul>", "one\n\ntwo more\n\na"},
    {TEXT_MARKUP_KEPT, " <b>&amp; \x02", " <b>&amp; "},
};

static void what_is_kept_is_text(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CLEANED); i++)
        assert_slice_equal(text_clean(mem, slice(CLEANED[i].in), CLEANED[i].shape), slice(CLEANED[i].out));
}

static const struct {
    const char *in, *out;
} KEYS[] = {
    {"Jazz & Blues", "jazz and blues"},
    {"  Rock'n'Roll!! (Live) ", "rock n roll live"},
    {"CAF\xc3\x89 Cr\xc3\xa8me", "cafe creme"},
    {"\xef\xbc\xa4\xef\xbc\xa1\xef\xbc\xae\xef\xbc\xa3\xef\xbc\xa5", "dance"}, /* full width */
    {"Stra\xc3\x9f"
     "e \xc3\x98resund \xc5\x81\xc3\xb3"
     "d\xc5\xba",
     "strasse oresund lodz"},
    {"R&B", "r and b"},
    {"\xe6\x9d\xb1\xe4\xba\xac\xe3\x80\x80\xe3\x82\xb8\xe3\x83\xa3\xe3\x82\xba",
     "\xe6\x9d\xb1\xe4\xba\xac \xe3\x82\xb7\xe3\x83\xa3\xe3\x82\xb9"},
    {"!!!", "!!!"},
    {"", ""},
};

static void names_are_compared_without_accents_case_and_punctuation(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++)
        assert_slice_equal(text_key(mem, slice(KEYS[i].in)), slice(KEYS[i].out));
}

static void titles_of_courses_are_known(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    static const char *const COURSES[] = {"Pottery (6 weeks)", "Watercolour: 4 Sessions", "Weekly Life Drawing",
                                          "Poetry Workshop Series"};
    static const char *const OTHERS[] = {"One week only", "1 session", "World Series", "Fashion Week 2026", "6"};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(COURSES); i++)
        assert_true(text_key_is_course(text_key(mem, slice(COURSES[i]))));
    for (size_t i = 0; i < ARRAY_LEN(OTHERS); i++)
        assert_false(text_key_is_course(text_key(mem, slice(OTHERS[i]))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_is_text),
        cmocka_unit_test(names_are_compared_without_accents_case_and_punctuation),
        cmocka_unit_test(titles_of_courses_are_known),
    };

    return RUN(tests);
}
