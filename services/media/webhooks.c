/* webhooks: where users want to be told of their items; the work is shared/webhook.h's. */
#include "atrium/media/v1/webhooks.service.h"
#include "services/media/answers.h"
#include "services/media/store_quota.h"
#include "shared/webhook.h"

static const char *const TYPES[] = {"media.item.queued", "media.item.processing", "media.item.ready",
                                    "media.item.failed", "media.item.trashed",    "media.item.restored",
                                    "media.item.deleted"};

static Err find(Request *rq, const char *id, Webhook *out)
{
    return webhook_find(rq, rq->caller.user_id, id, out);
}

/* ---------------------------------------------------------------------------------------- what is said of one */

static Err read_types(Request *rq, char *const *types, size_t count, Webhook *webhook)
{
    return webhook_read_types(rq->mem, types, count, TYPES, ARRAY_LEN(TYPES), webhook);
}

static Err read_url(const Request *rq, const char *url, Webhook *webhook)
{
    const Media *media = rq->service;

    if (!url || !*url)
        return err_make(&INVALID_ARGUMENT, "url is required");
    TRY(webhook_check_url(rq->mem, url, media->settings->webhook_allowed));
    webhook->url = url;
    return OK;
}

static void tell(Request *rq, const Webhook *webhook, Media__V1__Webhook *out)
{
    out->id = uuid_text(rq->mem, webhook->id);
    out->url = arena_strdup(rq->mem, webhook->url);
    out->types = ARENA_ARRAY(rq->mem, char *, webhook->type_count + 1);
    out->n_types = webhook->type_count;
    for (size_t i = 0; i < webhook->type_count; i++)
        out->types[i] = slice_cstr(rq->mem, webhook->types[i]);
    SET(out, enabled, webhook->enabled);
    if (webhook->disabled_why[0])
        out->disabled_why = arena_strdup(rq->mem, webhook->disabled_why);
    out->failing_since = answer_time(rq->mem, webhook->failing_since_us);
    out->created_at = answer_time(rq->mem, webhook->created_us);
}

static char *new_secret(Arena *mem)
{
    char *secret = arena_alloc(mem, WEBHOOK_SECRET_TEXT_BYTES, 1);

    webhook_new_secret(secret);
    return secret;
}

/* ---------------------------------------------------------------------------------------- made and changed */

Err media_v1_create_webhook(Request *rq, const Media__V1__CreateWebhookRequest *in, Media__V1__Webhook *out)
{
    const Media *media = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    Webhook webhook = {.id = uuid_v7(media->ids),
                       .owner_id = rq->caller.user_id,
                       .enabled = true,
                       .disabled_why = "",
                       .created_us = clock_unix_us(rq->clock)};
    char *secret = new_secret(rq->mem);

    if (!media->webhook_keys)
        return err_make(&UNIMPLEMENTED, "there are no webhooks here: WEBHOOK_KEY is not set");
    TRY(read_url(rq, in->url, &webhook));
    TRY(read_types(rq, in->types, in->n_types, &webhook));
    TRY(db_tx_begin(rq, &tx));
    TRY(media_store_lock_owner(&tx, webhook.owner_id));
    TRY(webhook_insert(&tx, media->webhook_keys, &webhook, secret));
    TRY(db_tx_commit(&tx));
    tell(rq, &webhook, out);
    out->secret = secret;
    return OK;
}

Err media_v1_list_webhooks(Request *rq, const Media__V1__ListWebhooksRequest *in, Media__V1__ListWebhooksReply *out)
{
    Webhook *webhooks;
    size_t count;

    (void)in;
    TRY(webhook_list(rq, rq->caller.user_id, &webhooks, &count));
    out->webhooks = ARENA_ARRAY(rq->mem, Media__V1__Webhook *, count + 1);
    out->n_webhooks = count;
    for (size_t i = 0; i < count; i++) {
        out->webhooks[i] = MESSAGE_NEW(rq->mem, Media__V1__Webhook, media__v1__webhook__init);
        tell(rq, &webhooks[i], out->webhooks[i]);
    }
    return OK;
}

Err media_v1_update_webhook(Request *rq, const Media__V1__UpdateWebhookRequest *in, Media__V1__Webhook *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Webhook webhook;

    TRY(find(rq, in->webhook_id, &webhook));
    if (in->url)
        TRY(read_url(rq, in->url, &webhook));
    if (in->n_types || in->all_types)
        TRY(read_types(rq, in->types, in->all_types ? 0 : in->n_types, &webhook));
    if (in->has_enabled)
        webhook.enabled = in->enabled;
    TRY(db_tx_begin(rq, &tx));
    TRY(webhook_update(&tx, &webhook));
    TRY(db_tx_commit(&tx));
    TRY(find(rq, in->webhook_id, &webhook));
    tell(rq, &webhook, out);
    return OK;
}

Err media_v1_delete_webhook(Request *rq, const Media__V1__DeleteWebhookRequest *in, Media__V1__Done *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Webhook webhook;

    TRY(find(rq, in->webhook_id, &webhook));
    TRY(db_tx_begin(rq, &tx));
    TRY(webhook_delete(&tx, webhook.id));
    TRY(db_tx_commit(&tx));
    SET(out, success, true);
    return OK;
}

Err media_v1_rotate_webhook_secret(Request *rq, const Media__V1__RotateWebhookSecretRequest *in,
                                   Media__V1__Webhook *out)
{
    const Media *media = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    char *secret = new_secret(rq->mem);
    Webhook webhook;

    TRY(find(rq, in->webhook_id, &webhook));
    if (!media->webhook_keys)
        return err_make(&UNIMPLEMENTED, "there are no webhooks here: WEBHOOK_KEY is not set");
    TRY(db_tx_begin(rq, &tx));
    TRY(webhook_set_secret(&tx, media->webhook_keys, webhook.id, secret));
    TRY(db_tx_commit(&tx));
    tell(rq, &webhook, out);
    out->secret = secret;
    return OK;
}

/* ---------------------------------------------------------------------------------------- messages */

Err media_v1_test_webhook(Request *rq, const Media__V1__TestWebhookRequest *in, Media__V1__Done *out)
{
    const Media *media = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    Webhook webhook;

    TRY(find(rq, in->webhook_id, &webhook));
    TRY(db_tx_begin(rq, &tx));
    TRY(webhook_emit_to(&tx, webhook.id, WEBHOOK_TEST,
                        arena_printf(rq->mem, "{\"webhook_id\":\"%s\"}", uuid_text(rq->mem, webhook.id))));
    TRY(db_tx_commit(&tx));
    webhook_sender_nudge(media->webhooks);
    SET(out, success, true);
    return OK;
}

static Media__V1__Delivery *delivery_of(Arena *mem, const WebhookDelivery *d)
{
    Media__V1__Delivery *out = MESSAGE_NEW(mem, Media__V1__Delivery, media__v1__delivery__init);

    out->id = uuid_text(mem, d->id);
    out->message_id = (char *)d->message_id;
    out->type = (char *)d->type;
    out->state = (char *)d->state;
    SET(out, attempts, d->attempts);
    if (d->last_status)
        SET(out, last_status, d->last_status);
    if (d->last_error[0])
        out->last_error = (char *)d->last_error;
    if (!d->finished_us)
        out->due_at = answer_time(mem, d->due_us);
    out->created_at = answer_time(mem, d->created_us);
    out->finished_at = answer_time(mem, d->finished_us);
    return out;
}

Err media_v1_list_deliveries(Request *rq, const Media__V1__ListDeliveriesRequest *in,
                             Media__V1__ListDeliveriesReply *out)
{
    int64_t limit = MIN(page_size_of(in->has_page_size, in->page_size), WEBHOOK_PAGE_MAX);
    WebhookPage page;
    Webhook webhook;

    TRY(find(rq, in->webhook_id, &webhook));
    TRY(webhook_deliveries(rq, webhook.id, in->state, in->cursor, limit, &page));
    out->n_deliveries = page.count;
    out->deliveries = ARENA_ARRAY(rq->mem, Media__V1__Delivery *, page.count + 1);
    for (size_t i = 0; i < page.count; i++)
        out->deliveries[i] = delivery_of(rq->mem, &page.list[i]);
    out->next_cursor = page.next_cursor;
    return OK;
}

Err media_v1_redeliver(Request *rq, const Media__V1__RedeliverRequest *in, Media__V1__Done *out)
{
    const Media *media = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    Webhook webhook;

    TRY(find(rq, in->webhook_id, &webhook));
    TRY(db_tx_begin(rq, &tx));
    TRY(webhook_redeliver(&tx, webhook.id, in->delivery_id));
    TRY(db_tx_commit(&tx));
    webhook_sender_nudge(media->webhooks);
    SET(out, success, true);
    return OK;
}
