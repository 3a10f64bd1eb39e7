/* revocations: see revocations.h. */
#include "services/gateway/revocations.h"

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>

#include "atrium/reasons.atrium.h"
#include "services/gateway/identity_provider.h"
#include "shared/id.h"

enum {
    POLL_MS = 50,         /* how soon a lost connection or the end is noticed */
    CONFIRM_MS = 500,     /* how often the server is asked how far it is */
    RETRY_MS = 250,       /* between two tries to read the stream */
    LOG_EVERY_MS = 10000, /* while that fails */
    FIRST_CAPACITY = 1024
};

typedef struct Ended {
    LoginKey login;
    int64_t until_ms; /* 0 is a free place */
} Ended;

struct Revocations {
    RevocationsOptions options;
    pthread_mutex_t lock; /* guards the set and `statistics` */
    Ended *set;           /* open addressing, never more than half full */
    size_t capacity, count;
    natsStatistics *statistics;

    pthread_t thread;
    atomic_bool stopping, caught_up;
    atomic_uint_fast64_t reconnects; /* as they were when `caught_up` became true */
    _Atomic int64_t confirmed_ms;    /* all that had ended by then is known */
    uint64_t next_sequence;          /* where to read on; the tail's own */
    int64_t stream_created, logged_ms;
    Counter *dropped;
    Gauge *gauge;
};

/* --- the set ----------------------------------------------------------------------------------------------------- */
LoginKey login_key(Slice login_id)
{
    LoginKey key;
    Uuid uuid;

    if (uuid_parse(login_id, &uuid))
        memcpy(key.bytes, uuid.bytes, sizeof(key.bytes));
    else
        crypto_generichash(key.bytes, sizeof(key.bytes), (const unsigned char *)login_id.ptr, login_id.len, NULL, 0);
    return key;
}

/* Ids are random, and callers cannot choose them: their bytes are hash enough. */
static Ended *find_place(const Revocations *r, LoginKey login)
{
    size_t at;

    memcpy(&at, login.bytes + 8, sizeof(at));
    for (at &= r->capacity - 1; r->set[at].until_ms; at = (at + 1) & (r->capacity - 1))
        if (memcmp(&r->set[at].login, &login, sizeof(login)) == 0)
            break;
    return &r->set[at];
}

static int compare_until(const void *a, const void *b)
{
    const Ended *x = a, *y = b;

    return (x->until_ms < y->until_ms) - (x->until_ms > y->until_ms);
}

/* A new table with what still counts; when that is all that may be kept, without its oldest tenth. */
static void rebuild(Revocations *r)
{
    int64_t now_ms = clock_unix_ms(r->options.clock);
    Ended *live = xmalloc((r->count + 1) * sizeof(Ended));
    size_t count = 0, keep;

    for (size_t i = 0; i < r->capacity; i++)
        if (r->set[i].until_ms > now_ms)
            live[count++] = r->set[i];
    keep = count;
    if (count >= r->options.entries_max) {
        qsort(live, count, sizeof(Ended), compare_until); /* latest first */
        keep = r->options.entries_max - r->options.entries_max / 10;
        counter_add(r->dropped, count - keep);
    }
    while (r->capacity < keep * 4)
        r->capacity *= 2;
    free(r->set);
    r->set = xcalloc(r->capacity, sizeof(Ended));
    r->count = keep;
    for (size_t i = 0; i < keep; i++)
        *find_place(r, live[i].login) = live[i];
    free(live);
}

void revocations_add(Revocations *r, LoginKey login, int64_t until_unix_ms)
{
    Ended *place;

    if (until_unix_ms <= clock_unix_ms(r->options.clock))
        return;
    pthread_mutex_lock(&r->lock);
    if ((r->count + 1) * 2 > r->capacity || r->count >= r->options.entries_max)
        rebuild(r);
    place = find_place(r, login);
    if (!place->until_ms)
        r->count++;
    *place = (Ended){.login = login, .until_ms = MAX(place->until_ms, until_unix_ms)};
    gauge_set(r->gauge, (double)r->count);
    pthread_mutex_unlock(&r->lock);
}

bool revocations_has(Revocations *r, LoginKey login)
{
    bool has;

    pthread_mutex_lock(&r->lock);
    has = find_place(r, login)->until_ms > clock_unix_ms(r->options.clock);
    pthread_mutex_unlock(&r->lock);
    return has;
}

size_t revocations_count(Revocations *r)
{
    size_t count;

    pthread_mutex_lock(&r->lock);
    count = r->count;
    pthread_mutex_unlock(&r->lock);
    return count;
}

/* --- the tail ---------------------------------------------------------------------------------------------------- */
static uint64_t count_reconnects(Revocations *r)
{
    uint64_t reconnects = 0;

    pthread_mutex_lock(&r->lock);
    if (natsConnection_GetStats(bus_nats(r->options.bus), r->statistics) == NATS_OK)
        (void)natsStatistics_GetCounts(r->statistics, NULL, NULL, NULL, NULL, &reconnects);
    pthread_mutex_unlock(&r->lock);
    return reconnects;
}

/* A connection that was lost and found again may have missed something, however short that was. One that seems to be
 * there may be cut off, or we were stopped ourselves: only what the server confirmed lately counts. */
bool revocations_ready(Revocations *r)
{
    if (!r->options.bus)
        return true;
    return atomic_load(&r->caught_up) && bus_connected(r->options.bus) &&
           count_reconnects(r) == atomic_load(&r->reconnects) &&
           clock_monotonic_ms(r->options.clock) - r->confirmed_ms <= REVOCATIONS_FRESH_MS;
}

static void take_message(Revocations *r, natsMsg *msg, uint64_t *consumer_sequence)
{
    const char *login = strrchr(natsMsg_GetSubject(msg), '.');
    jsMsgMetaData *meta = NULL;

    if (natsMsg_GetMetaData(&meta, msg) != NATS_OK)
        return;
    *consumer_sequence = meta->Sequence.Consumer;
    r->next_sequence = meta->Sequence.Stream + 1;
    if (login)
        revocations_add(r, login_key(slice(login + 1)), meta->Timestamp / 1000000 + r->options.age_ms);
    jsMsgMetaData_Destroy(meta);
}

/* How far the server was: who has taken this many messages knew all that it knew when it was asked. */
typedef struct Mark {
    uint64_t sequence;
    int64_t asked_ms; /* 0: not asked yet */
    bool known;
} Mark;

static void ask_mark(const Revocations *r, natsSubscription *sub, Mark *mark)
{
    jsConsumerInfo *info = NULL;
    jsErrCode code = 0;

    mark->asked_ms = clock_monotonic_ms(r->options.clock);
    mark->known = natsSubscription_GetConsumerInfo(&info, sub, NULL, &code) == NATS_OK;
    if (mark->known)
        mark->sequence = info->Delivered.Consumer + info->NumPending;
    jsConsumerInfo_Destroy(info);
}

/* A stream that was made anew counts from 1 again; one that was restored from an older state gives out numbers anew. */
static natsStatus look_at_stream(Revocations *r, jsCtx *js)
{
    jsStreamInfo *info = NULL;
    jsErrCode code = 0;
    natsStatus s = js_GetStreamInfo(&info, js, IDENTITY_ENDED_STREAM, NULL, &code);

    if (s == NATS_OK && (info->Created != r->stream_created || info->State.LastSeq + 1 < r->next_sequence)) {
        r->stream_created = info->Created;
        r->next_sequence = 1;
    }
    jsStreamInfo_Destroy(info);
    return s;
}

static natsStatus subscribe(Revocations *r, natsSubscription **out)
{
    jsCtx *js = bus_jetstream(r->options.bus);
    jsSubOptions options;
    jsErrCode code = 0;
    natsStatus s = look_at_stream(r, js);

    if (s != NATS_OK)
        return s;
    jsSubOptions_Init(&options);
    options.Stream = IDENTITY_ENDED_STREAM;
    options.Ordered = true;
    options.Config.DeliverPolicy = js_DeliverByStartSequence;
    options.Config.OptStartSeq = r->next_sequence;
    return js_SubscribeSync(out, js, IDENTITY_ENDED_SUBJECT_PREFIX "*", NULL, &options, &code);
}

static void set_caught_up(Revocations *r, bool caught_up)
{
    if (atomic_exchange(&r->caught_up, caught_up) != caught_up)
        LOG_INFO(r->options.log, caught_up ? "revocations_current" : "revocations_behind", "count",
                 revocations_count(r));
}

/* Until the connection changes or something fails. */
static void follow(Revocations *r, natsSubscription *sub, uint64_t reconnects)
{
    uint64_t consumer_sequence = 0;
    Mark mark = {.asked_ms = 0};

    while (!atomic_load(&r->stopping) && count_reconnects(r) == reconnects && bus_connected(r->options.bus)) {
        natsMsg *msg = NULL;
        natsStatus s;

        if (mark.asked_ms == 0 || clock_monotonic_ms(r->options.clock) - mark.asked_ms >= CONFIRM_MS)
            ask_mark(r, sub, &mark);
        if (mark.known && consumer_sequence >= mark.sequence) {
            r->confirmed_ms = mark.asked_ms;
            atomic_store(&r->reconnects, reconnects);
            set_caught_up(r, true);
        }
        s = natsSubscription_NextMsg(&msg, sub, POLL_MS);
        if (s == NATS_OK)
            take_message(r, msg, &consumer_sequence);
        else if (s != NATS_TIMEOUT)
            break;
        natsMsg_Destroy(msg);
    }
}

static void log_failure(Revocations *r, natsStatus s)
{
    int64_t now_ms = clock_monotonic_ms(r->options.clock);

    if (r->logged_ms && now_ms - r->logged_ms < LOG_EVERY_MS)
        return;
    r->logged_ms = now_ms;
    LOG_WARN(r->options.log, "revocations_unreadable", "stream", IDENTITY_ENDED_STREAM, "error",
             s == NATS_NOT_FOUND ? "no such stream: has " IDENTITY_DOMAIN " not started yet?" : natsStatus_GetText(s));
}

static void *tail(void *data)
{
    Revocations *r = data;

    while (!atomic_load(&r->stopping)) {
        natsSubscription *sub = NULL;
        uint64_t reconnects = count_reconnects(r);
        natsStatus s = bus_connected(r->options.bus) ? subscribe(r, &sub) : NATS_CONNECTION_CLOSED;

        if (s == NATS_OK) {
            follow(r, sub, reconnects);
            (void)natsSubscription_Unsubscribe(sub); /* fails when the connection is gone: so is the consumer, soon */
        } else if (s != NATS_CONNECTION_CLOSED) {
            log_failure(r, s);
        }
        natsSubscription_Destroy(sub);
        set_caught_up(r, false);
        if (!atomic_load(&r->stopping) && s != NATS_OK)
            nats_Sleep(RETRY_MS);
    }
    return NULL;
}

/* --- start and stop ---------------------------------------------------------------------------------------------- */
Err revocations_start(const RevocationsOptions *options, Revocations **out)
{
    Revocations *r = xcalloc(1, sizeof(*r));

    r->options = *options;
    r->capacity = FIRST_CAPACITY;
    r->set = xcalloc(r->capacity, sizeof(Ended));
    r->next_sequence = 1;
    pthread_mutex_init(&r->lock, NULL);
    r->dropped =
        metrics_counter(options->metrics, "atrium_revocations_dropped_total",
                        "Ended logins that were forgotten before their time: REVOCATIONS_MAX is too small.", "");
    r->gauge = metrics_gauge(options->metrics, "atrium_revocations", "Ended logins that are remembered.", "");
    if (options->bus) {
        if (natsStatistics_Create(&r->statistics) != NATS_OK)
            abort(); /* out of memory */
        if (pthread_create(&r->thread, NULL, tail, r) != 0) {
            r->options.bus = NULL;
            revocations_stop(r);
            return err_make(&INTERNAL, "the thread for revocations could not be started");
        }
    }
    *out = r;
    return OK;
}

void revocations_stop(Revocations *r)
{
    if (!r)
        return;
    if (r->options.bus) {
        atomic_store(&r->stopping, true);
        pthread_join(r->thread, NULL);
    }
    natsStatistics_Destroy(r->statistics);
    pthread_mutex_destroy(&r->lock);
    free(r->set);
    free(r);
}
