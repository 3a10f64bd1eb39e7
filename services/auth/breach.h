/* breach: is this password known to have leaked? By a sorted file, and by a service that is told five of the forty
 * digits of the password's hash. Thread-safe; blocks (files, HTTP): lane "slow" only. */
#pragma once
#include "shared/clock.h"
#include "shared/err.h"
#include "shared/log.h"
#include "shared/metrics.h"

typedef struct BreachOptions {
    const char *file, *url; /* "": none */
    const Clock *clock;
    Log *log;
    Metrics *metrics;
} BreachOptions;

typedef struct Breach Breach;
/* INVALID_ARGUMENT for a file that cannot be read. */
Err breach_new(const BreachOptions *options, Breach **out) MUST_CHECK;
void breach_free(Breach *breach);
CLEANUP_FN(Breach, breach_free)
/* False, too, when nobody could be asked. */
bool breach_knows(Breach *breach, Arena *mem, const char *password);
