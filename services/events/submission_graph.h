/* submission_graph: a submission as nodes. Everything is of `mem` and of the submission. */
#pragma once
#include "services/events/node.h"
#include "services/events/submission.h"

/* Its public properties, those that an event's node keeps (entity.h): without place, organiser and times. */
Node *submission_event_node(Arena *mem, const Submission *s);
Node *submission_place_node(Arena *mem, const Submission *s);
Node *submission_organizer_node(Arena *mem, const Submission *s);
/* All that it says, for the record of who said what: with times, and with the place and the organiser that it was
 * resolved to ("" none), by their URIs. */
Node *submission_said_node(Arena *mem, const Submission *s, const char *place_uri, const char *organizer_uri);
