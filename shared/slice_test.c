#include "shared/slice.h"

#include "shared/testing.h"

static void slices_compare_by_content(void **state)
{
    (void)state;
    assert_true(slice_eq(slice(NULL), SLICE_LIT("")));
    assert_true(slice_eq((Slice){NULL, 0}, SLICE_LIT("")));
    assert_true(slice_eq_cstr(slice_of("abc", 2), "ab"));
    assert_false(slice_eq_cstr(slice_of("abc", 2), "abc"));
    assert_true(slice_eq_nocase(SLICE_LIT("Content-TYPE"), SLICE_LIT("content-type")));
    assert_false(slice_eq_nocase(SLICE_LIT("@"), SLICE_LIT("`"))); /* 0x20 apart, but no letters */
    assert_true(slice_eq_secret(SLICE_LIT("secret"), SLICE_LIT("secret")));
    assert_false(slice_eq_secret(SLICE_LIT("secret"), SLICE_LIT("secreT")));
    assert_false(slice_eq_secret(SLICE_LIT("secret"), SLICE_LIT("secrets")));
}

static void slices_are_cut_and_searched(void **state)
{
    Slice head, rest, s = SLICE_LIT("key=a=b");
    (void)state;

    assert_true(slice_cut(s, '=', &head, &rest));
    assert_slice_equal(head, SLICE_LIT("key"));
    assert_slice_equal(rest, SLICE_LIT("a=b"));
    assert_false(slice_cut(SLICE_LIT("key"), '=', &head, &rest));
    assert_slice_equal(head, SLICE_LIT("key"));
    assert_int_equal(rest.len, 0);
    assert_slice_equal(slice_trim(SLICE_LIT(" \t\r\n a b \n")), SLICE_LIT("a b"));
    assert_slice_equal(slice_trim(SLICE_LIT("  ")), SLICE_LIT(""));
    assert_slice_equal(slice_skip(s, 100), SLICE_LIT(""));
    assert_slice_equal(slice_take(s, 100), s);
    assert_true(slice_starts_with(s, SLICE_LIT("key")));
    assert_true(slice_ends_with(s, SLICE_LIT("=b")));
    assert_false(slice_ends_with(SLICE_LIT("b"), SLICE_LIT("=b")));
    assert_int_equal(slice_find(s, SLICE_LIT("=b")), 5);
    assert_int_equal(slice_find(s, SLICE_LIT("x")), -1);
    assert_int_equal(slice_find((Slice){NULL, 0}, SLICE_LIT("x")), -1);
    assert_int_equal(slice_find_char(s, '='), 3);
    assert_int_equal(slice_find_char((Slice){NULL, 0}, '='), -1);
}

static void numbers_are_read_whole_or_not_at_all(void **state)
{
    static const struct {
        const char *text;
        bool is_signed, is_unsigned;
        int64_t value;
    } CASES[] = {
        {"0", true, true, 0},
        {"-0", true, false, 0},
        {"+7", true, true, 7},
        {"007", true, true, 7},
        {"9223372036854775807", true, true, INT64_MAX},
        {"-9223372036854775808", true, false, INT64_MIN},
        {"9223372036854775808", false, true, INT64_MIN},
        {"18446744073709551615", false, true, -1},
        {"-9223372036854775809", false, false, 0},
        {"18446744073709551616", false, false, 0},
        {"99999999999999999999999", false, false, 0},
        {"", false, false, 0},
        {"-", false, false, 0},
        {"+", false, false, 0},
        {"-+1", false, false, 0},
        {"--1", false, false, 0},
        {" 1", false, false, 0},
        {"1 ", false, false, 0},
        {"1.0", false, false, 0},
        {"0x1", false, false, 0},
        {"1e3", false, false, 0},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        int64_t number = 0;
        uint64_t natural = 0;
        if (slice_to_int64(slice(CASES[i].text), &number) != CASES[i].is_signed ||
            slice_to_uint64(slice(CASES[i].text), &natural) != CASES[i].is_unsigned)
            fail_msg("\"%s\"", CASES[i].text);
        if (CASES[i].is_signed)
            assert_int_equal(number, CASES[i].value);
        if (CASES[i].is_unsigned)
            assert_int_equal(natural, (uint64_t)CASES[i].value);
    }
}

static void utf8_is_what_the_rfc_says(void **state)
{
    static const struct {
        Slice text;
        bool valid;
        size_t length;
    } CASES[] = {
        {{"", 0}, true, 0},
        {{"plain text of more than eight bytes", 35}, true, 35},
        {{"a\0b", 3}, true, 3},
        {{"\xC3\xA9", 2}, true, 1},
        {{"12345678\xE2\x82\xAC", 11}, true, 9},
        {{"\xF0\x9F\x98\x80", 4}, true, 1},
        {{"\xF4\x8F\xBF\xBF", 4}, true, 1},
        {{"\xED\x9F\xBF\xEE\x80\x80", 6}, true, 2},
        {{"\x80", 1}, false, 0},
        {{"12345678\x80", 9}, false, 0},
        {{"1234567\x80"
          "9",
          9},
         false,
         0},
        {{"\xC0\x80", 2}, false, 0},         /* overlong */
        {{"\xC1\xBF", 2}, false, 0},         /* overlong */
        {{"\xE0\x9F\xBF", 3}, false, 0},     /* overlong */
        {{"\xF0\x8F\xBF\xBF", 4}, false, 0}, /* overlong */
        {{"\xED\xA0\x80", 3}, false, 0},     /* surrogate */
        {{"\xED\xBF\xBF", 3}, false, 0},     /* surrogate */
        {{"\xF4\x90\x80\x80", 4}, false, 0}, /* above U+10FFFF */
        {{"\xF5\x80\x80\x80", 4}, false, 0},
        {{"\xFF", 1}, false, 0},
        {{"\xC3", 1}, false, 0},
        {{"\xE2\x82", 2}, false, 0},
        {{"\xF0\x9F\x98", 3}, false, 0},
        {{"\xE2\x28\xA1", 3}, false, 0},
        {{"\xE2\x82\x28", 3}, false, 0},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        if (utf8_valid(CASES[i].text) != CASES[i].valid)
            fail_msg("case %zu", i);
        if (CASES[i].valid)
            assert_int_equal(utf8_length(CASES[i].text), CASES[i].length);
    }
}

static void utf8_is_cut_between_characters(void **state)
{
    Slice text = SLICE_LIT("aé€😀"); /* 1, 2, 3 and 4 bytes */
    static const size_t KEPT[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
    (void)state;

    for (size_t max = 0; max < ARRAY_LEN(KEPT); max++)
        assert_int_equal(utf8_take(text, max).len, KEPT[max]);
}

static void bytes_survive_hex_and_base64(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    char bytes[256];
    (void)state;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 37);
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        Slice in = slice_of(bytes, len), out;
        assert_true(hex_decode(mem, slice(hex_encode(mem, in)), &out));
        assert_slice_equal(out, in);
        assert_true(base64_decode(mem, slice(base64_encode(mem, in)), &out));
        assert_slice_equal(out, in);
        assert_true(base64_decode(mem, slice(base64url_encode(mem, in)), &out));
        assert_slice_equal(out, in);
        arena_reset(mem);
    }
}

static void base64_has_the_usual_forms(void **state)
{
    /* RFC 4648 section 10, and one with the letters that differ. */
    static const struct {
        const char *bytes, *standard, *url;
    } CASES[] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        {"\xfb\xff\xbe", "+/++", "-_--"},
    };
    static const char *const WRONG[] = {"Z",    "Zg=",  "Zg===", "Z===",   "====", "=",
                                        "Zh==", "Zm9=", "Zm 9",  "Zm9v\n", "Zm*v", "Zg==Zg=="};
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Slice out;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_string_equal(base64_encode(mem, slice(CASES[i].bytes)), CASES[i].standard);
        assert_string_equal(base64url_encode(mem, slice(CASES[i].bytes)), CASES[i].url);
    }
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        if (base64_decode(mem, slice(WRONG[i]), &out))
            fail_msg("\"%s\" was read", WRONG[i]);
    }
    assert_true(hex_decode(mem, SLICE_LIT("00fFAa"), &out));
    assert_slice_equal(out, slice_of("\x00\xff\xaa", 3));
    assert_false(hex_decode(mem, SLICE_LIT("0"), &out));
    assert_false(hex_decode(mem, SLICE_LIT("0g"), &out));
    assert_false(hex_decode(mem, SLICE_LIT("\x10\x10"), &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_compare_by_content),
        cmocka_unit_test(slices_are_cut_and_searched),
        cmocka_unit_test(numbers_are_read_whole_or_not_at_all),
        cmocka_unit_test(utf8_is_what_the_rfc_says),
        cmocka_unit_test(utf8_is_cut_between_characters),
        cmocka_unit_test(bytes_survive_hex_and_base64),
        cmocka_unit_test(base64_has_the_usual_forms),
    };
    return RUN(tests);
}
