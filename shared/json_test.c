/* Wire to JSON, what holds both ways, and json_find. */
#include "shared/json_fixture.h"

/* ---------------------------------------------------------------------------------------------------- both ways */

/* More entries than are compared one by one. */
static void large_maps_keep_the_last_of_each_key(void **state)
{
    Fixture *f = *state;
    StrBuf text = strbuf_new(f->mem, OUT_MAX), wire = strbuf_new(f->mem, OUT_MAX);
    StrBuf expected = strbuf_new(f->mem, OUT_MAX);
    Slice json, wanted;
    const char *sep = "";

    strbuf_append_cstr(&text, "{\"counts\":{");
    for (int i = 0; i < 3000; i++, sep = ",")
        strbuf_printf(&text, "%s\"key%d\":%d", sep, i % 1000, i);
    strbuf_append_cstr(&text, "}}");
    assert_true(strbuf_finish(&text, &json));
    assert_true(json_to_wire(&STRICT, f->person, json, &wire, &f->problems));
    sep = "";
    strbuf_append_cstr(&expected, "{\"counts\":{");
    for (int i = 2000; i < 3000; i++, sep = ",")
        strbuf_printf(&expected, "%s\"key%d\":%d", sep, i % 1000, i);
    strbuf_append_cstr(&expected, "}}");
    assert_true(strbuf_finish(&expected, &wanted));
    assert_string_equal(write_with(f, &(JsonWriteOptions){0}, f->person, strbuf_slice(&wire)), wanted.ptr);
}

/* `count` times `open`, `middle`, `count` times `close`. */
static Slice nest(Fixture *f, const char *open, const char *middle, const char *close, int count)
{
    StrBuf text = strbuf_new(f->mem, OUT_MAX);
    Slice out;

    for (int i = 0; i < count; i++)
        strbuf_append_cstr(&text, open);
    strbuf_append_cstr(&text, middle);
    for (int i = 0; i < count; i++)
        strbuf_append_cstr(&text, close);
    assert_true(strbuf_finish(&text, &out));
    return out;
}

static void nesting_is_bounded_both_ways(void **state)
{
    static const struct {
        const char *open, *middle, *close;
        int most;
    } CASES[] = {
        {"{\"bestFriend\":", "{}", "}", JSON_MAX_DEPTH - 1},
        {"{\"friends\":[", "{}", "]}", (JSON_MAX_DEPTH - 1) / 2},
        {"{\"numbered\":{\"1\":", "{}", "}}", (JSON_MAX_DEPTH - 1) / 2},
    };
    Fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        StrBuf out = strbuf_new(f->mem, OUT_MAX);
        Slice text = nest(f, CASES[i].open, CASES[i].middle, CASES[i].close, CASES[i].most);
        assert_true(json_to_wire(&STRICT, f->person, text, &out, &f->problems));
        assert_string_equal(write_with(f, &(JsonWriteOptions){0}, f->person, strbuf_slice(&out)), text.ptr);
        text = nest(f, CASES[i].open, CASES[i].middle, CASES[i].close, CASES[i].most + 1);
        assert_null(read_with(f, &STRICT, f->person, text));
        expect_problem(f, 0, "deep", JSON_TOO_DEEP, "", "");
    }
    assert_null(read_with(f, &(JsonReadOptions){0}, f->person, nest(f, "{\"strange\":", "{}", "}", JSON_MAX_DEPTH)));
    expect_problem(f, 0, "strange", JSON_TOO_DEEP, "", "");
    assert_null(read_with(f, &STRICT, f->person, nest(f, "{\"any\":[", "", "", 100000)));
    assert_null(read_with(f, &STRICT, f->person, nest(f, "[", "", "", 1000000)));
    expect_problem(f, 0, "[[[[", JSON_TOO_DEEP, "", "");
}

/* Whatever the services unpack has passed here: what is accepted must not nest deeper on the wire than they take. */
static void nested_json_values_are_bounded_by_their_wire_form(void **state)
{
    Fixture *f = *state;
    const MessageType *value = types_at(f->tables, SAMPLE_VALUE);
    StrBuf out = strbuf_new(f->mem, OUT_MAX);
    Slice text = nest(f, "{\"a\":[", "1", "]}", 10);

    assert_true(json_to_wire(&STRICT, value, text, &out, &f->problems));
    assert_string_equal(write_with(f, &(JsonWriteOptions){0}, value, strbuf_slice(&out)), text.ptr);
    assert_null(read_with(f, &STRICT, value, nest(f, "{\"a\":[", "1", "]}", 11)));
    expect_problem(f, 0, "deep", JSON_TOO_DEEP, "", "");
}

/* Wire bytes that nest deeper than JSON could, made by hand: from the inside out. */
static void deep_wire_is_refused(void **state)
{
    Fixture *f = *state;
    char *bytes = arena_alloc_raw(f->mem, 200, 1);
    size_t at = 200;

    for (int depth = 1; depth <= JSON_MAX_DEPTH + 1; depth++) {
        Slice wire = slice_of(bytes + at, 200 - at);
        assert_true((write_with(f, &(JsonWriteOptions){0}, f->person, wire) != NULL) == (depth <= JSON_MAX_DEPTH));
        if (200 - at < 128) {
            bytes[at - 1] = (char)(200 - at);
            bytes[at - 2] = 0x22;
            at -= 2;
        } else {
            size_t len = 200 - at;
            bytes[at - 1] = (char)(len >> 7);
            bytes[at - 2] = (char)(len | 0x80);
            bytes[at - 3] = 0x22;
            at -= 3;
        }
    }
}

static void output_beyond_its_bound_leaves_nothing(void **state)
{
    Fixture *f = *state;
    Slice wire = bytes_of(f, "1a0a30313233343536373839220408012200");
    Slice text = SLICE_LIT("{\"displayName\":\"0123456789\",\"bestFriend\":{\"id\":1,\"bestFriend\":{}}}");

    for (size_t max = 0; max < 100; max++) {
        StrBuf out = strbuf_new(f->mem, max + 1);
        strbuf_append_char(&out, 'x');
        if (!json_to_wire(&STRICT, f->person, text, &out, &f->problems)) {
            expect_problem(f, 0, "large", JSON_TOO_LARGE, "", "");
            assert_true(max < wire.len);
            assert_int_equal(out.len, 1);
            assert_false(out.overflow);
        } else {
            assert_true(max >= wire.len);
        }
        strbuf_truncate(&out, 1);
        assert_true(wire_to_json(&(JsonWriteOptions){0}, f->person, wire, &out) == (max >= text.len + 2));
        assert_true(out.len == 1 || out.len == text.len + 3);
    }
}

/* Each of these would take minutes if something in it were quadratic. */
static void hostile_bodies_cost_no_more_than_their_size(void **state)
{
    static const struct {
        const char *open, *unit, *close;
    } CASES[] = {
        {"{\"tags\":[\"\"", ",\"\"", "],\"id\":1}"},
        {"{\"id\":1", ",\"id\":1", "}"},
        {"{\"tags\":[\"aaaaaaaaaaaaaaaaaaaaaaaaaaa\"]", ",\"note\":null,\"note\":\"\"", "}"},
        {"{\"bestFriend\":{}", ",\"bestFriend\":{\"note\":null}", "}"},
        {"{\"friends\":[{}", ",{}", "]}"},
        {"{\"counts\":{\"a\":1", ",\"a\":1", "}}"},
        {"{\"strange\":[[]", ",[]", "]}"},
        {"{\"displayName\":\"", "\\u00e4", "\"}"},
        {"{\"ratio\":1.", "1", "}"},
        {"{\"ratio\":", "9", "}"},
        {"{\"\":0", ",\"\\u0061\":0", "}"},
        {"{\"any\":[0", ",0", "]}"},
    };
    Fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        StrBuf text = strbuf_new(f->mem, OUT_MAX), out = strbuf_new(f->mem, OUT_MAX);
        Slice json;
        strbuf_append_cstr(&text, CASES[i].open);
        while (text.len < 1 << 20)
            strbuf_append_cstr(&text, CASES[i].unit);
        strbuf_append_cstr(&text, CASES[i].close);
        assert_true(strbuf_finish(&text, &json));
        if (json_to_wire(&(JsonReadOptions){0}, f->person, json, &out, &f->problems))
            assert_non_null(write_with(f, &(JsonWriteOptions){0}, f->person, strbuf_slice(&out)));
        else
            assert_int_equal(f->problems.list[0].kind, JSON_OUT_OF_RANGE);
    }
}

/* ---------------------------------------------------------------------------------------------------- writing */

static void wire_is_written(void **state)
{
    static const struct {
        const char *wire, *json;
    } CASES[] = {
        {"", "{}"},
        {"0800", "{\"id\":\"0\"}"},
        {"08ffffffffffffffffff01", "{\"id\":\"-1\"}"},
        {"e801ffffffffffffffffff01", "{\"plain\":-1}"},
        {"d001ffffffffffffffffff01", "{\"u64\":\"18446744073709551615\"}"},
        {"d801ffffffff0f", "{\"s32\":-2147483648}"},
        {"b802ffffffff0f", "{\"u32\":4294967295}"},
        {"e1010100000000000000", "{\"f64\":\"1\"}"},
        {"1a01780801120161120162120163", "{\"id\":\"1\",\"displayName\":\"x\",\"tags\":[\"a\",\"b\",\"c\"]}"},
        {"08010802", "{\"id\":\"2\"}"},
        {"72010170027202ac02", "{\"numbers\":[1,2,300]}"},
        {"2202080122031a0178", "{\"bestFriend\":{\"id\":\"1\",\"displayName\":\"x\"}}"},
        {"2202220022022200220422020801", "{\"bestFriend\":{\"bestFriend\":{\"id\":\"1\"}}}"},
        {"5201785801", "{\"number\":1}"},
        {"5801520178", "{\"text\":\"x\"}"},
        {"1201610801120162", "{\"id\":\"1\",\"tags\":[\"a\",\"b\"]}"},
        {"62050a0161100162050a0162100262050a01611003", "{\"counts\":{\"b\":2,\"a\":3}}"},
        {"6200", "{\"counts\":{\"\":0}}"},
        {"820200", "{\"flags\":{\"false\":\"RED\"}}"},
        {"8a02020805", "{\"numbered\":{\"-3\":{}}}"},
        {"8a0206120208010805", "{\"numbered\":{\"-3\":{\"id\":\"1\"}}}"},
        {"7802", "{\"color\":\"dark-blue\"}"},
        {"7863", "{\"color\":99}"},
        {"980200", "{\"nothing\":null}"},
        {"8101000000000000f87f", "{\"ratio\":\"NaN\"}"},
        {"8101000000000000f0ff", "{\"ratio\":\"-Infinity\"}"},
        {"81010000000000000080", "{\"ratio\":-0.0}"},
        {"81019a9999999999b93f", "{\"ratio\":0.1}"},
        {"8101333333333333d33f", "{\"ratio\":0.3}"},
        {"8101343333333333d33f", "{\"ratio\":0.30000000000000004}"},
        {"81010000000000004540", "{\"ratio\":42}"},
        {"8d01cdcccc3d", "{\"single\":0.1}"},
        {"9201026869", "{\"data\":\"aGk=\"}"},
        {"9a010c08b79f81d8061090a1eaaf02", "{\"at\":\"2026-11-20T13:48:39.637178Z\"}"},
        {"9a0100", "{\"at\":\"1970-01-01T00:00:00Z\"}"},
        {"a2010b10ffffffffffffffffff01", "{\"lasts\":\"-0.000000001s\"}"},
        {"aa0100", "{\"any\":null}"},
        {"aa010220011a0178", "{\"displayName\":\"x\",\"any\":true}"},
        {"b20100", "{\"object\":{}}"},
        {"ba0100", "{\"list\":[]}"},
        {"c20100", "{\"wrapped\":\"\"}"},
        {"fa0100", "{\"wrappedInt\":\"0\"}"},
        {"f201080a01610a03625f63", "{\"mask\":\"a,bC\"}"},
        {"420178", "{}"},
        {"c23e00",
         "{\"@\\u003cshown\\u003e\":{\"nulled\":null,\"mixed\":\"\",\"count\":\"0\",\"flag\":false,\"list\":[],"
         "\"map\":{},\"self\":{},\"at\":\"1970-01-01T00:00:00Z\",\"color\":\"RED\",\"data\":\"\","
         "\"wrapped\":\"\",\"any\":null,\"object\":{}}}"},
        /* Fields nobody knows, a group among them. */
        {"a006010801a306a80601a406ad0600000000", "{\"id\":\"1\"}"},
    };
    Fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        const char *json = write_person(f, CASES[i].wire);
        if (!json != !CASES[i].json || (json && strcmp(json, CASES[i].json) != 0))
            fail_msg("%s: got %s, wanted %s", CASES[i].wire, json ? json : "nothing",
                     CASES[i].json ? CASES[i].json : "nothing");
    }
}

static void bytes_that_are_no_message_are_refused(void **state)
{
    static const char *const CASES[] = {
        "08",                               /* no value */
        "08ffffffffffffffffffff01",         /* a varint of eleven bytes */
        "1a",                               /* no length */
        "1a0278",                           /* less than its length */
        "1affffffffffffffffff01",           /* a length beyond everything */
        "e10100",                           /* less than eight bytes */
        "0d00000000",                       /* fixed32 where a varint belongs */
        "0a00",                             /* bytes where a varint belongs */
        "1801",                             /* a varint where bytes belong */
        "00",                               /* field 0 */
        "0c",                               /* the end of no group */
        "0e",                               /* wire type 6 */
        "a306",                             /* a group without end */
        "a306ac06",                         /* a group with another's end */
        "f0ffffffff7f00",                   /* a tag beyond 32 bits */
        "1a01ff",                           /* not UTF-8 */
        "1a03eda080",                       /* a surrogate */
        "120161120180",                     /* not UTF-8 in a list */
        "62050a01ff1001",                   /* not UTF-8 in a key */
        "72020180",                         /* a packed list that ends within a number */
        "22020880",                         /* a message that ends within a number */
        "9a010608808080808020",             /* a Timestamp after the year 9999 */
        "9a010a08ffffffffffffffff7f",       /* … as far after it as there are numbers (found by fuzzing) */
        "9a010b10ffffffffffffffffff01",     /* negative nanos */
        "a2010d080110ffffffffffffffffff01", /* seconds and nanos of different signs */
    };
    Fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        if (write_person(f, CASES[i]))
            fail_msg("%s: got %s", CASES[i], write_person(f, CASES[i]));
}

static void absence_shows_as_its_dialect_says(void **state)
{
    Fixture *f = *state;
    JsonWriteOptions retrocast = {.dialect = ATRIUM__DIALECT__RETROCAST}, beyond = {.dialect = 99};

    assert_non_null(strstr(write_with(f, &retrocast, f->shown, slice_of("", 0)), "\"mixed\":null,"));
    assert_non_null(strstr(write_with(f, &beyond, f->shown, slice_of("", 0)), "\"mixed\":\"\","));
    assert_non_null(strstr(write_with(f, &retrocast, f->shown, bytes_of(f, "1a0178")), "\"mixed\":\"x\","));
}

static void text_is_escaped_as_asked(void **state)
{
    static const JsonWriteOptions PLAIN = {0}, HTML = {.escape_html = true}, ASCII = {.ascii = true};
    static const struct {
        const JsonWriteOptions *options;
        const char *text, *json;
    } CASES[] = {
        {&PLAIN, "plain text, longer than eight bytes", "plain text, longer than eight bytes"},
        {&PLAIN, "\"\\/\b\f\n\r\t\x01\x1f\x7f", "\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f"},
        {&PLAIN, "<a> & \xe2\x80\xa8 \xc3\xa4", "<a> & \xe2\x80\xa8 \xc3\xa4"},
        {&HTML, "<a> & \xe2\x80\xa8\xe2\x80\xa9 \xc3\xa4", "\\u003ca\\u003e \\u0026 \\u2028\\u2029 \xc3\xa4"},
        {&HTML, "nothing to do here", "nothing to do here"},
        {&ASCII, "<\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80>", "<\\u00e4\\u20ac\\ud83d\\ude00>"},
        {&ASCII, "nothing to do here", "nothing to do here"},
        {&PLAIN, "01234567\n", "01234567\\n"},
        {&PLAIN,
         "0123456\xc3\xa4"
         "89abcdef\"",
         "0123456\xc3\xa4"
         "89abcdef\\\""},
    };
    Fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        const char *wire = arena_printf(f->mem, "\x1a%c%s", (int)strlen(CASES[i].text), CASES[i].text);
        const char *wanted = arena_printf(f->mem, "{\"displayName\":\"%s\"}", CASES[i].json);
        assert_string_equal(write_with(f, CASES[i].options, f->person, slice(wire)), wanted);
    }
}

static void one_field_alone_is_written(void **state)
{
    static const struct {
        const char *field, *wire, *json;
    } CASES[] = {
        {"tags", "120161120162", "[\"a\",\"b\"]"},
        {"bestFriend", "22020801", "{\"id\":\"1\"}"},
        {"best_friend", "0801", "null"},
        {"displayName", "1a0178", "\"x\""},
        {"hidden", "420178", "null"},
        {"strange", "0801", "null"},
        {"tags", "08011201", NULL},
    };
    Fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        StrBuf out = strbuf_new(f->mem, OUT_MAX);
        Slice wire = bytes_of(f, CASES[i].wire);
        bool ok = wire_field_to_json(&(JsonWriteOptions){0}, f->person, slice(CASES[i].field), wire, &out);
        assert_true(ok == (CASES[i].json != NULL));
        assert_slice_equal(strbuf_slice(&out), slice(CASES[i].json));
    }
    StrBuf hidden = strbuf_new(f->mem, OUT_MAX);
    assert_true(wire_field_to_json(&(JsonWriteOptions){.internal = true}, f->person, SLICE_LIT("hidden"),
                                   bytes_of(f, "420178"), &hidden));
    assert_slice_equal(strbuf_slice(&hidden), SLICE_LIT("\"x\""));
    StrBuf empty = strbuf_new(f->mem, OUT_MAX);
    assert_true(wire_field_to_json(&(JsonWriteOptions){0}, f->shown, SLICE_LIT("list"), slice(""), &empty));
    assert_slice_equal(strbuf_slice(&empty), SLICE_LIT("[]"));
}

/* Of a hundred thousand numbers of all magnitudes, both with few decimals and with many. */
static void doubles_come_back_the_same(void **state)
{
    Fixture *f = *state;
    uint64_t random = 88172645463325252u;
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 16);

    for (int i = 0; i < 100000; i++) {
        char wire[10] = "\x81\x01";
        StrBuf json = strbuf_new(mem, 1000), back = strbuf_new(mem, 1000);
        double value;
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        if (i % 2)
            value = (double)(int64_t)(random >> 20) / (double[]){1, 10, 100, 1e5, 1e9}[random % 5];
        else
            memcpy(&value, &random, sizeof(value));
        if (value != value)
            continue;
        memcpy(wire + 2, &value, sizeof(value));
        assert_true(wire_to_json(&(JsonWriteOptions){0}, f->person, slice_of(wire, 10), &json));
        assert_true(json_to_wire(&STRICT, f->person, strbuf_slice(&json), &back, &f->problems));
        if (!slice_eq(strbuf_slice(&back), slice_of(wire, 10)))
            fail_msg("%.17g became " SLICE_FMT, value, SLICE_ARG(strbuf_slice(&json)));
        if (i % 1000 == 0)
            arena_reset(mem);
    }
}

/* ---------------------------------------------------------------------------------------------------- finding */

static void values_are_found_by_path(void **state)
{
    static const char TEXT[] = " {\"a\":{\"b\":[1, \"two\" ,{\"c\":null}]}, \"a\\u0062\":3,\"d\":1,\"d\":2, \"\":7 } ";
    static const struct {
        const char *path, *value;
    } CASES[] = {
        {"a.b.1", "\"two\""}, {"a.b.2.c", "null"}, {"a.b.2", "{\"c\":null}"},
        {"ab", "3"},          {"d", "2"},          {"a.b.3", ""},
        {"a.b.x", ""},        {"a.x", ""},         {"d.e", ""},
        {"a.b.-1", ""},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        assert_slice_equal(json_find(SLICE_LIT(TEXT), slice(CASES[i].path)), slice(CASES[i].value));
    assert_slice_equal(json_find(SLICE_LIT(" 5 "), slice("")), SLICE_LIT("5"));
    assert_int_equal(json_find(SLICE_LIT("{\"a\":"), slice("a")).len, 0);
    assert_int_equal(json_find(SLICE_LIT(""), slice("a")).len, 0);
    assert_int_equal(json_find(SLICE_LIT("[1,"), slice("1")).len, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(large_maps_keep_the_last_of_each_key),
        TEST(nesting_is_bounded_both_ways),
        TEST(nested_json_values_are_bounded_by_their_wire_form),
        TEST(deep_wire_is_refused),
        TEST(output_beyond_its_bound_leaves_nothing),
        TEST(hostile_bodies_cost_no_more_than_their_size),
        TEST(wire_is_written),
        TEST(bytes_that_are_no_message_are_refused),
        TEST(absence_shows_as_its_dialect_says),
        TEST(text_is_escaped_as_asked),
        TEST(one_field_alone_is_written),
        TEST(doubles_come_back_the_same),
        TEST(values_are_found_by_path),
    };

    return RUN(tests);
}
