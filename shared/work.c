/* work: see the header. */
#include "shared/work.h"

#include <ctype.h>
#include <pthread.h>

#include "atrium/reasons.atrium.h"
#include "shared/clock.h"
#include "shared/id.h"
#include "shared/streams.h"

enum {
    ACK_WAIT_MS = 30000,
    IN_PROGRESS_PER_WAIT = 3, /* while a worker works it says so, this often */
    QUIET_FETCHES = 4,        /* in vain, until the consumer is looked for */
    FETCH_MS = 500,           /* also how long a stop waits for an idle thread */
    PASSIVE_MS = 200,         /* disconnected, or the other slot is the active one */
    SETUP_RETRY_MS = 500,
    REFUSED_DELAY_MS = 1000, /* a dead letter could not be stored */
    BACKOFF_MAX_MS = 3600000,
    REPLY_MAX_BYTES = 256,
    ERROR_MAX_BYTES = 200
};
#define MS_NS INT64_C(1000000)

typedef struct Worker {
    Work *work;
    natsSubscription *sub;
    Arena *mem;
    bool complained; /* about the consumer that cannot be made; once */
    int quiet;       /* fetches in vain, one after the other */
    /* Reply subjects of what it holds, "" when free; guarded by Work.lock. */
    char (*held)[REPLY_MAX_BYTES];
} Worker;

struct Work {
    WorkOptions options;
    char stream[WORK_NAME_BYTES], durable[WORK_NAME_BYTES], filter[128], dead_subject[192],
        dead_domain[WORK_NAME_BYTES];
    Worker *workers;
    pthread_t *threads, ticker;
    Counter *done, *retried, *dead; /* NULL without metrics */
    atomic_bool stop;

    pthread_mutex_t lock; /* guards `running` and what workers hold */
    pthread_cond_t wake;
    int running; /* threads */
};

static int64_t now_ms(void)
{
    return clock_monotonic_ms(&SYSTEM_CLOCK);
}

/* Waits until `stop`, `ms` at most. */
static void pause_for(Work *w, int64_t ms)
{
    int64_t until_ms = now_ms() + ms;
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};

    pthread_mutex_lock(&w->lock);
    while (!w->stop && now_ms() < until_ms)
        pthread_cond_timedwait(&w->wake, &w->lock, &until);
    pthread_mutex_unlock(&w->lock);
}

/* --- what jobs share -------------------------------------------------------------------------------------------------
 */
Err work_publish(Bus *bus, natsMsg *msg)
{
    jsErrCode code = 0;
    natsStatus status;

    if (!bus_connected(bus))
        return err_make(&UNAVAILABLE, "publish: the bus is away");
    status = js_PublishMsg(NULL, bus_jetstream(bus), msg, NULL, &code);
    if (status == NATS_ERR || status == NATS_TIMEOUT)
        return err_make(&UNAVAILABLE, "publish: the stream did not take it (%d)", (int)code);
    return bus_err(status, "publish");
}

Err work_copy_headers(natsMsg *from, natsMsg *to)
{
    const char **names = NULL;
    int count = 0;
    natsStatus status = natsMsgHeader_Keys(from, &names, &count);

    if (status == NATS_NOT_FOUND)
        return OK;
    for (int i = 0; i < count && status == NATS_OK; i++) {
        const char *value = bus_header(from, names[i]);
        if (value && strncmp(names[i], "Nats-", 5) != 0 && strncmp(names[i], "Atrium-Dead-", 12) != 0)
            status = natsMsgHeader_Set(to, names[i], value);
    }
    free((void *)names);
    return bus_err(status, "headers");
}

/* --- dead letters ------------------------------------------------------------------------------------------------ */
/* A header is one line. */
static void one_line(const char *text, char out[ERROR_MAX_BYTES])
{
    snprintf(out, ERROR_MAX_BYTES, "%s", text);
    for (size_t i = 0; out[i]; i++)
        if ((unsigned char)out[i] < ' ')
            out[i] = ' ';
}

static Err add_dead_headers(Work *w, const WorkItem *item, Err why, natsMsg *letter)
{
    char text[ERROR_MAX_BYTES], error[ERROR_MAX_BYTES], sequence[24], deliveries[16], when[TIME_TEXT_BYTES],
        unique[256];
    const char *id = bus_header(item->msg, "Atrium-Job-Id");
    const struct {
        const char *name, *value;
    } headers[] = {{"Atrium-Dead-Id", id ? id : bus_header(item->msg, "Nats-Msg-Id")},
                   {"Atrium-Dead-Type", w->options.dead_name},
                   {"Atrium-Dead-Subject", item->subject},
                   {"Atrium-Dead-Stream", w->stream},
                   {"Atrium-Dead-Sequence", sequence},
                   {"Atrium-Dead-Error", error},
                   {"Atrium-Dead-Deliveries", deliveries},
                   {"Atrium-Dead-Time", when},
                   /* Were the worker to die right now, the same letter would be written again: once is enough. */
                   {"Nats-Msg-Id", unique}};
    natsStatus status = NATS_OK;

    snprintf(text, sizeof text, "%s: %s", why.reason->key, why.text);
    one_line(text, error);
    snprintf(sequence, sizeof sequence, "%" PRIu64, item->stream_sequence);
    snprintf(deliveries, sizeof deliveries, "%d", item->delivery);
    snprintf(unique, sizeof unique, "%s.%s.%" PRIu64 ".%" PRId64, w->durable, w->stream, item->stream_sequence,
             item->stored_us);
    time_format(clock_unix_us(&SYSTEM_CLOCK), 3, when);
    TRY(work_copy_headers(item->msg, letter));
    for (size_t i = 0; i < ARRAY_LEN(headers) && status == NATS_OK; i++)
        if (headers[i].value)
            status = natsMsgHeader_Set(letter, headers[i].name, headers[i].value);
    return bus_err(status, "headers of a dead letter");
}

static Err write_dead_letter(Work *w, const WorkItem *item, Err why)
{
    natsMsg *letter = NULL;
    Err e = bus_err(natsMsg_Create(&letter, w->dead_subject, NULL, item->body.ptr, (int)item->body.len), "dead letter");

    if (!err_failed(e))
        e = add_dead_headers(w, item, why, letter);
    if (!err_failed(e))
        e = work_publish(w->options.bus, letter);
    natsMsg_Destroy(letter);
    return e;
}

/* --- one message ------------------------------------------------------------------------------------------------- */
static void count(Counter *c)
{
    if (c)
        counter_add(c, 1);
}

static int64_t backoff_ms(const Work *w, int delivery)
{
    int64_t ms = MAX(w->options.backoff_ms, 1);

    for (int i = 1; i < delivery && ms < BACKOFF_MAX_MS; i++)
        ms *= 2;
    ms = MIN(ms, BACKOFF_MAX_MS);
    return ms +
           (int64_t)(random_uint64() % (uint64_t)(ms / 5 + 1)); /* so that what failed together does not return so */
}

/* An answer that is lost makes the message come again: handlers are idempotent. */
static void answer(Work *w, natsStatus status, const char *what)
{
    if (status != NATS_OK)
        LOG_INFO(w->options.log, "work_answer_lost", "consumer", (const char *)w->durable, "answer", what, "status",
                 natsStatus_GetText(status));
}

static void bury(Work *w, const WorkItem *item, Err why)
{
    Err e = write_dead_letter(w, item, why);

    if (err_failed(e)) {
        LOG_ERROR(w->options.log, "dead_letter_failed", "consumer", (const char *)w->durable, "error",
                  (const char *)e.text);
        answer(w, natsMsg_NakWithDelay(item->msg, REFUSED_DELAY_MS, NULL), "nak");
        return;
    }
    LOG_ERROR(w->options.log, "dead_letter", "consumer", (const char *)w->durable, "sequence", item->stream_sequence,
              "deliveries", item->delivery, "error", (const char *)why.text);
    count(w->dead);
    answer(w, natsMsg_Term(item->msg, NULL), "term");
}

static void work_on(Work *w, Arena *mem, const WorkItem *item)
{
    Err e;

    if (item->delivery > w->options.max_deliveries) {
        bury(w, item, err_make(&INTERNAL, "its worker did not survive it"));
        return;
    }
    e = w->options.handle(w->options.context, mem, item);
    if (!err_failed(e)) {
        count(w->done);
        answer(w, natsMsg_Ack(item->msg, NULL), "ack");
    } else if (item->delivery == w->options.max_deliveries || !(w->options.retry_all || e.reason->retry)) {
        bury(w, item, e);
    } else {
        int64_t ms = backoff_ms(w, item->delivery);
        count(w->retried);
        LOG_WARN(w->options.log, "work_failed", "consumer", (const char *)w->durable, "sequence", item->stream_sequence,
                 "delivery", item->delivery, "retry_ms", ms, "error", (const char *)e.text);
        answer(w, natsMsg_NakWithDelay(item->msg, ms, NULL), "nak");
    }
}

/* --- threads ----------------------------------------------------------------------------------------------------- */
static void hold(Worker *worker, int index, const char *reply)
{
    pthread_mutex_lock(&worker->work->lock);
    snprintf(worker->held[index], REPLY_MAX_BYTES, "%s", reply ? reply : "");
    pthread_mutex_unlock(&worker->work->lock);
}

/* Returns everything it fetched: what is left at a stop goes back at once. */
static void work_on_list(Worker *worker, natsMsgList *list)
{
    Work *w = worker->work;

    for (int i = 0; i < list->Count; i++)
        hold(worker, i, natsMsg_GetReply(list->Msgs[i]));
    for (int i = 0; i < list->Count; i++) {
        natsMsg *msg = list->Msgs[i];
        jsMsgMetaData *meta = NULL;

        if (w->stop) {
            answer(w, natsMsg_Nak(msg, NULL), "nak");
        } else if (natsMsg_GetMetaData(&meta, msg) == NATS_OK) {
            const WorkItem item = {.subject = natsMsg_GetSubject(msg),
                                   .body = slice_of(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg)),
                                   .delivery = (int)MIN(meta->NumDelivered, INT32_MAX),
                                   .stream_sequence = meta->Sequence.Stream,
                                   .stored_us = meta->Timestamp / 1000,
                                   .msg = msg,
                                   .stop = &w->stop};
            work_on(w, worker->mem, &item);
            arena_reset(worker->mem);
        }
        jsMsgMetaData_Destroy(meta);
        hold(worker, i, NULL);
    }
}

/* Makes the consumer, or finds it made, and binds to it. */
static Err set_up(Worker *worker)
{
    Work *w = worker->work;
    jsCtx *js = bus_jetstream(w->options.bus);
    jsConsumerConfig config;
    jsSubOptions options;
    jsErrCode code = 0;

    TRY(stream_require(w->options.bus, STREAM_DEAD, w->dead_domain));
    if (w->options.ensure)
        TRY(w->options.ensure(w->options.context));
    jsConsumerConfig_Init(&config);
    config.Durable = w->durable;
    config.FilterSubject = w->filter;
    config.AckPolicy = js_AckExplicit;
    config.AckWait = w->options.ack_wait_ms * MS_NS;
    config.MaxDeliver = -1;
    TRY(bus_err(js_AddConsumer(NULL, js, w->stream, &config, NULL, &code), "make the consumer"));
    jsSubOptions_Init(&options);
    options.Stream = w->stream;
    options.Consumer = w->durable;
    return bus_err(js_PullSubscribe(&worker->sub, js, w->filter, w->durable, NULL, &options, &code), "bind to it");
}

static void drop_subscription(Worker *worker)
{
    natsSubscription_Destroy(worker->sub);
    worker->sub = NULL;
}

static bool ready(Worker *worker)
{
    Work *w = worker->work;
    Err e;

    if (!bus_connected(w->options.bus) || !bus_slot_active(w->options.bus)) {
        pause_for(w, PASSIVE_MS);
        return false;
    }
    if (worker->sub)
        return true;
    e = set_up(worker);
    if (err_failed(e)) {
        if (!worker->complained)
            LOG_WARN(w->options.log, "consumer_waits", "stream", (const char *)w->stream, "consumer",
                     (const char *)w->durable, "error", (const char *)e.text);
        worker->complained = true;
        pause_for(w, SETUP_RETRY_MS);
        return false;
    }
    worker->complained = false;
    return true;
}

/* A consumer that is deleted while nobody waits at it tells nobody, and later requests to it are not answered. */
static bool consumer_is_gone(Worker *worker)
{
    const Work *w = worker->work;
    jsConsumerInfo *info = NULL;
    jsErrCode code = 0;
    natsStatus status;

    if (++worker->quiet < QUIET_FETCHES)
        return false;
    worker->quiet = 0;
    status = js_GetConsumerInfo(&info, bus_jetstream(w->options.bus), w->stream, w->durable, NULL, &code);
    jsConsumerInfo_Destroy(info);
    return status == NATS_NOT_FOUND;
}

static void fetch(Worker *worker)
{
    Work *w = worker->work;
    natsMsgList list = {0};
    jsErrCode code = 0;
    natsStatus status = natsSubscription_Fetch(&list, worker->sub, w->options.batch, FETCH_MS, &code);

    if (status == NATS_OK) {
        worker->quiet = 0;
        work_on_list(worker, &list);
        natsMsgList_Destroy(&list);
    } else if (status != NATS_TIMEOUT || consumer_is_gone(worker)) {
        /* The consumer or its stream is gone, or the connection: made anew or found again. */
        LOG_INFO(w->options.log, "consumer_lost", "consumer", (const char *)w->durable, "status",
                 natsStatus_GetText(status));
        drop_subscription(worker);
        pause_for(w, SETUP_RETRY_MS);
    }
}

static void ended(Work *w)
{
    pthread_mutex_lock(&w->lock);
    w->running--;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

static void *run_worker(void *data)
{
    Worker *worker = data;

    while (!worker->work->stop)
        if (ready(worker))
            fetch(worker);
    drop_subscription(worker);
    ended(worker->work);
    return NULL;
}

/* What is being worked on is not to be delivered to another. Copied first: no lock is held across the bus. */
static void tell_in_progress(Work *w, char *reply)
{
    for (int i = 0; i < w->options.threads; i++)
        for (int j = 0; j < w->options.batch; j++) {
            pthread_mutex_lock(&w->lock);
            memcpy(reply, w->workers[i].held[j], REPLY_MAX_BYTES);
            pthread_mutex_unlock(&w->lock);
            if (reply[0]) /* lost: then it comes twice */
                (void)err_failed(bus_publish(w->options.bus, reply, NULL, NULL, 0, SLICE_LIT("+WPI")));
        }
}

/* Until the last worker has ended: while stopping, handlers may still run for long. */
static void *run_ticker(void *data)
{
    Work *w = data;
    char reply[REPLY_MAX_BYTES];
    bool alone = false;

    while (!alone) {
        int64_t until_ms = now_ms() + w->options.ack_wait_ms / IN_PROGRESS_PER_WAIT;
        const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};

        pthread_mutex_lock(&w->lock);
        while (w->running > 1 && now_ms() < until_ms)
            pthread_cond_timedwait(&w->wake, &w->lock, &until);
        alone = w->running == 1;
        pthread_mutex_unlock(&w->lock);
        if (!alone)
            tell_in_progress(w, reply);
    }
    ended(w);
    return NULL;
}

/* --- starting and stopping --------------------------------------------------------------------------------------- */
static void add_metrics(Work *w, Metrics *metrics)
{
    static const char NAME[] = "atrium_work_total", HELP[] = "Events and jobs worked on, by consumer and result.";
    char labels[WORK_NAME_BYTES + 48];

    snprintf(labels, sizeof labels, "consumer=\"%s\",result=\"done\"", w->durable);
    w->done = metrics_counter(metrics, NAME, HELP, labels);
    snprintf(labels, sizeof labels, "consumer=\"%s\",result=\"retry\"", w->durable);
    w->retried = metrics_counter(metrics, NAME, HELP, labels);
    snprintf(labels, sizeof labels, "consumer=\"%s\",result=\"dead\"", w->durable);
    w->dead = metrics_counter(metrics, NAME, HELP, labels);
}

static void copy_options(Work *w, const WorkOptions *o)
{
    w->options = *o;
    w->options.ack_wait_ms = o->ack_wait_ms > 0 ? o->ack_wait_ms : ACK_WAIT_MS;
    w->options.threads = MAX(o->threads, 1);
    w->options.batch = MAX(o->batch, 1);
    w->options.max_deliveries = MAX(o->max_deliveries, 1);
    w->options.dead_name = xstrdup(o->dead_name);
    snprintf(w->stream, sizeof w->stream, "%s", o->stream);
    snprintf(w->durable, sizeof w->durable, "%s", o->durable);
    snprintf(w->filter, sizeof w->filter, "%s", o->filter);
    snprintf(w->dead_domain, sizeof w->dead_domain, "%s", o->dead_domain);
    snprintf(w->dead_subject, sizeof w->dead_subject, "dead.%s.%s.%s", o->dead_domain, o->dead_kind, o->dead_name);
}

Work *work_start(const WorkOptions *options)
{
    Work *w = xcalloc(1, sizeof *w);
    pthread_condattr_t attributes;
    bool started = true;

    copy_options(w, options);
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    if (options->metrics)
        add_metrics(w, options->metrics);
    w->workers = xcalloc((size_t)w->options.threads, sizeof *w->workers);
    w->threads = xcalloc((size_t)w->options.threads, sizeof *w->threads);
    w->running = w->options.threads + 1;
    for (int i = 0; i < w->options.threads; i++) {
        w->workers[i].work = w;
        w->workers[i].mem = arena_new(16384);
        w->workers[i].held = xcalloc((size_t)w->options.batch, REPLY_MAX_BYTES);
    }
    for (int i = 0; i < w->options.threads; i++)
        started &= pthread_create(&w->threads[i], NULL, run_worker, &w->workers[i]) == 0;
    started &= pthread_create(&w->ticker, NULL, run_ticker, w) == 0;
    if (!started)
        abort(); /* no more threads: as good as no more memory */
    return w;
}

static void free_work(Work *w)
{
    for (int i = 0; i < w->options.threads; i++) {
        pthread_join(w->threads[i], NULL);
        arena_free(w->workers[i].mem);
        free(w->workers[i].held);
    }
    pthread_join(w->ticker, NULL);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w->workers);
    free(w->threads);
    free((char *)w->options.dead_name);
    free(w);
}

void work_tell_stop(Work *w)
{
    w->stop = true;
    pthread_mutex_lock(&w->lock);
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

bool work_stop(Work *w, int64_t timeout_ms)
{
    int64_t until_ms = now_ms() + timeout_ms;
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    bool all;

    if (!w)
        return true;
    work_tell_stop(w);
    pthread_mutex_lock(&w->lock);
    while (w->running > 0 && now_ms() < until_ms)
        pthread_cond_timedwait(&w->wake, &w->lock, &until);
    all = w->running == 0;
    pthread_mutex_unlock(&w->lock);
    if (all)
        free_work(w);
    else
        LOG_WARN(w->options.log, "work_abandoned", "consumer", (const char *)w->durable, "waited_ms", timeout_ms);
    return all;
}
