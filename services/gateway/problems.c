/* problems: see problems.h. */
#include "services/gateway/problems.h"

/* --- input ------------------------------------------------------------------------------------------------------- */
Slice fault_input(Arena *mem, Slice json)
{
    StrBuf out;
    size_t len = FAULT_INPUT_MAX_BYTES;

    if (json.len <= FAULT_INPUT_MAX_BYTES)
        return json;
    while (len > 0 && ((unsigned char)json.ptr[len] & 0xC0) == 0x80)
        len--; /* not in the middle of a letter */
    out = strbuf_new(mem, (size_t)FAULT_INPUT_MAX_BYTES * 8);
    strbuf_append_json(&out, slice_take(json, len));
    return strbuf_slice(&out);
}

/* --- the reader's problems --------------------------------------------------------------------------------------- */
typedef struct ProblemText {
    const char *expected, *kind, *text;
} ProblemText;

/* By what was expected; the first row is for anything else. */
static const ProblemText WRONG_TYPES[] = {
    {NULL, "value_error", "Input has the wrong type"},
    {"string", "string_type", "Input should be a valid string"},
    {"integer", "int_parsing", "Input should be a valid integer, unable to parse string as an integer"},
    {"number", "float_parsing", "Input should be a valid number, unable to parse string as a number"},
    {"boolean", "bool_parsing", "Input should be a valid boolean, unable to interpret input"},
    {"array", "list_type", "Input should be a valid list"},
    {"list", "list_type", "Input should be a valid list"},
    {"object", "model_attributes_type", "Input should be a valid dictionary or object to extract fields from"},
    {"timestamp", "datetime_parsing", "Input should be a valid datetime"},
    {"duration", "time_delta_parsing", "Input should be a valid duration"},
    {"uuid", "uuid_parsing", "Input should be a valid UUID"},
};

static const ProblemText *wrong_type(const char *expected)
{
    for (size_t i = 1; expected && i < ARRAY_LEN(WRONG_TYPES); i++)
        if (strcmp(WRONG_TYPES[i].expected, expected) == 0)
            return &WRONG_TYPES[i];
    return &WRONG_TYPES[0];
}

Fault fault_of_problem(Arena *mem, const JsonProblem *problem, int part)
{
    Fault fault = {.part = part,
                   .field = problem->path ? problem->path : "",
                   .kind = "value_error",
                   .text = "Input is not valid",
                   .input = fault_input(mem, problem->input),
                   .offset = problem->offset};

    switch (problem->kind) {
    case JSON_SYNTAX:
    case JSON_TOO_DEEP:
        fault.kind = "json_invalid";
        fault.text = "JSON decode error";
        fault.input = SLICE_LIT("{}");
        fault.field = "";
        fault.context = problem->kind == JSON_SYNTAX ? SLICE_LIT("{\"error\":\"invalid JSON\"}")
                                                     : SLICE_LIT("{\"error\":\"nested too deep\"}");
        break;
    case JSON_BAD_UTF8:
        fault.kind = "string_unicode";
        fault.text = "Input should be a valid string, unable to parse raw data as a unicode string";
        fault.input = SLICE_LIT("null"); /* it cannot be repeated */
        break;
    case JSON_WRONG_TYPE:
    case JSON_BAD_FORMAT:
        fault.kind = wrong_type(problem->expected)->kind;
        fault.text = wrong_type(problem->expected)->text;
        if (wrong_type(problem->expected) == WRONG_TYPES && problem->expected)
            fault.text = arena_printf(mem, "Input should be a valid %s", problem->expected);
        break;
    case JSON_NULL:
        fault.kind = wrong_type(problem->expected ? problem->expected : "string")->kind;
        fault.text = wrong_type(problem->expected ? problem->expected : "string")->text;
        fault.input = SLICE_LIT("null");
        break;
    case JSON_OUT_OF_RANGE:
        fault.kind = "int_parsing_size";
        fault.text = "Unable to parse input string as an integer, exceeded maximum size";
        break;
    case JSON_UNKNOWN_ENUM:
        fault.kind = "enum";
        fault.text = "Input should be one of the known values";
        break;
    case JSON_UNKNOWN_FIELD:
        fault.kind = "extra_forbidden";
        fault.text = "Extra inputs are not permitted";
        break;
    case JSON_ONEOF_TWICE:
        fault.text = "Only one of these may be given";
        break;
    case JSON_TOO_LARGE:
        fault.kind = "too_long";
        fault.text = "Input is too large";
        break;
    }
    return fault;
}

Fault *faults_of_problems(Arena *mem, const JsonProblems *problems, size_t *out_count)
{
    Fault *faults = ARENA_ARRAY(mem, Fault, problems->count + 1);

    for (size_t i = 0; i < problems->count; i++)
        faults[i] = fault_of_problem(mem, &problems->list[i], ATRIUM__PART__BODY);
    *out_count = problems->count;
    return faults;
}

/* --- a service's violations -------------------------------------------------------------------------------------- */
static bool has_secrets(const MessageType *type)
{
    for (size_t i = 0; type && i < message_type_field_count(type); i++)
        if (message_type_field(type, i)->secret)
            return true;
    return false;
}

/* Translates a path of proto names into one of JSON names, as the body has them; false when it leads to a secret. */
static bool member_path(const MessageType *type, Slice path, Slice body, StrBuf *out)
{
    Slice word, rest = path;

    while (rest.len) {
        const FieldType *field;
        size_t before = out->len;

        (void)slice_cut(rest, '.', &word, &rest); /* false is the last word */
        field = type ? message_type_by_name(type, word, false) : NULL;
        if (field && field->secret)
            return false;
        if (before)
            strbuf_append_char(out, '.');
        strbuf_append(out, field ? field->json_name : word);
        if (field && json_find(body, strbuf_slice(out)).len == 0) {
            strbuf_truncate(out, before); /* the body may use the proto's name */
            if (before)
                strbuf_append_char(out, '.');
            strbuf_append(out, field->name);
        }
        if (field)
            type = field->message;
    }
    return true;
}

static Slice quoted(Arena *mem, Slice text)
{
    StrBuf out = strbuf_new(mem, text.len * 6 + 2);

    strbuf_append_json(&out, text);
    return strbuf_slice(&out);
}

/* A violation's field within the body, whose message it is of. */
typedef struct BodyField {
    const MessageType *type;
    Slice path; /* of proto names, as the service has them */
} BodyField;

/* Where the body is a field of the request, services name that first. */
static BodyField body_field(const FaultSource *source, Slice field)
{
    Slice prefix = slice(source->body_prefix);
    const FieldType *whole;

    if (!prefix.len || !slice_starts_with(field, prefix) || (field.len > prefix.len && field.ptr[prefix.len] != '.'))
        return (BodyField){.type = source->type, .path = field};
    whole = message_type_by_name(source->type, prefix, false);
    return (BodyField){.type = whole ? whole->message : NULL,
                       .path = slice_skip(field, MIN(prefix.len + 1, field.len))};
}

/* Names as JSON has them; the proto's where the body uses that one. What is no field's name stays as it is. */
static const char *wire_path(Arena *mem, const FaultSource *source, const BodyField *at)
{
    StrBuf out = strbuf_new(mem, 1024);
    const MessageType *type = at->type;
    Slice word, rest = at->path;

    while (rest.len) {
        const FieldType *field;
        size_t before;

        (void)slice_cut(rest, '.', &word, &rest); /* false is the last word */
        field = type ? message_type_by_name(type, word, false) : NULL;
        if (out.len)
            strbuf_append_char(&out, '.');
        before = out.len;
        strbuf_append(&out, word);
        if (field && json_find(source->body, strbuf_slice(&out)).len == 0) {
            strbuf_truncate(&out, before);
            strbuf_append(&out, field->json_name);
        }
        if (field)
            type = field->message;
    }
    return slice_cstr(mem, strbuf_slice(&out));
}

static Slice body_input(Arena *mem, const FaultSource *source, const BodyField *at, bool missing)
{
    StrBuf path = strbuf_new(mem, 1024);

    if (missing || at->path.len == 0) /* the whole object is shown instead */
        return has_secrets(at->type) || source->body.len == 0 ? SLICE_LIT("{}") : fault_input(mem, source->body);
    if (!member_path(at->type, at->path, source->body, &path))
        return SLICE_LIT("");
    return fault_input(mem, json_find(source->body, strbuf_slice(&path)));
}

static Slice value_input(Arena *mem, const FaultSource *source, Slice field)
{
    for (size_t i = 0; i < source->value_count; i++)
        if (slice_eq(source->values[i].field, field))
            return fault_input(mem, quoted(mem, source->values[i].value));
    return SLICE_LIT("");
}

Fault *faults_of_violations(Arena *mem, const FaultSource *source, Atrium__Violation *const *violations, size_t count)
{
    Fault *faults = ARENA_ARRAY(mem, Fault, count + 1);

    for (size_t i = 0; i < count; i++) {
        const Atrium__Violation *v = violations[i];
        Slice field = slice(v->field);

        faults[i] = (Fault){.part = (int)v->part,
                            .field = v->field ? v->field : "",
                            .kind = v->kind && v->kind[0] ? v->kind : "value_error",
                            .text = v->text ? v->text : "",
                            .context = struct_to_json(mem, v->context),
                            .offset = v->offset};
        if (v->part == ATRIUM__PART__BODY) {
            const BodyField at = body_field(source, field);

            faults[i].field = wire_path(mem, source, &at);
            faults[i].input = body_input(mem, source, &at, strcmp(faults[i].kind, "missing") == 0);
        } else {
            faults[i].input = value_input(mem, source, field);
        }
    }
    return faults;
}
