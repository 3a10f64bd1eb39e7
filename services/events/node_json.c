/* node_json: graphs as JSON, and what differs between two of them. */
#include "services/events/node.h"

enum { POINTERS_MAX = 256, NUMBER_BYTES = 40 };

void node_write_number(StrBuf *out, double number)
{
    char text[NUMBER_BYTES];

    if (number > -1e15 && number < 1e15 && number == (double)(int64_t)number) {
        strbuf_append_int64(out, (int64_t)number);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    strbuf_append_cstr(out, text);
}

/* Schedules name days in words (contract 5.3), or by schema.org's IRIs where the client asks for them. */
static void write_day(StrBuf *out, Slice day)
{
    strbuf_append_cstr(out, "\"" SCHEMA_IRI);
    strbuf_append(out, day);
    strbuf_append_char(out, '"');
}

static bool is_word(Slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!((text.ptr[i] | 0x20) >= 'a' && (text.ptr[i] | 0x20) <= 'z'))
            return false;
    return true;
}

static void write_node(StrBuf *out, const Node *node, const NodeWriting *how, bool top);

static void write_value(StrBuf *out, const Term *term, const Value *value, const NodeWriting *how)
{
    switch (term->kind) {
    case KIND_NUMBER:
        node_write_number(out, value->number);
        break;
    case KIND_INTEGER:
        strbuf_append_int64(out, value->integer);
        break;
    case KIND_BOOLEAN:
        strbuf_append_cstr(out, value->flag ? "true" : "false");
        break;
    case KIND_NODE:
        write_node(out, value->node, how, false);
        break;
    case KIND_JSON:
        strbuf_append(out, value->text);
        break;
    default:
        if (term->id == TERM_BY_DAY && how->schedule_iris && is_word(value->text))
            write_day(out, value->text);
        else
            strbuf_append_json(out, value->text);
    }
}

static void write_property(StrBuf *out, const Property *property, const NodeWriting *how)
{
    bool array = property->term->form == FORM_LIST || property->count > 1;

    strbuf_append_json(out, property->term->json);
    strbuf_append_cstr(out, array ? ":[" : ":");
    for (size_t i = 0; i < property->count; i++) {
        if (i > 0)
            strbuf_append_char(out, ',');
        write_value(out, property->term, &property->values[i], how);
    }
    if (array)
        strbuf_append_char(out, ']');
}

static bool is_of_the_clock(const Node *top, const Term *term)
{
    return top->type->family == FAMILY_EVENT && (term->shown & TERM_IS_CLOCK);
}

static void write_node(StrBuf *out, const Node *node, const NodeWriting *how, bool top)
{
    strbuf_append_char(out, '{');
    if (top && how->context.len > 0) {
        strbuf_append(out, how->context);
        strbuf_append_char(out, ',');
    }
    strbuf_append_cstr(out, "\"@type\":");
    strbuf_append_json(out, node->type->name);
    if (node->id.len > 0) {
        strbuf_append_cstr(out, ",\"@id\":");
        strbuf_append_json(out, node->id);
    }
    for (size_t i = 0; i < node->count; i++) {
        const Term *term = node->properties[i].term;

        if (!(term->shown & how->shown) || (top && how->skip_clock && is_of_the_clock(node, term)))
            continue;
        strbuf_append_char(out, ',');
        write_property(out, &node->properties[i], how);
    }
    strbuf_append_char(out, '}');
}

void node_write_json(StrBuf *out, const Node *node, const NodeWriting *how)
{
    write_node(out, node, how, true);
}

/* --- differences ---------------------------------------------------------------------------------------------------
 */
static bool same_node(const Node *a, const Node *b, bool top);

static bool same_value(TermKind kind, const Value *a, const Value *b)
{
    switch (kind) {
    case KIND_NUMBER:
        return a->number == b->number;
    case KIND_INTEGER:
        return a->integer == b->integer;
    case KIND_BOOLEAN:
        return a->flag == b->flag;
    case KIND_NODE:
        return same_node(a->node, b->node, false);
    default:
        return slice_eq(a->text, b->text);
    }
}

static bool same_property(const Property *a, const Property *b)
{
    if (!a || !b || a->count != b->count)
        return a == b;
    for (size_t i = 0; i < a->count; i++)
        if (!same_value(a->term->kind, &a->values[i], &b->values[i]))
            return false;
    return true;
}

static bool counts(const Node *node, const Term *term, bool top)
{
    return !(term->shown & TERM_IS_DERIVED) && !(top && is_of_the_clock(node, term));
}

static bool same_node(const Node *a, const Node *b, bool top)
{
    if (a->type != b->type || !slice_eq(a->id, b->id))
        return false;
    for (size_t t = 0; t < TERM_COUNT; t++)
        if (counts(a, &TERMS[t], top) && !same_property(node_get(a, (TermId)t), node_get(b, (TermId)t)))
            return false;
    return true;
}

bool node_equal(const Node *a, const Node *b)
{
    return same_node(a, b, true);
}

typedef struct Pointers {
    Arena *mem;
    Slice *list;
    size_t count;
} Pointers;

/* Names of terms hold neither "~" nor "/": there is nothing to escape. */
static void diff_nodes(Pointers *found, const Node *before, const Node *after, const char *prefix, bool top)
{
    for (size_t t = 0; t < TERM_COUNT; t++) {
        const Property *a = before ? node_get(before, (TermId)t) : NULL, *b = after ? node_get(after, (TermId)t) : NULL;
        const char *pointer;

        if (!counts(after ? after : before, &TERMS[t], top) || same_property(a, b))
            continue;
        pointer = arena_printf(found->mem, "%s/" SLICE_FMT, prefix, SLICE_ARG(TERMS[t].json));
        if (a && b && TERMS[t].kind == KIND_NODE && TERMS[t].form != FORM_LIST && a->count == 1 && b->count == 1 &&
            a->values[0].node->type == b->values[0].node->type &&
            slice_eq(a->values[0].node->id, b->values[0].node->id))
            diff_nodes(found, a->values[0].node, b->values[0].node, pointer, false);
        else if (found->count < POINTERS_MAX)
            found->list[found->count++] = slice(pointer);
    }
}

size_t node_diff(Arena *mem, const Node *before, const Node *after, Slice **out_pointers)
{
    Pointers found = {.mem = mem, .list = ARENA_ARRAY(mem, Slice, POINTERS_MAX)};

    if (before || after)
        diff_nodes(&found, before, after, "", true);
    *out_pointers = found.list;
    return found.count;
}
