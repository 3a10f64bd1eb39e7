#include "services/events/terms.h"

/* The words of terms.def. */
enum {
    EVENT = FAMILY_EVENT,
    SERIES = FAMILY_SERIES,
    PLACE = FAMILY_PLACE,
    VIRTUAL = FAMILY_VIRTUAL,
    ORGANIZATION = FAMILY_ORGANIZATION,
    PERFORMER = FAMILY_PERFORMER,
    ADDRESS = FAMILY_ADDRESS,
    GEO = FAMILY_GEO,
    OFFER = FAMILY_OFFER,
    SCHEDULE = FAMILY_SCHEDULE,
    SOURCE = FAMILY_SOURCE,
    THING = FAMILY_THING,
    LISTS = SHOWN_LISTS,
    DETAIL = SHOWN_DETAIL,
    PROVENANCE = SHOWN_PROVENANCE,
    TOMBSTONE = SHOWN_TOMBSTONE,
    CLOCK = TERM_IS_CLOCK,
    DERIVED = TERM_IS_DERIVED
};

const Class CLASSES[CLASS_COUNT] = {
#define CLASS(symbol, class_name, class_family, class_domain)                                                          \
    [CLASS_##symbol] = {.id = CLASS_##symbol,                                                                          \
                        .name = {class_name, sizeof(class_name) - 1},                                                  \
                        .family = FAMILY_##class_family,                                                               \
                        .domain = class_domain},
#include "services/events/terms.def"
};

const Term TERMS[TERM_COUNT] = {
#define TERM(symbol, member, whole_iri, value_kind, value_form, of, values, where, most)                               \
    [TERM_##symbol] = {.id = TERM_##symbol,                                                                            \
                       .json = {member, sizeof(member) - 1},                                                           \
                       .iri = {whole_iri, sizeof(whole_iri) - 1},                                                      \
                       .kind = KIND_##value_kind,                                                                      \
                       .form = FORM_##value_form,                                                                      \
                       .families = (of),                                                                               \
                       .range = (values),                                                                              \
                       .shown = (where),                                                                               \
                       .max_chars = (most)},
#include "services/events/terms.def"
};

static const struct {
    Family family;
    TermId term;
} NEEDED[] = {
#define REQUIRED(of, symbol) {FAMILY_##of, TERM_##symbol},
#include "services/events/terms.def"
};

const Term *term_find(Slice json)
{
    for (size_t i = 0; i < TERM_COUNT; i++)
        if (slice_eq(TERMS[i].json, json))
            return &TERMS[i];
    return NULL;
}

const Class *class_find(Slice type)
{
    static const Slice PREFIXES[] = {{SCHEMA_IRI, sizeof(SCHEMA_IRI) - 1}, {"http://schema.org/", 18}, {"schema:", 7}};

    for (size_t i = 0; i < ARRAY_LEN(PREFIXES); i++)
        if (slice_starts_with(type, PREFIXES[i])) {
            type = slice_skip(type, PREFIXES[i].len);
            break;
        }
    for (size_t i = 0; i < CLASS_COUNT; i++)
        if (slice_eq(CLASSES[i].name, type))
            return &CLASSES[i];
    return NULL;
}

bool term_is_required(Family family, TermId term)
{
    for (size_t i = 0; i < ARRAY_LEN(NEEDED); i++)
        if (NEEDED[i].family == family && NEEDED[i].term == term)
            return true;
    return false;
}
