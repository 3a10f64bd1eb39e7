/* consumer: the consuming side of outbox.h: events of a stream, one after the other, to a handler. One thread fetches
 * in batches; a failed event comes again later, and does not hold up those behind it. What fails too often goes to the
 * dead letters of the consuming service: DEAD_<SERVICE>, subject dead.<service>.event.<durable>. */
#include "shared/outbox.h"
#include "shared/work.h"

enum { DEFAULT_DELIVERIES = 10, BACKOFF_MS = 500, BATCH = 32, STOP_TIMEOUT_MS = 30000 };

struct EventConsumer {
    Work *work;
    EventHandler handler;
    void *context;
};

static Err handle(void *context, Arena *mem, const WorkItem *item)
{
    const EventConsumer *c = context;
    const char *dot = strrchr(item->subject, '.'), *when = bus_header(item->msg, "ce-time");
    const char *id = bus_header(item->msg, "ce-id"), *type = bus_header(item->msg, "ce-type");
    const char *source = bus_header(item->msg, "ce-source");
    int64_t seconds;
    int32_t nanos;
    const Event event = {.subject = item->subject,
                         .id = id ? id : "",
                         .type = type ? type : "",
                         .source = source ? source : "",
                         .key = dot ? dot + 1 : item->subject,
                         .time_us = time_parse(slice(when), &seconds, &nanos) ? seconds * 1000000 + nanos / 1000
                                                                              : item->stored_us,
                         .body = item->body,
                         .stream_sequence = item->stream_sequence,
                         .delivery = item->delivery};

    return c->handler(c->context, mem, &event);
}

Err event_consumer_start(const EventConsumerOptions *options, EventConsumer **out)
{
    EventConsumer *c = xcalloc(1, sizeof *c);

    c->handler = options->handler;
    c->context = options->context;
    c->work = work_start(
        &(WorkOptions){.bus = options->bus,
                       .log = options->log,
                       .metrics = options->metrics,
                       .stream = options->stream,
                       .durable = options->durable,
                       .filter = options->filter,
                       .dead_domain = bus_name(options->bus),
                       .dead_kind = "event",
                       .dead_name = options->durable,
                       .max_deliveries = options->max_deliveries > 0 ? options->max_deliveries : DEFAULT_DELIVERIES,
                       .backoff_ms = BACKOFF_MS,
                       .threads = 1,
                       .batch = BATCH,
                       .retry_all = true,
                       .handle = handle,
                       .context = c});
    *out = c;
    return OK;
}

void event_consumer_stop(EventConsumer *c)
{
    if (c && work_stop(c->work, STOP_TIMEOUT_MS))
        free(c); /* else its handler still runs, with it */
}
