/* assemble: an entity's public graph, put together from its node, its columns and what it refers to. Only entity.c
 * calls it. */
#pragma once
#include "services/events/store_entity.h"

/* What an event's graph says of others; of `referred`, NULL where there is none. */
typedef struct EventRefs {
    const Referred *list;
    size_t count;
} EventRefs;

/* The places that the event and its occurrences name, each once. */
size_t event_places(Arena *mem, const EventEntity *event, Uuid **out);
/* The whole public graph, without what depends on the time; `text` gets what its columns need. */
Node *event_assemble(Arena *mem, const Events *events, const EventEntity *event, const EventRefs *refs,
                     EventText *text);
/* The same of a place or organisation. */
Node *entity_assemble(Arena *mem, const Events *events, EntityKind kind, const EntityHead *head, EntityText *text);
/* The node that callers change, out of the public graph: without what assemble adds. */
Node *entity_strip(Arena *mem, EntityKind kind, const Node *full);
/* JSON of a graph: the stored document (SHOWN_DETAIL), or a card (SHOWN_LISTS). False when it is larger than what can
 * be read again. */
bool graph_json(Arena *mem, const Node *full, unsigned shown, Slice *out) MUST_CHECK;
