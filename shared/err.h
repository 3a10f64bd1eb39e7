/* err: one error type, by value. Nobody owns an Err, so nobody leaks one.
 * Reasons stand in the protos; the common ones are declared by "atrium/reasons.atrium.h" (generated). */
#pragma once
#include "shared/base.h"

/* How a reason looks in a dialect where it differs. */
typedef struct ReasonVariant {
    int dialect;             /* Atrium__Dialect */
    const char *code, *text; /* NULL: the reason's own; the text replaces the handler's */
    int http;                /* 0: the reason's own */
} ReasonVariant;

/* A kind of error: one enum value of a proto with (atrium.reason). All are constants. */
typedef struct Reason {
    const char *key;  /* on the bus: "auth.v1.USERNAME_TAKEN", common ones "INTERNAL" */
    const char *code; /* on the HTTP wire, where the dialect does not differ */
    int http;         /* HTTP status */
    int bus;          /* usual RPC status number */
    bool shown;       /* callers see the text */
    bool retry;       /* the same again may succeed */
    const ReasonVariant *variants;
    size_t variant_count;
} Reason;

typedef struct Err {
    const Reason *reason; /* NULL means it went well */
    char text[120];       /* what failed, outermost step first; cut when too long */
} Err;

#define OK ((Err){.reason = NULL})
#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        Err try_err_ = (call);                                                                                         \
        if (try_err_.reason)                                                                                           \
            return try_err_;                                                                                           \
    } while (0)

/* Text is cut to fit. `reason` is borrowed for ever: a constant. */
Err err_make(const Reason *reason, const char *format, ...) PRINTF_LIKE(2, 3);
/* Puts "step: " before the text; OK stays OK. */
Err err_wrap(Err e, const char *step);
/* err_make with ": <strerror(errno)>" appended. */
Err err_errno(const Reason *reason, const char *what);
static inline bool err_failed(Err e)
{
    return e.reason != NULL;
}
/* A failure ignored on purpose: gcc lets no cast silence MUST_CHECK. Say beside it why. */
static inline void err_ignore(Err e)
{
    (void)e;
}
/* The reason of a key, of this program's reasons; NULL when unknown. Generated files add theirs before main(). */
const Reason *reason_find(const char *key);
void reasons_add(const Reason *const *list, size_t count);
