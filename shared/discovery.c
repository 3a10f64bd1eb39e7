/* discovery: see discovery.h. */
#include "shared/discovery.h"

#include "shared/clock.h"
#include "shared/strbuf.h"

enum { VERBS = 3, SUBJECTS_PER_VERB = 3, DOCUMENT_MAX_BYTES = 1024 * 1024 };

struct Discovery {
    DiscoveryOptions o;
    char started[TIME_TEXT_BYTES];
    natsSubscription *subs[VERBS * SUBJECTS_PER_VERB];
};

/* --- counting ---------------------------------------------------------------------------------------------------- */
void discovery_endpoint_init(DiscoveryEndpoint *e, const char *name, const char *subject, const char *queue_group)
{
    memset(e, 0, sizeof *e);
    e->name = name;
    e->subject = subject;
    e->queue_group = queue_group;
    pthread_mutex_init(&e->lock, NULL);
}

void discovery_endpoint_done(DiscoveryEndpoint *e)
{
    pthread_mutex_destroy(&e->lock);
}

void discovery_endpoint_count(DiscoveryEndpoint *e, int64_t duration_ns, const char *error)
{
    atomic_fetch_add(&e->requests, 1);
    atomic_fetch_add(&e->processing_ns, (uint64_t)MAX(duration_ns, 0));
    if (!error)
        return;
    atomic_fetch_add(&e->errors, 1);
    pthread_mutex_lock(&e->lock);
    snprintf(e->last_error, sizeof e->last_error, "%s", error);
    pthread_mutex_unlock(&e->lock);
}

/* --- documents --------------------------------------------------------------------------------------------------- */
static void add_member(StrBuf *b, const char *name, const char *value)
{
    strbuf_append_json(b, slice(name));
    strbuf_append_char(b, ':');
    strbuf_append_json(b, slice(value));
}

/* What all three documents begin with; the object stays open. */
static void add_identity(const Discovery *d, const char *type, StrBuf *b)
{
    strbuf_append_char(b, '{');
    add_member(b, "type", type);
    strbuf_append_char(b, ',');
    add_member(b, "name", d->o.name);
    strbuf_append_char(b, ',');
    add_member(b, "id", bus_instance(d->o.bus));
    strbuf_append_char(b, ',');
    add_member(b, "version", d->o.version);
    strbuf_append_cstr(b, ",\"metadata\":{");
    add_member(b, "commit", d->o.commit ? d->o.commit : "");
    strbuf_append_char(b, ',');
    add_member(b, "slot", bus_slot(d->o.bus));
    strbuf_append_char(b, '}');
}

static void write_ping(const Discovery *d, StrBuf *b)
{
    add_identity(d, "io.nats.micro.v1.ping_response", b);
    strbuf_append_char(b, '}');
}

static void add_endpoint(StrBuf *b, const DiscoveryEndpoint *e)
{
    strbuf_append_char(b, '{');
    add_member(b, "name", e->name);
    strbuf_append_char(b, ',');
    add_member(b, "subject", e->subject);
    strbuf_append_char(b, ',');
    add_member(b, "queue_group", e->queue_group);
}

static void write_info(const Discovery *d, StrBuf *b)
{
    add_identity(d, "io.nats.micro.v1.info_response", b);
    strbuf_append_char(b, ',');
    add_member(b, "description", d->o.description ? d->o.description : "");
    strbuf_append_cstr(b, ",\"endpoints\":[");
    for (size_t i = 0; i < d->o.endpoint_count; i++) {
        if (i > 0)
            strbuf_append_char(b, ',');
        add_endpoint(b, d->o.endpoints[i]);
        strbuf_append_cstr(b, ",\"metadata\":{}}");
    }
    strbuf_append_cstr(b, "]}");
}

static void add_counts(StrBuf *b, DiscoveryEndpoint *e)
{
    uint64_t requests = atomic_load(&e->requests), spent_ns = atomic_load(&e->processing_ns);
    char last_error[sizeof e->last_error];

    pthread_mutex_lock(&e->lock);
    memcpy(last_error, e->last_error, sizeof last_error);
    pthread_mutex_unlock(&e->lock);
    strbuf_printf(b, ",\"num_requests\":%" PRIu64 ",\"num_errors\":%" PRIu64 ",", requests,
                  (uint64_t)atomic_load(&e->errors));
    add_member(b, "last_error", last_error);
    strbuf_printf(b, ",\"processing_time\":%" PRIu64 ",\"average_processing_time\":%" PRIu64 "}", spent_ns,
                  requests ? spent_ns / requests : 0);
}

static void write_stats(const Discovery *d, StrBuf *b)
{
    add_identity(d, "io.nats.micro.v1.stats_response", b);
    strbuf_append_char(b, ',');
    add_member(b, "started", d->started);
    strbuf_append_cstr(b, ",\"endpoints\":[");
    for (size_t i = 0; i < d->o.endpoint_count; i++) {
        if (i > 0)
            strbuf_append_char(b, ',');
        add_endpoint(b, d->o.endpoints[i]);
        add_counts(b, d->o.endpoints[i]);
    }
    strbuf_append_cstr(b, "]}");
}

static const struct Verb {
    const char *name;
    void (*write)(const Discovery *d, StrBuf *b);
} VERB_ROWS[VERBS] = {{"PING", write_ping}, {"INFO", write_info}, {"STATS", write_stats}};

static void answer(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *data)
{
    const Discovery *d = data;
    const char *subject = natsMsg_GetSubject(msg), *reply = natsMsg_GetReply(msg);
    (void)nc, (void)sub;

    /* Only to inboxes: a reply subject of the asker's choice would otherwise publish with our rights. */
    if (reply && slice_starts_with(slice(reply), SLICE_LIT("_INBOX."))) {
        CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
        StrBuf b = strbuf_new(mem, DOCUMENT_MAX_BYTES);
        Slice document;

        for (size_t i = 0; i < VERBS; i++) {
            if (slice_starts_with(slice_skip(slice(subject), strlen("$SRV.")), slice(VERB_ROWS[i].name)))
                VERB_ROWS[i].write(d, &b);
        }
        if (strbuf_finish(&b, &document))
            bus_publish_lossy(d->o.bus, reply, NULL, 0, document);
    }
    natsMsg_Destroy(msg);
}

/* --- starting ---------------------------------------------------------------------------------------------------- */
Err discovery_start(const DiscoveryOptions *options, Discovery **out)
{
    Discovery *d = xcalloc(1, sizeof *d);
    size_t count = 0;

    d->o = *options;
    (void)time_format(clock_unix_us(&SYSTEM_CLOCK), 3, d->started);
    for (size_t verb = 0; verb < VERBS; verb++) {
        for (int form = 0; form < SUBJECTS_PER_VERB; form++) {
            char subject[BUS_SUBJECT_MAX_BYTES];
            natsStatus s;

            snprintf(subject, sizeof subject, "$SRV.%s%s%s%s%s", VERB_ROWS[verb].name, form > 0 ? "." : "",
                     form > 0 ? options->name : "", form > 1 ? "." : "", form > 1 ? bus_instance(options->bus) : "");
            s = natsConnection_Subscribe(&d->subs[count++], bus_nats(options->bus), subject, answer, d);
            if (s != NATS_OK) {
                discovery_stop(d);
                return err_wrap(bus_err(s, subject), "discovery");
            }
        }
    }
    *out = d;
    return OK;
}

void discovery_stop(Discovery *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < ARRAY_LEN(d->subs); i++)
        bus_unsubscribe(d->subs[i]);
    free(d);
}
