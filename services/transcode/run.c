/* run: see the header. */
#include "services/transcode/run.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "services/transcode/events.h"
#include "services/transcode/hls.h"
#include "services/transcode/workshop.h"

enum {
    STATEMENT_MS = 10000,
    CHECK_MS = 1000,
    TELL_MS = 1000,
    RESULT_MAX_BYTES = 4 << 20,
    FOLLOWING_MAX = 3,
    NICE_LATER = 10, /* renditions and extras do not disturb first jobs */
    ARGS_MAX = CHILD_ARGS_MAX - 1,
    REMOVE_AT_ONCE = 500,
    REMOVE_ROUNDS = 100
};

const char *run_path(const Run *run, const char *name)
{
    return arena_printf(run->mem, "%s/%s", run->dir, name);
}

/* --- being wanted ------------------------------------------------------------------------------------------------ */
bool run_cancelled(void *data)
{
    Run *run = data;
    int64_t now_ms = clock_monotonic_ms(run->t->clock);
    bool current;

    if (*run->job->stop || run->unwanted)
        return true;
    if (now_ms - run->checked_ms < CHECK_MS)
        return false;
    run->checked_ms = now_ms;
    /* A database that is away for a moment is no reason to give up. */
    if (!err_failed(store_attempt_is_current(run->t->db, &run->row, CHECK_MS, &current)))
        run->unwanted = !current;
    return run->unwanted;
}

static void tell(Run *run, double part)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(2048);
    int percent = (int)(MIN(MAX(part, 0), 1) * 100);

    run->told = MAX(run->told, percent);
    run->told_ms = clock_monotonic_ms(run->t->clock);
    tell_progress(run->t, mem, &run->row, run->step, run->told);
}

void run_progress(Run *run, double part)
{
    if (clock_monotonic_ms(run->t->clock) - run->told_ms >= TELL_MS)
        tell(run, run->from + (run->to - run->from) * MIN(MAX(part, 0), 1));
}

/* --- steps ------------------------------------------------------------------------------------------------------- */
static void remember(Run *run, StepRow step)
{
    if (run->step_count == run->step_capacity) {
        size_t more = run->step_capacity + 16;
        run->steps =
            arena_grow(run->mem, run->steps, run->step_capacity * sizeof *run->steps, more * sizeof *run->steps);
        run->step_capacity = more;
    }
    run->steps[run->step_count++] = step;
}

/* The work of the present step, and its time; names of steps are ours, and few. */
static Err do_work(Run *run, StepWork work, Transcode__V1__StepResult *out)
{
    static const double BOUNDS[] = {0.05, 0.2, 1, 5, 15, 60, 300, 1800, 7200, 36000};
    int64_t began_ms = clock_monotonic_ms(run->t->clock);
    Err e = work(run, out);
    char labels[128];

    snprintf(labels, sizeof labels, "kind=\"%s\",step=\"%s\",outcome=\"%s\"", kind_name(run->row.kind), run->step,
             err_failed(e) ? "failed" : "done");
    histogram_observe(metrics_histogram(run->t->metrics, "atrium_transcode_step_seconds",
                                        "Steps of jobs, by kind, step and outcome.", labels, BOUNDS, ARRAY_LEN(BOUNDS)),
                      (double)(clock_monotonic_ms(run->t->clock) - began_ms) / 1000);
    return e;
}

void run_count_child(void *transcode, const ChildSpec *spec, const ChildResult *result)
{
    static const double BOUNDS[] = {0.05, 0.2, 1, 5, 15, 60, 300, 1800, 7200, 36000, 86400};
    const Transcode *t = transcode;
    const char *program = spec->program == t->settings->ffmpeg    ? "ffmpeg"
                          : spec->program == t->settings->ffprobe ? "ffprobe"
                                                                  : "image";
    char labels[64];

    snprintf(labels, sizeof labels, "program=\"%s\"", program);
    histogram_observe(metrics_histogram(t->metrics, "atrium_transcode_child_cpu_seconds",
                                        "Processor time of children, by program.", labels, BOUNDS, ARRAY_LEN(BOUNDS)),
                      (double)result->cpu_ms / 1000);
}

Err run_step(Run *run, const char *name, double from, double to, StepWork work)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Transcode__V1__StepResult *result =
        MESSAGE_NEW(run->mem, Transcode__V1__StepResult, transcode__v1__step_result__init);
    StepRow row = {.name = name};

    for (size_t i = 0; i < run->step_count; i++)
        if (strcmp(run->steps[i].name, name) == 0)
            return OK;
    if (run_cancelled(run))
        return err_make(&JOB_CANCELLED, "cancelled");
    run->step = name;
    run->from = from;
    run->to = to;
    tell(run, from);
    TRY(do_work(run, work, result));
    row.result = message_pack(run->mem, &result->base);
    if (row.result.len > RESULT_MAX_BYTES)
        return err_make(&INTERNAL, "step %s made too much", name);
    TRY(db_tx_begin_with(run->t->db, STATEMENT_MS, &tx));
    TRY(store_insert_step(&tx, run->row.id, &row, clock_unix_us(run->t->clock)));
    TRY(db_tx_commit(&tx));
    remember(run, row);
    return OK;
}

/* Bytes of protobuf messages, one behind the other, are one message with the fields of all. */
static Err join(Arena *mem, const StepRow *steps, size_t count, Transcode__V1__StepResult **out)
{
    ProtobufCMessage *message;
    size_t bytes = 0, at = 0;
    char *all;

    for (size_t i = 0; i < count; i++)
        bytes += steps[i].result.len;
    all = arena_alloc_raw(mem, bytes + 1, 1);
    for (size_t i = 0; i < count; i++) {
        memcpy(all + at, steps[i].result.ptr, steps[i].result.len);
        at += steps[i].result.len;
    }
    TRY(message_unpack(mem, &transcode__v1__step_result__descriptor, slice_of(all, bytes), &message));
    *out = (Transcode__V1__StepResult *)message;
    return OK;
}

Err run_result(Run *run, Transcode__V1__StepResult **out)
{
    return join(run->mem, run->steps, run->step_count, out);
}

Err run_all_results(Run *run, Transcode__V1__StepResult **out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    StepRow *steps;
    size_t count;

    TRY(db_tx_begin_with(run->t->db, STATEMENT_MS, &tx));
    TRY(store_steps_of_media(&tx, run->mem, run->row.media_id, run->row.generation, &steps, &count));
    return join(run->mem, steps, count, out);
}

/* --- the original ------------------------------------------------------------------------------------------------ */
/* Without a copy where the store has files. */
static Err open_original(Run *run)
{
    Err e = blob_reader_new(run->t->blob, run->row.source_key, &run->reader);
    const char *path = run_path(run, "original");

    if (e.reason == &NOT_FOUND)
        return err_make(&INPUT_MISSING, "the uploaded file is not there any more");
    TRY(e);
    if (blob_reader_fd(run->reader) >= 0) {
        run->input_fd = fcntl(blob_reader_fd(run->reader), F_DUPFD_CLOEXEC, 3);
    } else {
        TRY(blob_get_file(run->t->blob, run->row.source_key, path, NULL));
        run->input_fd = open(path, O_RDONLY | O_CLOEXEC);
        /* Nameless: it goes with the last who has it open. */
        if (unlink(path) != 0)
            return err_errno(&INTERNAL, "unlink");
    }
    return run->input_fd < 0 ? err_errno(&UNAVAILABLE, "open the original") : OK;
}

Err run_open_input(Run *run)
{
    char head[SNIFF_BYTES];
    ssize_t got;

    if (run->input_fd >= 0)
        return OK;
    TRY(open_original(run));
    got = pread(run->input_fd, head, sizeof head, 0);
    if (got < 0)
        return err_errno(&UNAVAILABLE, "read the original");
    if (got == 0)
        return err_make(&INPUT_UNSUPPORTED, "the file is empty");
    run->mime_type = sniff(slice_of(head, (size_t)got), &run->class);
    return OK;
}

Err run_probe(Run *run)
{
    const TranscodeSettings *s = run->t->settings;

    TRY(run_open_input(run));
    return probe_run(&(ProbeTool){.children = &run->t->children,
                                  .ffprobe = s->ffprobe,
                                  .dir = run->dir,
                                  .max_pixels = s->max_pixels,
                                  .max_duration_ms = s->max_duration_ms,
                                  .cancelled = run_cancelled,
                                  .data = run},
                     run->mem, run->input_fd, &run->probe);
}

/* --- ffmpeg ------------------------------------------------------------------------------------------------------ */
typedef struct Watch {
    Run *run;
    double duration_s;
} Watch;

static bool watch_cancelled(void *data)
{
    return run_cancelled(((Watch *)data)->run);
}

/* Of -progress: lines name=value; out_time_ms is in microseconds, too, so the other one is taken. */
static void watch_line(void *data, Slice line)
{
    Watch *watch = data;
    int64_t out_us;

    if (watch->duration_s > 0 && slice_starts_with(line, SLICE_LIT("out_time_us=")) &&
        slice_to_int64(slice_skip(line, sizeof "out_time_us=" - 1), &out_us) && out_us > 0)
        run_progress(watch->run, (double)out_us / 1e6 / watch->duration_s);
}

Err run_ffmpeg(Run *run, const char *const *args, double duration_s, const char *what, ChildResult *out)
{
    static const char *const BEGIN[] = {"-hide_banner", "-nostdin", "-nostats",      "-y", "-loglevel", "error",
                                        "-progress",    "pipe:1",   "-stats_period", "0.5"};
    const char *all[CHILD_ARGS_MAX];
    Watch watch = {run, duration_s};
    ChildResult result;
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(BEGIN); i++)
        all[count++] = BEGIN[i];
    for (size_t i = 0; args[i]; i++) {
        if (count == ARGS_MAX)
            return err_make(&INTERNAL, "too many arguments for ffmpeg");
        all[count++] = args[i];
    }
    all[count] = NULL;
    TRY(child_run(&run->t->children, run->mem,
                  &(ChildSpec){.program = run->t->settings->ffmpeg,
                               .args = all,
                               .dir = run->dir,
                               .input_fd = run->input_fd,
                               .nice = run->nice,
                               .line = watch_line,
                               .cancelled = watch_cancelled,
                               .data = &watch},
                  &result));
    if (result.end != CHILD_EXITED || result.status != 0)
        LOG_INFO(run->t->log, "ffmpeg_failed", "what", what, "end", (int)result.end, "status", result.status, "errors",
                 result.errors);
    if (out)
        *out = result;
    return child_verdict(&result, what);
}

/* --- results ----------------------------------------------------------------------------------------------------- */
static const char *derived_key(Arena *mem, const JobRow *row, const char *name)
{
    return arena_printf(mem, "derived/%s/%" PRId64 "/%s", uuid_text(mem, row->media_id), row->generation, name);
}

static void list_asset(Run *run, const NewAsset *a, const char *key, const BlobInfo *info,
                       Transcode__V1__StepResult *result)
{
    Transcode__V1__Asset *asset = MESSAGE_NEW(run->mem, Transcode__V1__Asset, transcode__v1__asset__init);
    size_t n = result->n_assets;

    SET(asset, kind, a->kind);
    asset->name = arena_strdup(run->mem, a->name);
    asset->key = arena_strdup(run->mem, key);
    asset->content_type = arena_strdup(run->mem, a->content_type);
    SET(asset, size_bytes, (int64_t)info->size_bytes);
    if (a->width > 0) {
        SET(asset, width, a->width);
        SET(asset, height, a->height);
    }
    asset->codecs = arena_strdup(run->mem, a->codecs);
    asset->language = arena_strdup(run->mem, a->language);
    if (a->kind == TRANSCODE__V1__ASSET_KIND__CAPTIONS) {
        SET(asset, is_default, a->is_default);
        SET(asset, is_forced, a->is_forced);
    }
    result->assets = arena_grow(run->mem, result->assets, n * sizeof(void *), (n + 1) * sizeof(void *));
    result->assets[result->n_assets++] = asset;
}

Err run_put_file(Run *run, const NewAsset *asset, const char *file, Transcode__V1__StepResult *result)
{
    const char *key = derived_key(run->mem, &run->row, asset->name);
    BlobInfo info;

    TRY(blob_put_file(run->t->blob, &(BlobPut){.key = key, .content_type = asset->content_type, .length = BLOB_UNKNOWN},
                      run_path(run, file), &info));
    list_asset(run, asset, key, &info, result);
    return OK;
}

Err run_put_bytes(Run *run, const NewAsset *asset, Slice bytes, Transcode__V1__StepResult *result)
{
    const char *key = derived_key(run->mem, &run->row, asset->name);
    BlobInfo info;

    TRY(blob_put_bytes(run->t->blob, &(BlobPut){.key = key, .content_type = asset->content_type}, bytes, &info));
    list_asset(run, asset, key, &info, result);
    return OK;
}

void run_add_rendition(Run *run, Transcode__V1__StepResult *result, Transcode__V1__Rendition *rendition)
{
    size_t n = result->n_renditions;

    result->renditions = arena_grow(run->mem, result->renditions, n * sizeof(void *), (n + 1) * sizeof(void *));
    result->renditions[result->n_renditions++] = rendition;
}

void run_warn(Run *run, Transcode__V1__StepResult *result, const char *format, ...)
{
    size_t n = result->n_warnings;
    char text[200];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    result->warnings = arena_grow(run->mem, result->warnings, n * sizeof(char *), (n + 1) * sizeof(char *));
    result->warnings[result->n_warnings++] = arena_strdup(run->mem, text);
}

/* Two jobs of one item may do this at a time: the lock lets the later one see what the earlier one has. It is held
 * while a few hundred bytes are written, and nobody else takes it. */
Err run_put_master(Run *run, Transcode__V1__StepResult *result)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Transcode__V1__StepResult *all;
    char id[UUID_TEXT_BYTES];
    StepRow *steps;
    size_t count;
    Slice text;

    uuid_format(run->row.media_id, id);
    TRY(db_tx_begin_with(run->t->db, STATEMENT_MS * 3, &tx));
    TRY(db_lock(&tx, "master", slice(id)));
    TRY(store_steps_of_media(&tx, run->mem, run->row.media_id, run->row.generation, &steps, &count));
    TRY(join(run->mem, steps, count, &all));
    TRY(hls_master(run->mem, all->renditions, all->n_renditions, &text));
    TRY(run_put_bytes(run,
                      &(NewAsset){.kind = TRANSCODE__V1__ASSET_KIND__HLS_MASTER,
                                  .name = "hls/master.m3u8",
                                  .content_type = "application/vnd.apple.mpegurl"},
                      text, result));
    return db_tx_commit(&tx);
}

/* --- an attempt's begin and end ---------------------------------------------------------------------------------- */
static Err begin(Run *run, Uuid id, bool *out_wanted)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t now_us = clock_unix_us(run->t->clock);
    OutboxRow started;

    TRY(db_tx_begin_with(run->t->db, STATEMENT_MS, &tx));
    TRY(store_begin_attempt(&tx, run->mem, id, now_us, &run->row));
    *out_wanted = run->row.attempt > 0;
    if (!*out_wanted)
        return OK; /* done, cancelled or unknown: a message that came twice */
    started = job_started_event(run->mem, run->t->ids, &run->row, now_us);
    if (run->row.attempts_left >= 0)
        TRY(outbox_insert(&tx, &started, false));
    TRY(db_tx_commit(&tx));
    outbox_nudge(run->t->outbox);
    return store_steps(run->t->db, run->mem, id, STATEMENT_MS, &run->steps, &run->step_count);
}

static Err add_following(Run *run, DbTx *tx, const int *kinds, size_t count, int64_t now_us)
{
    for (size_t i = 0; i < count; i++) {
        JobRow next = run->row;
        OutboxRow message;
        bool is_new;

        next.id = uuid_v7(run->t->ids);
        next.kind = kinds[i];
        next.attempts_left = (int)run->t->settings->attempts;
        message = job_message(run->mem, run->t->ids, &next);
        TRY(store_insert_job(tx, &next, now_us, &is_new));
        if (is_new)
            TRY(outbox_insert(tx, &message, false));
    }
    return OK;
}

static Err end_well(Run *run, const int *following, size_t following_count)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t now_us = clock_unix_us(run->t->clock);
    Transcode__V1__StepResult *result;
    OutboxRow finished;
    bool mine;

    TRY(run_result(run, &result));
    finished = job_finished_event(run->mem, run->t->ids, &run->row, result, following, following_count, now_us);
    TRY(db_tx_begin_with(run->t->db, STATEMENT_MS, &tx));
    TRY(store_end_attempt(&tx, &run->row, "done", NULL, NULL, now_us, &mine));
    if (!mine)
        return OK; /* cancelled meanwhile, or overtaken */
    TRY(outbox_insert(&tx, &finished, true));
    TRY(add_following(run, &tx, following, following_count, now_us));
    TRY(db_tx_commit(&tx));
    outbox_nudge(run->t->outbox);
    return OK;
}

/* The input's fault, or a limit's: the same again fails the same way. */
static bool is_permanent(const Reason *r)
{
    return r == &INPUT_UNSUPPORTED || r == &INPUT_TRUNCATED || r == &INPUT_DAMAGED || r == &INPUT_TOO_LARGE ||
           r == &INPUT_MISSING || r == &CHILD_OUT_OF_BOUNDS;
}

static Err release(Run *run)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin_with(run->t->db, STATEMENT_MS, &tx));
    TRY(store_release_attempt(&tx, &run->row));
    TRY(db_tx_commit(&tx));
    return err_make(&UNAVAILABLE, "the service stops");
}

/* OK: it is over. A failure: it comes again. */
static Err end_badly(Run *run, Err why)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    bool permanent = is_permanent(why.reason), final = permanent || run->row.attempts_left <= 0, mine;
    const char *code = permanent ? why.reason->code : "internal";
    const char *text = permanent ? why.text : "processing failed for reasons of ours";
    int64_t now_us = clock_unix_us(run->t->clock);
    OutboxRow failed = job_failed_event(run->mem, run->t->ids, &run->row, code, text, final, !permanent, now_us);

    LOG_WARN(run->t->log, "job_failed", "job", (const char *)uuid_text(run->mem, run->row.id), "attempt",
             run->row.attempt, "final", final, "step", run->step ? run->step : "", "reason", why.reason->key, "error",
             (const char *)why.text);
    TRY(db_tx_begin_with(run->t->db, STATEMENT_MS, &tx));
    TRY(store_end_attempt(&tx, &run->row,
                          permanent ? "failed"
                          : final   ? "dead"
                                    : "queued",
                          code, why.text, now_us, &mine));
    if (!mine)
        return OK;
    TRY(outbox_insert(&tx, &failed, true));
    TRY(db_tx_commit(&tx));
    outbox_nudge(run->t->outbox);
    if (permanent)
        run_remove_outputs(run->t, run->mem, &run->row);
    return final ? OK : err_make(&UNAVAILABLE, "%s", why.text);
}

static Err end_attempt(Run *run, Err e, const int *following, size_t following_count)
{
    if (!err_failed(e))
        return end_well(run, following, following_count);
    if (run->unwanted) {
        run_remove_outputs(run->t, run->mem, &run->row);
        return OK; /* who cancelled it has told of it */
    }
    if (e.reason == &JOB_CANCELLED)
        return release(run);
    return end_badly(run, e);
}

/* --- files ------------------------------------------------------------------------------------------------------- */
static void remove_folder(const Transcode *t, const char *dir)
{
    if (!workshop_remove(dir))
        LOG_WARN(t->log, "folder_stays", "error", (const char *)strerror(errno));
}

/* Objects that a finished event told of are media's; of a job that did not finish nobody has heard. Other jobs of the
 * generation may have told of theirs, so each is deleted by its name. */
void run_remove_outputs(const Transcode *t, Arena *mem, const JobRow *job)
{
    Transcode__V1__StepResult *made;
    StepRow *steps;
    size_t count;
    bool more = true;

    if (job->kind == TRANSCODE__V1__JOB_KIND__FIRST) {
        /* Nothing of this generation was told of yet. */
        for (int i = 0; more && i < REMOVE_ROUNDS; i++)
            if (err_failed(blob_delete_prefix(t->blob, derived_key(mem, job, ""), REMOVE_AT_ONCE, &more)))
                break;
        return;
    }
    if (err_failed(store_steps(t->db, mem, job->id, STATEMENT_MS, &steps, &count)) ||
        err_failed(join(mem, steps, count, &made)))
        return;
    for (size_t i = 0; i < made->n_assets; i++)
        if (made->assets[i]->kind != TRANSCODE__V1__ASSET_KIND__HLS_MASTER)
            err_ignore(blob_delete(t->blob, made->assets[i]->key)); /* the next sweep of media finds it */
}

/* --- all of it --------------------------------------------------------------------------------------------------- */
static Err work(Run *run, int *following, size_t *following_count)
{
    if (run->row.attempts_left < 0)
        return err_make(&WORKER_TROUBLE, "workers vanished while at it");
    if (mkdir(run->dir, 0700) != 0)
        return err_errno(&WORKER_TROUBLE, "make a folder");
    switch (run->row.kind) {
    case TRANSCODE__V1__JOB_KIND__FIRST:
        return first_work(run, following, following_count);
    case TRANSCODE__V1__JOB_KIND__RENDITIONS:
        return renditions_work(run);
    case TRANSCODE__V1__JOB_KIND__EXTRAS:
        return extras_work(run);
    default:
        return err_make(&INTERNAL, "a job of a kind that nobody knows");
    }
}

static void count_job(const Run *run, Err e, int64_t began_ms)
{
    static const double BOUNDS[] = {0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200, 36000};
    char labels[96];

    snprintf(labels, sizeof labels, "kind=\"%s\",outcome=\"%s\"", kind_name(run->row.kind),
             !err_failed(e)           ? "done"
             : is_permanent(e.reason) ? "refused"
             : run->unwanted          ? "cancelled"
                                      : "failed");
    histogram_observe(metrics_histogram(run->t->metrics, "atrium_transcode_job_seconds",
                                        "Attempts at jobs, by kind and outcome.", labels, BOUNDS, ARRAY_LEN(BOUNDS)),
                      (double)(clock_monotonic_ms(run->t->clock) - began_ms) / 1000);
}

Err run_job(Job *job)
{
    const Transcode *t = job->context;
    const Transcode__V1__TranscodeJob *body = (const Transcode__V1__TranscodeJob *)job->body;
    Run run = {.t = t, .mem = job->mem, .job = job, .input_fd = -1, .mime_type = "", .told_ms = INT64_MIN / 2};
    int64_t began_ms = clock_monotonic_ms(t->clock);
    int following[FOLLOWING_MAX];
    size_t following_count = 0;
    bool wanted;
    Uuid id;
    Err e;

    if (!uuid_parse(slice(body->job_id), &id))
        return err_make(&INVALID_BODY, "a job without an id");
    TRY(begin(&run, id, &wanted));
    if (!wanted)
        return OK;
    run.step_capacity = run.step_count;
    run.checked_ms = began_ms;
    run.nice = run.row.kind == TRANSCODE__V1__JOB_KIND__FIRST ? 0 : NICE_LATER;
    run.dir = arena_printf(job->mem, "%s/%s.%d", t->work_dir, uuid_text(job->mem, id), run.row.attempt);
    e = work(&run, following, &following_count);
    if (run.input_fd >= 0)
        close(run.input_fd);
    blob_reader_free(run.reader);
    remove_folder(t, run.dir);
    count_job(&run, e, began_ms);
    return end_attempt(&run, e, following, following_count);
}
