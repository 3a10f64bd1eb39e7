#include "services/events/rdf.h"

#include <jansson.h>
#include <math.h>

enum { DOUBLE_BYTES = 400, CANONICAL_MAX_LEVELS = 64 };

/* --- literals ------------------------------------------------------------------------------------------------------
 */
void rdf_escape(StrBuf *out, Slice text)
{
    static const char NAMED[] = "\"\"\\\\\nn\rr";
    size_t plain = 0;

    for (size_t i = 0; i < text.len; i++)
        for (const char *n = NAMED; *n; n += 2)
            if (text.ptr[i] == *n) {
                strbuf_append(out, slice_of(text.ptr + plain, i - plain));
                strbuf_append_char(out, '\\');
                strbuf_append_char(out, n[1]);
                plain = i + 1;
            }
    strbuf_append(out, slice_skip(text, plain));
}

static void write_quoted(StrBuf *out, Slice text)
{
    strbuf_append_char(out, '"');
    rdf_escape(out, text);
    strbuf_append_char(out, '"');
}

/* As a JSON-LD processor does it: what has no fraction is an integer; else 16 digits, without the zeros at their end,
 * and an exponent without leading zeros. */
bool rdf_write_number(StrBuf *out, double number)
{
    char text[DOUBLE_BYTES], *exponent, *end;

    if (number == trunc(number) && fabs(number) < 1e15) {
        strbuf_append_int64(out, (int64_t)number);
        return false;
    }
    (void)snprintf(text, sizeof(text), "%.15E", number);
    exponent = strchr(text, 'E');
    for (end = exponent; end[-1] == '0' && end[-2] != '.';)
        end--;
    strbuf_append(out, slice_of(text, (size_t)(end - text)));
    strbuf_printf(out, "E%d", (int)strtol(exponent + 1, NULL, 10));
    return true;
}

/* --- canonical JSON ------------------------------------------------------------------------------------------------
 */
static void write_canonical_text(StrBuf *out, Slice text)
{
    static const char NAMED[] = "\bb\tt\nn\ff\rr\"\"\\\\";

    strbuf_append_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        const char *named = NULL;

        for (const char *n = NAMED; *n && !named; n += 2)
            if ((unsigned char)*n == c)
                named = n + 1;
        if (named)
            strbuf_printf(out, "\\%c", *named);
        else if (c < 0x20)
            strbuf_printf(out, "\\u%04x", c);
        else
            strbuf_append_char(out, (char)c);
    }
    strbuf_append_char(out, '"');
}

/* As ECMAScript prints a double: 1e-7 and 1e+21 where C says 1e-07 and 1e+21. */
static void write_canonical_number(StrBuf *out, double number)
{
    char text[DOUBLE_BYTES], *exponent;

    if (number == trunc(number) && fabs(number) < 1e21) {
        strbuf_printf(out, "%.0f", number + 0.0);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    exponent = strchr(text, 'e');
    if (exponent && fabs(number) < 1e-6) {
        strbuf_append(out, slice_of(text, (size_t)(exponent - text)));
        strbuf_printf(out, "e%d", (int)strtol(exponent + 1, NULL, 10));
    } else if (exponent && fabs(number) < 1) { /* C goes over to exponents at 1e-5, ECMAScript at 1e-7 */
        for (int digits = 1; digits <= 24; digits++) {
            (void)snprintf(text, sizeof(text), "%.*f", digits, number);
            if (strtod(text, NULL) == number)
                break;
        }
        strbuf_append_cstr(out, text);
    } else
        strbuf_append_cstr(out, text);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void write_canonical(StrBuf *out, const json_t *value, int levels);

static void write_canonical_object(StrBuf *out, const json_t *object, int levels)
{
    size_t count = 0, size = json_object_size(object);
    const char **names = arena_alloc(out->mem, (size + 1) * sizeof(*names), _Alignof(const char *)), *name;
    json_t *member;

    json_object_foreach((json_t *)object, name, member) names[count++] = name;
    qsort(names, count, sizeof(*names), by_name);
    strbuf_append_char(out, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            strbuf_append_char(out, ',');
        write_canonical_text(out, slice(names[i]));
        strbuf_append_char(out, ':');
        write_canonical(out, json_object_get(object, names[i]), levels);
    }
    strbuf_append_char(out, '}');
}

static void write_canonical(StrBuf *out, const json_t *value, int levels)
{
    if (levels == 0 || json_is_null(value))
        strbuf_append_cstr(out, "null");
    else if (json_is_object(value))
        write_canonical_object(out, value, levels - 1);
    else if (json_is_array(value)) {
        strbuf_append_char(out, '[');
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (i > 0)
                strbuf_append_char(out, ',');
            write_canonical(out, json_array_get(value, i), levels - 1);
        }
        strbuf_append_char(out, ']');
    } else if (json_is_string(value))
        write_canonical_text(out, slice_of(json_string_value(value), json_string_length(value)));
    else if (json_is_boolean(value))
        strbuf_append_cstr(out, json_is_true(value) ? "true" : "false");
    else if (json_is_integer(value))
        strbuf_append_int64(out, json_integer_value(value));
    else
        write_canonical_number(out, json_real_value(value));
}

void rdf_write_canonical_json(StrBuf *out, Slice json)
{
    json_t *value = json_loadb(json.ptr, json.len, JSON_DECODE_ANY, NULL);

    write_canonical(out, value, CANONICAL_MAX_LEVELS);
    json_decref(value);
}

/* --- terms ---------------------------------------------------------------------------------------------------------
 */
static const struct {
    const char *prefix, *iri;
} PREFIXES[] = {{"schema", SCHEMA_IRI}, {"sel", SEL_IRI}, {"prov", PROV_IRI}, {"xsd", XSD_IRI}, {"rdf", RDF_IRI}};

static void write_iri(StrBuf *out, Slice iri)
{
    strbuf_append_char(out, '<');
    strbuf_append(out, iri);
    strbuf_append_char(out, '>');
}

/* An IRI of a vocabulary: its local name has letters only. */
static void write_name(const RdfWriter *w, Slice iri)
{
    for (size_t i = 0; i < ARRAY_LEN(PREFIXES) && w->syntax == RDF_TURTLE; i++)
        if (slice_starts_with(iri, slice(PREFIXES[i].iri))) {
            strbuf_printf(w->out, "%s:" SLICE_FMT, PREFIXES[i].prefix,
                          SLICE_ARG(slice_skip(iri, strlen(PREFIXES[i].iri))));
            return;
        }
    write_iri(w->out, iri);
}

static void write_type_name(const RdfWriter *w, const Class *type)
{
    char iri[128];
    int len = snprintf(iri, sizeof(iri), SCHEMA_IRI SLICE_FMT, SLICE_ARG(type->name));

    write_name(w, slice_of(iri, (size_t)len));
}

static void write_typed(const RdfWriter *w, Slice text, const char *datatype)
{
    write_quoted(w->out, text);
    strbuf_append_cstr(w->out, "^^");
    write_name(w, slice(datatype));
}

static void write_literal(const RdfWriter *w, TermKind kind, const Value *value)
{
    StrBuf text = strbuf_new(w->out->mem, w->out->max_bytes);
    const char *datatype = XSD_IRI "integer";

    switch (kind) {
    case KIND_NUMBER:
        if (rdf_write_number(&text, value->number))
            datatype = XSD_IRI "double";
        break;
    case KIND_INTEGER:
        strbuf_append_int64(&text, value->integer);
        break;
    case KIND_BOOLEAN:
        strbuf_append_cstr(&text, value->flag ? "true" : "false");
        datatype = XSD_IRI "boolean";
        break;
    case KIND_JSON:
        rdf_write_canonical_json(&text, value->text);
        datatype = RDF_IRI "JSON";
        break;
    case KIND_DATE_TIME:
        write_typed(w, value->text, XSD_IRI "dateTime");
        return;
    default:
        write_quoted(w->out, value->text);
        return;
    }
    write_typed(w, strbuf_slice(&text), datatype);
}

/* --- N-Triples -----------------------------------------------------------------------------------------------------
 */
typedef struct Subject {
    Slice iri;
    unsigned blank; /* where there is no IRI */
} Subject;

static void write_subject(const RdfWriter *w, Subject subject)
{
    if (subject.iri.len > 0)
        write_iri(w->out, subject.iri);
    else
        strbuf_printf(w->out, "_:b%u", subject.blank);
}

static Subject subject_of(RdfWriter *w, const Node *node)
{
    return (Subject){.iri = node->id, .blank = node->id.len > 0 ? 0 : w->blanks++};
}

static void open_triple(const RdfWriter *w, Subject subject, Slice predicate)
{
    write_subject(w, subject);
    strbuf_append_char(w->out, ' ');
    write_iri(w->out, predicate);
    strbuf_append_char(w->out, ' ');
}

static void close_triple(const RdfWriter *w)
{
    strbuf_append_cstr(w->out, " .\n");
}

static void write_triples(RdfWriter *w, const Node *node, Subject subject)
{
    open_triple(w, subject, SLICE_LIT(RDF_IRI "type"));
    write_type_name(w, node->type);
    close_triple(w);
    for (size_t i = 0; i < node->count; i++) {
        const Property *property = &node->properties[i];

        for (size_t k = 0; k < property->count && (property->term->shown & w->shown); k++) {
            const Value *value = &property->values[k];
            Subject object = {.blank = 0};

            open_triple(w, subject, property->term->iri);
            if (property->term->kind == KIND_NODE) {
                object = subject_of(w, value->node);
                write_subject(w, object);
            } else if (property->term->kind == KIND_IRI)
                write_iri(w->out, value->text);
            else
                write_literal(w, property->term->kind, value);
            close_triple(w);
            if (property->term->kind == KIND_NODE)
                write_triples(w, value->node, object);
        }
    }
}

/* --- Turtle --------------------------------------------------------------------------------------------------------
 */
/* Nodes with IRIs have statements of their own, behind those of the node that names them. */
typedef struct Waiting {
    Value *nodes;
    size_t count, room;
} Waiting;

static void wait_for(RdfWriter *w, Waiting *waiting, const Node *node)
{
    if (waiting->count == waiting->room) {
        size_t room = waiting->room ? 2 * waiting->room : 16;

        waiting->nodes = arena_grow(w->out->mem, waiting->nodes, waiting->room * sizeof(Value), room * sizeof(Value));
        waiting->room = room;
    }
    waiting->nodes[waiting->count++].node = node;
}

static void write_body(RdfWriter *w, const Node *node, Waiting *waiting, int level);

static void write_object(RdfWriter *w, const Property *property, const Value *value, Waiting *waiting, int level)
{
    if (property->term->kind == KIND_IRI)
        write_iri(w->out, value->text);
    else if (property->term->kind != KIND_NODE)
        write_literal(w, property->term->kind, value);
    else if (value->node->id.len > 0) {
        write_iri(w->out, value->node->id);
        wait_for(w, waiting, value->node);
    } else {
        strbuf_append_cstr(w->out, "[ ");
        write_body(w, value->node, waiting, level + 1);
        strbuf_append_cstr(w->out, " ]");
    }
}

static void write_body(RdfWriter *w, const Node *node, Waiting *waiting, int level)
{
    strbuf_append_cstr(w->out, "a ");
    write_type_name(w, node->type);
    for (size_t i = 0; i < node->count; i++) {
        const Property *property = &node->properties[i];

        if (!(property->term->shown & w->shown))
            continue;
        strbuf_printf(w->out, " ;\n%*s", 4 * (level + 1), "");
        write_name(w, property->term->iri);
        for (size_t k = 0; k < property->count; k++) {
            strbuf_append_cstr(w->out, k > 0 ? ", " : " ");
            write_object(w, property, &property->values[k], waiting, level);
        }
    }
}

static void write_statement(RdfWriter *w, const Node *node, Waiting *waiting)
{
    if (node->id.len > 0) {
        write_iri(w->out, node->id);
        strbuf_append_char(w->out, ' ');
        write_body(w, node, waiting, 0);
    } else {
        strbuf_append_cstr(w->out, "[] ");
        write_body(w, node, waiting, 0);
    }
    strbuf_append_cstr(w->out, " .\n");
}

/* --- both ----------------------------------------------------------------------------------------------------------
 */
RdfWriter rdf_begin(StrBuf *out, RdfSyntax syntax, unsigned shown)
{
    for (size_t i = 0; i < ARRAY_LEN(PREFIXES) && syntax == RDF_TURTLE; i++)
        strbuf_printf(out, "@prefix %s: <%s> .\n", PREFIXES[i].prefix, PREFIXES[i].iri);
    return (RdfWriter){.out = out, .syntax = syntax, .shown = shown};
}

void rdf_write(RdfWriter *w, const Node *node)
{
    Waiting waiting = {.count = 0};

    if (w->syntax == RDF_NTRIPLES) {
        write_triples(w, node, subject_of(w, node));
        return;
    }
    strbuf_append_char(w->out, '\n');
    write_statement(w, node, &waiting);
    for (size_t i = 0; i < waiting.count; i++)
        write_statement(w, waiting.nodes[i].node, &waiting);
}
