/* Fuzz target: bytes of any kind as wire to JSON. The first byte chooses the options. What comes out must be JSON. */
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

/* Numbers of enums that we do not know come out and are not taken in, so problems may be found, but none of form. */
static void check_json(Arena *mem, const MessageType *type, Slice json)
{
    StrBuf wire = strbuf_new(mem, OUT_MAX);
    JsonProblems problems;

    check(utf8_valid(json));
    if (json_to_wire(&(JsonReadOptions){.refuse_unknown = true}, type, json, &wire, &problems))
        return;
    for (size_t i = 0; i < problems.count; i++)
        check(problems.list[i].kind == JSON_UNKNOWN_ENUM || problems.list[i].kind == JSON_BAD_UTF8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static Arena *forever, *mem;
    Slice wire = slice_skip(slice_of(data, len), 1);
    uint8_t bits = len ? data[0] : 0;
    JsonWriteOptions options = {.dialect = bits & 3, .escape_html = bits & 4, .ascii = bits & 8};
    const MessageType *type;
    StrBuf out;

    if (!mem) {
        forever = arena_new(1 << 16);
        mem = arena_new(1 << 16);
        check(!err_failed(types_load(forever, sample_file(forever), &tables)));
    }
    arena_reset(mem);
    type = types_at(tables, (bits >> 4) % SAMPLE_TYPES);
    out = strbuf_new(mem, OUT_MAX);
    /* What shows as null where absent is refused as input where the field says so: only Person's rules are neutral. */
    if (wire_to_json(&options, type, wire, &out) && type != types_at(tables, SAMPLE_SHOWN))
        check_json(mem, type, strbuf_slice(&out));
    out = strbuf_new(mem, OUT_MAX);
    if (wire_field_to_json(&options, types_at(tables, SAMPLE_PERSON), SLICE_LIT("friends"), wire, &out))
        check(utf8_valid(strbuf_slice(&out)));
    return 0;
}
