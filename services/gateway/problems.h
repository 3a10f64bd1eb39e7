/* problems: what is wrong with a request, in one form, whether the transcoder found it or a service. The kinds and
 * texts are those of the one contract that shows them (rag); other dialects show the texts. */
#pragma once
#include "atrium/bus.pb-c.h"
#include "services/gateway/dialect.h"
#include "shared/structs.h"

enum { FAULT_INPUT_MAX_BYTES = 1024 };

/* Of the JSON reader's problems. `body` is the text they are about. Borrowed from `mem`. */
Fault *faults_of_problems(Arena *mem, const JsonProblems *problems, size_t *out_count);
Fault fault_of_problem(Arena *mem, const JsonProblem *problem, int part);
/* Of a service's violations; their input is looked up in `body` (or among `query`'s and the path's values by name, see
 * below), unless the field is secret. */
typedef struct FaultSource {
    const MessageType *type;
    Slice body;                  /* JSON; empty when there was none */
    const char *body_prefix;     /* the field that the body filled: "" for all of them */
    const RouteVariable *values; /* of path and query */
    size_t value_count;
} FaultSource;
Fault *faults_of_violations(Arena *mem, const FaultSource *source, Atrium__Violation *const *violations, size_t count);

/* A JSON value cut to FAULT_INPUT_MAX_BYTES: a longer one becomes a string of its beginning. */
Slice fault_input(Arena *mem, Slice json);
