/* context: the JSON-LD contexts, made from the table of terms: one document at a URL of ours, and short copies with
 * just the terms that a reply may have, so that replies can be read offline. Made once at the start; read-only: any
 * thread. */
#pragma once
#include "services/events/terms.h"

/* Paths of the document, below the base. It never changes under one: a new vocabulary gets a new one. */
#define CONTEXT_PATH "/contexts/sel/v1.jsonld"
#define CONTEXT_PATH_OLD "/contexts/sel/v0.1.jsonld"

typedef enum ContextFor {
    CONTEXT_EVENT_CARD, /* an event in a list */
    CONTEXT_EVENT_ONCE, /* the same without an eventSchedule, as most: a page repeats it for each */
    CONTEXT_EVENT,      /* in detail, with provenance */
    CONTEXT_SERIES,
    CONTEXT_PLACE,
    CONTEXT_ORGANIZATION,
    CONTEXT_TOMBSTONE,
    CONTEXT_COUNT
} ContextFor;

typedef struct Contexts {
    Slice inlined[CONTEXT_COUNT]; /* "\"@context\":{…}": a whole first member, to be put behind a document's "{" */
    Slice by_url;                 /* "\"@context\":\"https://…\"" */
    Slice document;               /* what is at CONTEXT_PATH: {"@context":{…}} */
} Contexts;

/* `base_url` has no slash at its end. Everything is of `mem`. */
const Contexts *contexts_new(Arena *mem, const char *base_url);
