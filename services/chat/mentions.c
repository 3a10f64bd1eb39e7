/* mentions: see mentions.h. */
#include "services/chat/mentions.h"

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static void add_id(int64_t *list, size_t *count, int64_t id)
{
    for (size_t i = 0; i < *count; i++)
        if (list[i] == id)
            return;
    if (*count < MENTIONS_MAX)
        list[(*count)++] = id;
}

static void add_name(Mentions *out, Slice name)
{
    if (name.len < MENTION_NAME_MIN_CHARS || name.len > MENTION_NAME_MAX_CHARS)
        return;
    for (size_t i = 0; i < out->name_count; i++)
        if (slice_eq_nocase(out->names[i], name))
            return;
    if (out->name_count < MENTIONS_MAX)
        out->names[out->name_count++] = name;
}

/* "@123>", "@!123>" or "@&123>", what follows "<". */
static void find_tag(Slice text, Mentions *out)
{
    bool role = text.len > 1 && text.ptr[1] == '&', nick = text.len > 1 && text.ptr[1] == '!';
    Slice digits = slice_skip(text, role || nick ? 2 : 1);
    ptrdiff_t end = slice_find_char(slice_take(digits, 21), '>');
    int64_t id;

    if (end <= 0 || digits.ptr[0] < '0' || digits.ptr[0] > '9' || !slice_to_int64(slice_take(digits, (size_t)end), &id))
        return;
    if (role)
        add_id(out->roles, &out->role_count, id);
    else
        add_id(out->users, &out->user_count, id);
}

static void find_name(Slice text, Mentions *out)
{
    Slice name = slice_skip(text, 1);
    size_t len = 0;

    while (len < name.len && is_name_char(name.ptr[len]))
        len++;
    name = slice_take(name, len);
    if (slice_eq_cstr(name, "everyone") || slice_eq_cstr(name, "here"))
        out->everyone = true;
    else
        add_name(out, name);
}

/* Bytes above ASCII belong to letters: "é@ann" is a word, too. */
static bool ends_word(char before)
{
    return !is_name_char(before) && !((unsigned char)before & 0x80) && before != '.' && before != '-' && before != '+';
}

void mentions_find(Slice text, Mentions *out)
{
    *out = (Mentions){.everyone = false};
    for (size_t at = 0; at < text.len; at++) {
        const char *found = memchr(text.ptr + at, '@', text.len - at);

        if (!found)
            return;
        at = (size_t)(found - text.ptr);
        if (at > 0 && text.ptr[at - 1] == '<')
            find_tag(slice_skip(text, at), out);
        else if (at == 0 || ends_word(text.ptr[at - 1]))
            find_name(slice_skip(text, at), out);
    }
}

bool mentions_none(const Mentions *m)
{
    return !m->user_count && !m->role_count && !m->name_count;
}
