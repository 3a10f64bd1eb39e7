/* atrium migrate: brings the schemas up to date, or tells how they stand. */
#include <ctype.h>

#include "shared/migrate.h"
#include "tools/atrium/tool.h"

enum { LOCK_WAIT_MS = 60000, STATEMENT_LOCK_MS = 3000, WAIT_MS = 30000, PAUSE_MS = 100 };

typedef struct Migrating {
    Tool *tool;
    bool quiet;
    int pending;
} Migrating;

static const char *runtime_password(void *data, const char *service)
{
    Migrating *m = data;
    char *name = arena_printf(m->tool->mem, "MIGRATE_PASSWORD_%s", service);

    for (char *c = name; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    return tool_setting(m->tool, name, NULL);
}

static void show_progress(void *data, const char *service, const char *name)
{
    const Migrating *m = data;

    if (!m->quiet)
        printf("  %s  %s\n", service, name);
}

static void show_row(void *data, const Migration *migration, int64_t applied_us)
{
    Migrating *m = data;
    char when[TIME_TEXT_BYTES] = "still to come";

    if (applied_us)
        time_format(applied_us, 0, when);
    else
        m->pending++;
    printf("%-10s %-32s %s\n", migration->service, migration->name, when);
}

/* The database may be starting beside us, as in a compose file. */
static Err wait_for_database(Db *db)
{
    int64_t until_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + WAIT_MS;
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};

    for (;;) {
        Err e = db_ping(db, 2000);
        if (!err_failed(e) || clock_monotonic_ms(&SYSTEM_CLOCK) >= until_ms)
            return err_wrap(e, "MIGRATE_DATABASE_URL");
        nanosleep(&pause, NULL);
    }
}

static Err run(Migrating *m, Db *db, bool status)
{
    const MigrateOptions options = {.admin = db,
                                    .lock_wait_ms = LOCK_WAIT_MS,
                                    .statement_lock_ms = STATEMENT_LOCK_MS,
                                    .password = runtime_password,
                                    .progress = show_progress,
                                    .data = m};
    int applied = 0;

    TRY(wait_for_database(db));
    if (status)
        return migrate_status(db, show_row, m);
    TRY(migrate_run(&options, &applied));
    if (!m->quiet || applied)
        printf("  %d migration%s applied\n", applied, applied == 1 ? "" : "s");
    return OK;
}

int migrate_command(Tool *tool)
{
    CLEANUP(log_free_at) Log *log = NULL;
    CLEANUP(db_free_at) Db *db = NULL;
    bool status = tool_flag(tool, "--status");
    Migrating m = {.tool = tool, .quiet = tool_flag(tool, "--quiet")};
    DbOptions options = {.url = tool_setting(tool, "MIGRATE_DATABASE_URL", ""),
                         .schema = "public",
                         .application_name = "atrium-migrate",
                         .pool_size = 2,
                         .acquire_timeout_ms = 5000};
    Err e;

    if (!tool_done(tool))
        return TOOL_WRONG_USE;
    if (!options.url[0])
        return tool_wrong_use(tool, "MIGRATE_DATABASE_URL is not set");
    /* PostgreSQL's own words go to the log alone. */
    log = log_new(&(LogOptions){.service = "migrate", .version = "0.0.0", .level = LOG_LEVEL_ERROR, .fd = 2});
    options.log = log;
    e = db_new(&options, &db);
    if (!err_failed(e))
        e = run(&m, db, status);
    return err_failed(e) ? tool_failed(tool, e) : TOOL_FINE;
}
