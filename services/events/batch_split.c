/* batch_split: a JSON list cut into its elements, as they were written: what agents sent is kept byte by byte. */
#include "services/events/batch.h"

/* The element that `s` begins with, up to the comma or the end of the list. */
static size_t element_length(Slice s)
{
    size_t depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (quoted)
            continue;
        else if (c == '{' || c == '[')
            depth++;
        else if (depth == 0 && (c == ',' || c == ']'))
            return i;
        else if (c == '}' || c == ']')
            depth--;
    }
    return s.len;
}

bool batch_split(Arena *mem, Slice list, size_t max, Slice **out, size_t *out_count)
{
    Slice rest = slice_trim(list);

    *out = ARENA_ARRAY(mem, Slice, max);
    *out_count = 0;
    rest = rest.len ? slice_skip(rest, 1) : rest; /* its bracket */
    while (slice_trim(rest).len > 1) {            /* more than the closing one */
        size_t len = MIN(element_length(rest), rest.len);

        if (*out_count == max)
            return false;
        (*out)[(*out_count)++] = slice_trim(slice_take(rest, len));
        rest = slice_skip(rest, MIN(len + 1, rest.len));
    }
    return true;
}

/* The value that `s` begins with, brackets and quotes included; 0: it does not end. */
static size_t value_length(Slice s)
{
    size_t depth = 0;
    bool quoted = false, compound = s.ptr[0] == '{' || s.ptr[0] == '[' || s.ptr[0] == '"';

    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if (!compound && i && strchr(" \t\r\n,{}[]\"", c))
            return i;
        if (!compound)
            continue;
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            depth++;
        else if (!quoted && (c == '}' || c == ']'))
            depth--;
        if (!quoted && depth == 0)
            return MIN(i + 1, s.len);
    }
    return compound ? 0 : s.len;
}

bool batch_values(Arena *mem, Slice text, size_t max, Slice **out, size_t *out_count, bool *out_single)
{
    *out = ARENA_ARRAY(mem, Slice, max);
    *out_count = 0;
    *out_single = true;
    for (Slice rest = slice_trim(text); rest.len; rest = slice_trim(rest)) {
        size_t len = value_length(rest), count = 1;
        Slice value = slice_take(rest, len), *parts = &value;

        if (len == 0)
            return false;
        *out_single &= value.ptr[0] != '[' && rest.ptr == slice_trim(text).ptr;
        if (value.ptr[0] == '[' && !batch_split(mem, value, max, &parts, &count))
            return false;
        if (count > max - *out_count)
            return false;
        memcpy(*out + *out_count, parts, count * sizeof(Slice));
        *out_count += count;
        rest = slice_skip(rest, len);
    }
    return true;
}
