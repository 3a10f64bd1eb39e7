/* sweeper: see sweeper.h. */
#include "services/chat/sweeper.h"

#include <pthread.h>

#include "services/chat/messages.h"
#include "services/chat/store_attachments.h"

enum {
    SWEEP_BATCH = 100,
    SWEEP_MESSAGES = 1000, /* of a channel, in one transaction */
    SWEEP_EVERY_MS = 1000, /* uploads wait three seconds: not much longer */
    SWEEP_PAUSE_MS = 50,
    SWEEP_TIMEOUT_MS = 30000,
    LEASE_RETRY_MS = 5000,
    ID_TIME_SHIFT = 22
};
#define ID_EPOCH_MS INT64_C(1735689600000)

struct Sweeper {
    SweeperOptions options;
    Lease *lease;
    Counter *turns, *failures;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
};

/* `user_id` 0: nobody's. */
static Request request_of(const SweeperOptions *o, Arena *mem, int64_t user_id)
{
    return (Request){.mem = mem,
                     .service = o->chat,
                     .caller = {.kind = user_id ? CALLER_PERSON : CALLER_SERVICE, .user_id = user_id},
                     .profile = "all",
                     .clock = o->clock,
                     .db = o->db,
                     .log = o->log,
                     .deadline_ms = clock_monotonic_ms(o->clock) + SWEEP_TIMEOUT_MS};
}

/* What is older than so long has a smaller id. */
static int64_t id_before(const SweeperOptions *o, int64_t age_ms)
{
    return (clock_unix_us(o->clock) / 1000 - age_ms - ID_EPOCH_MS) << ID_TIME_SHIFT;
}

/* --- uploads ---------------------------------------------------------------------------------------------------------
 */
/* As its author, who may not be allowed to any more, or not so soon: then it is left to be given back. Nor may it wait,
 * since the next turn would begin with it, and the others wait, too. */
static Err post_alone(const SweeperOptions *o, const LoneUpload *upload)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    Request rq = request_of(o, mem, upload->author_id);
    Chat__V1__SendMessageRequest in = CHAT__V1__SEND_MESSAGE_REQUEST__INIT;
    Chat__V1__Message message = CHAT__V1__MESSAGE__INIT;
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t id = upload->id;
    Err e;

    SET(&in, channel_id, upload->channel_id);
    in.attachments = &id;
    in.n_attachments = 1;
    e = messages_post(&rq, &in, &message);
    if (!err_failed(e) || (e.reason->retry && e.reason != &SLOW_MODE) || e.reason == &INTERNAL)
        return e;
    TRY(db_tx_begin(&rq, &tx));
    TRY(chat_store_forget_lone(&tx, id));
    return db_tx_commit(&tx);
}

Err sweep_lone_uploads(const SweeperOptions *o, bool *out_more)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    Request rq = request_of(o, mem, 0);
    LoneUpload *list;
    size_t count;

    TRY(chat_store_lone(&rq, id_before(o, ALONE_AFTER_MS), SWEEP_BATCH, &list, &count));
    for (size_t i = 0; i < count; i++)
        TRY(post_alone(o, &list[i]));
    *out_more = count == SWEEP_BATCH;
    return OK;
}

Err sweep_old_uploads(const SweeperOptions *o, bool *out_more)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = request_of(o, mem, 0);
    Uuid *items;
    size_t count;

    TRY(db_tx_begin(&rq, &tx));
    TRY(chat_store_release_old(&tx, mem, id_before(o, ATTACHMENT_LIFE_MS), SWEEP_BATCH, &items, &count));
    TRY(attachments_announce_released(&tx, &rq, items, count));
    TRY(db_tx_commit(&tx));
    if (count)
        outbox_nudge(o->chat->outbox);
    *out_more = count == SWEEP_BATCH;
    return OK;
}

/* --- channels that are gone ------------------------------------------------------------------------------------------
 */
/* Some messages, or, when there are none, the rest. */
static Err discard_some(Request *rq, DbTx *tx, int64_t channel_id)
{
    int64_t *ids;
    Uuid *items;
    size_t count, item_count;

    TRY(chat_store_discard_messages(tx, rq->mem, channel_id, SWEEP_MESSAGES, &ids, &count));
    if (count)
        return attachments_release(tx, rq, ids, count);
    TRY(chat_store_forget_channel(tx, rq->mem, channel_id, &items, &item_count));
    return attachments_announce_released(tx, rq, items, item_count);
}

Err sweep_channels(const SweeperOptions *o, bool *out_more)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = request_of(o, mem, 0);
    int64_t channel_id;

    TRY(chat_store_discarded(&rq, &channel_id));
    *out_more = channel_id != 0;
    if (!channel_id)
        return OK;
    TRY(db_tx_begin(&rq, &tx));
    TRY(discard_some(&rq, &tx, channel_id));
    TRY(db_tx_commit(&tx));
    outbox_nudge(o->chat->outbox);
    return OK;
}

/* --- the thread ------------------------------------------------------------------------------------------------------
 */
/* True when it is time to stop. */
static bool wait_ms(Sweeper *s, int64_t ms)
{
    int64_t end_us = clock_monotonic_us(&SYSTEM_CLOCK) + ms * 1000;
    struct timespec end = {.tv_sec = end_us / 1000000, .tv_nsec = end_us % 1000000 * 1000};
    bool stopping;
    int rc = 0;

    pthread_mutex_lock(&s->lock);
    while (!s->stopping && rc == 0)
        rc = pthread_cond_timedwait(&s->wake, &s->lock, &end);
    stopping = s->stopping;
    pthread_mutex_unlock(&s->lock);
    return stopping;
}

/* Until nothing is left, a failure or the end of the lease. */
static void repeat(Sweeper *s, const char *what, Err (*turn)(const SweeperOptions *o, bool *out_more))
{
    bool more = true;

    while (more && lease_held(s->lease)) {
        Err e = turn(&s->options, &more);

        counter_add(s->turns, 1);
        if (err_failed(e)) {
            counter_add(s->failures, 1);
            LOG_WARN(s->options.log, "sweep_failed", "what", what, "error", (const char *)e.text);
            return;
        }
        if (more && wait_ms(s, SWEEP_PAUSE_MS))
            return;
    }
}

static void *run(void *data)
{
    Sweeper *s = data;

    while (!wait_ms(s, SWEEP_EVERY_MS)) {
        repeat(s, "lone uploads", sweep_lone_uploads);
        repeat(s, "old uploads", sweep_old_uploads);
        repeat(s, "channels", sweep_channels);
    }
    return NULL;
}

Err sweeper_start(const SweeperOptions *options, Sweeper **out)
{
    Sweeper *s = xcalloc(1, sizeof *s);
    pthread_condattr_t attributes;

    s->options = *options;
    s->turns = metrics_counter(options->metrics, "atrium_chat_sweeps_total", "Turns of the sweeper.", "");
    s->failures = metrics_counter(options->metrics, "atrium_chat_sweep_failures_total", "Those that failed.", "");
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    s->lease = lease_new(options->db, options->log, "sweeper", LEASE_RETRY_MS);
    if (pthread_create(&s->thread, NULL, run, s) != 0)
        abort(); /* no more threads: as good as no more memory */
    *out = s;
    return OK;
}

void sweeper_stop(Sweeper *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    lease_free(s->lease);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
