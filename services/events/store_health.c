/* store_health: see store_health.h. */
#include "services/events/store_health.h"

#define DAY_US INT64_C(86400000000)

static const char HEALTH[] =
    "SELECT (SELECT count(*) FROM schema_migration), count(*), min(b.submitted_at) FROM ("
    "  SELECT submitted_at FROM batch WHERE completed_at IS NULL AND submitted_at > $1 ORDER BY submitted_at"
    "  LIMIT $2) b";

Err events_store_health(Request *rq, int64_t now_us, HealthRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, HEALTH, DB_ARGS(db_time_us(now_us - DAY_US), db_int64(HEALTH_BATCHES_MAX)), &rows));
    *out = (HealthRow){.migrations = db_get_int64(&rows, 0, 0),
                       .batches = db_get_int64(&rows, 0, 1),
                       .batch_since_us = db_get_time_us(&rows, 0, 2)};
    return OK;
}
