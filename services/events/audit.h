/* audit: who did what in administration. An entry commits with what it tells of, and outlives the accounts it names. */
#pragma once
#include "services/events/entity.h"

typedef struct AuditNote {
    const char *action; /* "event.updated": a constant */
    EntityKind kind;
    const char *other_kind; /* of what is no entity: "source"; else NULL */
    Uuid target;
    Slice before, after; /* documents, of which the digest is kept; empty: none */
} AuditNote;
/* The actor is the caller of `rq`. */
Err audit_note(Request *rq, DbTx *tx, const AuditNote *note) MUST_CHECK;
