/* webhook: telling the outside what happens, as https://www.standardwebhooks.com has it: a POST of JSON with
 * webhook-id, webhook-timestamp and webhook-signature ("v1," and the base64 of HMAC-SHA256 of
 * "<id>.<timestamp>.<body>"). The same is a CloudEvent in the binary mode of its HTTP binding: ce-id, which all tries
 * of a message share, ce-type, ce-source, ce-time; the body is its data.
 *
 *   who        does
 *   service    webhook_emit() (or the SQL function of that name, in a trigger) in the transaction of what happened
 *   sender     POSTs what is due, from threads of its own in every instance; a message is taken by one of them at a
 * time, and comes again when that one died on it: at least once, with the same id receiver   answers 2xx, or it is
 * tried again, later and later, until the message is dead; 410 switches the webhook off
 *
 * URLs are users': only public addresses are spoken to, by what they are resolved to at each connection, and no
 * redirect is followed. Of what a receiver answers nothing but its status is kept or shown. A webhook has one message
 * on its way at a time (nearly), so that one that hangs holds up nobody else.
 *
 * Tables: shared/migrations/0003_webhooks.sql, in each service's own schema. Secrets lie there sealed (WEBHOOK_KEY). */
#pragma once
#include "shared/config.h"
#include "shared/db.h"
#include "shared/log.h"
#include "shared/metrics.h"

#define WEBHOOK_TEST "webhook.test" /* of trials: goes to a webhook that is off, too */

enum {
    WEBHOOKS_MAX = 20,      /* of an owner */
    WEBHOOK_TYPES_MAX = 50, /* of a webhook */
    WEBHOOK_TYPE_MAX_BYTES = 100,
    WEBHOOK_URL_MAX_BYTES = 2048,
    WEBHOOK_SECRET_BYTES = 32,
    WEBHOOK_SECRET_TEXT_BYTES = 64, /* "whsec_", base64, NUL */
    WEBHOOK_PAGE_MAX = 100,
    WEBHOOK_KEEP_DAYS = 30 /* of what is delivered or dead */
};

typedef struct WebhookSettings {
#define SETTING CONFIG_MEMBER
#include "shared/settings_webhook.def"
#undef SETTING
} WebhookSettings;
/* Of a settings struct that includes shared/settings_webhook.def. */
#define WEBHOOK_SETTINGS(s)                                                                                            \
    ((WebhookSettings){.webhook_key = (s)->webhook_key,                                                                \
                       .webhook_allowed = (s)->webhook_allowed,                                                        \
                       .webhook_timeout_ms = (s)->webhook_timeout_ms,                                                  \
                       .webhook_retry_ms = (s)->webhook_retry_ms,                                                      \
                       .webhook_attempts_max = (s)->webhook_attempts_max,                                              \
                       .webhook_failing_ms = (s)->webhook_failing_ms})

/* ---------------------------------------------------------------------------------------------------- signing */

/* "v1,…" of one message, borrowed from `mem`. `secret` is raw: 1 byte at least. */
char *webhook_sign(Arena *mem, Slice secret, Slice id, int64_t timestamp_s, Slice body);
/* "whsec_" and base64 of fresh random bytes: shown once, when it is made. */
void webhook_new_secret(char out[WEBHOOK_SECRET_TEXT_BYTES]);
/* The bytes of such a text; false for another. */
bool webhook_secret_bytes(Arena *mem, Slice text, Slice *out);

/* The keys that secrets are sealed with: WEBHOOK_KEY. INVALID_ARGUMENT tells what is wrong without repeating it. */
typedef struct WebhookKeys WebhookKeys;
/* An empty list gives NULL: there are no webhooks. Owned by the caller. */
Err webhook_keys_new(const char *list, WebhookKeys **out) MUST_CHECK;
Err webhook_keys_check(const char *list) MUST_CHECK; /* for a service's check_settings: the same, without the keys */
void webhook_keys_free(WebhookKeys *keys);           /* wipes them; NULL is fine */
CLEANUP_FN(WebhookKeys, webhook_keys_free)

/* ---------------------------------------------------------------------------------------------------- webhooks */

typedef struct Webhook {
    Uuid id; /* nil: there is none */
    int64_t owner_id;
    const char *url;
    const Slice *types; /* none: all */
    size_t type_count;
    bool enabled;
    const char *disabled_why; /* "" by its owner, or not at all */
    int64_t failing_since_us; /* 0: it works, as far as is known */
    int64_t created_us;
} Webhook;

/* http or https, a host, no user or password in it, no address that is not public and not among `allowed`
 * (WEBHOOK_ALLOWED). Names are looked up when something is sent. INVALID_ARGUMENT. */
Err webhook_check_url(Arena *mem, const char *url, const char *allowed) MUST_CHECK;
/* In a transaction that lets an owner do one thing at a time. INVALID_ARGUMENT: WEBHOOKS_MAX are there. */
Err webhook_insert(DbTx *tx, const WebhookKeys *keys, const Webhook *webhook, const char *secret_text) MUST_CHECK;
/* Of one owner, oldest first. Borrowed from rq->mem. */
Err webhook_list(struct Request *rq, int64_t owner_id, Webhook **out, size_t *out_count) MUST_CHECK;
/* The owner's own; NOT_FOUND for others' and for what is no id. */
Err webhook_find(struct Request *rq, int64_t owner_id, const char *id, Webhook *out) MUST_CHECK;
/* What a caller wants to be told of: each is one of `known`. Sets types and type_count, borrowed. INVALID_ARGUMENT. */
Err webhook_read_types(Arena *mem, char *const *types, size_t count, const char *const *known, size_t known_count,
                       Webhook *webhook) MUST_CHECK;
/* URL, types and enabled; switched on, it counts as working again. */
Err webhook_update(DbTx *tx, const Webhook *webhook) MUST_CHECK;
Err webhook_set_secret(DbTx *tx, const WebhookKeys *keys, Uuid id, const char *secret_text) MUST_CHECK;
Err webhook_delete(DbTx *tx, Uuid id) MUST_CHECK; /* with what waits for it */
/* All of an account that goes. */
Err webhook_erase(DbTx *tx, int64_t owner_id, int64_t *out_count) MUST_CHECK;

/* ---------------------------------------------------------------------------------------------------- messages */

/* To all webhooks of this owner that want `type`; `data` is a JSON text. */
Err webhook_emit(DbTx *tx, int64_t owner_id, const char *type, const char *data) MUST_CHECK;
/* To this one, whatever it wants, also when it is off: for a trial. */
Err webhook_emit_to(DbTx *tx, Uuid webhook_id, const char *type, const char *data) MUST_CHECK;

typedef struct WebhookDelivery {
    Uuid id;
    const char *message_id, *type, *state;   /* "pending", "delivered", "dead" */
    int32_t attempts, last_status;           /* 0 none */
    const char *last_error;                  /* "" none */
    int64_t due_us, created_us, finished_us; /* 0: not yet */
} WebhookDelivery;
typedef struct WebhookPage {
    WebhookDelivery *list; /* of the request, as all of it */
    size_t count;
    char *next_cursor; /* NULL: there are no more */
} WebhookPage;
/* Latest first, at most `limit` (1 to WEBHOOK_PAGE_MAX). `state` and `cursor`, of the page before, may be NULL or "".
 * INVALID_ARGUMENT for others than there are. */
Err webhook_deliveries(struct Request *rq, Uuid webhook_id, const char *state, const char *cursor, int64_t limit,
                       WebhookPage *out) MUST_CHECK;
/* Once more from the beginning: what is dead, or was delivered. NOT_FOUND, also for what is no id. */
Err webhook_redeliver(DbTx *tx, Uuid webhook_id, const char *delivery_id) MUST_CHECK;

/* ---------------------------------------------------------------------------------------------------- sending */

typedef struct WebhookSender WebhookSender;
typedef struct WebhookSenderOptions {
    Db *db;
    Log *log;
    Metrics *metrics;
    const Clock *clock;
    WebhookSettings settings;
    const WebhookKeys *keys; /* NULL: nothing is sent */
    const char *source;      /* of CloudEvents: "//atrium/media" */
} WebhookSenderOptions;
/* Owned by the caller; the options' parts outlive it. */
Err webhook_sender_start(const WebhookSenderOptions *options, WebhookSender **out) MUST_CHECK;
void webhook_sender_nudge(WebhookSender *s); /* after a commit; NULL is fine; any thread */
/* Ends what is on its way within about a second. NULL is fine. */
void webhook_sender_stop(WebhookSender *s);
