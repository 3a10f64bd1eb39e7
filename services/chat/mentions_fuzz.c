/* Fuzz target: whom a text of strangers means, and what they search for. */
#include "services/chat/mentions.h"

#include "services/chat/terms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static bool within(Slice part, Slice text)
{
    return part.ptr >= text.ptr && part.ptr + part.len <= text.ptr + text.len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 12);
    Slice text = slice_of(arena_memdup(mem, data, len), len);
    Mentions found;
    Terms terms;

    if (!utf8_valid(text))
        return 0;
    mentions_find(text, &found);
    check(found.user_count <= MENTIONS_MAX && found.role_count <= MENTIONS_MAX && found.name_count <= MENTIONS_MAX);
    for (size_t i = 0; i < found.user_count; i++)
        check(found.users[i] >= 0);
    for (size_t i = 0; i < found.name_count; i++)
        check(within(found.names[i], text) && found.names[i].len >= MENTION_NAME_MIN_CHARS &&
              found.names[i].len <= MENTION_NAME_MAX_CHARS);
    terms_read(text, &terms);
    check(terms.count <= TERMS_MAX);
    for (size_t i = 0; i < terms.count; i++)
        check(terms.texts[i].len > 0 && within(terms.texts[i], text) && utf8_valid(terms.texts[i]));
    return 0;
}
