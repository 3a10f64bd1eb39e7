/* lease: something that one process at a time holds: a relay, a scheduler, a worker number. A held advisory lock on a
 * database connection of its own; lost with the connection, taken again by itself, by this process or another.
 *
 * A holder that hangs loses it: the server ends a session that has been silent for `retry_ms` and two seconds more. One
 * that wakes up again finds lease_held false before that, by the clock: who acts under a lease asks before each act. */
#pragma once
#include "shared/db.h"

typedef struct Lease Lease;
/* Starts trying in the background, every `retry_ms`. `name` is unique within the service's schema. */
Lease *lease_new(Db *db, Log *log, const char *name, int64_t retry_ms);
void lease_free(Lease *lease); /* gives it up; NULL is fine */
CLEANUP_FN(Lease, lease_free)
/* True while held; checked against the server at most `retry_ms` ago. Any thread. */
bool lease_held(const Lease *lease);

/* A condition for SQL: nobody holds the lease whose name this expression is; if so, nobody gets it before the
 * transaction ends. For who must know whether a process that has a lease of its own still lives. */
#define LEASE_IS_FREE_SQL(name) "pg_try_advisory_xact_lock(" LEASE_KEY_SQL(name, "-1") ")"
/* What is locked. It holds the schema: locks are the database's. */
#define LEASE_KEY_SQL(name, number)                                                                                    \
    "hashtextextended(current_schema() || '/lease/' || " name " || '/' || " number ", 0)"

/* The first free number of 0..count-1 under `name`, held until lease_free. For snowflake workers. Blocks for at most
 * `timeout_ms`. When the connection is lost the same number is taken again, or any other when somebody else was
 * quicker: see lease_follow_number. lease_held is false meanwhile: what is minted then may clash with another's. */
Err lease_number(Db *db, Log *log, const char *name, unsigned count, int64_t timeout_ms, Lease **out_lease,
                 unsigned *out_number) MUST_CHECK;
/* `moved` is told each new number before lease_held is true again, in the lease's thread, until lease_free. It must not
 * call the lease. Told at once, from here, when the number has changed since lease_number. */
void lease_follow_number(Lease *lease, void (*moved)(void *data, unsigned number), void *data);
