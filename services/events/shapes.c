#include "services/events/shapes.h"

#define SH_IRI "http://www.w3.org/ns/shacl#"

/* Numbers with bounds of their own. */
static const struct {
    TermId term;
    double least, most;
} BOUNDS[] = {{TERM_LATITUDE, -90, 90},    {TERM_LONGITUDE, -180, 180}, {TERM_PRICE, 0, 1e9},
              {TERM_LOW_PRICE, 0, 1e9},    {TERM_HIGH_PRICE, 0, 1e9},   {TERM_CONFIDENCE, 0, 1},
              {TERM_REPEAT_COUNT, 1, 1e9}, {TERM_BY_MONTH, 1, 12},      {TERM_BY_MONTH_DAY, -31, 31}};

static bool bounds_of(TermId term, double *least, double *most)
{
    for (size_t i = 0; i < ARRAY_LEN(BOUNDS); i++)
        if (BOUNDS[i].term == term) {
            *least = BOUNDS[i].least;
            *most = BOUNDS[i].most;
            return true;
        }
    return false;
}

/* --- as SHACL ------------------------------------------------------------------------------------------------------
 */
static const char *family_name(Family family)
{
    static const char *const NAMES[] = {"Event",        "EventSeries", "Place",         "VirtualLocation",
                                        "Organization", "Performer",   "PostalAddress", "GeoCoordinates",
                                        "Offer",        "Schedule",    "DataFeed",      "Thing"};
    size_t at = 0;

    while (!((unsigned)family >> at & 1))
        at++;
    return NAMES[at];
}

static void write_kind(StrBuf *out, const Term *term)
{
    switch (term->kind) {
    case KIND_IRI:
        strbuf_append_cstr(out, " ; sh:nodeKind sh:IRI");
        break;
    case KIND_NODE:
        strbuf_append_cstr(out, " ; sh:nodeKind sh:BlankNodeOrIRI");
        break;
    case KIND_NUMBER:
        strbuf_append_cstr(out, " ; sh:or ( [ sh:datatype xsd:integer ] [ sh:datatype xsd:double ] )");
        break;
    case KIND_INTEGER:
        strbuf_append_cstr(out, " ; sh:datatype xsd:integer");
        break;
    case KIND_BOOLEAN:
        strbuf_append_cstr(out, " ; sh:datatype xsd:boolean");
        break;
    case KIND_DATE_TIME:
        strbuf_append_cstr(out, " ; sh:datatype xsd:dateTime");
        break;
    case KIND_JSON:
        strbuf_append_cstr(out, " ; sh:datatype rdf:JSON");
        break;
    case KIND_TEXT:
        strbuf_append_cstr(out, " ; sh:datatype xsd:string ; sh:minLength 1");
        break;
    }
}

/* What is shown of the gone and of provenance only is no part of a published document. */
static bool is_published(const Term *term)
{
    return term->shown & (SHOWN_LISTS | SHOWN_DETAIL);
}

static void write_property(StrBuf *out, Family family, const Term *term)
{
    double least, most;

    strbuf_printf(out, " ;\n    sh:property [ sh:path <" SLICE_FMT ">", SLICE_ARG(term->iri));
    if (term_is_required(family, term->id))
        strbuf_append_cstr(out, " ; sh:minCount 1");
    if (term->form == FORM_ONE)
        strbuf_append_cstr(out, " ; sh:maxCount 1");
    write_kind(out, term);
    if (term->max_chars && term->kind == KIND_TEXT)
        strbuf_printf(out, " ; sh:maxLength %zu", term->max_chars);
    if (bounds_of(term->id, &least, &most)) {
        strbuf_append_cstr(out, " ; sh:minInclusive ");
        node_write_number(out, least);
        strbuf_append_cstr(out, " ; sh:maxInclusive ");
        strbuf_printf(out, "%.0f", most);
    }
    strbuf_append_cstr(out, " ]");
}

static void write_shape(StrBuf *out, Family family)
{
    strbuf_printf(out, "\n<" SEL_IRI "%sShape> a sh:NodeShape", family_name(family));
    for (size_t i = 0; i < CLASS_COUNT; i++)
        if (CLASSES[i].family == family)
            strbuf_printf(out, " ;\n    sh:targetClass schema:" SLICE_FMT, SLICE_ARG(CLASSES[i].name));
    for (size_t i = 0; i < TERM_COUNT; i++)
        if ((TERMS[i].families & family) && is_published(&TERMS[i]))
            write_property(out, family, &TERMS[i]);
    strbuf_append_cstr(out, " .\n");
}

static unsigned families_below(unsigned families)
{
    unsigned before;

    do {
        before = families;
        for (size_t i = 0; i < TERM_COUNT; i++)
            if ((TERMS[i].families & families) && is_published(&TERMS[i]))
                families |= TERMS[i].range;
    } while (families != before);
    return families;
}

void shapes_write(StrBuf *out, Family family)
{
    unsigned families = families_below(family);

    strbuf_append_cstr(out, "@prefix sh: <" SH_IRI "> .\n@prefix schema: <" SCHEMA_IRI "> .\n@prefix xsd: <" XSD_IRI
                            "> .\n@prefix rdf: <" RDF_IRI "> .\n");
    for (unsigned f = 1; f <= FAMILY_THING; f <<= 1)
        if (families & f)
            write_shape(out, (Family)f);
}

/* --- checked -------------------------------------------------------------------------------------------------------
 */
typedef struct Faults {
    Arena *mem;
    ShapeFault *list;
    size_t count;
} Faults;

static void add_fault(Faults *f, const Node *node, const Term *term, const char *pointer, const char *code,
                      const char *message)
{
    if (f->count < SHAPE_FAULTS_MAX)
        f->list[f->count++] =
            (ShapeFault){.pointer = slice(pointer), .node = node, .term = term, .code = code, .message = message};
}

static void check_value(Faults *f, const Node *node, const Term *term, const Value *value, const char *pointer)
{
    double least, most, number = term->kind == KIND_INTEGER ? (double)value->integer : value->number;

    if (term->kind == KIND_TEXT && utf8_length(value->text) > term->max_chars)
        add_fault(f, node, term, pointer, "too_long", arena_printf(f->mem, "at most %zu characters", term->max_chars));
    if ((term->kind == KIND_NUMBER || term->kind == KIND_INTEGER) && bounds_of(term->id, &least, &most) &&
        (number < least || number > most))
        add_fault(f, node, term, pointer, "out_of_range", arena_printf(f->mem, "%g to %g", least, most));
}

static void check_node(Faults *f, const Node *node, const char *prefix)
{
    for (size_t i = 0; i < TERM_COUNT; i++) {
        const Property *property = node_get(node, (TermId)i);
        const char *pointer = arena_printf(f->mem, "%s/" SLICE_FMT, prefix, SLICE_ARG(TERMS[i].json));

        if (!property && term_is_required(node->type->family, (TermId)i))
            add_fault(f, node, &TERMS[i], pointer, "required", "is missing");
        for (size_t k = 0; property && k < property->count; k++) {
            const char *at = TERMS[i].form == FORM_LIST || property->count > 1
                                 ? arena_printf(f->mem, "%s/%zu", pointer, k)
                                 : pointer;

            check_value(f, node, &TERMS[i], &property->values[k], at);
            if (TERMS[i].kind == KIND_NODE)
                check_node(f, property->values[k].node, at);
        }
    }
}

size_t shapes_check(Arena *mem, const Node *node, ShapeFault **out)
{
    Faults f = {.mem = mem, .list = ARENA_ARRAY(mem, ShapeFault, SHAPE_FAULTS_MAX)};

    check_node(&f, node, "");
    *out = f.list;
    return f.count;
}
