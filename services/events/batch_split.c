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
