/* JSON to wire: values, problems, options; and single texts. */
#include "shared/json_fixture.h"

/* ---------------------------------------------------------------------------------------------------- reading */

static void values_are_read(void **state)
{
    static const struct {
        const char *json, *wire;
    } CASES[] = {
        {"{}", ""},
        {" \t\r\n{ } ", ""},
        {"{\"id\":0}", "0800"},
        {"{\"id\":-1}", "08ffffffffffffffffff01"},
        {"{\"id\":9223372036854775807}", "08ffffffffffffffff7f"},
        {"{\"id\":\"-9223372036854775808\"}", "0880808080808080808001"},
        {"{\"id\":9007199254740993}", "088180808080808010"},
        {"{\"id\":1e3}", "08e807"},
        {"{\"id\":5.0}", "0805"},
        {"{\"id\":1.50e1}", "080f"},
        {"{\"id\":0.000e99}", "0800"},
        {"{\"id\":-0}", "0800"},
        {"{\"id\":1000e-3}", "0801"},
        {"{\"id\":1.00000000000000000000000000000}", "0801"},
        {"{\"id\":\"1e3\"}", "08e807"},
        {"{\"u64\":18446744073709551615}", "d001ffffffffffffffffff01"},
        {"{\"u64\":1844674407370955161.5e1}", "d001ffffffffffffffffff01"},
        {"{\"s32\":-1}", "d80101"},
        {"{\"s32\":-2147483648}", "d801ffffffff0f"},
        {"{\"f64\":1}", "e1010100000000000000"},
        {"{\"i32\":-1}", "b002ffffffffffffffffff01"},
        {"{\"u32\":4294967295}", "b802ffffffff0f"},
        {"{\"display_name\":\"x\"}", "1a0178"},
        {"{\"displayName\":\"x\"}", "1a0178"},
        {"{\"display\\u004eame\":\"x\"}", "1a0178"},
        {"{\"displayName\":\"\"}", "1a00"},
        {"{\"displayName\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "1a08225c2f080c0a0d09"},
        {"{\"displayName\":\"\\u00e4\\u20AC\\ud83d\\uDE00\"}", "1a09c3a4e282acf09f9880"},
        {"{\"displayName\":\"\xc3\xa4 and eight more\"}", "1a11c3a420616e64206569676874206d6f7265"},
        {"{\"tags\":[]}", ""},
        {"{\"tags\":[\"a\",\"\",\"b\"]}", "1201611200120162"},
        {"{\"numbers\":[]}", ""},
        {"{\"numbers\":[1,\"2\",300]}", "72040102ac02"},
        {"{\"colors\":[\"RED\",2,\"dark-blue\",\"DARK_BLUE\",\"-3\"]}",
         "9002019002029002029002029002fdffffffffffffffff01"},
        {"{\"bestFriend\":{\"id\":1,\"bestFriend\":{}}}", "220408012200"},
        {"{\"friends\":[{},{\"id\":1}]}", "6a006a020801"},
        {"{\"counts\":{\"a\":1,\"\":2}}", "62050a0161100162040a001002"},
        {"{\"flags\":{\"true\":\"RED\",\"false\":1}}", "8202040801100182020408001001"},
        {"{\"numbered\":{\"-1\":{\"id\":1}}}", "8a0206080112020801"},
        {"{\"ratio\":0.1}", "81019a9999999999b93f"},
        {"{\"ratio\":\"NaN\"}", "8101000000000000f87f"},
        {"{\"ratio\":\"-Infinity\"}", "8101000000000000f0ff"},
        {"{\"ratio\":-0}", "81010000000000000080"},
        {"{\"ratio\":2.2250738585072011e-308}", "8101ffffffffffff0f00"},
        {"{\"ratio\":1e-999}", "81010000000000000000"},
        {"{\"single\":0.1}", "8d01cdcccc3d"},
        {"{\"single\":16777217}", "8d010000804b"},
        {"{\"data\":\"aGk=\"}", "9201026869"},
        {"{\"data\":\"aGk\"}", "9201026869"},
        {"{\"data\":\"_-8\"}", "920102ffef"},
        {"{\"data\":\"\\/+8=\"}", "920102ffef"},
        {"{\"at\":\"1970-01-01T00:00:00Z\"}", "9a0100"},
        {"{\"at\":\"2026-11-20T13:48:39.637178Z\"}", "9a010c08b79f81d8061090a1eaaf02"},
        {"{\"at\":\"2026-11-20t15:48:39.637178+02:00\"}", "9a010c08b79f81d8061090a1eaaf02"},
        {"{\"at\":\"0001-01-01T00:00:00Z\"}", "9a010b088092b8c398feffffff01"},
        {"{\"lasts\":\"1.5s\"}", "a2010808011080cab5ee01"},
        {"{\"lasts\":\"-0.000000001s\"}", "a2010b10ffffffffffffffffff01"},
        {"{\"any\":null}", "aa01020800"},
        {"{\"any\":{\"a\":[1,\"x\",true,null]}}",
         "aa01232a210a1f0a0161121a32180a0911000000000000f03f0a031a01780a0220010a020800"},
        {"{\"object\":{}}", "b20100"},
        {"{\"list\":[]}", "ba0100"},
        {"{\"values\":[null,{}]}", "aa02020800aa02022a00"},
        {"{\"wrapped\":\"\"}", "c201020a00"},
        {"{\"wrappedInt\":\"5\"}", "fa01020805"},
        {"{\"mask\":\"fooBar,baz.quxQuux,snake_case\"}",
         "f201230a07666f6f5f6261720a0c62617a2e7175785f717575780a0a736e616b655f63617365"},
        {"{\"nothing\":null}", "980200"},
        {"{\"empty\":{}}", "a20200"},
        {"{\"flag\":true}", "c80101"},
        {"{\"@<shown>\":{}}", "c23e00"},
    };
    Fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        const char *wire = read_person(f, CASES[i].json);
        if (!wire)
            fail_msg("%s: refused, kind %d", CASES[i].json, (int)f->problems.list[0].kind);
        if (strcmp(wire, CASES[i].wire) != 0)
            fail_msg("%s: got %s, wanted %s", CASES[i].json, wire, CASES[i].wire);
    }
}

static void wrong_values_are_problems(void **state)
{
    static const struct {
        const char *json;
        JsonProblemKind kind;
        const char *path, *expected;
    } CASES[] = {
        {"[]", JSON_WRONG_TYPE, "", "object"},
        {"null", JSON_WRONG_TYPE, "", "object"},
        {"\"x\"", JSON_WRONG_TYPE, "", "object"},
        {"{\"id\":\"\"}", JSON_WRONG_TYPE, "id", "integer"},
        {"{\"id\":\" 5\"}", JSON_WRONG_TYPE, "id", "integer"},
        {"{\"id\":\"+5\"}", JSON_WRONG_TYPE, "id", "integer"},
        {"{\"id\":\"05\"}", JSON_WRONG_TYPE, "id", "integer"},
        {"{\"id\":5.5}", JSON_WRONG_TYPE, "id", "integer"},
        {"{\"id\":1e-1}", JSON_WRONG_TYPE, "id", "integer"},
        {"{\"id\":1.0000000000000000000000000001}", JSON_WRONG_TYPE, "id", "integer"},
        {"{\"id\":true}", JSON_WRONG_TYPE, "id", "integer"},
        {"{\"id\":{\"a\":[1,{}]}}", JSON_WRONG_TYPE, "id", "integer"},
        {"{\"id\":9223372036854775808}", JSON_OUT_OF_RANGE, "id", "integer"},
        {"{\"id\":-9223372036854775809}", JSON_OUT_OF_RANGE, "id", "integer"},
        {"{\"id\":1e19}", JSON_OUT_OF_RANGE, "id", "integer"},
        {"{\"id\":1e99999999999999999999}", JSON_OUT_OF_RANGE, "id", "integer"},
        {"{\"u64\":18446744073709551616}", JSON_OUT_OF_RANGE, "u64", "integer"},
        {"{\"u64\":-1}", JSON_OUT_OF_RANGE, "u64", "integer"},
        {"{\"i32\":2147483648}", JSON_OUT_OF_RANGE, "i32", "integer"},
        {"{\"u32\":4294967296}", JSON_OUT_OF_RANGE, "u32", "integer"},
        {"{\"ratio\":1e400}", JSON_OUT_OF_RANGE, "ratio", "number"},
        {"{\"single\":1e39}", JSON_OUT_OF_RANGE, "single", "number"},
        {"{\"ratio\":\"nan\"}", JSON_WRONG_TYPE, "ratio", "number"},
        {"{\"displayName\":5}", JSON_WRONG_TYPE, "display_name", "string"},
        {"{\"displayName\":\"\\u0000\"}", JSON_BAD_UTF8, "display_name", "string"},
        {"{\"displayName\":\"\\ud800\"}", JSON_BAD_UTF8, "display_name", "string"},
        {"{\"displayName\":\"\\ud800\\u0041\"}", JSON_BAD_UTF8, "display_name", "string"},
        {"{\"displayName\":\"\\udc00\"}", JSON_BAD_UTF8, "display_name", "string"},
        {"{\"displayName\":\"\xff\"}", JSON_BAD_UTF8, "display_name", "string"},
        {"{\"displayName\":\"\xed\xa0\x80\"}", JSON_BAD_UTF8, "display_name", "string"},
        {"{\"tags\":\"x\"}", JSON_WRONG_TYPE, "tags", "array"},
        {"{\"tags\":[\"a\",5]}", JSON_WRONG_TYPE, "tags.1", "string"},
        {"{\"tags\":[null]}", JSON_NULL, "tags.0", "string"},
        {"{\"friends\":[{},{\"bestFriend\":{\"tags\":[\"a\",{}]}}]}", JSON_WRONG_TYPE, "friends.1.best_friend.tags.1",
         "string"},
        {"{\"counts\":[]}", JSON_WRONG_TYPE, "counts", "object"},
        {"{\"counts\":{\"a\":null}}", JSON_NULL, "counts.a", "integer"},
        {"{\"counts\":{\"a\":{}}}", JSON_WRONG_TYPE, "counts.a", "integer"},
        {"{\"flags\":{\"yes\":1}}", JSON_WRONG_TYPE, "flags", "boolean"},
        {"{\"numbered\":{\"x\":{}}}", JSON_WRONG_TYPE, "numbered", "integer"},
        {"{\"color\":\"red\"}", JSON_UNKNOWN_ENUM, "color", "enum value"},
        {"{\"color\":5}", JSON_UNKNOWN_ENUM, "color", "enum value"},
        {"{\"color\":99999999999}", JSON_UNKNOWN_ENUM, "color", "enum value"},
        {"{\"color\":1.5}", JSON_WRONG_TYPE, "color", "enum value"},
        {"{\"color\":true}", JSON_WRONG_TYPE, "color", "enum value"},
        {"{\"flag\":\"true\"}", JSON_WRONG_TYPE, "flag", "boolean"},
        {"{\"flag\":1}", JSON_WRONG_TYPE, "flag", "boolean"},
        {"{\"data\":\"a\"}", JSON_BAD_FORMAT, "data", "base64"},
        {"{\"data\":\"a*==\"}", JSON_BAD_FORMAT, "data", "base64"},
        {"{\"data\":\"aGk==\"}", JSON_BAD_FORMAT, "data", "base64"},
        {"{\"data\":1}", JSON_WRONG_TYPE, "data", "base64"},
        {"{\"at\":5}", JSON_WRONG_TYPE, "at", "Timestamp"},
        {"{\"at\":\"\"}", JSON_BAD_FORMAT, "at", "Timestamp"},
        {"{\"at\":\"2026-02-29T00:00:00Z\"}", JSON_BAD_FORMAT, "at", "Timestamp"},
        {"{\"at\":\"2026-01-01T24:00:00Z\"}", JSON_BAD_FORMAT, "at", "Timestamp"},
        {"{\"at\":\"2026-01-01T00:00:00\"}", JSON_BAD_FORMAT, "at", "Timestamp"},
        {"{\"at\":\"2026-01-01T00:00:00.1234567890Z\"}", JSON_BAD_FORMAT, "at", "Timestamp"},
        {"{\"at\":\"2026-01-01T00:00:00.Z\"}", JSON_BAD_FORMAT, "at", "Timestamp"},
        {"{\"at\":\"0001-01-01T00:00:00+00:01\"}", JSON_BAD_FORMAT, "at", "Timestamp"},
        {"{\"at\":\"9999-12-31T23:59:59-00:01\"}", JSON_BAD_FORMAT, "at", "Timestamp"},
        {"{\"lasts\":\"1\"}", JSON_BAD_FORMAT, "lasts", "Duration"},
        {"{\"lasts\":\"s\"}", JSON_BAD_FORMAT, "lasts", "Duration"},
        {"{\"lasts\":\"1.s\"}", JSON_BAD_FORMAT, "lasts", "Duration"},
        {"{\"lasts\":\"--1s\"}", JSON_BAD_FORMAT, "lasts", "Duration"},
        {"{\"lasts\":\"315576000001s\"}", JSON_BAD_FORMAT, "lasts", "Duration"},
        {"{\"lasts\":\"99999999999999999999999s\"}", JSON_BAD_FORMAT, "lasts", "Duration"},
        {"{\"mask\":[]}", JSON_WRONG_TYPE, "mask", "FieldMask"},
        {"{\"object\":[]}", JSON_WRONG_TYPE, "object", "object"},
        {"{\"list\":{}}", JSON_WRONG_TYPE, "list", "array"},
        {"{\"any\":{\"a\":[1,{\"b\":1e999}]}}", JSON_OUT_OF_RANGE, "any.a.1.b", "number"},
        {"{\"empty\":[]}", JSON_WRONG_TYPE, "empty", "object"},
        {"{\"wrappedInt\":\"x\"}", JSON_WRONG_TYPE, "wrapped_int", "integer"},
        {"{\"bioText\":null}", JSON_NULL, "bio_text", "string"},
        {"{\"strange\":1}", JSON_UNKNOWN_FIELD, "strange", ""},
        {"{\"hidden\":\"x\"}", JSON_UNKNOWN_FIELD, "hidden", ""},
        {"{\"ID\":1}", JSON_UNKNOWN_FIELD, "ID", ""},
        {"{\"text\":\"a\",\"number\":1}", JSON_ONEOF_TWICE, "number", "integer"},
    };
    Fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        if (read_person(f, CASES[i].json))
            fail_msg("%s: was read", CASES[i].json);
        expect_problem(f, 0, CASES[i].json, CASES[i].kind, CASES[i].path, CASES[i].expected);
        assert_int_equal(f->problems.count, 1);
    }
}

static void broken_json_is_one_problem_with_its_place(void **state)
{
    static const struct {
        const char *json;
        size_t offset;
    } CASES[] = {
        {"", 0},
        {"   ", 3},
        {"{", 1},
        {"{\"id\"", 5},
        {"{\"id\" 1}", 6},
        {"{\"id\":}", 6},
        {"{\"id\":1", 7},
        {"{\"id\":1,}", 8},
        {"{\"id\":1 \"x\":2}", 8},
        {"{id:1}", 1},
        {"{\"id\":01}", 7},
        {"{\"id\":1.}", 8},
        {"{\"id\":.5}", 6},
        {"{\"id\":1e}", 8},
        {"{\"id\":-}", 7},
        {"{\"id\":+1}", 6},
        {"{\"id\":NaN}", 6},
        {"{\"ratio\":Infinity}", 9},
        {"{\"id\":nul}", 6},
        {"{\"flag\":tru}", 8},
        {"{\"tags\":[\"a\",]}", 13},
        {"{\"tags\":[\"a\"}", 12},
        {"{\"tags\":[", 9},
        {"{\"counts\":{\"a\":1,}}", 17},
        {"{\"displayName\":\"a", 17},
        {"{\"displayName\":\"a\nb\"}", 17},
        {"{\"displayName\":\"\\x\"}", 16},
        {"{\"displayName\":\"\\u12g4\"}", 16},
        {"{\"displayName\":\"\\", 16},
        {"{\"strange\":[1,{\"a\":tru}]}", 19},
        {"{\"strange\":\"\\u12\"}", 12},
        {"{\"strange\":[}", 12},
        {"{\"strange\":{\"a\"}}", 15},
        {"{} x", 3},
        {"{}{}", 2},
        {"{\"id\":true,\"displayName\":5,", 27},
        {"{\"any\":[1,2}}", 11},
        {"{\"any\":x}", 7},
    };
    Fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        if (read_person(f, CASES[i].json))
            fail_msg("%s: was read", CASES[i].json);
        expect_problem(f, 0, CASES[i].json, JSON_SYNTAX, "", "");
        assert_int_equal(f->problems.count, 1);
        if (f->problems.list[0].offset != CASES[i].offset)
            fail_msg("%s: at %zu", CASES[i].json, f->problems.list[0].offset);
    }
    assert_null(read_with(f, &STRICT, f->person, slice_of("{\"displayName\":\"\0\"}", 19)));
    expect_problem(f, 0, "NUL", JSON_SYNTAX, "", "");
}

static void all_problems_of_a_body_are_listed_in_order(void **state)
{
    Fixture *f = *state;
    StrBuf many = strbuf_new(f->mem, OUT_MAX);
    Slice text;

    assert_null(read_person(f, "{\"id\":\"x\",\"tags\":[1,\"a\",{}],\"displayName\":7}"));
    assert_int_equal(f->problems.count, 4);
    expect_problem(f, 0, "", JSON_WRONG_TYPE, "id", "integer");
    expect_problem(f, 1, "", JSON_WRONG_TYPE, "tags.0", "string");
    expect_problem(f, 2, "", JSON_WRONG_TYPE, "tags.2", "string");
    expect_problem(f, 3, "", JSON_WRONG_TYPE, "display_name", "string");
    assert_int_equal(f->problems.list[2].offset, 24);
    assert_slice_equal(f->problems.list[0].input, SLICE_LIT("\"x\""));
    assert_slice_equal(f->problems.list[2].input, SLICE_LIT("{}"));

    strbuf_append_cstr(&many, "{\"tags\":[1");
    for (int i = 1; i < 1000; i++)
        strbuf_append_cstr(&many, ",1");
    strbuf_append_cstr(&many, "]}");
    assert_true(strbuf_finish(&many, &text));
    assert_null(read_with(f, &STRICT, f->person, text));
    assert_int_equal(f->problems.count, JSON_MAX_PROBLEMS);
}

static void secrets_do_not_come_back_in_problems(void **state)
{
    static const char *const CASES[] = {
        "{\"password\":123456}",
        "{\"password\":[\"hunter2\"]}",
        "{\"Password\":\"hunter2\"}",
        "[\"hunter2\"]",
        "{\"bestFriend\":\"hunter2\"}",
        "{\"friends\":\"hunter2\"}",
        "{\"numbered\":{\"1\":\"hunter2\"}}",
        "{\"bestFriend\":{\"password\":\"\\u0000\"}}",
    };
    Fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_null(read_person(f, CASES[i]));
        assert_int_equal(f->problems.count, 1);
        if (f->problems.list[0].input.len)
            fail_msg("%s: repeated", CASES[i]);
    }
}

static void the_last_of_duplicates_counts(void **state)
{
    static const struct {
        const char *json, *wire;
    } CASES[] = {
        {"{\"id\":1,\"id\":2}", "0802"},
        {"{\"id\":1,\"displayName\":\"x\",\"id\":2}", "1a01780802"},
        {"{\"displayName\":\"x\",\"display_name\":\"y\"}", "1a0179"},
        {"{\"tags\":[\"a\",\"b\"],\"id\":1,\"tags\":[\"c\"]}", "0801120163"},
        {"{\"tags\":[\"a\"],\"id\":1,\"tags\":[]}", "0801"},
        {"{\"bestFriend\":{\"id\":1},\"bestFriend\":{\"displayName\":\"x\"}}", "22031a0178"},
        {"{\"counts\":{\"a\":1},\"counts\":{\"b\":2}}", "62050a01621002"},
        {"{\"counts\":{\"a\":1,\"b\":2,\"a\":3}}", "62050a0162100262050a01611003"},
        {"{\"id\":1,\"id\":null}", ""},
        {"{\"id\":null,\"id\":1}", "0801"},
        {"{\"id\":\"x\",\"id\":1}", "0801"},
        {"{\"text\":\"a\",\"text\":null,\"number\":1}", "5801"},
        {"{\"number\":1,\"number\":2}", "5802"},
        {"{\"any\":{\"a\":1,\"a\":\"xxx\"}}", "aa010e2a0c0a0a0a016112051a03787878"},
        {"{\"id\":1,\"displayName\":\"x\",\"tags\":[\"t\"],\"displayName\":\"y\",\"id\":3,\"tags\":[]}", "1a01790803"},
        {"{\"numbered\":{\"1\":{\"id\":1},\"1.0\":{\"id\":2},\"2\":{}}}", "8a02060802120208028a020408041200"},
    };
    Fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        const char *wire = read_person(f, CASES[i].json);
        if (!wire || strcmp(wire, CASES[i].wire) != 0)
            fail_msg("%s: got %s, wanted %s", CASES[i].json, wire ? wire : "problems", CASES[i].wire);
    }
}

static void null_follows_the_rule_of_its_field(void **state)
{
    static const struct {
        const char *json, *wire;
    } CASES[] = {
        {"{\"id\":null,\"tags\":null,\"counts\":null,\"bestFriend\":null,\"wrapped\":null}", ""},
        {"{\"note\":null}", "4a060a046e6f7465"},
        {"{\"note\":null,\"note\":\"x\"}", "320178"},
        {"{\"note\":\"x\",\"note\":null}", "4a060a046e6f7465"},
        {"{\"note\":null,\"note\":null}", "4a060a046e6f7465"},
        {"{\"cleared\":\"a\",\"note\":null}", "4a030a01614a060a046e6f7465"},
        {"{\"bestFriend\":{\"note\":null}}", "22004a120a10626573745f667269656e642e6e6f7465"},
        {"{\"bestFriend\":{\"note\":null},\"bestFriend\":{}}", "2200"},
        {"{\"friends\":[{\"note\":null}]}", "6a00"},
        {"{\"text\":null,\"number\":1}", "5801"},
        {"{\"colors\":[]}", "4a080a06636f6c6f7273"},
        {"{\"colors\":[ ],\"tags\":[]}", "4a080a06636f6c6f7273"},
        {"{\"colors\":null}", ""},
        {"{\"colors\":[],\"colors\":[1]}", "900201"},
        {"{\"colors\":[1],\"colors\":[]}", "4a080a06636f6c6f7273"},
    };
    Fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        const char *wire = read_person(f, CASES[i].json);
        if (!wire || strcmp(wire, CASES[i].wire) != 0)
            fail_msg("%s: got %s, wanted %s", CASES[i].json, wire ? wire : "problems", CASES[i].wire);
    }
}

static void options_widen_what_is_read(void **state)
{
    static const JsonReadOptions NOCASE = {.nocase = true, .refuse_unknown = true}, SKIP = {0};
    static const JsonReadOptions LENIENT = {.lenient_scalars = true}, TRAIL = {.ignore_trailing = true};
    static const JsonReadOptions EMPTY = {.null_is_empty = true}, BOM = {.skip_bom = true};
    static const struct {
        const JsonReadOptions *options;
        const char *json, *wire;
    } CASES[] = {
        {&NOCASE, "{\"ID\":1,\"DISPLAYNAME\":\"x\"}", "08011a0178"},
        {&NOCASE, "{\"Display_Name\":\"x\",\"displayName\":\"y\"}", "1a0179"},
        {&SKIP, "{\"strange\":{\"a\":[1,2,{}],\"b\":\"\\ud83d\\ude00\"},\"id\":1}", "0801"},
        {&SKIP, "{\"hidden\":\"x\",\"id\":1}", "0801"},
        {&SKIP, "{\"strange\":\"\\ud83d\"}", NULL},
        {&SKIP, "\xef\xbb\xbf{}", NULL},
        {&LENIENT, "{\"id\":\"+5\"}", "0805"},
        {&LENIENT, "{\"id\":\" 5.0 \"}", "0805"},
        {&LENIENT, "{\"id\":\"-007\"}", "08f9ffffffffffffffff01"},
        {&LENIENT, "{\"id\":\"+-5\"}", NULL},
        {&LENIENT, "{\"id\":\"\"}", NULL},
        {&LENIENT, "{\"id\":\"5.5\"}", NULL},
        {&LENIENT, "{\"ratio\":\"-00.5\"}", "8101000000000000e0bf"},
        {&LENIENT, "{\"flag\":\"YES\"}", "c80101"},
        {&LENIENT, "{\"flag\":\"off\"}", "c80100"},
        {&LENIENT, "{\"flag\":1}", "c80101"},
        {&LENIENT, "{\"flag\":0.0}", "c80100"},
        {&LENIENT, "{\"flag\":2}", NULL},
        {&LENIENT, "{\"flag\":\"maybe\"}", NULL},
        {&LENIENT, "{\"displayName\":5}", NULL},
        {&TRAIL, "{\"id\":1} and more", "0801"},
        {&EMPTY, "null", ""},
        {&EMPTY, " null ", ""},
        {&EMPTY, "nullx", NULL},
        {&BOM, "\xef\xbb\xbf{}", ""},
    };
    Fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        const char *wire = read_with(f, CASES[i].options, f->person, slice(CASES[i].json));
        if (!wire != !CASES[i].wire || (wire && strcmp(wire, CASES[i].wire) != 0))
            fail_msg("%s: got %s", CASES[i].json, wire ? wire : "problems");
    }
}

/* ---------------------------------------------------------------------------------------------------- single texts */

static void texts_become_fields(void **state)
{
    static const JsonReadOptions LENIENT = {.lenient_scalars = true}, PLAIN = {0};
    static const struct {
        const JsonReadOptions *options;
        const char *path, *text, *wire;
    } CASES[] = {
        {&PLAIN, "id", "-5", "08fbffffffffffffffff01"},
        {&PLAIN, "id", "5.0", "0805"},
        {&PLAIN, "displayName", "a \"b\"", "1a056120226222"},
        {&PLAIN, "display_name", "", "1a00"},
        {&PLAIN, "tags", "x", "120178"},
        {&PLAIN, "numbers", "300", "7202ac02"},
        {&PLAIN, "colors", "dark-blue", "900202"},
        {&PLAIN, "color", "-3", "78fdffffffffffffffff01"},
        {&PLAIN, "flag", "true", "c80101"},
        {&PLAIN, "flag", "0", "c80100"},
        {&LENIENT, "flag", "No", "c80100"},
        {&LENIENT, "id", "+5", "0805"},
        {&PLAIN, "at", "1970-01-01T00:00:01Z", "9a01020801"},
        {&PLAIN, "lasts", "2s", "a201020802"},
        {&PLAIN, "mask", "a,bC", "f201080a01610a03625f63"},
        {&PLAIN, "wrapped", "", "c201020a00"},
        {&PLAIN, "wrappedInt", "7", "fa01020807"},
        {&PLAIN, "data", "aGk", "9201026869"},
        {&PLAIN, "bestFriend.best_friend.id", "1", "220422020801"},
        {&PLAIN, "ratio", "NaN", "8101000000000000f87f"},
    };
    Fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        StrBuf out = strbuf_new(f->mem, OUT_MAX);
        JsonProblem problem;
        if (!json_text_field_to_wire(CASES[i].options, f->person, slice(CASES[i].path), slice(CASES[i].text), &out,
                                     &problem))
            fail_msg("%s=%s: refused", CASES[i].path, CASES[i].text);
        assert_string_equal(hex_encode(f->mem, strbuf_slice(&out)), CASES[i].wire);
    }
}

static void wrong_texts_are_problems(void **state)
{
    static const struct {
        const char *path, *text;
        JsonProblemKind kind;
        const char *expected;
    } CASES[] = {
        {"id", "", JSON_WRONG_TYPE, "integer"},
        {"id", "x", JSON_WRONG_TYPE, "integer"},
        {"id", "+5", JSON_WRONG_TYPE, "integer"},
        {"id", "9223372036854775808", JSON_OUT_OF_RANGE, "integer"},
        {"flag", "yes", JSON_WRONG_TYPE, "boolean"},
        {"flag", "", JSON_WRONG_TYPE, "boolean"},
        {"color", "", JSON_UNKNOWN_ENUM, "enum value"},
        {"color", "4", JSON_UNKNOWN_ENUM, "enum value"},
        {"at", "yesterday", JSON_BAD_FORMAT, "Timestamp"},
        {"lasts", "5", JSON_BAD_FORMAT, "Duration"},
        {"data", "*", JSON_BAD_FORMAT, "base64"},
        {"displayName", "\xff", JSON_BAD_UTF8, "string"},
        {"bestFriend", "{}", JSON_WRONG_TYPE, "object"},
        {"object", "{}", JSON_WRONG_TYPE, "object"},
        {"strange", "1", JSON_UNKNOWN_FIELD, ""},
        {"hidden", "1", JSON_UNKNOWN_FIELD, ""},
        {"friends.id", "1", JSON_UNKNOWN_FIELD, ""},
        {"id.id", "1", JSON_UNKNOWN_FIELD, ""},
        {"", "1", JSON_UNKNOWN_FIELD, ""},
        {"bestFriend.", "1", JSON_UNKNOWN_FIELD, ""},
    };
    Fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        StrBuf out = strbuf_new(f->mem, OUT_MAX);
        JsonProblem p;
        strbuf_append_char(&out, 'x');
        if (json_text_field_to_wire(&(JsonReadOptions){0}, f->person, slice(CASES[i].path), slice(CASES[i].text), &out,
                                    &p))
            fail_msg("%s=%s: was read", CASES[i].path, CASES[i].text);
        if (p.kind != CASES[i].kind || strcmp(p.expected ? p.expected : "", CASES[i].expected) != 0)
            fail_msg("%s=%s: kind %d", CASES[i].path, CASES[i].text, (int)p.kind);
        assert_string_equal(p.path, CASES[i].path);
        assert_slice_equal(p.input, slice(CASES[i].text));
        assert_int_equal(out.len, 1);
    }
}

static void a_secret_text_does_not_come_back(void **state)
{
    Fixture *f = *state;
    StrBuf out = strbuf_new(f->mem, OUT_MAX);
    JsonProblem p;

    assert_false(
        json_text_field_to_wire(&(JsonReadOptions){0}, f->person, SLICE_LIT("password"), SLICE_LIT("\xff"), &out, &p));
    assert_int_equal(p.input.len, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(values_are_read),
        TEST(wrong_values_are_problems),
        TEST(broken_json_is_one_problem_with_its_place),
        TEST(all_problems_of_a_body_are_listed_in_order),
        TEST(secrets_do_not_come_back_in_problems),
        TEST(the_last_of_duplicates_counts),
        TEST(null_follows_the_rule_of_its_field),
        TEST(options_widen_what_is_read),
        TEST(texts_become_fields),
        TEST(wrong_texts_are_problems),
        TEST(a_secret_text_does_not_come_back),
    };

    return RUN(tests);
}
