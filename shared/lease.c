/* lease: see the header. One thread and one connection per lease; the lock is the server's session lock, so a process
 * that dies loses it at once, and one that hangs or whose host vanishes when its session has been silent for too long.
 */
#include "shared/lease.h"

#include <pthread.h>

#include "atrium/reasons.atrium.h"

enum {
    CHECKS_PER_RETRY = 3, /* so that two slow checks in a row do not cost the lease */
    /* Between the moment when a holder that asks no more stops believing itself, and that when the server takes the
     * lease from it. */
    SESSION_MARGIN_MS = 2000,
    CONNECT_TIMEOUT_MS = 3000,
    NUMBER_RETRY_MS = 1000,
    NUMBER_POLL_MS = 50
};

struct Lease {
    Db *db;
    Log *log;
    char *name;
    int64_t number; /* -1: the lease is the name's alone; changed with the lock held */
    unsigned count; /* of the numbers there are */
    int64_t told;   /* the number that the owner knows of */
    int64_t retry_ms;
    DbConn *conn;               /* the thread's own, once it runs */
    _Atomic int64_t checked_ms; /* when the server last confirmed it; 0: not held */
    pthread_t thread;
    bool running;
    void (*moved)(void *data, unsigned number);
    void *moved_data;
    pthread_mutex_t lock; /* guards `stop` and who follows the number */
    pthread_cond_t wake;
    bool stop;
};

static const char TRY_LOCK[] = "SELECT pg_try_advisory_lock(" LEASE_KEY_SQL("$1", "$2::bigint") ")";
static const char TRY_ANY[] = "SELECT n FROM generate_series(0, $2::bigint - 1) AS n"
                              " WHERE pg_try_advisory_lock(" LEASE_KEY_SQL("$1", "n") ") LIMIT 1";
static const char CHECK[] = "SELECT 1";
static const char END_WHEN_SILENT[] = "SELECT set_config('idle_session_timeout', $1, false)";

static int64_t now_ms(void)
{
    return clock_monotonic_ms(&SYSTEM_CLOCK);
}

/* --- holding it ------------------------------------------------------------------------------------------------------
 */
static void lose(Lease *l)
{
    if (l->checked_ms != 0)
        LOG_WARN(l->log, "lease_lost", "lease", (const char *)l->name);
    l->checked_ms = 0;
    db_conn_close(l->conn);
    l->conn = NULL;
}

static void confirm(Lease *l, int64_t asked_ms)
{
    if (l->checked_ms == 0)
        LOG_INFO(l->log, "lease_taken", "lease", (const char *)l->name, "number", l->number);
    l->checked_ms = asked_ms; /* when the question left, not when the answer came */
}

static void tell_number(Lease *l)
{
    if (l->moved && l->number != l->told) {
        l->told = l->number;
        l->moved(l->moved_data, (unsigned)l->number);
    }
}

/* A holder that hangs (a stopped process, a host that is gone) must not keep the lease as long as its connection lives:
 * the server ends a session that says nothing. */
static Err connect(Lease *l, int64_t timeout_ms)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    char silence_ms[24];
    Err e;

    if (l->conn)
        return OK;
    snprintf(silence_ms, sizeof silence_ms, "%" PRId64, l->retry_ms + SESSION_MARGIN_MS);
    TRY(db_conn_open(l->db, timeout_ms, &l->conn));
    e = db_conn_query(l->conn, timeout_ms, END_WHEN_SILENT, DB_ARGS(db_text(slice(silence_ms))), &rows);
    if (err_failed(e)) {
        db_conn_close(l->conn);
        l->conn = NULL;
    }
    return e;
}

static Err try_any_number(Lease *l, int64_t timeout_ms)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    int64_t asked_ms = now_ms();

    TRY(connect(l, timeout_ms));
    TRY(db_conn_query(l->conn, timeout_ms, TRY_ANY, DB_ARGS(db_text(slice(l->name)), db_int64(l->count)), &rows));
    if (rows.count == 0)
        return err_make(&UNAVAILABLE, "%s: all %u numbers are taken", l->name, l->count);
    pthread_mutex_lock(&l->lock);
    l->number = db_get_int64(&rows, 0, 0);
    tell_number(l);
    pthread_mutex_unlock(&l->lock);
    confirm(l, asked_ms);
    return OK;
}

static void try_to_take(Lease *l)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    int64_t asked_ms = now_ms();

    if (err_failed(connect(l, CONNECT_TIMEOUT_MS)))
        return; /* db has logged why; tried again */
    if (err_failed(db_conn_query(l->conn, CONNECT_TIMEOUT_MS, TRY_LOCK,
                                 DB_ARGS(db_text(slice(l->name)), db_int64(l->number)), &rows)))
        lose(l);
    else if (db_get_bool(&rows, 0, 0))
        confirm(l, asked_ms);
    else if (l->number >= 0)
        /* Somebody who started while we were cut off has our number, perhaps for weeks: another is as good. */
        (void)err_failed(try_any_number(l, CONNECT_TIMEOUT_MS)); /* tried again, in turn with the old one */
}

static void check(Lease *l)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    int64_t asked_ms = now_ms();

    if (err_failed(db_conn_query(l->conn, l->retry_ms, CHECK, DB_NO_ARGS, &rows))) {
        lose(l);
        try_to_take(l); /* at once: a restarted server gives it to the first who asks */
    } else {
        confirm(l, asked_ms);
    }
}

/* False when the lease is to be given up. */
static bool pause_for(Lease *l, int64_t ms)
{
    int64_t until_ms = now_ms() + ms;
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    bool stop;

    pthread_mutex_lock(&l->lock);
    while (!l->stop && now_ms() < until_ms)
        pthread_cond_timedwait(&l->wake, &l->lock, &until);
    stop = l->stop;
    pthread_mutex_unlock(&l->lock);
    return !stop;
}

static void *run(void *data)
{
    Lease *l = data;

    do {
        if (l->checked_ms != 0)
            check(l);
        else
            try_to_take(l);
    } while (pause_for(l, l->checked_ms != 0 ? l->retry_ms / CHECKS_PER_RETRY : l->retry_ms));
    return NULL;
}

/* --- making and freeing ------------------------------------------------------------------------------------------ */
static Lease *make(Db *db, Log *log, const char *name, int64_t number, int64_t retry_ms)
{
    Lease *l = xcalloc(1, sizeof *l);
    pthread_condattr_t attributes;

    l->db = db;
    l->log = log;
    l->name = xstrdup(name);
    l->number = number;
    l->retry_ms = MAX(retry_ms, CHECKS_PER_RETRY);
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&l->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    return l;
}

static void start(Lease *l)
{
    l->running = pthread_create(&l->thread, NULL, run, l) == 0;
    if (!l->running)
        abort(); /* no more threads: as good as no more memory */
}

Lease *lease_new(Db *db, Log *log, const char *name, int64_t retry_ms)
{
    Lease *l = make(db, log, name, -1, retry_ms);

    start(l);
    return l;
}

void lease_free(Lease *l)
{
    if (!l)
        return;
    if (l->running) {
        pthread_mutex_lock(&l->lock);
        l->stop = true;
        pthread_cond_signal(&l->wake);
        pthread_mutex_unlock(&l->lock);
        pthread_join(l->thread, NULL);
    }
    db_conn_close(l->conn); /* the lock goes with it */
    pthread_cond_destroy(&l->wake);
    pthread_mutex_destroy(&l->lock);
    free(l->name);
    free(l);
}

bool lease_held(const Lease *l)
{
    int64_t checked_ms = l->checked_ms;

    return checked_ms != 0 && now_ms() - checked_ms <= l->retry_ms;
}

/* --- numbers ----------------------------------------------------------------------------------------------------- */
Err lease_number(Db *db, Log *log, const char *name, unsigned count, int64_t timeout_ms, Lease **out_lease,
                 unsigned *out_number)
{
    CLEANUP(lease_free_at) Lease *l = make(db, log, name, -1, NUMBER_RETRY_MS);
    int64_t deadline_ms = now_ms() + timeout_ms;
    Err e;

    l->count = count;
    while (err_failed(e = try_any_number(l, MAX(deadline_ms - now_ms(), 1)))) {
        if (e.reason != &UNAVAILABLE || now_ms() >= deadline_ms)
            return e;
        if (l->conn && !db_conn_alive(l->conn))
            lose(l);
        (void)pause_for(l, NUMBER_POLL_MS); /* nobody can ask it to stop yet */
    }
    l->told = l->number;
    *out_number = (unsigned)l->number;
    start(l);
    *out_lease = MOVE(l);
    return OK;
}

void lease_follow_number(Lease *l, void (*moved)(void *data, unsigned number), void *data)
{
    pthread_mutex_lock(&l->lock);
    l->moved = moved;
    l->moved_data = data;
    tell_number(l);
    pthread_mutex_unlock(&l->lock);
}
