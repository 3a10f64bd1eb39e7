#include "shared/strbuf.h"

#include <jansson.h>

#include "shared/testing.h"

static void text_is_built_from_parts(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(256);
    StrBuf b = strbuf_new(mem, 10000);
    Slice out;
    (void)state;

    strbuf_append_cstr(&b, "n=");
    strbuf_append_int64(&b, INT64_MIN);
    strbuf_append_char(&b, ' ');
    strbuf_append_uint64(&b, UINT64_MAX);
    strbuf_append_char(&b, ' ');
    strbuf_append_int64(&b, 0);
    strbuf_printf(&b, " %s-%03d", "x", 7);
    strbuf_append(&b, (Slice){NULL, 0});
    assert_true(strbuf_finish(&b, &out));
    assert_string_equal(out.ptr, "n=-9223372036854775808 18446744073709551615 0 x-007");
    assert_int_equal(out.len, strlen(out.ptr));
    for (int i = 0; i < 900; i++)
        strbuf_printf(&b, "%09d\n", i);
    assert_true(strbuf_finish(&b, &out));
    assert_int_equal(out.len, 51 + 9000);
    assert_int_equal(strlen(out.ptr), out.len);
}

static void an_empty_buffer_finishes_as_an_empty_text(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(256);
    StrBuf b = strbuf_new(mem, 0);
    Slice out;
    (void)state;

    assert_slice_equal(strbuf_slice(&b), SLICE_LIT(""));
    assert_true(strbuf_finish(&b, &out));
    assert_string_equal(out.ptr, "");
}

static void what_does_not_fit_is_dropped_whole_and_remembered(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(256);
    Slice out;
    (void)state;

    for (size_t max = 4; max < 9; max++) {
        StrBuf b = strbuf_new(mem, max);
        strbuf_append_cstr(&b, "abcd");
        strbuf_append_cstr(&b, "123456");
        strbuf_append_int64(&b, -12345);
        strbuf_printf(&b, "%d", 123456);
        strbuf_append_json(&b, SLICE_LIT("\n\n\n"));
        assert_null(strbuf_reserve(&b, 5));
        assert_slice_equal(strbuf_slice(&b), SLICE_LIT("abcd"));
        assert_false(strbuf_finish(&b, &out));
    }
    {
        StrBuf b = strbuf_new(mem, 5); /* the sign alone would fit */
        strbuf_append_cstr(&b, "abcd");
        strbuf_append_int64(&b, -1);
        assert_slice_equal(strbuf_slice(&b), SLICE_LIT("abcd"));
        assert_true(b.overflow);
    }
}

static void exactly_the_bound_fits(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(256);
    StrBuf b = strbuf_new(mem, 8), c = strbuf_new(mem, 8);
    Slice out;
    (void)state;

    strbuf_append_cstr(&b, "12345678");
    assert_true(strbuf_finish(&b, &out));
    assert_string_equal(out.ptr, "12345678");
    strbuf_printf(&c, "%s", "12345678");
    assert_true(strbuf_finish(&c, &out));
    assert_string_equal(out.ptr, "12345678");
}

static void a_callers_own_bytes_do_not_grow(void **state)
{
    char bytes[8];
    StrBuf b = strbuf_over(bytes, sizeof(bytes));
    Slice out;
    (void)state;

    strbuf_append_cstr(&b, "12345");
    strbuf_printf(&b, "%d", 67);
    assert_true(strbuf_finish(&b, &out));
    assert_ptr_equal(out.ptr, bytes);
    assert_string_equal(bytes, "1234567");
    strbuf_append_char(&b, '8');
    assert_false(strbuf_finish(&b, &out));
}

static void room_can_be_filled_in_place_and_cut(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(256);
    StrBuf b = strbuf_new(mem, 100);
    (void)state;

    memcpy(strbuf_reserve(&b, 5), "hello", 5);
    strbuf_advance(&b, 5);
    strbuf_truncate(&b, 4);
    strbuf_truncate(&b, 50);
    assert_slice_equal(strbuf_slice(&b), SLICE_LIT("hell"));
}

static void json_strings_are_escaped(void **state)
{
    static const struct {
        Slice text;
        const char *json;
    } CASES[] = {
        {{"", 0}, "\"\""},
        {{NULL, 0}, "\"\""},
        {{"plain", 5}, "\"plain\""},
        {{"a \"quoted\" \\ word", 17}, "\"a \\\"quoted\\\" \\\\ word\""},
        {{"\b\f\n\r\t\x01\x1f\x7f", 8}, "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\""},
        {{"a\0b", 3}, "\"a\\u0000b\""},
        {{"grüße 😀", 12}, "\"grüße 😀\""},
        {{"\xff", 1}, "\"\xEF\xBF\xBD\""},
        {{"12345678\xC3", 9}, "\"12345678\xEF\xBF\xBD\""},
        {{"\xED\xA0\x80x", 4}, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDx\""},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        StrBuf b = strbuf_new(mem, 1000);
        strbuf_append_json(&b, CASES[i].text);
        assert_slice_equal(strbuf_slice(&b), slice(CASES[i].json));
    }
}

/* Every byte at every place around the eight-byte steps, read back by another implementation. */
static void json_strings_read_back_as_they_were(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    char text[20];
    (void)state;

    for (size_t at = 0; at < sizeof(text); at++) {
        for (int c = 0; c < 0x80; c++) {
            StrBuf b = strbuf_new(mem, 1000);
            Slice json;
            json_t *read;
            memset(text, 'x', sizeof(text));
            text[at] = (char)c;
            strbuf_append_json(&b, slice_of(text, sizeof(text)));
            assert_true(strbuf_finish(&b, &json));
            read = json_loadb(json.ptr, json.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
            assert_non_null(read);
            assert_slice_equal(slice_of(json_string_value(read), json_string_length(read)),
                               slice_of(text, sizeof(text)));
            json_decref(read);
            arena_reset(mem);
        }
    }
}

static void an_overflow_inside_a_json_string_drops_it_whole(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t max = 0; max < 2 + 4 * 2; max++) {
        StrBuf b = strbuf_new(mem, max);
        strbuf_append_json(&b, SLICE_LIT("\n\n\n\n"));
        assert_int_equal(b.len, 0);
        assert_true(b.overflow);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_built_from_parts),
        cmocka_unit_test(an_empty_buffer_finishes_as_an_empty_text),
        cmocka_unit_test(what_does_not_fit_is_dropped_whole_and_remembered),
        cmocka_unit_test(exactly_the_bound_fits),
        cmocka_unit_test(a_callers_own_bytes_do_not_grow),
        cmocka_unit_test(room_can_be_filled_in_place_and_cut),
        cmocka_unit_test(json_strings_are_escaped),
        cmocka_unit_test(json_strings_read_back_as_they_were),
        cmocka_unit_test(an_overflow_inside_a_json_string_drops_it_whole),
    };
    return RUN(tests);
}
