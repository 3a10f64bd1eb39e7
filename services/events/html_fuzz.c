/* Fuzz target: texts in pages. Whatever a text holds, no element begins or ends but ours. */
#include "services/events/html.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static Slice written(Arena *mem, void (*write)(StrBuf *, Slice), Slice text)
{
    StrBuf out = strbuf_new(mem, 8 << 20);
    Slice page;

    write(&out, text);
    check(strbuf_finish(&out, &page));
    return page;
}

static bool has_any(Slice text, const char *bytes)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] && strchr(bytes, text.ptr[i]))
            return true;
    return false;
}

static void write_link(StrBuf *out, Slice text)
{
    html_link(out, text, SLICE_LIT("x"), NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    Slice text = slice_of(data, len), page = written(mem, html_text, text);

    check(!has_any(page, "<>\"'") && utf8_valid(page) && !memchr(page.ptr, 0, page.len));
    check(!has_any(written(mem, html_json, text), "<>&"));
    page = written(mem, html_paragraphs, text);
    for (size_t i = 0; i < page.len; i++)
        if (page.ptr[i] == '<') {
            Slice rest = slice_skip(page, i);

            check(slice_starts_with(rest, SLICE_LIT("<p>")) || slice_starts_with(rest, SLICE_LIT("</p>")) ||
                  slice_starts_with(rest, SLICE_LIT("<br>")));
        }
    page = written(mem, write_link, text);
    check(slice_eq_cstr(page, "x") || slice_starts_with(page, SLICE_LIT("<a href=\"http")) ||
          slice_starts_with(page, SLICE_LIT("<a href=\"HTTP")) || html_may_link(text));
    return 0;
}
