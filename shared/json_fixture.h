/* json_fixture: what the tests of the JSON codec share: the sample tables, and a call in each direction. */
#pragma once
#include "shared/json.h"
#include "shared/json_sample.h"
#include "shared/testing.h"

enum { OUT_MAX = 64 << 20 };

typedef struct Fixture {
    Arena *mem;
    const TypeTables *tables;
    const MessageType *person, *shown;
    JsonProblems problems;
} Fixture;

static inline int set_up(void **state)
{
    Fixture *f = xcalloc(1, sizeof(*f));

    f->mem = arena_new(1 << 16);
    assert_ok(types_load(f->mem, sample_file(f->mem), &f->tables));
    f->person = types_at(f->tables, SAMPLE_PERSON);
    f->shown = types_at(f->tables, SAMPLE_SHOWN);
    *state = f;
    return 0;
}

static inline int tear_down(void **state)
{
    Fixture *f = *state;

    arena_free(f->mem);
    free(f);
    return 0;
}

static const JsonReadOptions STRICT = {.refuse_unknown = true};

/* The wire form in hex; NULL when there were problems. */
static inline const char *read_with(Fixture *f, const JsonReadOptions *options, const MessageType *type, Slice text)
{
    StrBuf out = strbuf_new(f->mem, OUT_MAX);
    /* In memory of its own size, so that address sanitizer sees a read past the end. */
    char *copy = xmalloc(text.len);
    Slice own = slice_of(text.len ? memcpy(copy, text.ptr, text.len) : copy, text.len);
    bool ok = json_to_wire(options, type, own, &out, &f->problems);

    for (size_t i = 0; i < f->problems.count; i++) {
        JsonProblem *p = &f->problems.list[i];
        p->input = slice_of(arena_memdup(f->mem, p->input.ptr, p->input.len), p->input.len);
    }
    free(copy);
    assert_true(ok == (f->problems.count == 0));
    if (!ok)
        assert_int_equal(out.len, 0);
    return ok ? hex_encode(f->mem, strbuf_slice(&out)) : NULL;
}

static inline const char *read_person(Fixture *f, const char *text)
{
    return read_with(f, &STRICT, f->person, slice(text));
}

static inline Slice bytes_of(Fixture *f, const char *hex)
{
    Slice bytes;

    assert_true(hex_decode(f->mem, slice(hex), &bytes));
    return bytes;
}

static inline const char *write_with(Fixture *f, const JsonWriteOptions *options, const MessageType *type, Slice wire)
{
    StrBuf out = strbuf_new(f->mem, OUT_MAX);
    char *copy = xmalloc(wire.len);
    Slice own = slice_of(wire.len ? memcpy(copy, wire.ptr, wire.len) : copy, wire.len);
    bool ok = wire_to_json(options, type, own, &out);

    free(copy);
    return ok ? slice_cstr(f->mem, strbuf_slice(&out)) : NULL;
}

static inline const char *write_person(Fixture *f, const char *hex)
{
    return write_with(f, &(JsonWriteOptions){0}, f->person, bytes_of(f, hex));
}

static inline void expect_problem(Fixture *f, size_t at, const char *text, JsonProblemKind kind, const char *path,
                                  const char *expected)
{
    const JsonProblem *p = &f->problems.list[at];

    if (f->problems.count <= at)
        fail_msg("%s: only %zu problems", text, f->problems.count);
    if (p->kind != kind || strcmp(p->path, path) != 0 || strcmp(p->expected ? p->expected : "", expected) != 0)
        fail_msg("%s: kind %d path \"%s\" expected \"%s\"", text, (int)p->kind, p->path,
                 p->expected ? p->expected : "");
}
