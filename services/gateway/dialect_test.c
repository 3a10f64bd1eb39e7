/* Tests of the dialects' error bodies and of how faults look, byte by byte. */
#include "services/gateway/dialect.h"

#include "atrium/bus.pb-c.h"
#include "atrium/reasons.atrium.h"
#include "services/gateway/problems.h"
#include "shared/message.h"
#include "shared/testing.h"

static Slice body_of(Arena *mem, int dialect, Failure f)
{
    StrBuf out = strbuf_new(mem, 65536);
    Slice text;

    f.request_id = "r-1";
    f.trace_id = "";
    f.path = SLICE_LIT("/x");
    f.message = failure_message(&f);
    dialect_get(dialect)->write_error(&f, &out);
    assert_true(strbuf_finish(&out, &text));
    return text;
}

static void errors_look_as_each_contract_says(void **state)
{
    static const struct {
        int dialect, http;
        const char *code, *body;
    } CASES[] = {
        {ATRIUM__DIALECT__ATRIUM, 404, "NOT_FOUND",
         "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,\"detail\":\"no "
         "\\\"x\\\"\",\"instance\":\"/x\","
         "\"code\":\"NOT_FOUND\",\"request_id\":\"r-1\"}"},
        {ATRIUM__DIALECT__RETROCAST, 404, "NOT_FOUND",
         "{\"error\":{\"code\":\"NOT_FOUND\",\"message\":\"no \\\"x\\\"\"},\"message\":\"no \\\"x\\\"\"}"},
        {ATRIUM__DIALECT__MEDIAVAULT, 404, "not_found",
         "{\n  \"code\": \"not_found\",\n  \"message\": \"no \\\"x\\\"\",\n  \"details\": null\n}"},
        {ATRIUM__DIALECT__STREAMSPACE, 404, "NOT_FOUND",
         "{\"error\":\"no \\\"x\\\"\",\"message\":\"no \\\"x\\\"\",\"code\":\"NOT_FOUND\"}"},
        {ATRIUM__DIALECT__TOGATHER, 404, "not-found",
         "{\"type\":\"https://sel.events/problems/not-found\",\"title\":\"Not Found\",\"status\":404,\"detail\":\"no "
         "\\\"x\\\"\",\"instance\":\"/x\",\"request_id\":\"r-1\"}"},
        {ATRIUM__DIALECT__YOUTUBETALKER, 404, "NOT_FOUND",
         "{\"detail\":\"no \\\"x\\\"\",\"error_code\":\"NOT_FOUND\",\"request_id\":\"r-1\"}"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
        const Failure f = {.look = {.code = CASES[i].code, .http = CASES[i].http, .shown = true}, .text = "no \"x\""};

        assert_slice_equal(body_of(mem, CASES[i].dialect, f), slice(CASES[i].body));
    }
}

static void hidden_texts_are_not_told(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    const Failure hidden = {.look = {.code = "INTERNAL", .http = 500}, .text = "SELECT failed"};
    const Failure replaced = {.look = {.code = "X", .http = 400, .shown = true, .text = "own words"}, .text = "theirs"};
    (void)state;

    for (int d = ATRIUM__DIALECT__ATRIUM; d <= ATRIUM__DIALECT__YOUTUBETALKER; d++) {
        assert_true(slice_find(body_of(mem, d, hidden), SLICE_LIT("SELECT")) < 0);
        assert_true(slice_find(body_of(mem, d, replaced), SLICE_LIT("own words")) > 0);
    }
}

static void router_errors_of_rag_are_short(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    const Failure f = {
        .look = {.code = "NOT_FOUND", .http = 404, .shown = true}, .text = "Not Found", .from_router = true};
    (void)state;

    assert_slice_equal(body_of(mem, ATRIUM__DIALECT__YOUTUBETALKER, f), SLICE_LIT("{\"detail\":\"Not Found\"}"));
}

static const Fault FAULTS[] = {
    {.part = ATRIUM__PART__BODY,
     .field = "profile.tags.3",
     .kind = "string_too_short",
     .text = "too short",
     .context = {"{\"min_length\":2}", 16},
     .input = {"\"a\"", 3}},
    {.part = ATRIUM__PART__QUERY, .field = "limit", .kind = "int_parsing", .text = "no number"},
    {.part = ATRIUM__PART__BODY, .field = "", .kind = "json_invalid", .text = "JSON decode error", .offset = 17},
};

static void faults_are_listed_in_each_manner(void **state)
{
    static const struct {
        int dialect;
        const char *part;
    } CASES[] = {
        {ATRIUM__DIALECT__YOUTUBETALKER,
         "[{\"type\":\"string_too_short\",\"loc\":[\"body\",\"profile\",\"tags\",3],\"msg\":\"too "
         "short\",\"input\":\"a\","
         "\"ctx\":{\"min_length\":2}},{\"type\":\"int_parsing\",\"loc\":[\"query\",\"limit\"],\"msg\":\"no number\","
         "\"input\":null},{\"type\":\"json_invalid\",\"loc\":[\"body\",17],\"msg\":\"JSON decode "
         "error\",\"input\":null}]"},
        {ATRIUM__DIALECT__ATRIUM, "\"errors\":[{\"pointer\":\"/profile/tags/3\",\"detail\":\"too short\"},{\"pointer\":"
                                  "\"/limit\",\"detail\":\"no number\"},{\"pointer\":\"\",\"detail\":"},
        {ATRIUM__DIALECT__TOGATHER, "{\"pointer\":\"/limit\",\"code\":\"int_parsing\",\"message\":\"no number\"}"},
        {ATRIUM__DIALECT__STREAMSPACE,
         "\"details\":\"profile.tags.3: too short; limit: no number; JSON decode error\""},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    const Failure f = {.look = {.code = "INVALID_BODY", .http = 400, .shown = true},
                       .text = "bad",
                       .faults = FAULTS,
                       .fault_count = ARRAY_LEN(FAULTS)};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Slice body = body_of(mem, CASES[i].dialect, f);

        if (slice_find(body, slice(CASES[i].part)) < 0)
            fail_msg("%d: %s", CASES[i].dialect, body.ptr);
    }
}

static void details_become_members(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    const Failure f = {.look = {.code = "C", .http = 409, .shown = true},
                       .text = "t",
                       .details = SLICE_LIT("{\"hint\":\"h\",\"n\":2}")};
    (void)state;

    for (int d = ATRIUM__DIALECT__ATRIUM; d <= ATRIUM__DIALECT__YOUTUBETALKER; d++)
        assert_true(slice_find(body_of(mem, d, f), SLICE_LIT("\"hint\":\"h\",\"n\":2}")) > 0);
}

static void a_title_among_the_details_is_the_title(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    const Failure f = {.look = {.code = "C", .http = 400, .shown = true},
                       .text = "t",
                       .details = SLICE_LIT("{\"title\":\"Batch is empty\"}")};
    Slice body = body_of(mem, ATRIUM__DIALECT__TOGATHER, f);
    (void)state;

    assert_true(slice_find(body, SLICE_LIT("\"title\":\"Batch is empty\"")) > 0);
    assert_true(slice_find(body, SLICE_LIT("Bad Request")) < 0);
}

/* --- violations -------------------------------------------------------------------------------------------------- */
/* message Outer { string email = 1; string password = 2 (secret); Inner inner = 3; } Inner { string word = 1; } */
static const TypeTables *make_types(Arena *mem)
{
    static Atrium__FieldRow email = ATRIUM__FIELD_ROW__INIT, password = ATRIUM__FIELD_ROW__INIT,
                            inner = ATRIUM__FIELD_ROW__INIT, word = ATRIUM__FIELD_ROW__INIT;
    static Atrium__FieldRow *outer_fields[] = {&email, &password, &inner}, *inner_fields[] = {&word};
    static Atrium__TypeRow outer_row = ATRIUM__TYPE_ROW__INIT, inner_row = ATRIUM__TYPE_ROW__INIT;
    static Atrium__TypeRow *rows[] = {&outer_row, &inner_row};
    Atrium__Tables file = ATRIUM__TABLES__INIT;
    const TypeTables *types;
    const struct {
        Atrium__FieldRow *row;
        uint32_t number;
        const char *name, *json;
        uint32_t type;
    } FIELDS[] = {{&email, 1, "email", "email", FIELD_STRING},
                  {&password, 2, "password", "password", FIELD_STRING},
                  {&inner, 3, "inner_part", "innerPart", FIELD_MESSAGE},
                  {&word, 1, "word", "word", FIELD_STRING}};

    for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++) {
        SET(FIELDS[i].row, number, FIELDS[i].number);
        FIELDS[i].row->name = arena_strdup(mem, FIELDS[i].name);
        FIELDS[i].row->json_name = arena_strdup(mem, FIELDS[i].json);
        SET(FIELDS[i].row, type, FIELDS[i].type);
    }
    SET(&password, secret, true);
    SET(&inner, ref, 1);
    outer_row.name = arena_strdup(mem, "test.Outer");
    outer_row.n_fields = ARRAY_LEN(outer_fields);
    outer_row.fields = outer_fields;
    inner_row.name = arena_strdup(mem, "test.Inner");
    inner_row.n_fields = ARRAY_LEN(inner_fields);
    inner_row.fields = inner_fields;
    SET(&file, format, TYPES_FORMAT);
    file.n_types = ARRAY_LEN(rows);
    file.types = rows;
    assert_ok(types_load(mem, &file, &types));
    return types;
}

static Fault fault_of(Arena *mem, const TypeTables *types, const char *body, const char *field, const char *kind,
                      int part)
{
    static const RouteVariable VALUES[] = {{{"limit", 5}, {"a\"b", 3}}};
    Atrium__Violation v = ATRIUM__VIOLATION__INIT, *list[] = {&v};
    const FaultSource source = {.type = types_find(types, SLICE_LIT("test.Outer")),
                                .body = slice(body),
                                .body_prefix = "",
                                .values = VALUES,
                                .value_count = 1};

    v.field = arena_strdup(mem, field);
    v.kind = arena_strdup(mem, kind);
    SET(&v, part, (Atrium__Part)part);
    return faults_of_violations(mem, &source, list, 1)[0];
}

static Slice input_of(Arena *mem, const TypeTables *types, const char *body, const char *field, const char *kind,
                      int part)
{
    return fault_of(mem, types, body, field, kind, part).input;
}

/* Names are those of the body, or of JSON where it has none. */
static void fields_are_named_as_the_body_names_them(void **state)
{
    static const struct {
        const char *body, *field, *named;
    } CASES[] = {
        {"{\"innerPart\":{\"word\":1}}", "inner_part.word", "innerPart.word"},
        {"{}", "inner_part.word", "innerPart.word"},
        {"{\"inner_part\":{}}", "inner_part.word", "inner_part.word"},
        {"{}", "inner_part", "innerPart"},
        {"{}", "no_field.of_it", "no_field.of_it"},
        {"{}", "", ""},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    const TypeTables *types = make_types(mem);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        assert_string_equal(fault_of(mem, types, CASES[i].body, CASES[i].field, "missing", ATRIUM__PART__BODY).field,
                            CASES[i].named);
}

static void inputs_are_shown_unless_secret(void **state)
{
    static const struct {
        const char *field, *kind;
        int part;
        const char *input;
    } CASES[] = {
        {"email", "value_error", ATRIUM__PART__BODY, "\"no\""},
        {"password", "string_too_short", ATRIUM__PART__BODY, ""},
        {"inner_part.word", "value_error", ATRIUM__PART__BODY, "\"w\""},
        {"email", "missing", ATRIUM__PART__BODY, "{}"}, /* the whole object would show the password */
        {"limit", "value_error", ATRIUM__PART__QUERY, "\"a\\\"b\""},
        {"other", "value_error", ATRIUM__PART__QUERY, ""},
        {"unknown", "value_error", ATRIUM__PART__BODY, ""},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    const TypeTables *types = make_types(mem);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        assert_slice_equal(input_of(mem, types,
                                    "{\"email\":\"no\",\"password\":\"hush\",\"innerPart\":{\"word\":\"w\"}}",
                                    CASES[i].field, CASES[i].kind, CASES[i].part),
                           slice(CASES[i].input));
    assert_slice_equal(
        input_of(mem, types, "{\"inner_part\":{\"word\":5}}", "inner_part.word", "x", ATRIUM__PART__BODY),
        SLICE_LIT("5"));
}

static void long_inputs_are_cut(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    char *text = arena_alloc(mem, 5000, 1);
    Slice cut;
    (void)state;

    for (int i = 0; i < 4998; i += 2)
        memcpy(text + i, "\303\251", 2);
    cut = fault_input(mem, slice_of(text, 4998));
    assert_true(cut.len <= FAULT_INPUT_MAX_BYTES + 2);
    assert_true(utf8_valid(cut));
    assert_int_equal(cut.ptr[0], '"');
}

static void structs_become_json(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Google__Protobuf__Value number = GOOGLE__PROTOBUF__VALUE__INIT, text = GOOGLE__PROTOBUF__VALUE__INIT,
                            empty = GOOGLE__PROTOBUF__VALUE__INIT, truth = GOOGLE__PROTOBUF__VALUE__INIT;
    Google__Protobuf__Struct__FieldsEntry a = GOOGLE__PROTOBUF__STRUCT__FIELDS_ENTRY__INIT, b = a, c = a, d = a;
    Google__Protobuf__Struct__FieldsEntry *fields[] = {&a, &b, &c, &d};
    Google__Protobuf__Struct s = GOOGLE__PROTOBUF__STRUCT__INIT;
    (void)state;

    number.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
    number.number_value = 8;
    text.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    text.string_value = arena_strdup(mem, "a\"b");
    truth.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE;
    truth.bool_value = true;
    a.key = arena_strdup(mem, "min_length");
    a.value = &number;
    b.key = arena_strdup(mem, "t");
    b.value = &text;
    c.key = arena_strdup(mem, "n");
    c.value = &empty;
    d.key = arena_strdup(mem, "b");
    d.value = &truth;
    s.n_fields = ARRAY_LEN(fields);
    s.fields = fields;
    assert_slice_equal(struct_to_json(mem, &s), SLICE_LIT("{\"min_length\":8,\"t\":\"a\\\"b\",\"n\":null,\"b\":true}"));
    assert_int_equal(struct_to_json(mem, NULL).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_look_as_each_contract_says),
        cmocka_unit_test(hidden_texts_are_not_told),
        cmocka_unit_test(router_errors_of_rag_are_short),
        cmocka_unit_test(faults_are_listed_in_each_manner),
        cmocka_unit_test(details_become_members),
        cmocka_unit_test(a_title_among_the_details_is_the_title),
        cmocka_unit_test(inputs_are_shown_unless_secret),
        cmocka_unit_test(fields_are_named_as_the_body_names_them),
        cmocka_unit_test(long_inputs_are_cut),
        cmocka_unit_test(structs_become_json),
    };

    return RUN(tests);
}
