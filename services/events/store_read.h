/* store_read: what readers of the commons ask for. All SQL of events stands in store*.c, and in entity.c what changes
 * it. */
#pragma once
#include "services/events/entity.h"

/* An entity as readers get it: one statement, one row. */
typedef struct Document {
    EntityKind kind;
    Uuid id; /* nil: there is none */
    int64_t version, rendered;
    Lifecycle lifecycle;
    Slice doc; /* JSON, without @context and what depends on the time */
    const char *name;
    const char *submitter_key; /* of events; "" none */
    int64_t created_us, updated_us;
    int64_t deleted_us; /* 0: it is there */
    const char *deletion_reason;
    Uuid superseded_by;
    bool withheld;
    /* Of events: the occurrence that is next, else the last one. start_us is 0 without any. */
    int64_t start_us, end_us, door_us;
} Document;
/* `now_us` says which occurrence is next. `out->id` is nil when there is none. */
Err events_store_document(Request *rq, EntityKind kind, Uuid id, int64_t now_us, Document *out) MUST_CHECK;
