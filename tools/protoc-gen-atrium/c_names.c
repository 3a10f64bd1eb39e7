#include "c_names.h"

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static char to_upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static const char *finish(StrBuf *b)
{
    Slice done;
    if (!strbuf_finish(b, &done))
        abort();
    return done.ptr;
}

static StrBuf buffer(Arena *mem)
{
    return strbuf_new(mem, 64 * 1024);
}

/* The message's name with its file's c_package instead of the package. */
static const char *c_full_name(Arena *mem, const Message *m)
{
    const char *package = m->file->package, *rest = m->full_name;
    if (*package)
        rest += strlen(package) + 1;
    return *m->file->c_package ? arena_printf(mem, "%s.%s", m->file->c_package, rest) : rest;
}

const char *c_type(Arena *mem, const Message *m)
{
    StrBuf out = buffer(mem);
    bool upper = true;

    for (const char *c = c_full_name(mem, m); *c; c++) {
        if (*c == '.')
            strbuf_append_cstr(&out, "__");
        else if (*c != '_')
            strbuf_append_char(&out, upper ? to_upper(*c) : *c);
        upper = *c == '.' || *c == '_';
    }
    return finish(&out);
}

const char *c_snake(Arena *mem, const char *name)
{
    StrBuf out = buffer(mem);
    bool was_upper = true; /* no underscore at the start */

    for (const char *c = name; *c; c++) {
        if (is_upper(*c) && !was_upper)
            strbuf_append_char(&out, '_');
        strbuf_append_char(&out, is_upper(*c) ? (char)(*c - 'A' + 'a') : *c);
        was_upper = is_upper(*c);
    }
    return finish(&out);
}

const char *c_upper(Arena *mem, const char *name)
{
    char *out = arena_strdup(mem, c_snake(mem, name));
    for (char *c = out; *c; c++)
        *c = to_upper(*c);
    return out;
}

const char *c_lower(Arena *mem, const Message *m)
{
    StrBuf out = buffer(mem);
    Slice part, rest = slice(c_full_name(mem, m));
    bool more;

    do {
        more = slice_cut(rest, '.', &part, &rest);
        strbuf_append_cstr(&out, c_snake(mem, slice_cstr(mem, part)));
        if (more)
            strbuf_append_cstr(&out, "__");
    } while (more);
    return finish(&out);
}

const char *c_prefix(Arena *mem, const File *file)
{
    Slice package = slice(file->package);
    char *out;

    if (slice_starts_with(package, SLICE_LIT("atrium.")))
        package = slice_skip(package, strlen("atrium."));
    out = slice_cstr(mem, package);
    for (char *c = out; *c; c++)
        if (*c == '.')
            *c = '_';
    return out;
}

const char *c_stem(Arena *mem, const File *file)
{
    Slice name = slice(file->name);
    if (slice_ends_with(name, SLICE_LIT(".proto")))
        name = slice_take(name, name.len - strlen(".proto"));
    return slice_cstr(mem, name);
}

const char *c_literal(Arena *mem, const char *text)
{
    StrBuf out = buffer(mem);
    strbuf_append_char(&out, '"');
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            strbuf_printf(&out, "\\%c", *c);
        else if ((unsigned char)*c < 0x20)
            strbuf_printf(&out, "\\%03o", (unsigned char)*c);
        else
            strbuf_append_char(&out, *c);
    }
    strbuf_append_char(&out, '"');
    return finish(&out);
}

void c_comment(StrBuf *b, int indent, const char *text)
{
    Slice line, rest = slice(text);
    bool first = true, more = rest.len > 0;

    while (more) {
        more = slice_cut(rest, '\n', &line, &rest);
        strbuf_printf(b, "%*s%s%s", indent, "", first ? "/*" : " *", line.len > 0 ? " " : "");
        for (size_t i = 0; i < line.len; i++) /* a comment cannot hold its own end */
            strbuf_append_char(b, line.ptr[i] == '/' && i > 0 && line.ptr[i - 1] == '*' ? '.' : line.ptr[i]);
        strbuf_append_cstr(b, more ? "\n" : " */\n");
        first = false;
    }
}
