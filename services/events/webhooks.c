/* webhooks: where people and agents want to be told of changes; the work is shared/webhook.h's, what is told by whom
 * is the sequencer's (store_feed.c). */
#include <math.h>

#include "atrium/events/v1/webhooks.service.h"
#include "services/events/entity.h"
#include "services/events/store_webhooks.h"
#include "services/events/wire_time.h"
#include "shared/webhook.h"

enum { DELIVERIES_DEFAULT = 20, BBOX_COUNT = 4 };

static const char *const TYPES[] = {
    "events.event.created",        "events.event.updated",        "events.event.deleted",
    "events.place.created",        "events.place.updated",        "events.place.deleted",
    "events.organization.created", "events.organization.updated", "events.organization.deleted"};

static Err find(Request *rq, const char *id, Webhook *out)
{
    return webhook_find(rq, rq->caller.user_id, id, out);
}

static Err have_keys(const Events *events)
{
    return events->webhook_keys ? OK : err_make(&UNIMPLEMENTED, "there are no webhooks here: WEBHOOK_KEY is not set");
}

/* --- what is said of one ----------------------------------------------------------------------------------------- */
static bool is_keyword(Slice word)
{
    return word.len > 0 && word.len <= FILTER_WORD_MAX_BYTES && slice_find_char(word, '\x01') < 0;
}

static Err read_words(Request *rq, const char *name, char *const *words, size_t count, bool (*fits)(Slice word),
                      const Slice **out)
{
    Slice *list;

    if (count > FILTER_WORDS_MAX)
        return err_make(&INVALID_ARGUMENT, "%s: at most %d", name, FILTER_WORDS_MAX);
    list = ARENA_ARRAY(rq->mem, Slice, count + 1);
    for (size_t i = 0; i < count; i++) {
        list[i] = slice(words[i]);
        if (!fits(list[i]))
            return err_make(&INVALID_ARGUMENT, "%s: there is no \"%.40s\"", name, words[i]);
    }
    *out = list;
    return OK;
}

static Err read_types(Request *rq, char *const *types, size_t count, Webhook *webhook)
{
    return webhook_read_types(rq->mem, types, count, TYPES, ARRAY_LEN(TYPES), webhook);
}

static Err read_url(Request *rq, const char *url, Webhook *webhook)
{
    const Events *events = rq->service;

    if (!url || !*url)
        return err_make(&INVALID_ARGUMENT, "url is required");
    TRY(webhook_check_url(rq->mem, url, events->settings->webhook_allowed));
    webhook->url = url;
    return OK;
}

static bool is_latitude(double value)
{
    return isfinite(value) && value >= -90 && value <= 90;
}

static bool is_longitude(double value)
{
    return isfinite(value) && value >= -180 && value <= 180;
}

static Err read_box(const double *b, size_t count, WebhookFilterRow *out)
{
    if (count == 0)
        return OK;
    if (count != BBOX_COUNT || !is_longitude(b[0]) || !is_latitude(b[1]) || !is_longitude(b[2]) || !is_latitude(b[3]) ||
        b[1] > b[3])
        return err_make(&INVALID_ARGUMENT, "filter.bbox: west, south, east, north in degrees");
    out->boxed = true;
    out->west = b[0];
    out->south = b[1];
    out->east = b[2];
    out->north = b[3];
    return OK;
}

static Err read_filter(Request *rq, const Events__V1__WebhookFilter *in, WebhookFilterRow *out)
{
    *out = (WebhookFilterRow){.boxed = false};
    if (!in)
        return OK;
    TRY(read_words(rq, "filter.domains", in->domains, in->n_domains, domain_is_known, &out->domains));
    TRY(read_words(rq, "filter.keywords", in->keywords, in->n_keywords, is_keyword, &out->keywords));
    out->domain_count = in->n_domains;
    out->keyword_count = in->n_keywords;
    return read_box(in->bbox, in->n_bbox, out);
}

/* --- as the wire has it ------------------------------------------------------------------------------------------ */
static char **texts_of(Arena *mem, const Slice *list, size_t count)
{
    char **out = ARENA_ARRAY(mem, char *, count + 1);

    for (size_t i = 0; i < count; i++)
        out[i] = slice_cstr(mem, list[i]);
    return out;
}

static Events__V1__WebhookFilter *filter_of(Arena *mem, const WebhookFilterRow *f)
{
    Events__V1__WebhookFilter *out;

    if (!f->domain_count && !f->keyword_count && !f->boxed)
        return NULL;
    out = MESSAGE_NEW(mem, Events__V1__WebhookFilter, events__v1__webhook_filter__init);
    out->n_domains = f->domain_count;
    out->domains = texts_of(mem, f->domains, f->domain_count);
    out->n_keywords = f->keyword_count;
    out->keywords = texts_of(mem, f->keywords, f->keyword_count);
    if (f->boxed) {
        out->n_bbox = BBOX_COUNT;
        out->bbox = ARENA_ARRAY(mem, double, BBOX_COUNT);
        memcpy(out->bbox, (const double[]){f->west, f->south, f->east, f->north}, BBOX_COUNT * sizeof(double));
    }
    return out;
}

static Err tell(Request *rq, const Webhook *webhook, Events__V1__Webhook *out)
{
    WebhookFilterRow filter;

    TRY(events_store_filter(rq, webhook->id, &filter));
    out->id = uuid_text(rq->mem, webhook->id);
    out->url = arena_strdup(rq->mem, webhook->url);
    out->n_types = webhook->type_count;
    out->types = texts_of(rq->mem, webhook->types, webhook->type_count);
    SET(out, enabled, webhook->enabled);
    if (webhook->disabled_why[0])
        out->disabled_why = arena_strdup(rq->mem, webhook->disabled_why);
    out->failing_since = wire_time(rq->mem, webhook->failing_since_us);
    out->created_at = wire_time(rq->mem, webhook->created_us);
    out->filter = filter_of(rq->mem, &filter);
    return OK;
}

/* --- the rpcs ---------------------------------------------------------------------------------------------------- */
Err events_v1_create_subscription(Request *rq, const Events__V1__CreateSubscriptionRequest *in,
                                  Events__V1__Webhook *out)
{
    const Events *events = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    char secret[WEBHOOK_SECRET_TEXT_BYTES];
    Webhook webhook = {.id = uuid_v7(events->ids),
                       .owner_id = rq->caller.user_id,
                       .enabled = true,
                       .disabled_why = "",
                       .created_us = clock_unix_us(rq->clock)};
    WebhookFilterRow filter;

    TRY(have_keys(events));
    TRY(read_url(rq, in->url, &webhook));
    TRY(read_types(rq, in->types, in->n_types, &webhook));
    TRY(read_filter(rq, in->filter, &filter));
    webhook_new_secret(secret);
    TRY(db_tx_begin(rq, &tx));
    TRY(events_store_lock_webhooks(&tx, webhook.owner_id));
    TRY(webhook_insert(&tx, events->webhook_keys, &webhook, secret));
    TRY(events_store_set_filter(&tx, webhook.id, &filter));
    TRY(db_tx_commit(&tx));
    TRY(tell(rq, &webhook, out));
    out->secret = arena_strdup(rq->mem, secret);
    request_set_header(rq, "Location", arena_printf(rq->mem, "/api/v1/feeds/webhooks/%s", out->id));
    return OK;
}

Err events_v1_list_subscriptions(Request *rq, const Events__V1__ListSubscriptionsRequest *in,
                                 Events__V1__ListSubscriptionsReply *out)
{
    Webhook *webhooks;
    size_t count;

    (void)in;
    TRY(webhook_list(rq, rq->caller.user_id, &webhooks, &count));
    out->items = ARENA_ARRAY(rq->mem, Events__V1__Webhook *, count + 1);
    out->n_items = count;
    for (size_t i = 0; i < count; i++) {
        out->items[i] = MESSAGE_NEW(rq->mem, Events__V1__Webhook, events__v1__webhook__init);
        TRY(tell(rq, &webhooks[i], out->items[i]));
    }
    return OK;
}

Err events_v1_update_subscription(Request *rq, const Events__V1__UpdateSubscriptionRequest *in,
                                  Events__V1__Webhook *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    WebhookFilterRow filter;
    Webhook webhook;

    TRY(find(rq, in->subscription_id, &webhook));
    if (in->url)
        TRY(read_url(rq, in->url, &webhook));
    if (in->n_types || in->all_types)
        TRY(read_types(rq, in->types, in->all_types ? 0 : in->n_types, &webhook));
    if (in->has_enabled)
        webhook.enabled = in->enabled;
    TRY(read_filter(rq, in->filter, &filter));
    TRY(db_tx_begin(rq, &tx));
    TRY(webhook_update(&tx, &webhook));
    if (in->filter)
        TRY(events_store_set_filter(&tx, webhook.id, &filter));
    TRY(db_tx_commit(&tx));
    TRY(find(rq, in->subscription_id, &webhook));
    return tell(rq, &webhook, out);
}

Err events_v1_delete_subscription(Request *rq, const Events__V1__SubscriptionId *in, Events__V1__SubscriptionDone *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Webhook webhook;

    (void)out;
    TRY(find(rq, in->subscription_id, &webhook));
    TRY(db_tx_begin(rq, &tx));
    TRY(webhook_delete(&tx, webhook.id));
    return db_tx_commit(&tx);
}

Err events_v1_rotate_subscription_secret(Request *rq, const Events__V1__SubscriptionId *in, Events__V1__Webhook *out)
{
    const Events *events = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    char secret[WEBHOOK_SECRET_TEXT_BYTES];
    Webhook webhook;

    TRY(find(rq, in->subscription_id, &webhook));
    TRY(have_keys(events));
    webhook_new_secret(secret);
    TRY(db_tx_begin(rq, &tx));
    TRY(webhook_set_secret(&tx, events->webhook_keys, webhook.id, secret));
    TRY(db_tx_commit(&tx));
    TRY(tell(rq, &webhook, out));
    out->secret = arena_strdup(rq->mem, secret);
    return OK;
}

Err events_v1_test_subscription(Request *rq, const Events__V1__SubscriptionId *in, Events__V1__SubscriptionDone *out)
{
    const Events *events = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    Webhook webhook;

    (void)out;
    TRY(find(rq, in->subscription_id, &webhook));
    TRY(db_tx_begin(rq, &tx));
    TRY(webhook_emit_to(&tx, webhook.id, WEBHOOK_TEST,
                        arena_printf(rq->mem, "{\"subscription_id\":\"%s\"}", uuid_text(rq->mem, webhook.id))));
    TRY(db_tx_commit(&tx));
    webhook_sender_nudge(events->webhooks);
    return OK;
}

/* --- what was sent ----------------------------------------------------------------------------------------------- */
static Events__V1__Delivery *delivery_of(Arena *mem, const WebhookDelivery *d)
{
    Events__V1__Delivery *out = MESSAGE_NEW(mem, Events__V1__Delivery, events__v1__delivery__init);

    out->id = uuid_text(mem, d->id);
    out->message_id = arena_strdup(mem, d->message_id);
    out->type = arena_strdup(mem, d->type);
    out->state = arena_strdup(mem, d->state);
    SET(out, attempts, d->attempts);
    if (d->last_status)
        SET(out, last_status, d->last_status);
    if (d->last_error[0])
        out->last_error = arena_strdup(mem, d->last_error);
    if (!d->finished_us)
        out->due_at = wire_time(mem, d->due_us);
    out->created_at = wire_time(mem, d->created_us);
    out->finished_at = wire_time(mem, d->finished_us);
    return out;
}

Err events_v1_list_subscription_deliveries(Request *rq, const Events__V1__ListSubscriptionDeliveriesRequest *in,
                                           Events__V1__ListSubscriptionDeliveriesReply *out)
{
    int64_t limit = in->has_limit ? in->limit : DELIVERIES_DEFAULT;
    WebhookPage page;
    Webhook webhook;

    TRY(find(rq, in->subscription_id, &webhook));
    if (limit < 1 || limit > WEBHOOK_PAGE_MAX)
        return err_make(&INVALID_ARGUMENT, "limit: 1 to %d", WEBHOOK_PAGE_MAX);
    TRY(webhook_deliveries(rq, webhook.id, in->state, in->after, limit, &page));
    out->n_items = page.count;
    out->items = ARENA_ARRAY(rq->mem, Events__V1__Delivery *, page.count + 1);
    for (size_t i = 0; i < page.count; i++)
        out->items[i] = delivery_of(rq->mem, &page.list[i]);
    out->next_cursor = page.next_cursor;
    return OK;
}

Err events_v1_redeliver_to_subscription(Request *rq, const Events__V1__RedeliverToSubscriptionRequest *in,
                                        Events__V1__SubscriptionDone *out)
{
    const Events *events = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    Webhook webhook;

    (void)out;
    TRY(find(rq, in->subscription_id, &webhook));
    TRY(db_tx_begin(rq, &tx));
    TRY(webhook_redeliver(&tx, webhook.id, in->delivery_id));
    TRY(db_tx_commit(&tx));
    webhook_sender_nudge(events->webhooks);
    return OK;
}
