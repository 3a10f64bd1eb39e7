/* erasure: the part of a domain that keeps something of accounts. When one is gone, it erases what the domain has of it
 * and reports to auth (auth.v1.ReportErasure), which waits for the domains of ERASURE_DOMAINS and keeps their reports.
 *
 * The domain's proto says `depends: "auth"` and `consumes: "auth"`. */
#pragma once
#include "shared/client.h"
#include "shared/outbox.h"

/* Erases all that is kept of this account; `*out_rows` is how much went. Called again when it failed, and when the
 * report was lost: what is gone already is no error. From one thread. */
typedef Err (*EraseUser)(void *context, Arena *mem, int64_t user_id, int64_t *out_rows);

typedef struct ErasureOptions {
    Bus *bus;
    Client *client;
    Log *log;
    Metrics *metrics;
    const char *domain; /* as its bus credential is named: a domain reports for itself */
    EraseUser erase;
    void *context;
} ErasureOptions;

typedef struct Erasure Erasure;
/* What was deleted while this domain was away comes first. Failures come again with back-off and end in the dead
 * letters. */
Err erasure_start(const ErasureOptions *options, Erasure **out) MUST_CHECK;
void erasure_stop(Erasure *erasure); /* NULL is fine */
