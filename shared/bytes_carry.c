/* bytes_carry: one request as it comes from a connection: who asks, what is counted and logged of it, its end. */
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "shared/bytes_link.h"
#include "shared/id.h"

/* --- who asks ---------------------------------------------------------------------------------------------------- */
void carried_take_id(Carried *c)
{
    const char *given = http_head_get(c->fields, c->x.head.count, "x-request-id");
    size_t len = given ? strlen(given) : 0;
    bool fine = len > 0 && len <= HTTP_REQUEST_ID_MAX_BYTES;

    for (size_t i = 0; fine && i < len; i++)
        fine = (given[i] >= 'a' && given[i] <= 'z') || (given[i] >= 'A' && given[i] <= 'Z') ||
               (given[i] >= '0' && given[i] <= '9') || strchr("._-", given[i]);
    if (fine)
        memcpy(c->request_id, given, len + 1);
    else
        uuid_format(uuid_v4(), c->request_id);
    c->x.rq.id = c->request_id;
}

void carried_read_peer(Carried *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    socklen_t len;

    if (!info || !info->client_addr)
        return;
    len = info->client_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (getnameinfo(info->client_addr, len, c->client, sizeof(c->client), NULL, 0, NI_NUMERICHOST) != 0)
        c->client[0] = '\0';
    if (strncmp(c->client, "::ffff:", 7) == 0)
        memmove(c->client, c->client + 7, strlen(c->client + 7) + 1);
}

/* Credentials are read where they are checked, and nowhere else. */
static bool is_credential(Slice name)
{
    return slice_eq_nocase(name, SLICE_LIT("authorization")) || slice_eq_nocase(name, SLICE_LIT("cookie")) ||
           slice_eq_nocase(name, SLICE_LIT("atrium-caller"));
}

void carried_put_headers(Carried *c)
{
    BytesExchange *x = &c->x;

    for (size_t i = 0; i < x->head.count; i++) {
        char *name;

        if (is_credential(x->head.fields[i].name))
            continue;
        name = slice_cstr(x->rq.mem, x->head.fields[i].name);
        for (char *ch = name; *ch; ch++)
            if (*ch >= 'A' && *ch <= 'Z')
                *ch = (char)(*ch + ('a' - 'A'));
        x->headers[x->rq.header_count++] = (RequestHeader){name, x->head.fields[i].value.ptr};
    }
    x->rq.headers = x->headers;
}

/* What the gateway says of its client is believed where nobody else reaches this address. */
void carried_take_profile(Carried *c)
{
    const BytesSettings *s = &c->link->listener->settings;
    const char *client = bytes_header(&c->x, "atrium-client"), *profile = bytes_header(&c->x, "atrium-profile");

    c->x.rq.client_address = c->client;
    c->x.rq.profile = "all";
    if (s->public_url[0])
        return;
    if (client && client[0])
        c->x.rq.client_address = client;
    if (profile && profile[0])
        c->x.rq.profile = profile;
}

void carried_start_span(Carried *c)
{
    TraceContext parent;

    if (!trace_parse(slice(bytes_header(&c->x, "traceparent")), &parent))
        parent = trace_root(tracer_sample(c->link->listener->o.tracer));
    c->x.span = span_start(&parent, "bytes", 2);
    c->x.rq.trace = c->x.span.self;
}

/* --- one exchange ------------------------------------------------------------------------------------------------ */
RowMetrics *carried_metrics(BytesListener *l, const BytesRow *row)
{
    for (size_t i = 0; i < l->row_count; i++)
        if (l->rows[i].row == row)
            return &l->rows[i];
    return &l->rows[l->row_count]; /* for what matches none */
}

Carried *carried_new(BytesListener *l, struct MHD_Connection *connection, Link *link, const char *raw_uri)
{
    Carried *c;
    const char *uri, *query;

    arena_reset(link->mem);
    c = ARENA_NEW(link->mem, Carried);
    c->link = link;
    c->connection = connection;
    c->uri_len = strlen(raw_uri);
    c->uri_end = raw_uri + c->uri_len;
    uri = arena_strdup(link->mem, raw_uri); /* libmicrohttpd takes its own apart, where it stands */
    query = strchr(uri, '?');
    c->started_us = clock_monotonic_us(l->o.clock);
    c->x.options = &l->o;
    c->x.rpc = "none";
    c->x.method = "";
    c->x.bind = link_bind_login;
    c->x.head.fields = c->fields;
    c->x.path = query ? slice_of(uri, (size_t)(query - uri)) : slice(uri);
    c->x.query = slice(query ? query + 1 : "");
    c->x.rq = (Request){.mem = link->mem,
                        .service = l->o.context,
                        .clock = l->o.clock,
                        .db = l->o.db,
                        .client = l->o.client,
                        .log = l->o.log,
                        .profile = "all",
                        .client_address = "",
                        .id = ""};
    if (l->row_count && l->rows[0].row)
        c->x.dialect = l->rows[0].row->dialect; /* until it is known which one it is about */
    pthread_mutex_lock(&l->lock);
    link->carried = c;
    pthread_mutex_unlock(&l->lock);
    return c;
}

static void count_status(BytesListener *l, RowMetrics *m, const BytesExchange *x)
{
    int status = bytes_status(x);
    size_t i = 0;

    pthread_mutex_lock(&l->lock);
    while (i < STATUSES_MAX && m->statuses[i].requests && m->statuses[i].status != status)
        i++;
    if (i < STATUSES_MAX) {
        if (!m->statuses[i].requests)
            m->statuses[i] = (StatusCount){
                status,
                metrics_counter(l->o.metrics, "atrium_bytes_requests_total", "Requests of the data plane, by outcome.",
                                arena_printf(x->rq.mem, "rpc=\"%s\",status=\"%d\"", x->rpc, status))};
        counter_add(m->statuses[i].requests, 1);
    }
    pthread_mutex_unlock(&l->lock);
}

static void count_exchange(const Carried *c)
{
    BytesListener *l = c->link->listener;
    const BytesExchange *x = &c->x;
    RowMetrics *m = carried_metrics(l, x->row);

    gauge_add(m->active, -1);
    counter_add(m->in, x->received);
    counter_add(m->out, MAX(x->sent, bytes_outcome(x) == BYTES_SENT ? (uint64_t)x->answer.body.len : 0));
    histogram_observe(m->seconds, (double)(clock_monotonic_us(l->o.clock) - c->started_us) / 1e6);
    count_status(l, m, x);
}

static void log_exchange(const Carried *c)
{
    static const char *const OUTCOMES[] = {"sent", "gone", "cut", "failed"};
    const BytesExchange *x = &c->x;
    Log *log = c->link->listener->o.log;
    int64_t duration_us = clock_monotonic_us(c->link->listener->o.clock) - c->started_us;

    if (x->failure.reason && !x->failure.reason->shown)
        LOG_ERROR(log, "bytes_failed", "reason", x->failure.reason->key, "error", (const char *)x->failure.text,
                  "duration_us", duration_us);
    else
        LOG_DEBUG(log, "bytes", "status", bytes_status(x), "outcome", OUTCOMES[bytes_outcome(x)], "in", x->received,
                  "out", x->sent, "error", (const char *)x->failure.text, "duration_us", duration_us);
}

void carried_end(Link *link, BytesOutcome outcome)
{
    BytesListener *l = link->listener;
    Carried *c = link->carried;
    bool counted;

    if (!c)
        return;
    pthread_mutex_lock(&l->lock);
    link->carried = NULL; /* the watch looks no more */
    pthread_mutex_unlock(&l->lock);
    if (c->x.answer.by_sendfile && outcome == BYTES_GONE)
        c->x.sent = MIN(link_acked(link) - link->acked_base, (uint64_t)MAX(c->x.answer.length, 0));
    counted = c->counted;
    bytes_done(&c->x, c->x.failure.reason && c->x.answer.has_source ? BYTES_FAILED : outcome);
    if (counted) {
        count_exchange(c);
        log_exchange(c);
        span_end(l->o.tracer, &c->x.span, c->x.failure.reason ? c->x.failure.reason->key : NULL);
    }
    log_set_context(NULL, NULL, NULL);
    pthread_mutex_lock(&l->lock);
    if (counted)
        l->active--;
    pthread_cond_broadcast(&l->over);
    pthread_mutex_unlock(&l->lock);
}
