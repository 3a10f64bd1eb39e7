/* terms: the vocabulary of the commons as constants, from terms.def, and how it is looked up. No state: any thread. */
#pragma once
#include "shared/slice.h"

#define SCHEMA_IRI "https://schema.org/"
#define SEL_IRI "https://schema.togather.foundation/ns#"
#define PROV_IRI "http://www.w3.org/ns/prov#"
#define XSD_IRI "http://www.w3.org/2001/XMLSchema#"
#define RDF_IRI "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
#define CC0_IRI "https://creativecommons.org/publicdomain/zero/1.0/"

/* What may have the same terms; a set of them is a mask. */
typedef enum Family {
    FAMILY_EVENT = 1 << 0,
    FAMILY_SERIES = 1 << 1,
    FAMILY_PLACE = 1 << 2,
    FAMILY_VIRTUAL = 1 << 3,
    FAMILY_ORGANIZATION = 1 << 4,
    FAMILY_PERFORMER = 1 << 5,
    FAMILY_ADDRESS = 1 << 6,
    FAMILY_GEO = 1 << 7,
    FAMILY_OFFER = 1 << 8,
    FAMILY_SCHEDULE = 1 << 9,
    FAMILY_SOURCE = 1 << 10,
    FAMILY_THING = 1 << 11
} Family;

typedef enum Shown {
    SHOWN_LISTS = 1 << 0,      /* in lists */
    SHOWN_DETAIL = 1 << 1,     /* in the document itself */
    SHOWN_PROVENANCE = 1 << 2, /* there too, where it is asked for */
    SHOWN_TOMBSTONE = 1 << 3,  /* of what is gone */
    TERM_IS_CLOCK = 1 << 4,    /* of an event itself: depends on the time of reading */
    TERM_IS_DERIVED = 1 << 5   /* ours: its change is no change of the entity */
} Shown;

typedef enum TermKind {
    KIND_TEXT,
    KIND_IRI,
    KIND_NUMBER, /* finite */
    KIND_INTEGER,
    KIND_BOOLEAN,
    KIND_DATE_TIME, /* RFC 3339 with seconds and offset, as a text */
    KIND_NODE,
    KIND_JSON /* as a text: opaque to RDF, an rdf:JSON literal */
} TermKind;

typedef enum TermForm {
    FORM_ONE,
    FORM_LIST,  /* an array, also of one */
    FORM_EITHER /* the bare value, or an array of several */
} TermForm;

typedef enum ClassId {
#define CLASS(symbol, name, family, domain) CLASS_##symbol,
#include "services/events/terms.def"
    CLASS_COUNT
} ClassId;

typedef enum TermId {
#define TERM(symbol, json, iri, kind, form, families, range, shown, max_chars) TERM_##symbol,
#include "services/events/terms.def"
    TERM_COUNT
} TermId;

typedef struct Class {
    ClassId id;
    Slice name; /* "MusicEvent"; its IRI is SCHEMA_IRI before it */
    Family family;
    const char *domain; /* of events of this type; "" for others */
} Class;

typedef struct Term {
    TermId id;
    Slice json; /* member name: "startDate", "sel:version" */
    Slice iri;  /* whole */
    TermKind kind;
    TermForm form;
    unsigned families; /* of nodes that may have it */
    unsigned range;    /* of nodes that are its values; 0: no nodes */
    unsigned shown;
    size_t max_chars; /* of texts and IRIs; 0: no such */
} Term;

extern const Term TERMS[TERM_COUNT];
extern const Class CLASSES[CLASS_COUNT];

/* By member name; NULL when there is none. */
const Term *term_find(Slice json);
/* By name or IRI ("Event", "schema:Event", "https://schema.org/Event", http too); NULL when unknown. */
const Class *class_find(Slice type);
/* Conformance: must a node of `family` have it to be published? */
bool term_is_required(Family family, TermId term);
