/* findings: what is wrong with a submission (faults), and what somebody should look at (warnings). Of one request's
 * arena; not thread-safe. */
#pragma once
#include "shared/arena.h"

enum { FINDINGS_MAX = 32 };

typedef struct Finding {
    const char *field; /* dotted path into the body: "occurrences.0.startDate"; "" the whole body */
    const char *code;  /* constant: "missing", "too_long", "reversed_dates_timezone_likely" … */
    const char *message;
    const char *related; /* the URI of what it may be the same as; NULL: nothing */
    double score;        /* of that, 0 to 1 */
} Finding;

typedef struct Findings {
    Arena *mem;
    Finding list[FINDINGS_MAX];
    size_t count; /* the rest is dropped */
} Findings;

void findings_add(Findings *f, const char *field, const char *code, const char *format, ...) PRINTF_LIKE(4, 5);
/* With what it may be the same as, and how likely; on the finding that was added last. */
void findings_relate(Findings *f, const char *uri, double score);
bool findings_have(const Findings *f, const char *code);
