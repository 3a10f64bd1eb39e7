/* store_health: what the checks of /health ask of the database. */
#pragma once
#include "services/events/events.h"

typedef struct HealthRow {
    int64_t migrations;     /* that were applied, the library's among them */
    int64_t batches;        /* of the last day that are not worked off, HEALTH_BATCHES_MAX at most */
    int64_t batch_since_us; /* when the oldest of these came; 0 none */
} HealthRow;
enum { HEALTH_BATCHES_MAX = 1000 };
Err events_store_health(Request *rq, int64_t now_us, HealthRow *out) MUST_CHECK;
