/* admin_events: what the handlers that change events for administration share. */
#pragma once
#include "atrium/events/v1/admin.service.h"
#include "services/events/admin_pages.h"
#include "services/events/entity.h"

enum { REASON_MAX_CHARS = 500 };

/* A transaction in which an event is changed. `tx` is done by edit_done. */
typedef struct EventEdit {
    DbTx tx;
    EntityWriter writer;
    EventEntity event;
    Slice before;     /* its node, as it was */
    const char *note; /* for the history; NULL: the action */
} EventEdit;
void edit_done(EventEdit *edit);
/* Locks the event that `id` names, and compares its version: INVALID_ID, NOT_FOUND, EVENT_DELETED, PRECONDITION_FAILED.
 */
Err edit_begin(Request *rq, const char *id, bool has_version, int64_t version, EventEdit *edit) MUST_CHECK;
/* Saves, notes in the audit log as `action`, commits, and answers. */
Err edit_finish(Request *rq, EventEdit *edit, const char *action, Events__V1__ShortEvent *out) MUST_CHECK;

void answer_short_event(Request *rq, const EventEntity *event, Events__V1__ShortEvent *out);
/* JSON of a node: for digests. */
Slice node_text_of(Arena *mem, const Node *node);
/* An event that is to be public needs an occurrence: UNPROCESSABLE. */
Err event_check_public(const EventEntity *event) MUST_CHECK;
/* A violation of the body unless it has at most `max_chars`; NULL is fine. */
void check_length(Request *rq, const char *field, const char *text, size_t max_chars);
