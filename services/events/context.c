#include "services/events/context.h"

#include "shared/strbuf.h"

enum { CONTEXT_MAX_BYTES = 64 * 1024 };

static void separate(StrBuf *out, bool *first)
{
    if (!*first)
        strbuf_append_char(out, ',');
    *first = false;
}

/* What @vocab does not already say of a term. Prefixes are for the IRIs of sel and of types; schema has none on
 * purpose: compaction would shorten values such as https://schema.org/EventScheduled, and a document would not come
 * back as it was. */
static void write_definition(StrBuf *out, const Term *term)
{
    bool first = true, ours = slice_starts_with(term->iri, SLICE_LIT(SEL_IRI));

    strbuf_append_json(out, term->json);
    strbuf_append_cstr(out, ":{");
    if (ours) {
        separate(out, &first);
        strbuf_printf(out, "\"@id\":\"sel:" SLICE_FMT "\"", SLICE_ARG(slice_skip(term->iri, sizeof(SEL_IRI) - 1)));
    }
    if (term->kind == KIND_IRI || term->kind == KIND_DATE_TIME || term->kind == KIND_JSON) {
        separate(out, &first);
        strbuf_printf(out, "\"@type\":\"%s\"",
                      term->kind == KIND_IRI         ? "@id"
                      : term->kind == KIND_DATE_TIME ? "xsd:dateTime"
                                                     : "@json");
    }
    if (term->form == FORM_LIST) {
        separate(out, &first);
        strbuf_append_cstr(out, "\"@container\":\"@set\"");
    }
    strbuf_append_char(out, '}');
}

static bool needs_definition(const Term *term)
{
    return term->kind == KIND_IRI || term->kind == KIND_DATE_TIME || term->kind == KIND_JSON ||
           term->form == FORM_LIST ||
           (slice_starts_with(term->iri, SLICE_LIT(SEL_IRI)) && !slice_starts_with(term->json, SLICE_LIT("sel:")));
}

static void write_context(StrBuf *out, unsigned shown, unsigned families)
{
    strbuf_append_cstr(out, "{\"@version\":1.1,\"@vocab\":\"" SCHEMA_IRI "\",\"sel\":\"" SEL_IRI "\"");
    if (shown & SHOWN_PROVENANCE)
        strbuf_append_cstr(out, ",\"prov\":\"" PROV_IRI "\"");
    strbuf_append_cstr(out, ",\"xsd\":\"" XSD_IRI "\"");
    for (size_t i = 0; i < TERM_COUNT; i++)
        if ((TERMS[i].shown & shown) && (TERMS[i].families & families) && needs_definition(&TERMS[i])) {
            strbuf_append_char(out, ',');
            write_definition(out, &TERMS[i]);
        }
    strbuf_append_char(out, '}');
}

/* Families of nodes that may be found below nodes of these. */
static unsigned families_below(unsigned families, unsigned shown)
{
    unsigned before;

    do {
        before = families;
        for (size_t i = 0; i < TERM_COUNT; i++)
            if ((TERMS[i].families & families) && (TERMS[i].shown & shown))
                families |= TERMS[i].range;
    } while (families != before);
    return families;
}

static Slice written(Arena *mem, const char *opening, unsigned shown, unsigned families, unsigned without,
                     const char *closing)
{
    StrBuf out = strbuf_new(mem, CONTEXT_MAX_BYTES);
    Slice text;

    strbuf_append_cstr(&out, opening);
    write_context(&out, shown, families_below(families, shown) & ~without);
    strbuf_append_cstr(&out, closing);
    if (!strbuf_finish(&out, &text))
        abort(); /* a table of ours that is larger than we think it could ever be */
    return text;
}

const Contexts *contexts_new(Arena *mem, const char *base_url)
{
    static const unsigned DETAIL = SHOWN_DETAIL | SHOWN_PROVENANCE,
                          ENTITIES = FAMILY_EVENT | FAMILY_SERIES | FAMILY_PLACE | FAMILY_ORGANIZATION;
    static const struct {
        unsigned shown, families, without;
    } OF[CONTEXT_COUNT] = {
        [CONTEXT_EVENT_CARD] = {SHOWN_LISTS, FAMILY_EVENT, 0},
        [CONTEXT_EVENT_ONCE] = {SHOWN_LISTS, FAMILY_EVENT, FAMILY_SCHEDULE},
        [CONTEXT_EVENT] = {DETAIL, FAMILY_EVENT, 0},
        [CONTEXT_SERIES] = {DETAIL, FAMILY_SERIES, 0},
        [CONTEXT_PLACE] = {DETAIL | SHOWN_LISTS, FAMILY_PLACE, 0},
        [CONTEXT_ORGANIZATION] = {DETAIL | SHOWN_LISTS, FAMILY_ORGANIZATION, 0},
        [CONTEXT_TOMBSTONE] = {SHOWN_TOMBSTONE, ENTITIES, 0},
    };
    Contexts *contexts = ARENA_NEW(mem, Contexts);

    for (size_t i = 0; i < CONTEXT_COUNT; i++)
        contexts->inlined[i] = written(mem, "\"@context\":", OF[i].shown, OF[i].families, OF[i].without, "");
    contexts->by_url = slice(arena_printf(mem, "\"@context\":\"%s" CONTEXT_PATH "\"", base_url));
    contexts->document = written(mem, "{\"@context\":", ~0U, ENTITIES, 0, "}\n");
    return contexts;
}
