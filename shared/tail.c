/* tail: see tail.h. */
#include "shared/tail.h"

#include <pthread.h>
#include <stdatomic.h>

#include "atrium/reasons.atrium.h"

enum {
    POLL_MS = 50,           /* how soon a lost connection or the end is noticed */
    CONFIRM_MS = 500,       /* how often the server is asked how far it is, when there is nothing else to do */
    CONFIRM_BUSY_MS = 1500, /* and while messages come, which wait meanwhile */
    RETRY_MS = 250,         /* between two tries to read the stream */
    LOG_EVERY_MS = 10000    /* while that fails */
};

struct Tail {
    TailOptions options;
    pthread_mutex_t lock; /* guards `statistics` */
    natsStatistics *statistics;
    pthread_t thread;
    atomic_bool stopping, caught_up;
    atomic_uint_fast64_t reconnects; /* as they were when `caught_up` became true */
    _Atomic int64_t confirmed_ms;    /* all that was published by then has been taken */
    uint64_t next_sequence;          /* where to read on; 0: from the beginning */
    int64_t stream_created, logged_ms;
};

static uint64_t count_reconnects(Tail *t)
{
    uint64_t reconnects = 0;

    pthread_mutex_lock(&t->lock);
    if (natsConnection_GetStats(bus_nats(t->options.bus), t->statistics) == NATS_OK)
        (void)natsStatistics_GetCounts(t->statistics, NULL, NULL, NULL, NULL, &reconnects);
    pthread_mutex_unlock(&t->lock);
    return reconnects;
}

/* A connection that was lost and found again may have missed something, however short that was. One that seems to be
 * there may be cut off, or we were stopped ourselves: only what the server confirmed lately counts. */
bool tail_current(Tail *t)
{
    return atomic_load(&t->caught_up) && bus_connected(t->options.bus) &&
           count_reconnects(t) == atomic_load(&t->reconnects) &&
           clock_monotonic_ms(t->options.clock) - t->confirmed_ms <= TAIL_FRESH_MS;
}

/* False: some before it are missing. Nothing is acknowledged, so what was dropped on its way does not come again by
 * itself. */
static bool take_message(Tail *t, natsMsg *msg, uint64_t *consumer_sequence)
{
    const char *subject = natsMsg_GetSubject(msg), *dot = strrchr(subject, '.');
    jsMsgMetaData *meta = NULL;
    bool next;

    if (natsMsg_GetMetaData(&meta, msg) != NATS_OK)
        return true; /* no message of the stream */
    next = meta->Sequence.Consumer == *consumer_sequence + 1;
    if (next) {
        *consumer_sequence = meta->Sequence.Consumer;
        t->next_sequence = meta->Sequence.Stream + 1;
        if (dot)
            t->options.take(t->options.data,
                            &(TailMessage){.subject = subject,
                                           .key = dot + 1,
                                           .sequence = meta->Sequence.Stream,
                                           .at_unix_ms = meta->Timestamp / 1000000,
                                           .body = slice_of(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg))});
    }
    jsMsgMetaData_Destroy(meta);
    return next;
}

/* How far the server was: who has taken this many messages knew all that it knew when it was asked. */
typedef struct Mark {
    uint64_t sequence;
    int64_t asked_ms; /* 0: not asked yet */
    bool known, gone; /* gone: the server forgot the consumer, or the stream */
} Mark;

static void ask_mark(natsSubscription *sub, Mark *mark)
{
    jsConsumerInfo *info = NULL;
    jsErrCode code = 0;
    natsStatus s = natsSubscription_GetConsumerInfo(&info, sub, NULL, &code);

    mark->known = s == NATS_OK;
    mark->gone = s == NATS_NOT_FOUND;
    if (mark->known)
        mark->sequence = info->Delivered.Consumer + info->NumPending;
    jsConsumerInfo_Destroy(info);
}

/* A stream that was made anew counts from 1 again; one that was restored from an older state gives out numbers anew. */
static natsStatus look_at_stream(Tail *t, jsCtx *js)
{
    jsStreamInfo *info = NULL;
    jsErrCode code = 0;
    natsStatus s = js_GetStreamInfo(&info, js, t->options.stream, NULL, &code);

    if (s == NATS_OK && (info->Created != t->stream_created || info->State.LastSeq + 1 < t->next_sequence)) {
        t->stream_created = info->Created;
        t->next_sequence = 0;
        if (t->options.begin)
            t->options.begin(t->options.data, &(TailBegin){.epoch = info->Created, .last = info->State.LastSeq});
    }
    jsStreamInfo_Destroy(info);
    return s;
}

/* A plain consumer that we watch ourselves. The ordered one of cnats 3.4 makes itself anew in a thread of its own when
 * heartbeats are missed, and that thread may use the subscription after it was destroyed. */
static natsStatus subscribe(Tail *t, natsSubscription **out)
{
    jsCtx *js = bus_jetstream(t->options.bus);
    jsSubOptions options;
    jsErrCode code = 0;
    natsStatus s = look_at_stream(t, js);

    if (s != NATS_OK)
        return s;
    jsSubOptions_Init(&options);
    options.Stream = t->options.stream;
    options.Config.AckPolicy = js_AckNone;
    options.Config.MemoryStorage = true;
    options.Config.Replicas = 1;
    if (t->next_sequence) {
        options.Config.DeliverPolicy = js_DeliverByStartSequence;
        options.Config.OptStartSeq = t->next_sequence;
    } else if (t->options.back_ms) {
        options.Config.DeliverPolicy = js_DeliverByStartTime;
        options.Config.OptStartTime = (clock_unix_ms(t->options.clock) - t->options.back_ms) * 1000000;
    }
    return js_SubscribeSync(out, js, t->options.subject, NULL, &options, &code);
}

static void set_caught_up(Tail *t, bool caught_up)
{
    if (atomic_exchange(&t->caught_up, caught_up) != caught_up)
        LOG_INFO(t->options.log, caught_up ? "tail_current" : "tail_behind", "of", t->options.name);
}

/* Until the connection changes or something fails. */
static void follow(Tail *t, natsSubscription *sub, uint64_t reconnects)
{
    uint64_t consumer_sequence = 0;
    Mark mark = {.asked_ms = 0};
    bool idle = false, next = true;

    while (next && !atomic_load(&t->stopping) && count_reconnects(t) == reconnects && bus_connected(t->options.bus)) {
        natsMsg *msg = NULL;
        natsStatus s;
        int64_t now_ms = clock_monotonic_ms(t->options.clock);

        if (mark.asked_ms == 0 || now_ms - mark.asked_ms >= (idle ? CONFIRM_MS : CONFIRM_BUSY_MS)) {
            ask_mark(sub, &mark);
            mark.asked_ms = now_ms; /* before it was asked: what came since may be missing */
        }
        if (mark.gone)
            break;
        if (mark.known && consumer_sequence >= mark.sequence) {
            if (!atomic_load(&t->caught_up) && t->options.caught_up)
                t->options.caught_up(t->options.data);
            t->confirmed_ms = mark.asked_ms;
            atomic_store(&t->reconnects, reconnects);
            set_caught_up(t, true);
        }
        s = natsSubscription_NextMsg(&msg, sub, POLL_MS);
        idle = s == NATS_TIMEOUT;
        if (s == NATS_OK ? !take_message(t, msg, &consumer_sequence) : s != NATS_TIMEOUT)
            next = false;
        natsMsg_Destroy(msg);
    }
}

static void log_failure(Tail *t, natsStatus s)
{
    int64_t now_ms = clock_monotonic_ms(t->options.clock);

    if (t->logged_ms && now_ms - t->logged_ms < LOG_EVERY_MS)
        return;
    t->logged_ms = now_ms;
    LOG_WARN(t->options.log, "tail_unreadable", "of", t->options.name, "stream", t->options.stream, "error",
             s == NATS_NOT_FOUND ? "no such stream: was `atrium bus setup` run?" : natsStatus_GetText(s));
}

static void *run(void *data)
{
    Tail *t = data;

    while (!atomic_load(&t->stopping)) {
        natsSubscription *sub = NULL;
        uint64_t reconnects = count_reconnects(t);
        natsStatus s = bus_connected(t->options.bus) ? subscribe(t, &sub) : NATS_CONNECTION_CLOSED;

        if (s == NATS_OK) {
            follow(t, sub, reconnects);
            (void)natsSubscription_Unsubscribe(sub); /* fails when the connection is gone: so is the consumer, soon */
        } else if (s != NATS_CONNECTION_CLOSED) {
            log_failure(t, s);
        }
        natsSubscription_Destroy(sub);
        set_caught_up(t, false);
        if (!atomic_load(&t->stopping) && s != NATS_OK)
            nats_Sleep(RETRY_MS);
    }
    return NULL;
}

/* --- start and stop ---------------------------------------------------------------------------------------------- */
Err tail_start(const TailOptions *options, Tail **out)
{
    Tail *t = xcalloc(1, sizeof(*t));

    t->options = *options;
    pthread_mutex_init(&t->lock, NULL);
    if (natsStatistics_Create(&t->statistics) != NATS_OK)
        abort(); /* out of memory */
    if (pthread_create(&t->thread, NULL, run, t) != 0) {
        t->options.bus = NULL;
        tail_stop(t);
        return err_make(&INTERNAL, "the thread for %s could not be started", options->name);
    }
    *out = t;
    return OK;
}

void tail_stop(Tail *t)
{
    if (!t)
        return;
    if (t->options.bus) {
        atomic_store(&t->stopping, true);
        pthread_join(t->thread, NULL);
    }
    natsStatistics_Destroy(t->statistics);
    pthread_mutex_destroy(&t->lock);
    free(t);
}
