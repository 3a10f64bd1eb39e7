/* Fuzz target: texts of strangers. What comes out begins no tag and stays as it is when it is cleaned again; keys stay
 * in bounds. */
#include "services/events/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static bool has_tag(Slice s)
{
    for (size_t i = 0; i + 1 < s.len; i++)
        if (s.ptr[i] == '<' && s.ptr[i + 1] &&
            strchr("/!?abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", s.ptr[i + 1]))
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 12);
    Slice raw = slice_of(arena_memdup(mem, data, len), len), clean, key;

    if (!utf8_valid(raw))
        return 0;
    for (int shape = TEXT_LINE; shape <= TEXT_PARAGRAPHS; shape++) {
        clean = text_clean(mem, raw, (TextShape)shape);
        check(utf8_valid(clean) && !has_tag(clean) && slice_eq(slice_trim(clean), clean));
        if (slice_find_char(clean, '&') < 0)
            check(slice_eq(text_clean(mem, clean, (TextShape)shape), clean));
    }
    key = text_key(mem, raw);
    check(utf8_valid(key) && key.len <= len * 18 + 8);
    (void)text_key_is_course(key);
    return 0;
}
