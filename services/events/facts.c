/* facts: see facts.h. */
#include "services/events/facts.h"

#include "services/events/members.h"

bool facts_is_one(Slice name)
{
    const Term *term = term_find(name);

    if (!term || !(term->shown & SHOWN_DETAIL) || (term->shown & TERM_IS_DERIVED))
        return false;
    switch (term->id) {
    case TERM_SUB_EVENT:
    case TERM_SUPER_EVENT:
    case TERM_EVENT_SCHEDULE:
    case TERM_EVENT_STATUS:
    case TERM_EVENT_ATTENDANCE_MODE:
    case TERM_LICENSE:
        return false;
    default:
        return true;
    }
}

static Slice id_of(Slice value)
{
    Slice id = SLICE_LIT("");

    return value.len && *value.ptr == '{' && members_at(value, SLICE_LIT("/@id"), &id) ? id : SLICE_LIT("");
}

bool facts_same(Slice a, Slice b)
{
    Slice id = id_of(a);

    return slice_eq(a, b) || (id.len && slice_eq(id, id_of(b)));
}

bool facts_is_chosen(Slice chosen, Slice name)
{
    Slice rest = chosen, one;

    while (rest.len) {
        (void)slice_cut(rest, ' ', &one, &rest); /* false is the last one */
        if (slice_eq(one, name))
            return true;
    }
    return false;
}

void facts_append(StrBuf *out, Slice name, Slice value)
{
    strbuf_append_cstr(out, out->len > 1 ? ",\"" : "\"");
    strbuf_append(out, name);
    strbuf_append_cstr(out, "\":");
    strbuf_append(out, value);
}

Slice facts_overlay(Arena *mem, Slice base, Slice over)
{
    Member below[MEMBERS_MAX], above[MEMBERS_MAX];
    size_t below_count = members_of(base, below), above_count = members_of(over, above);
    StrBuf out = strbuf_new(mem, 2 * NODE_MAX_BYTES);

    strbuf_append_char(&out, '{');
    for (size_t i = 0; i < below_count; i++)
        if (!members_find(above, above_count, below[i].name))
            facts_append(&out, below[i].name, below[i].value);
    for (size_t i = 0; i < above_count; i++)
        facts_append(&out, above[i].name, above[i].value);
    strbuf_append_char(&out, '}');
    return strbuf_slice(&out);
}
