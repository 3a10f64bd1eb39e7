/* entity_feed: a save as the change feed has it. Only entity.c calls it. */
#pragma once
#include "services/events/entity.h"

typedef struct EntitySaved {
    EntityKind kind;
    const EntityHead *head;
    const EventEntity *event; /* NULL of other kinds */
    const Node *full;         /* the whole public graph */
    Slice doc;                /* its JSON as it is stored */
    bool was_public;          /* before the save; false of a new one */
    const Slice *pointers;
    size_t pointer_count;
} EntitySaved;
Err entity_tell_feed(const EntityWriter *w, const EntitySaved *saved) MUST_CHECK;
