#include "reach.h"

Reach reach_new(const Model *m)
{
    size_t messages = 0, enums = 0;
    for (size_t i = 0; i < m->file_count; i++)
        messages += m->files[i].message_count, enums += m->files[i].enum_count;
    return (Reach){.messages = ARENA_ARRAY(m->mem, const Message *, messages),
                   .enums = ARENA_ARRAY(m->mem, const Enum *, enums)};
}

static bool has_message(const Reach *r, const Message *message)
{
    for (size_t i = 0; i < r->message_count; i++)
        if (r->messages[i] == message)
            return true;
    return false;
}

static void add_enum(Reach *r, const Enum *e)
{
    for (size_t i = 0; i < r->enum_count; i++)
        if (r->enums[i] == e)
            return;
    r->enums[r->enum_count++] = e;
}

void reach_add(Reach *r, const Message *message)
{
    if (!message || has_message(r, message))
        return;
    r->messages[r->message_count++] = message;
    for (size_t i = 0; i < message->field_count; i++) {
        if (message->fields[i].enumeration)
            add_enum(r, message->fields[i].enumeration);
        reach_add(r, message->fields[i].message);
    }
}

uint32_t reach_message(const Reach *r, const Message *message)
{
    for (size_t i = 0; i < r->message_count; i++)
        if (r->messages[i] == message)
            return (uint32_t)i;
    abort();
}

uint32_t reach_enum(const Reach *r, const Enum *e)
{
    for (size_t i = 0; i < r->enum_count; i++)
        if (r->enums[i] == e)
            return (uint32_t)i;
    abort();
}
