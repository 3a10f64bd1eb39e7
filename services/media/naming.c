#include "services/media/naming.h"

static bool is_control(char c)
{
    return (unsigned char)c < ' ' || c == 0x7f;
}

/* From its last dot on, when that is short and not the first letter. */
static Slice extension(Slice name)
{
    for (size_t i = name.len; i > 1 && name.len - i < NAME_EXTENSION_MAX_BYTES; i--)
        if (name.ptr[i - 1] == '.')
            return slice_skip(name, i - 1);
    return slice_skip(name, name.len);
}

char *name_safe(Arena *mem, Slice name)
{
    Slice tail = extension(name), stem = slice_take(name, name.len - tail.len);
    char *safe;

    if (name.len > NAME_MAX_BYTES)
        stem = utf8_take(stem, NAME_MAX_BYTES - tail.len);
    safe = name.len ? arena_printf(mem, SLICE_FMT SLICE_FMT, SLICE_ARG(stem), SLICE_ARG(tail)) : arena_strdup(mem, "_");
    for (char *c = safe; *c; c++)
        if (is_control(*c) || *c == '/' || *c == '\\' || (c == safe && *c == '.'))
            *c = '_';
    return safe;
}

char *name_original_key(Arena *mem, int64_t owner_id, Uuid media_id, Slice filename)
{
    return arena_printf(mem, "original/%" PRId64 "/%s/%s", owner_id, uuid_text(mem, media_id),
                        name_safe(mem, filename));
}

char *name_incoming_key(Arena *mem, int64_t owner_id, Uuid upload_id)
{
    return arena_printf(mem, "incoming/%" PRId64 "/%s", owner_id, uuid_text(mem, upload_id));
}

char *name_parts_key(Arena *mem, int64_t owner_id, Uuid upload_id, int number)
{
    char *whole = name_incoming_key(mem, owner_id, upload_id);

    return number ? arena_printf(mem, "%s/%05d", whole, number) : arena_printf(mem, "%s/", whole);
}

bool name_valid(Slice text, size_t max_chars)
{
    if (!text.len || !utf8_valid(text) || utf8_length(text) > max_chars)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (is_control(text.ptr[i]))
            return false;
    return true;
}
