/* store: see the header. */
#include "services/transcode/store.h"

#include "shared/rpc.h"

#define JOB_COLUMNS                                                                                                    \
    "id, media_id, generation, kind, owner_id, source_key, mime_type, filename, size_bytes, state, attempt,"           \
    " attempts_left, error_code, error_text, finished_at"

static void read_job(Arena *mem, const DbRows *rows, int row, JobRow *out)
{
    *out = (JobRow){.id = db_get_uuid(rows, row, 0),
                    .media_id = db_get_uuid(rows, row, 1),
                    .generation = db_get_int64(rows, row, 2),
                    .kind = (int)db_get_int64(rows, row, 3),
                    .owner_id = db_get_int64(rows, row, 4),
                    .source_key = db_get_cstr(mem, rows, row, 5),
                    .mime_type = db_get_cstr(mem, rows, row, 6),
                    .filename = db_get_cstr(mem, rows, row, 7),
                    .size_bytes = db_get_int64(rows, row, 8),
                    .state = db_get_cstr(mem, rows, row, 9),
                    .attempt = (int)db_get_int64(rows, row, 10),
                    .attempts_left = (int)db_get_int64(rows, row, 11),
                    .error_code = db_get_cstr(mem, rows, row, 12),
                    .error_text = db_get_cstr(mem, rows, row, 13),
                    .finished_us = db_get_time_us(rows, row, 14)};
}

static void read_jobs(Arena *mem, const DbRows *rows, JobRow **out, size_t *out_count)
{
    *out_count = (size_t)rows->count;
    *out = ARENA_ARRAY(mem, JobRow, rows->count + 1);
    for (int i = 0; i < rows->count; i++)
        read_job(mem, rows, i, &(*out)[i]);
}

static const char INSERT_JOB[] =
    "INSERT INTO job (id, media_id, generation, kind, owner_id, source_key, mime_type, filename, size_bytes, state,"
    "  attempts_left, created_at)"
    " VALUES ($1, $2, $3, $4::int, $5, $6, $7, $8, $9, 'queued', $10::int, $11) ON CONFLICT DO NOTHING";

Err store_insert_job(DbTx *tx, const JobRow *job, int64_t now_us, bool *out_new)
{
    int64_t rows;

    TRY(db_exec_count(tx, INSERT_JOB,
                      DB_ARGS(db_uuid(job->id), db_uuid(job->media_id), db_int64(job->generation), db_int64(job->kind),
                              db_int64(job->owner_id), db_text(slice(job->source_key)), db_text(slice(job->mime_type)),
                              db_text(slice(job->filename)), db_int64(job->size_bytes), db_int64(job->attempts_left),
                              db_time_us(now_us)),
                      &rows));
    *out_new = rows == 1;
    return OK;
}

static const char BEGIN_ATTEMPT[] =
    "UPDATE job SET state = 'running', attempt = attempt + CASE WHEN attempts_left > 0 THEN 1 ELSE 0 END,"
    "  attempts_left = attempts_left - 1, started_at = $2"
    " WHERE id = $1 AND state IN ('queued', 'running') RETURNING " JOB_COLUMNS;

Err store_begin_attempt(DbTx *tx, Arena *mem, Uuid id, int64_t now_us, JobRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    *out = (JobRow){.attempt = 0};
    TRY(db_query(tx, BEGIN_ATTEMPT, DB_ARGS(db_uuid(id), db_time_us(now_us)), &rows));
    if (rows.count)
        read_job(mem, &rows, 0, out);
    return OK;
}

static const char END_ATTEMPT[] = "UPDATE job SET state = $3, error_code = $4, error_text = $5,"
                                  "  finished_at = CASE WHEN $3 = 'queued' THEN NULL ELSE $6::timestamptz END"
                                  " WHERE id = $1 AND attempt = $2::int AND state = 'running'";

Err store_end_attempt(DbTx *tx, const JobRow *job, const char *state, const char *code, const char *text,
                      int64_t now_us, bool *out_mine)
{
    int64_t rows;

    TRY(db_exec_count(tx, END_ATTEMPT,
                      DB_ARGS(db_uuid(job->id), db_int64(job->attempt), db_text(slice(state)), db_text_or_null(code),
                              db_text_or_null(text), db_time_us(now_us)),
                      &rows));
    *out_mine = rows == 1;
    return OK;
}

static const char RELEASE_ATTEMPT[] = "UPDATE job SET state = 'queued', attempts_left = attempts_left + 1"
                                      " WHERE id = $1 AND attempt = $2::int AND state = 'running'";

Err store_release_attempt(DbTx *tx, const JobRow *job)
{
    return db_exec(tx, RELEASE_ATTEMPT, DB_ARGS(db_uuid(job->id), db_int64(job->attempt)));
}

static const char IS_CURRENT[] = "SELECT 1 FROM job WHERE id = $1 AND attempt = $2::int AND state = 'running'";

Err store_attempt_is_current(Db *db, const JobRow *job, int64_t timeout_ms, bool *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read_with(db, timeout_ms, IS_CURRENT, DB_ARGS(db_uuid(job->id), db_int64(job->attempt)), &rows));
    *out = rows.count == 1;
    return OK;
}

static const char CANCEL_JOBS[] = "UPDATE job SET state = 'cancelled', finished_at = $3, error_code = 'cancelled'"
                                  " WHERE media_id = $1 AND generation <= $2 AND state IN ('queued', 'running', 'dead')"
                                  " RETURNING " JOB_COLUMNS;

Err store_cancel_jobs(DbTx *tx, Arena *mem, Uuid media_id, int64_t generation, int64_t now_us, JobRow **out,
                      size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, CANCEL_JOBS, DB_ARGS(db_uuid(media_id), db_int64(generation), db_time_us(now_us)), &rows));
    read_jobs(mem, &rows, out, out_count);
    return OK;
}

/* --- steps ------------------------------------------------------------------------------------------------------- */
static void read_steps(Arena *mem, const DbRows *rows, StepRow **out, size_t *out_count)
{
    *out_count = (size_t)rows->count;
    *out = ARENA_ARRAY(mem, StepRow, rows->count + 1);
    for (int i = 0; i < rows->count; i++) {
        Slice bytes = db_get_bytes(rows, i, 1);
        (*out)[i] = (StepRow){.name = db_get_cstr(mem, rows, i, 0),
                              .result = slice_of(arena_memdup(mem, bytes.ptr, bytes.len), bytes.len)};
    }
}

static const char STEPS[] = "SELECT name, result FROM step WHERE job_id = $1 ORDER BY done_at, name LIMIT 100";

Err store_steps(Db *db, Arena *mem, Uuid job_id, int64_t timeout_ms, StepRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read_with(db, timeout_ms, STEPS, DB_ARGS(db_uuid(job_id)), &rows));
    read_steps(mem, &rows, out, out_count);
    return OK;
}

static const char STEPS_OF_MEDIA[] =
    "SELECT s.name, s.result FROM step s JOIN job j ON j.id = s.job_id"
    " WHERE j.media_id = $1 AND j.generation = $2 ORDER BY j.kind, s.done_at, s.name LIMIT 300";

Err store_steps_of_media(DbTx *tx, Arena *mem, Uuid media_id, int64_t generation, StepRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, STEPS_OF_MEDIA, DB_ARGS(db_uuid(media_id), db_int64(generation)), &rows));
    read_steps(mem, &rows, out, out_count);
    return OK;
}

static const char INSERT_STEP[] = "INSERT INTO step (job_id, name, result, done_at) VALUES ($1, $2, $3, $4)"
                                  " ON CONFLICT (job_id, name) DO UPDATE SET result = excluded.result";

Err store_insert_step(DbTx *tx, Uuid job_id, const StepRow *step, int64_t now_us)
{
    return db_exec(tx, INSERT_STEP,
                   DB_ARGS(db_uuid(job_id), db_text(slice(step->name)), db_bytes(step->result), db_time_us(now_us)));
}

/* --- operators --------------------------------------------------------------------------------------------------- */
static const char DEAD_JOBS[] =
    "SELECT " JOB_COLUMNS " FROM job WHERE state = 'dead'"
    " AND ($1::uuid IS NULL OR (finished_at, id) < (SELECT a.finished_at, a.id FROM job a WHERE a.id = $1))"
    " ORDER BY finished_at DESC, id DESC LIMIT $2";

Err store_dead_jobs(Request *rq, Uuid after, int limit, JobRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    const Uuid nil = {{0}};
    bool first = memcmp(&after, &nil, sizeof nil) == 0;

    TRY(db_read(rq, DEAD_JOBS, DB_ARGS(first ? db_null() : db_uuid(after), db_int64(limit)), &rows));
    read_jobs(rq->mem, &rows, out, out_count);
    return OK;
}

static const char REQUEUE_JOB[] = "UPDATE job SET state = 'queued', attempts_left = $2::int, finished_at = NULL"
                                  " WHERE id = $1 AND state = 'dead' RETURNING " JOB_COLUMNS;

Err store_requeue_job(DbTx *tx, Arena *mem, Uuid id, int attempts, JobRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    *out = (JobRow){.attempt = 0};
    TRY(db_query(tx, REQUEUE_JOB, DB_ARGS(db_uuid(id), db_int64(attempts)), &rows));
    if (rows.count)
        read_job(mem, &rows, 0, out);
    return OK;
}

static const char QUEUE[] =
    "SELECT count(*), min(created_at) FROM job WHERE kind = $1::int AND state IN ('queued', 'running')";

Err store_queue(Db *db, int64_t timeout_ms, int kind, int64_t now_us, int64_t *out_count, int64_t *out_age_us)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read_with(db, timeout_ms, QUEUE, DB_ARGS(db_int64(kind)), &rows));
    *out_count = db_get_int64(&rows, 0, 0);
    *out_age_us = db_is_null(&rows, 0, 1) ? 0 : MAX(now_us - db_get_time_us(&rows, 0, 1), 0);
    return OK;
}

static const char FORGET_OWNER[] = "DELETE FROM job WHERE owner_id = $1 AND state NOT IN ('queued', 'running')";

Err store_forget_owner(DbTx *tx, int64_t owner_id, int64_t *out_rows)
{
    return db_exec_count(tx, FORGET_OWNER, DB_ARGS(db_int64(owner_id)), out_rows);
}
