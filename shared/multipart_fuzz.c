/* Fuzz target: multipart/form-data. The first byte is the size of the pieces, the second the length of a boundary that
 * stands next; or, when it is 0, the rest is a Content-Type. Pieces must not change what comes out. */
#include "shared/multipart.h"
#include "shared/strbuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { TOLD_MAX_BYTES = 1 << 20 };

typedef struct Told {
    StrBuf text;
    int open, parts;
} Told;

static void check(bool holds)
{
    if (!holds)
        abort();
}

static Err tell_part(void *at, const MultipartPart *part)
{
    Told *t = at;

    check(t->open == 0 && part->name.len <= MULTIPART_NAME_MAX_BYTES && utf8_valid(part->name));
    check(part->filename.len <= MULTIPART_NAME_MAX_BYTES && utf8_valid(part->filename));
    check(slice_find_char(part->filename, '/') < 0 && ++t->parts <= MULTIPART_PARTS_MAX);
    t->open = 1;
    strbuf_printf(&t->text, "[%zu %zu %zu %d]", part->name.len, part->filename.len, part->content_type.len,
                  part->is_file);
    return OK;
}

static Err tell_data(void *at, Slice piece)
{
    Told *t = at;

    check(t->open == 1 && piece.len > 0);
    strbuf_append(&t->text, piece);
    return OK;
}

static Err tell_end(void *at)
{
    Told *t = at;

    check(t->open-- == 1);
    strbuf_append_char(&t->text, '.');
    return OK;
}

static const MultipartEvents TELL = {tell_part, tell_data, tell_end};

static Err read_all(Arena *mem, Slice boundary, Slice body, size_t piece_bytes, Slice *out)
{
    Told told = {.text = strbuf_new(mem, TOLD_MAX_BYTES)};
    Multipart *m = multipart_new(mem, boundary, &TELL, &told);
    Err e = OK;

    while (body.len && !err_failed(e)) {
        e = multipart_push(m, slice_take(body, piece_bytes));
        body = slice_skip(body, piece_bytes);
    }
    if (!err_failed(e))
        e = multipart_finish(m);
    check(err_failed(e) || told.open == 0);
    *out = strbuf_slice(&told.text);
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 14);
    Slice rest = slice_skip(slice_of(data, len), 2), boundary, whole, pieces;
    StrBuf type = strbuf_new(mem, 4096);
    Err e, again;

    if (len < 2)
        return 0;
    if (data[1] == 0) {
        if (!err_failed(multipart_boundary(mem, rest, &boundary)))
            check(boundary.len > 0 && boundary.len <= MULTIPART_BOUNDARY_MAX_BYTES);
        return 0;
    }
    strbuf_printf(&type, "multipart/form-data; boundary=\"" SLICE_FMT "\"", SLICE_ARG(slice_take(rest, data[1])));
    if (err_failed(multipart_boundary(mem, strbuf_slice(&type), &boundary)))
        return 0;
    rest = slice_skip(rest, data[1]);
    e = read_all(mem, boundary, rest, rest.len, &whole);
    again = read_all(mem, boundary, rest, data[0] + 1U, &pieces);
    check(e.reason == again.reason && slice_eq(whole, pieces));
    return 0;
}
