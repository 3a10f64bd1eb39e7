/* Fuzz target: JSON of any kind to wire bytes. The first byte chooses the options. What is read must be written, and
 * what is written must be read again as the same. */
#include "shared/json.h"
#include "shared/json_sample.h"

enum { OUT_MAX = 1 << 24 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const TypeTables *tables;

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_problems(const JsonProblems *problems, Slice text)
{
    check(problems->count > 0 && problems->count <= JSON_MAX_PROBLEMS);
    for (size_t i = 0; i < problems->count; i++) {
        const JsonProblem *p = &problems->list[i];
        check(utf8_valid(slice(p->path)) && p->offset <= text.len);
        check(p->input.len == 0 || (p->input.ptr >= text.ptr && p->input.ptr + p->input.len <= text.ptr + text.len));
    }
}

static void check_back(Arena *mem, const MessageType *type, Slice wire)
{
    const JsonReadOptions strict = {.refuse_unknown = true};
    StrBuf json = strbuf_new(mem, OUT_MAX), again = strbuf_new(mem, OUT_MAX), last = strbuf_new(mem, OUT_MAX);
    JsonProblems problems;

    check(wire_to_json(&(JsonWriteOptions){0}, type, wire, &json));
    check(json_to_wire(&strict, type, strbuf_slice(&json), &again, &problems));
    check(wire_to_json(&(JsonWriteOptions){0}, type, strbuf_slice(&again), &last));
    check(slice_eq(strbuf_slice(&json), strbuf_slice(&last)));
}

/* The input has paths that json_find and json_text_field_to_wire can follow. */
static void try_as_text(Arena *mem, const JsonReadOptions *options, const MessageType *type, Slice text)
{
    StrBuf out = strbuf_new(mem, OUT_MAX);
    JsonProblem problem;
    Slice path, value, found = json_find(text, SLICE_LIT("bestFriend.tags.1"));

    check(found.len == 0 || (found.ptr >= text.ptr && found.ptr + found.len <= text.ptr + text.len));
    if (slice_cut(text, '=', &path, &value) && json_text_field_to_wire(options, type, path, value, &out, &problem))
        check_back(mem, type, strbuf_slice(&out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static Arena *forever, *mem;
    Slice text = slice_skip(slice_of(data, len), 1);
    uint8_t bits = len ? data[0] : 0;
    JsonReadOptions options = {
        .nocase = bits & 1,
        .refuse_unknown = bits & 2,
        .lenient_scalars = bits & 4,
        .ignore_trailing = bits & 8,
        .null_is_empty = bits & 16,
        .skip_bom = bits & 32,
    };
    const MessageType *type;
    JsonProblems problems;
    StrBuf out;

    if (!mem) {
        forever = arena_new(1 << 16);
        mem = arena_new(1 << 16);
        check(!err_failed(types_load(forever, sample_file(forever), &tables)));
    }
    arena_reset(mem);
    type = types_at(tables, bits & 64 ? SAMPLE_VALUE : SAMPLE_PERSON);
    out = strbuf_new(mem, OUT_MAX);
    if (json_to_wire(&options, type, text, &out, &problems))
        check_back(mem, type, strbuf_slice(&out));
    else
        check_problems(&problems, text);
    try_as_text(mem, &options, type, text);
    return 0;
}
