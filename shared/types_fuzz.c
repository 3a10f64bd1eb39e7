/* Fuzz target: a data file of any content. Tables that load must be safe to read and write JSON by. */
#include "shared/json.h"

enum { OUT_MAX = 1 << 20, TYPES_TRIED = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void try_type(Arena *mem, const MessageType *type, Slice bytes)
{
    StrBuf out = strbuf_new(mem, OUT_MAX), json = strbuf_new(mem, OUT_MAX);
    JsonProblems problems;

    (void)wire_to_json(&(JsonWriteOptions){0}, type, bytes, &out);
    (void)wire_to_json(&(JsonWriteOptions){.dialect = 3}, type, slice_of("", 0), &json);
    (void)json_to_wire(&(JsonReadOptions){.nocase = true}, type, strbuf_slice(&json), &out, &problems);
    for (size_t i = 0; i < message_type_field_count(type); i++) {
        const FieldType *f = message_type_field(type, i);
        strbuf_truncate(&json, 0);
        strbuf_append_char(&json, '{');
        strbuf_append_json(&json, f->name);
        strbuf_append_cstr(&json, f->repeated && !f->map ? ":[1,\"1\"]}" : ":\"1\"}");
        (void)json_to_wire(&(JsonReadOptions){0}, type, strbuf_slice(&json), &out, &problems);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    Atrium__Tables *file = atrium__tables__unpack(NULL, len, data);
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 12);
    const TypeTables *tables;

    if (!file)
        return 0;
    if (!err_failed(types_load(mem, file, &tables)))
        for (size_t i = 0; i < TYPES_TRIED && types_at(tables, i); i++)
            try_type(mem, types_at(tables, i), slice_of(data, len));
    atrium__tables__free_unpacked(file, NULL);
    return 0;
}
