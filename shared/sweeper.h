/* sweeper: what a service does by itself, again and again, in one instance at a time: a thread that waits, does its
 * tasks one after the other, and waits again, all under a lease. Uploads that nobody goes on with, trash whose time is
 * over, mails that wait.
 *
 * A task works in turns, each of a bounded number of rows in a transaction of its own, so that no lock is held for long
 * and a stop never waits for a backlog. One that fails is logged and tried again after the next wait; the tasks behind
 * it have their turns all the same. */
#pragma once
#include "shared/lease.h"
#include "shared/metrics.h"

enum { SWEEPER_TASKS_MAX = 8 };

typedef struct Sweeper Sweeper;
typedef struct SweeperTurn {
    void *data; /* SweeperOptions.data */
    bool leads; /* this instance has the lease; always, unless the task goes on `everywhere` */
    bool more;  /* to be set when something may be left: the next turn follows after `pause_ms`, before other tasks */
} SweeperTurn;
typedef struct SweeperTask {
    const char *what; /* for the log; borrowed for ever */
    /* In the sweeper's thread. Anything that must stay true under the lease is asked of the database: the lease may end
     * while a turn runs. */
    Err (*turn)(SweeperTurn *turn);
    bool everywhere; /* also where the lease is another's */
    Counter *turns;  /* those that went well; NULL: not counted */
} SweeperTask;
typedef struct SweeperOptions {
    Db *db;                               /* for the lease */
    Log *log;                             /* NULL: silent */
    const char *name;                     /* of the lease: unique within the service's schema */
    void *data;                           /* for every turn; borrowed until sweeper_stop */
    SweeperTask tasks[SWEEPER_TASKS_MAX]; /* up to the first without a `turn` */
    Counter *failures;                    /* turns that failed; NULL: not counted */
    int64_t interval_ms;                  /* before the first turns, too */
    int64_t lease_retry_ms;               /* 0: five seconds */
    int64_t pause_ms;                     /* between two turns of one task; 0: none */
} SweeperOptions;
/* `options` is copied. */
Sweeper *sweeper_start(const SweeperOptions *options);
/* Waits for the turn that runs, if one does, and gives up the lease. NULL is fine. */
void sweeper_stop(Sweeper *sweeper);
CLEANUP_FN(Sweeper, sweeper_stop)
