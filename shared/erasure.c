/* erasure: see erasure.h. Stands in the library of the domains, for it speaks auth's messages. */
#include "shared/erasure.h"

#include "atrium/auth/v1/admin.atrium.h"
#include "atrium/reasons.atrium.h"

/* With the back-off of consumers: for days, so that no report is lost while auth is away. */
enum { DELIVERIES_MAX = 100, DURABLE_MAX_BYTES = 64 };

struct Erasure {
    ErasureOptions options;
    EventConsumer *consumer;
};

static Err report(const ErasureOptions *o, Arena *mem, const char *erasure_id, int64_t rows)
{
    Auth__V1__ReportErasureRequest in = AUTH__V1__REPORT_ERASURE_REQUEST__INIT;
    Auth__V1__ReportErasureReply *out;
    Err e;

    in.erasure_id = arena_strdup(mem, erasure_id);
    in.domain = arena_strdup(mem, o->domain);
    SET(&in, rows, rows);
    e = auth_v1_report_erasure_call(o->client, NULL, mem, &in, &out);
    /* Of an auth whose database is older than the event: nobody waits for this report. */
    return e.reason == &NOT_FOUND ? OK : e;
}

static Err take_deleted(void *context, Arena *mem, const Event *event)
{
    const ErasureOptions *o = context;
    const Auth__V1__UserDeleted *deleted;
    ProtobufCMessage *message;
    int64_t rows = 0;

    TRY(message_unpack(mem, &auth__v1__user_deleted__descriptor, event->body, &message));
    deleted = (const Auth__V1__UserDeleted *)message;
    if (!deleted->has_user_id || !deleted->erasure_id)
        return err_make(&INVALID_BODY, "a deleted user without id or erasure");
    TRY(err_wrap(o->erase(o->context, mem, deleted->user_id, &rows), "erase a user"));
    TRY(err_wrap(report(o, mem, deleted->erasure_id, rows), "report an erasure"));
    LOG_INFO(o->log, "user_erased", "erasure_id", deleted->erasure_id, "rows", rows);
    return OK;
}

Err erasure_start(const ErasureOptions *options, Erasure **out)
{
    Erasure *erasure = xcalloc(1, sizeof(*erasure));
    char durable[DURABLE_MAX_BYTES];
    Err e;

    erasure->options = *options;
    snprintf(durable, sizeof(durable), "%s-auth-user-deleted", options->domain);
    e = event_consumer_start(&(EventConsumerOptions){.bus = options->bus,
                                                     .log = options->log,
                                                     .metrics = options->metrics,
                                                     .stream = "EVT_AUTH",
                                                     .durable = durable,
                                                     .filter = "evt.auth.user.deleted.*",
                                                     .max_deliveries = DELIVERIES_MAX,
                                                     .handler = take_deleted,
                                                     .context = &erasure->options},
                             &erasure->consumer);
    if (err_failed(e)) {
        free(erasure);
        return e;
    }
    *out = erasure;
    return OK;
}

void erasure_stop(Erasure *erasure)
{
    if (!erasure)
        return;
    event_consumer_stop(erasure->consumer);
    free(erasure);
}
