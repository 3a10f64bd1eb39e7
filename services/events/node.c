#include "services/events/node.h"

#include <jansson.h>
#include <math.h>

/* --- what is clean -------------------------------------------------------------------------------------------------
 */
static bool is_scheme(Slice text)
{
    if (text.len == 0 || !((text.ptr[0] | 0x20) >= 'a' && (text.ptr[0] | 0x20) <= 'z'))
        return false;
    for (size_t i = 1; i < text.len; i++) {
        char c = text.ptr[i];

        if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '0' && c <= '9') && c != '+' && c != '-' && c != '.')
            return false;
    }
    return true;
}

static bool iri_may_have(unsigned char c)
{
    return c > 0x20 && c != 0x7f && !strchr("<>\"{}|^`\\", c);
}

bool node_clean_iri(Arena *mem, Slice text, Slice *out)
{
    StrBuf clean = strbuf_new(mem, 3 * text.len + 1);
    Slice scheme, rest;

    text = slice_trim(text);
    if (!slice_cut(text, ':', &scheme, &rest) || rest.len == 0 || !is_scheme(scheme) || !utf8_valid(text))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (iri_may_have(c))
            strbuf_append_char(&clean, (char)c);
        else
            strbuf_printf(&clean, "%%%02X", c);
    }
    return strbuf_finish(&clean, out);
}

/* A 0 stands for any digit, all else for itself. */
static bool has_form(Slice text, const char *form)
{
    if (text.len != strlen(form))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (form[i] == '0' ? text.ptr[i] < '0' || text.ptr[i] > '9' : text.ptr[i] != form[i])
            return false;
    return true;
}

/* "2026-07-01T19:00:00Z", with a fraction or another offset too. Not whether the day exists: that was checked where it
 * came in. */
static bool is_date_time(Slice text)
{
    static const char FORM[] = "0000-00-00T00:00:00";
    size_t at = sizeof(FORM) - 1;

    if (text.len <= at || !has_form(slice_take(text, at), FORM))
        return false;
    if (text.ptr[at] == '.')
        for (at++; at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9';)
            at++;
    text = slice_skip(text, at);
    if (slice_eq_cstr(text, "Z"))
        return true;
    return has_form(text, "+00:00") || has_form(text, "-00:00");
}

static bool is_json(Slice text)
{
    json_t *value = json_loadb(text.ptr, text.len, JSON_DECODE_ANY, NULL);

    json_decref(value);
    return value != NULL;
}

static bool clean_text(Arena *mem, const Term *term, Slice *text)
{
    if (text->len == 0)
        return false;
    switch (term->kind) {
    case KIND_IRI:
        return node_clean_iri(mem, *text, text);
    case KIND_DATE_TIME:
        return is_date_time(*text);
    case KIND_JSON:
        return is_json(*text);
    case KIND_TEXT:
        return utf8_valid(*text) && !memchr(text->ptr, 0, text->len);
    default:
        return false;
    }
}

/* --- building ------------------------------------------------------------------------------------------------------
 */
Node *node_new(Arena *mem, ClassId type, Slice id)
{
    Node *node = ARENA_NEW(mem, Node);

    node->type = &CLASSES[type];
    if (id.len > 0 && !node_clean_iri(mem, id, &node->id))
        node->id = SLICE_LIT("");
    return node;
}

static size_t place_of(const Node *node, TermId term)
{
    size_t at = node->count;

    while (at > 0 && node->properties[at - 1].term->id >= term)
        at--;
    return at;
}

const Property *node_get(const Node *node, TermId term)
{
    size_t at = place_of(node, term);

    return at < node->count && node->properties[at].term->id == term ? &node->properties[at] : NULL;
}

static Property *property_for(Arena *mem, Node *node, TermId term)
{
    size_t at = place_of(node, term);

    if (at < node->count && node->properties[at].term->id == term)
        return &node->properties[at];
    if (node->count == node->room) {
        size_t room = node->room ? 2 * node->room : 8;

        node->properties = arena_grow(mem, node->properties, node->room * sizeof(Property), room * sizeof(Property));
        node->room = room;
    }
    memmove(node->properties + at + 1, node->properties + at, (node->count - at) * sizeof(Property));
    node->properties[at] = (Property){.term = &TERMS[term]};
    node->count++;
    return &node->properties[at];
}

static bool takes(const Node *node, TermId term, TermKind kind)
{
    return TERMS[term].kind == kind && (TERMS[term].families & node->type->family);
}

static void add(Arena *mem, Node *node, TermId term, Value value)
{
    Property *property = property_for(mem, node, term);

    if (property->term->form == FORM_ONE)
        property->count = 0;
    if (property->count == NODE_MAX_VALUES)
        return;
    if (property->count == property->room) {
        size_t room = property->room ? 4 * property->room : 1;

        property->values = arena_grow(mem, property->values, property->room * sizeof(Value), room * sizeof(Value));
        property->room = room;
    }
    property->values[property->count++] = value;
}

void node_add_text(Arena *mem, Node *node, TermId term, Slice text)
{
    if (takes(node, term, TERMS[term].kind) && clean_text(mem, &TERMS[term], &text))
        add(mem, node, term, (Value){.text = text});
}

void node_add_number(Arena *mem, Node *node, TermId term, double number)
{
    if (takes(node, term, KIND_NUMBER) && isfinite(number))
        add(mem, node, term, (Value){.number = number + 0.0}); /* no -0 */
}

void node_add_integer(Arena *mem, Node *node, TermId term, int64_t integer)
{
    if (takes(node, term, KIND_INTEGER))
        add(mem, node, term, (Value){.integer = integer});
}

void node_add_bool(Arena *mem, Node *node, TermId term, bool flag)
{
    if (takes(node, term, KIND_BOOLEAN))
        add(mem, node, term, (Value){.flag = flag});
}

void node_add_node(Arena *mem, Node *node, TermId term, const Node *value)
{
    if (takes(node, term, KIND_NODE) && (TERMS[term].range & value->type->family))
        add(mem, node, term, (Value){.node = value});
}

void node_clear(Node *node, TermId term)
{
    size_t at = place_of(node, term);

    if (at == node->count || node->properties[at].term->id != term)
        return;
    memmove(node->properties + at, node->properties + at + 1, (node->count - at - 1) * sizeof(Property));
    node->count--;
}

/* --- asking --------------------------------------------------------------------------------------------------------
 */
static Value first_value(const Node *node, TermId term)
{
    const Property *property = node_get(node, term);

    return property ? property->values[0] : (Value){.text = {NULL, 0}};
}

Slice node_text(const Node *node, TermId term)
{
    return first_value(node, term).text;
}

const Node *node_node(const Node *node, TermId term)
{
    return first_value(node, term).node;
}

double node_number(const Node *node, TermId term)
{
    return node_get(node, term) ? first_value(node, term).number : 0;
}

int64_t node_integer(const Node *node, TermId term)
{
    return node_get(node, term) ? first_value(node, term).integer : 0;
}

bool node_flag(const Node *node, TermId term)
{
    return node_get(node, term) ? first_value(node, term).flag : false;
}

/* --- reading -------------------------------------------------------------------------------------------------------
 */
static Slice text_of(Arena *mem, const json_t *value)
{
    size_t len = json_string_length(value);

    return slice_of(arena_memdup(mem, json_string_value(value), len), len);
}

/* Where the type is not told, not known or not one that may stand here. */
static const Class *fallback_class(unsigned range)
{
    for (size_t i = 0; i < CLASS_COUNT; i++)
        if (CLASSES[i].family & range)
            return &CLASSES[i];
    return &CLASSES[CLASS_THING];
}

static const Class *class_of(const json_t *object, unsigned range)
{
    const json_t *type = json_object_get(object, "@type");
    const Class *found;

    if (json_is_array(type))
        type = json_array_get(type, 0);
    found = json_is_string(type) ? class_find(slice_of(json_string_value(type), json_string_length(type))) : NULL;
    if (range == 0)
        return found;
    return found && (found->family & range) ? found : fallback_class(range);
}

static Node *read_object(Arena *mem, const json_t *object, unsigned range, int levels);

static void read_value(Arena *mem, Node *node, const Term *term, const json_t *value, int levels)
{
    char *dumped;

    switch (term->kind) {
    case KIND_NODE:
        if (json_is_string(value))
            node_add_node(mem, node, term->id, node_new(mem, fallback_class(term->range)->id, text_of(mem, value)));
        else if (json_is_object(value) && levels > 0)
            node_add_node(mem, node, term->id, read_object(mem, value, term->range, levels - 1));
        break;
    case KIND_NUMBER:
        if (json_is_number(value))
            node_add_number(mem, node, term->id, json_number_value(value));
        break;
    case KIND_INTEGER:
        if (json_is_integer(value))
            node_add_integer(mem, node, term->id, json_integer_value(value));
        break;
    case KIND_BOOLEAN:
        if (json_is_boolean(value))
            node_add_bool(mem, node, term->id, json_is_true(value));
        break;
    case KIND_JSON:
        dumped = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        if (dumped)
            node_add_text(mem, node, term->id, slice(arena_strdup(mem, dumped)));
        free(dumped);
        break;
    default:
        if (json_is_string(value))
            node_add_text(mem, node, term->id, text_of(mem, value));
    }
}

static Node *read_object(Arena *mem, const json_t *object, unsigned range, int levels)
{
    const json_t *id = json_object_get(object, "@id"), *value;
    const Class *type = class_of(object, range);
    const char *name;
    Node *node;

    if (!type)
        return NULL;
    node = node_new(mem, type->id, json_is_string(id) ? text_of(mem, id) : SLICE_LIT(""));
    json_object_foreach((json_t *)object, name, value)
    {
        const Term *term = term_find(slice(name));

        if (!term)
            continue;
        if (json_is_array(value) && term->kind != KIND_JSON)
            for (size_t i = 0; i < json_array_size(value); i++)
                read_value(mem, node, term, json_array_get(value, i), levels);
        else
            read_value(mem, node, term, value, levels);
    }
    return node;
}

bool node_read(Arena *mem, Slice json, Node **out)
{
    json_t *root;
    Node *node = NULL;

    if (json.len > NODE_MAX_BYTES)
        return false;
    root = json_loadb(json.ptr, json.len, 0, NULL);
    if (json_is_object(root))
        node = read_object(mem, root, 0, NODE_MAX_DEPTH);
    json_decref(root);
    if (node)
        *out = node;
    return node != NULL;
}
