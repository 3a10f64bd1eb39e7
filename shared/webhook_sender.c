/* webhook_sender: POSTs what is due; see webhook.h. */
#include <pthread.h>
#include <stdatomic.h>

#include "atrium/reasons.atrium.h"
#include "shared/http_client.h"
#include "shared/webhook_internal.h"

enum {
    THREADS = 4,
    DB_TIMEOUT_MS = 15000,
    LOOK_MS = 1000, /* without a nudge: one thread; it wakes the others when there is something */
    OTHERS_LOOK_MS = 60000,
    FAILED_LOOK_MS = 5000, /* the database is away */
    REPLY_MAX_BYTES = 64 * 1024,
    RETRY_MAX_MS = 3600 * 1000,
    BACKLOG_MAX = 10000,    /* of a webhook that fails: then it is switched off */
    TAKEN_SLACK_MS = 30000, /* beyond the receiver's time, before another instance takes it */
    PURGE_EVERY_MS = 600000,
    PURGE_BATCH = 1000
};

struct WebhookSender {
    WebhookSenderOptions options;
    HttpClient *http;
    Counter *delivered, *failed, *dead;
    pthread_t threads[THREADS];
    size_t thread_count;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    unsigned nudges;
    int64_t purge_at_ms; /* monotonic */
    atomic_bool stopping;
    atomic_uint started; /* threads: the first one looks */
};

/* ---------------------------------------------------------------------------------------------------- one message */

typedef struct Message {
    Uuid id, webhook_id;
    const char *message_id, *url, *type;
    Slice body, secret; /* sealed */
    int attempt;
    int64_t created_us;
} Message;

/* One that is due, of a webhook that has none on its way. Those of webhooks that are off wait; a trial does not. */
static const char TAKE[] =
    "UPDATE webhook_delivery d SET attempts = d.attempts + 1, taken_until = now() + $1 * interval '1 millisecond',"
    " due_at = now() + $1 * interval '1 millisecond'"
    " FROM (SELECT c.id FROM webhook_delivery c JOIN webhook v ON v.id = c.webhook_id"
    "   WHERE c.state = 'pending' AND c.due_at <= now() AND (v.enabled OR c.type = '" WEBHOOK_TEST "')"
    "   AND NOT EXISTS (SELECT 1 FROM webhook_delivery o WHERE o.webhook_id = c.webhook_id AND o.taken_until > now())"
    "   ORDER BY c.due_at LIMIT 1 FOR UPDATE OF c SKIP LOCKED) due, webhook w"
    " WHERE d.id = due.id AND w.id = d.webhook_id"
    " RETURNING d.id, d.webhook_id, d.message_id, w.url, d.body, w.secret, d.attempts, d.type,"
    " d.created_at";

static Err take(const WebhookSender *s, Arena *mem, Message *out, bool *found)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    CLEANUP(db_tx_done) DbTx tx = {0};
    Slice secret;

    TRY(db_tx_begin_with(s->options.db, DB_TIMEOUT_MS, &tx));
    TRY(db_query(&tx, TAKE, DB_ARGS(db_int64(s->options.settings.webhook_timeout_ms + TAKEN_SLACK_MS)), &rows));
    TRY(db_tx_commit(&tx));
    *found = rows.count > 0;
    if (!*found)
        return OK;
    secret = db_get_bytes(&rows, 0, 5);
    *out = (Message){.id = db_get_uuid(&rows, 0, 0),
                     .webhook_id = db_get_uuid(&rows, 0, 1),
                     .message_id = db_get_cstr(mem, &rows, 0, 2),
                     .url = db_get_cstr(mem, &rows, 0, 3),
                     .body = slice(db_get_cstr(mem, &rows, 0, 4)),
                     .secret = slice_of(arena_memdup(mem, secret.ptr, secret.len), secret.len),
                     .attempt = (int)db_get_int64(&rows, 0, 6),
                     .type = db_get_cstr(mem, &rows, 0, 7),
                     .created_us = db_get_time_us(&rows, 0, 8)};
    return OK;
}

static Err post(WebhookSender *s, Arena *mem, const Message *m, HttpReply *reply)
{
    int64_t now_s = clock_unix_us(s->options.clock) / 1000000;
    const HttpHeader *headers;
    char created[TIME_TEXT_BYTES];
    Slice secret;

    if (!webhook_unseal(s->options.keys, mem, m->secret, &secret))
        return err_make(&UNAVAILABLE, "its secret was sealed with another key");
    time_format(m->created_us, 6, created);
    headers =
        (const HttpHeader[]){{"Content-Type", "application/json"},
                             {"webhook-id", m->message_id},
                             {"webhook-timestamp", arena_printf(mem, "%" PRId64, now_s)},
                             {"webhook-signature", webhook_sign(mem, secret, slice(m->message_id), now_s, m->body)},
                             {"ce-specversion", "1.0"},
                             {"ce-id", m->message_id},
                             {"ce-type", m->type},
                             {"ce-source", s->options.source},
                             {"ce-time", created}};
    return http_call(s->http, mem,
                     &(HttpCall){.method = "POST",
                                 .url = m->url,
                                 .headers = headers,
                                 .header_count = 9,
                                 .body = m->body,
                                 .timeout_ms = s->options.settings.webhook_timeout_ms,
                                 .max_reply_bytes = REPLY_MAX_BYTES,
                                 .cancel = &s->stopping},
                     reply);
}

/* ---------------------------------------------------------------------------------------------------- how it went */

static const char DELIVERED[] =
    "WITH d AS (UPDATE webhook_delivery SET state = 'delivered', finished_at = now(), last_status = $2,"
    "  last_error = '', taken_until = NULL WHERE id = $1 RETURNING webhook_id)"
    " UPDATE webhook SET failing_since = NULL FROM d WHERE webhook.id = d.webhook_id AND failing_since IS NOT NULL";
static const char FAILED[] =
    "UPDATE webhook_delivery SET state = CASE WHEN $4 THEN 'dead' ELSE 'pending' END,"
    " finished_at = CASE WHEN $4 THEN now() END, last_status = $2::int, last_error = $3, taken_until = NULL,"
    " due_at = now() + $5 * interval '1 millisecond' WHERE id = $1";
static const char NOTE_FAILING[] =
    "UPDATE webhook SET failing_since = coalesce(failing_since, now()), enabled = enabled AND why.text = '',"
    " disabled_why = CASE WHEN enabled THEN why.text ELSE disabled_why END"
    " FROM (SELECT CASE WHEN $2 THEN 'it answered 410 Gone'"
    "   WHEN w.failing_since < now() - $3 * interval '1 millisecond' THEN 'nothing reached it for too long'"
    "   WHEN (SELECT count(*) FROM (SELECT 1 FROM webhook_delivery d WHERE d.webhook_id = $1 AND d.state = 'pending'"
    "     LIMIT $4 + 1) AS waiting) > $4 THEN 'too much waits for it' ELSE '' END AS text"
    "   FROM webhook w WHERE w.id = $1) AS why WHERE webhook.id = $1";

/* Four times as long each time, between half and all of it. */
static int64_t pause_ms(const WebhookSettings *settings, int attempt)
{
    int64_t most = settings->webhook_retry_ms;

    for (int i = 1; i < attempt && most < RETRY_MAX_MS; i++)
        most *= 4;
    most = MIN(most, RETRY_MAX_MS);
    return most / 2 + (int64_t)(random_uint64() % (uint64_t)(most / 2 + 1));
}

static Err note_delivered(WebhookSender *s, const Message *m, int status)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    counter_add(s->delivered, 1);
    TRY(db_tx_begin_with(s->options.db, DB_TIMEOUT_MS, &tx));
    TRY(db_exec(&tx, DELIVERED, DB_ARGS(db_uuid(m->id), db_int64(status))));
    return db_tx_commit(&tx);
}

static Err note_failed(WebhookSender *s, const Message *m, int status, const char *error)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    const WebhookSettings *settings = &s->options.settings;
    bool dead = m->attempt >= settings->webhook_attempts_max;

    counter_add(dead ? s->dead : s->failed, 1);
    TRY(db_tx_begin_with(s->options.db, DB_TIMEOUT_MS, &tx));
    TRY(db_exec(&tx, FAILED,
                DB_ARGS(db_uuid(m->id), db_int64(status), db_text(slice(error)), db_bool(dead),
                        db_int64(pause_ms(settings, m->attempt)))));
    TRY(db_exec(&tx, NOTE_FAILING,
                DB_ARGS(db_uuid(m->webhook_id), db_bool(status == 410), db_int64(settings->webhook_failing_ms),
                        db_int64(BACKLOG_MAX))));
    return db_tx_commit(&tx);
}

static Err send_one(WebhookSender *s, Arena *mem, bool *found)
{
    HttpReply reply = {0};
    Message m;
    Err e;

    TRY(take(s, mem, &m, found));
    if (!*found)
        return OK;
    e = post(s, mem, &m, &reply);
    if (e.reason == &CANCELLED)
        return OK; /* it was taken for a while only */
    if (err_failed(e))
        return note_failed(s, &m, 0, e.text);
    if (reply.status >= 200 && reply.status < 300)
        return note_delivered(s, &m, reply.status);
    return note_failed(s, &m, reply.status, arena_printf(mem, "it answered %d", reply.status));
}

/* ---------------------------------------------------------------------------------------------------- the threads */

static const char PURGE[] =
    "DELETE FROM webhook_delivery WHERE id IN (SELECT id FROM webhook_delivery WHERE finished_at IS NOT NULL"
    " AND finished_at < now() - $1 * interval '1 day' ORDER BY finished_at LIMIT $2)";

static Err purge(const WebhookSender *s)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin_with(s->options.db, DB_TIMEOUT_MS, &tx));
    TRY(db_exec(&tx, PURGE, DB_ARGS(db_int64(WEBHOOK_KEEP_DAYS), db_int64(PURGE_BATCH))));
    return db_tx_commit(&tx);
}

static bool purge_is_due(WebhookSender *s)
{
    int64_t now_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    bool due;

    pthread_mutex_lock(&s->lock);
    due = now_ms >= s->purge_at_ms;
    if (due)
        s->purge_at_ms = now_ms + PURGE_EVERY_MS;
    pthread_mutex_unlock(&s->lock);
    return due;
}

/* Until a nudge that is newer than `seen`. */
static unsigned wait_for_work(WebhookSender *s, unsigned seen, int64_t ms)
{
    int64_t end_us = clock_monotonic_us(&SYSTEM_CLOCK) + ms * 1000;
    struct timespec end = {.tv_sec = end_us / 1000000, .tv_nsec = end_us % 1000000 * 1000};
    int rc = 0;

    pthread_mutex_lock(&s->lock);
    while (!atomic_load(&s->stopping) && s->nudges == seen && rc == 0)
        rc = pthread_cond_timedwait(&s->wake, &s->lock, &end);
    seen = s->nudges;
    pthread_mutex_unlock(&s->lock);
    return seen;
}

static void *send_loop(void *data)
{
    WebhookSender *s = data;
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    int64_t look_ms = atomic_fetch_add(&s->started, 1) == 0 ? LOOK_MS : OTHERS_LOOK_MS;
    unsigned seen = 0;

    while (!atomic_load(&s->stopping)) {
        bool found = false;
        Err e = purge_is_due(s) ? purge(s) : OK;

        if (!err_failed(e))
            e = send_one(s, mem, &found);
        if (err_failed(e))
            LOG_WARN(s->options.log, "webhook_failed", "error", e.text);
        arena_reset(mem);
        if (!found)
            seen = wait_for_work(s, seen, err_failed(e) ? MAX(look_ms, FAILED_LOOK_MS) : look_ms);
        else if (look_ms == LOOK_MS)
            webhook_sender_nudge(s);
    }
    return NULL;
}

Err webhook_sender_start(const WebhookSenderOptions *options, WebhookSender **out)
{
    WebhookSender *s;
    pthread_condattr_t monotonic;

    *out = NULL;
    if (!options->keys)
        return OK;
    s = xcalloc(1, sizeof(*s));
    s->options = *options;
    s->http = http_client_new(&(HttpClientOptions){.user_agent = "Atrium-Webhooks/1",
                                                   .public_only = true,
                                                   .allowed = options->settings.webhook_allowed,
                                                   .log = options->log});
    s->delivered =
        metrics_counter(options->metrics, "atrium_webhook_tries_total",
                        "Tries to deliver a message to a webhook, by how they ended.", "outcome=\"delivered\"");
    s->failed = metrics_counter(options->metrics, "atrium_webhook_tries_total",
                                "Tries to deliver a message to a webhook, by how they ended.", "outcome=\"failed\"");
    s->dead = metrics_counter(options->metrics, "atrium_webhook_tries_total",
                              "Tries to deliver a message to a webhook, by how they ended.", "outcome=\"dead\"");
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    for (; s->thread_count < THREADS; s->thread_count++)
        if (pthread_create(&s->threads[s->thread_count], NULL, send_loop, s) != 0) {
            webhook_sender_stop(s);
            return err_make(&UNAVAILABLE, "webhooks: no thread");
        }
    *out = s;
    return OK;
}

void webhook_sender_nudge(WebhookSender *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->nudges++;
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

void webhook_sender_stop(WebhookSender *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->stopping, true);
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < s->thread_count; i++)
        pthread_join(s->threads[i], NULL);
    http_client_free(s->http);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
