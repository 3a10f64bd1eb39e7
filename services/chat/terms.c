/* terms: see terms.h. */
#include "services/chat/terms.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void add(Terms *out, Slice text, TermKind kind)
{
    text = slice_trim(text);
    if (text.len == 0 || out->count == TERMS_MAX)
        return;
    out->texts[out->count] = text;
    out->kinds[out->count++] = kind;
}

/* From behind the opening quote; returns what is left behind the closing one. */
static Slice read_phrase(Slice rest, Terms *out)
{
    ptrdiff_t end = slice_find_char(rest, '"');
    size_t len = end < 0 ? rest.len : (size_t)end;

    add(out, slice_take(rest, len), TERM_PHRASE);
    return slice_skip(rest, end < 0 ? len : len + 1);
}

static Slice read_word(Slice rest, Terms *out)
{
    size_t len = 0;
    Slice word;

    while (len < rest.len && !is_space(rest.ptr[len]) && rest.ptr[len] != '"')
        len++;
    word = slice_take(rest, len);
    if (slice_ends_with(word, SLICE_LIT("*")))
        add(out, slice_take(word, word.len - 1), TERM_PREFIX);
    else
        add(out, word, TERM_WORD);
    return slice_skip(rest, len);
}

void terms_read(Slice query, Terms *out)
{
    out->count = 0;
    while (query.len) {
        if (is_space(query.ptr[0]))
            query = slice_skip(query, 1);
        else if (query.ptr[0] == '"')
            query = read_phrase(slice_skip(query, 1), out);
        else
            query = read_word(query, out);
    }
}
