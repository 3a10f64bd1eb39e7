/* revocations: see revocations.h. */
#include "shared/revocations.h"

#include <pthread.h>
#include <sodium.h>

#include "shared/id.h"
#include "shared/identity_provider.h"

enum { FIRST_CAPACITY = 1024 };

typedef struct Ended {
    LoginKey login;
    int64_t until_ms; /* 0 is a free place */
} Ended;

struct Revocations {
    RevocationsOptions options;
    pthread_mutex_t lock; /* guards the set */
    Ended *set;           /* open addressing, never more than half full */
    size_t capacity, count;
    Tail *tail; /* NULL without a bus */
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

/* --- start and stop ---------------------------------------------------------------------------------------------- */
static void take_ended(void *data, const TailMessage *message)
{
    Revocations *r = data;

    revocations_add(r, login_key(slice(message->key)), message->at_unix_ms + r->options.age_ms);
}

bool revocations_ready(Revocations *r)
{
    return !r->tail || tail_current(r->tail);
}

Err revocations_start(const RevocationsOptions *options, Revocations **out)
{
    CLEANUP(revocations_stop_at) Revocations *r = xcalloc(1, sizeof(*r));

    r->options = *options;
    r->capacity = FIRST_CAPACITY;
    r->set = xcalloc(r->capacity, sizeof(Ended));
    pthread_mutex_init(&r->lock, NULL);
    r->dropped =
        metrics_counter(options->metrics, "atrium_revocations_dropped_total",
                        "Ended logins that were forgotten before their time: REVOCATIONS_MAX is too small.", "");
    r->gauge = metrics_gauge(options->metrics, "atrium_revocations", "Ended logins that are remembered.", "");
    if (options->bus)
        TRY(tail_start(&(TailOptions){.bus = options->bus,
                                      .clock = options->clock,
                                      .log = options->log,
                                      .name = "revocations",
                                      .stream = IDENTITY_STREAM,
                                      .subject = IDENTITY_ENDED_SUBJECT_PREFIX "*",
                                      .take = take_ended,
                                      .data = r},
                       &r->tail));
    *out = MOVE(r);
    return OK;
}

void revocations_stop(Revocations *r)
{
    if (!r)
        return;
    tail_stop(r->tail);
    pthread_mutex_destroy(&r->lock);
    free(r->set);
    free(r);
}
