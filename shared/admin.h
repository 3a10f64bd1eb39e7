/* admin: a small HTTP listener of each service, for operators and probes, on a thread of its own:
 * /livez (the process answers), /readyz (its needs are met; names what is not), /metrics, /version. */
#pragma once
#include "shared/err.h"
#include "shared/log.h"
#include "shared/metrics.h"

typedef struct Admin Admin;
typedef struct AdminOptions {
    const char *address; /* "127.0.0.1:18081"; port 0 takes a free one */
    const char *service, *version, *commit, *build_date;
    Metrics *metrics;
    Log *log;
} AdminOptions;
Err admin_start(const AdminOptions *options, Admin **out) MUST_CHECK;
void admin_stop(Admin *a);
int admin_port(const Admin *a);
/* A need of /readyz; results are kept for a second. Not after admin_ready. */
void admin_add_check(Admin *a, const char *name, Err (*check)(void *data), void *data);
/* Not ready until told so; and no longer when draining: on return no check runs any more. Any thread. */
void admin_ready(Admin *a, bool ready);
/* `GET path` on `address`, for the healthcheck subcommand: OK when 200. */
Err admin_probe(const char *address, const char *path, int64_t timeout_ms) MUST_CHECK;
