/* members: see members.h. */
#include "services/events/members.h"

static Slice skip_space(Slice s)
{
    while (s.len && strchr(" \t\r\n", *s.ptr) && *s.ptr)
        s = slice_skip(s, 1);
    return s;
}

/* Length of the string that `s` begins with, both quotes included; 0 when it does not end. */
static size_t string_length(Slice s)
{
    const char *quote = s.len ? memchr(s.ptr + 1, '"', s.len - 1) : NULL;

    while (quote) {
        size_t at = (size_t)(quote - s.ptr), from = at;

        while (from > 1 && s.ptr[from - 1] == '\\')
            from--;
        if ((at - from) % 2 == 0) /* not one of an escape */
            return at + 1;
        quote = memchr(quote + 1, '"', s.len - at - 1);
    }
    return 0;
}

/* Length of the value that `s` begins with; 0 when it does not end. */
static size_t value_length(Slice s)
{
    size_t depth = 0, i = 0;

    while (i < s.len) {
        char c = s.ptr[i];
        size_t step = 1;

        if (c == '"') {
            step = string_length(slice_skip(s, i));
            if (step == 0)
                return 0;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (depth == 0)
                return i;
            depth--;
        } else if (c == ',' && depth == 0) {
            return i;
        }
        i += step;
        if (depth == 0 && strchr("\"}]", c) && c)
            return i;
    }
    return 0; /* it is within something that does not end */
}

/* Cuts a value and the comma behind it off. */
static bool take_value(Slice *rest, Slice *out)
{
    size_t len = value_length(*rest);

    if (len == 0)
        return false;
    *out = slice_trim(slice_take(*rest, len));
    *rest = skip_space(slice_skip(*rest, len));
    if (rest->len && *rest->ptr == ',')
        *rest = skip_space(slice_skip(*rest, 1));
    return out->len > 0;
}

static bool take_member(Slice *rest, Member *out)
{
    size_t len;

    if (rest->len == 0 || *rest->ptr != '"')
        return false;
    len = string_length(*rest);
    if (len == 0)
        return false;
    out->name = slice_of(rest->ptr + 1, len - 2);
    *rest = skip_space(slice_skip(*rest, len));
    if (rest->len == 0 || *rest->ptr != ':')
        return false;
    *rest = skip_space(slice_skip(*rest, 1));
    return take_value(rest, &out->value);
}

size_t members_of(Slice json, Member out[static MEMBERS_MAX])
{
    Slice rest = skip_space(json);
    size_t count = 0;

    if (rest.len == 0 || *rest.ptr != '{')
        return 0;
    rest = skip_space(slice_skip(rest, 1));
    while (count < MEMBERS_MAX && take_member(&rest, &out[count]))
        count++;
    return count;
}

const Member *members_find(const Member *list, size_t count, Slice name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_eq(list[i].name, name))
            return &list[i];
    return NULL;
}

static bool element_at(Slice json, Slice segment, Slice *out)
{
    Slice rest = skip_space(slice_skip(json, 1));
    uint64_t index;

    if (!slice_to_uint64(segment, &index))
        return false;
    for (uint64_t i = 0; take_value(&rest, out); i++)
        if (i == index)
            return true;
    return false;
}

static bool member_at(Slice json, Slice segment, Slice *out)
{
    Member list[MEMBERS_MAX];
    const Member *found = members_find(list, members_of(json, list), segment);

    if (found)
        *out = found->value;
    return found;
}

bool members_at(Slice json, Slice pointer, Slice *out)
{
    Slice rest = pointer, segment, at = json;

    if (!slice_starts_with(pointer, SLICE_LIT("/")))
        return false;
    rest = slice_skip(rest, 1);
    for (int i = 0; i < POINTER_MAX_SEGMENTS; i++) {
        bool more = slice_cut(rest, '/', &segment, &rest), fine;

        fine = at.len && *at.ptr == '[' ? element_at(at, segment, &at) : member_at(at, segment, &at);
        if (!fine)
            return false;
        if (!more) {
            *out = at;
            return true;
        }
    }
    return false;
}
