/* socket_attach: a server-streaming rpc whose messages are frames for one connection, so that a long answer blocks
 * nothing. What the client does not take is bounded by credit: the producer waits. */
#include <utlist.h>

#include "services/gateway/socket_internal.h"

enum { SCRATCH_BYTES = 4096, DEADLINE_GRACE_MS = 5000 };

struct SocketAttachment {
    SocketAttachment *next;
    Socket *socket;
    const StreamSpec *spec; /* of the socket's tables */
    StreamReader reader;
    uint64_t unread_cost; /* of messages that wait for the client */
    char *before, *after;
    size_t before_len, after_len;
    char id[];
};

static void free_attachment(SocketAttachment *a)
{
    Socket *s = a->socket;

    LL_DELETE(s->attachments, a);
    s->attachment_count--;
    gauge_add(s->group->attached, -1);
    stream_reader_done(&a->reader);
    free(a->before);
    free(a->after);
    free(a);
}

/* The service hears of it with the next request. */
static void note_end(Socket *s, const char *id, bool failed)
{
    size_t len = strlen(id) + 1;
    SocketEnded *e = xmalloc(sizeof(*e) + len);

    e->next = NULL;
    e->failed = failed;
    memcpy(e->id, id, len);
    LL_APPEND(s->ended, e);
    socket_touch(s);
}

static void end(SocketAttachment *a, bool failed)
{
    note_end(a->socket, a->id, failed);
    free_attachment(a);
}

/* --- messages ------------------------------------------------------------------------------------------------------
 */
static bool write_message(SocketAttachment *a, Slice wire)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(SCRATCH_BYTES);
    Socket *s = a->socket;
    const JsonWriteOptions options = {.dialect = s->dialect, .escape_html = dialect_get(s->dialect)->escape_html};
    StrBuf out = strbuf_new(mem, SOCKET_FRAME_OUT_MAX_BYTES);
    CLEANUP(shared_frame_unref_at) SharedFrame *frame = NULL;
    Slice text;

    strbuf_append(&out, slice_of(a->before, a->before_len));
    if (!wire_to_json(&options, a->spec->reply, wire, &out))
        return false;
    strbuf_append(&out, slice_of(a->after, a->after_len));
    if (!strbuf_finish(&out, &text) || !utf8_valid(text))
        return false;
    frame = shared_frame_new(text, false);
    (void)socket_write_own(s, frame); /* when that closes the connection, all its streams end */
    return true;
}

static void take(SocketAttachment *a, natsMsg *msg)
{
    switch (stream_reader_take(&a->reader, msg)) {
    case STREAM_NOTHING:
        break;
    case STREAM_MESSAGE:
        a->unread_cost += stream_cost(msg);
        if (!write_message(a, slice_of(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg))))
            end(a, true);
        break;
    case STREAM_END:
        end(a, bus_header(msg, "Nats-Service-Error-Code") != NULL);
        break;
    case STREAM_REFUSED:
    case STREAM_LOST:
    case STREAM_BROKEN:
        end(a, true);
        break;
    }
}

static void came(void *data, UpstreamOutcome outcome, natsMsg *msg)
{
    SocketAttachment *a = data;

    if (outcome == UPSTREAM_REPLIED) {
        take(a, msg);
        return;
    }
    a->reader.listening = false;
    end(a, true);
}

/* --- begin and end -------------------------------------------------------------------------------------------------
 */
static char *copy(const ProtobufCBinaryData *text, size_t *out_len)
{
    *out_len = text->len;
    return text->len ? memcpy(xmalloc(text->len), text->data, text->len) : NULL;
}

static Err send_request(SocketAttachment *a, const Atrium__SocketAttach *what, const char *caller)
{
    Socket *s = a->socket;
    Gateway *g = s->all->g;
    const TraceContext root = trace_root(tracer_sample(g->service->tracer));
    int64_t timeout_ms = (int64_t)a->spec->timeout_ms + DEADLINE_GRACE_MS;
    BusHeader headers[SOCKET_HEADERS_MAX + 1];
    char credit[16];
    size_t count = socket_headers(s, caller, a->spec->timeout_ms, &root, headers, SOCKET_HEADERS_MAX);

    snprintf(credit, sizeof(credit), "%d", SOCKET_CREDIT_BYTES);
    headers[count++] = (BusHeader){"Atrium-Stream-Credit", credit};
    return upstream_send(g->upstream, &(UpstreamRequest){.subject = a->spec->subject,
                                                         .callee = a->spec->domain,
                                                         .headers = headers,
                                                         .header_count = count,
                                                         .body = slice_of(what->request.data, what->request.len),
                                                         .timeout_ms = timeout_ms,
                                                         .done = came,
                                                         .data = a,
                                                         .out_stream = &a->reader.ticket});
}

static bool is_good(const Socket *s, const Atrium__SocketAttach *what, const StreamSpec *spec)
{
    size_t len = strlen(what->id);

    if (!spec || len > SOCKET_ATTACHMENT_ID_MAX_BYTES || s->attachment_count >= SOCKET_ATTACHMENTS_MAX ||
        what->before.len > SOCKET_ATTACHMENT_TEXT_MAX_BYTES || what->after.len > SOCKET_ATTACHMENT_TEXT_MAX_BYTES)
        return false;
    for (const SocketAttachment *a = s->attachments; a; a = a->next)
        if (strcmp(a->id, what->id) == 0)
            return false;
    return true;
}

void socket_attach(Socket *s, const Atrium__SocketAttach *what, const char *caller)
{
    const StreamSpec *spec = what->rpc ? tables_stream(s->tables, s->op->domain, s->op->version, what->rpc) : NULL;
    SocketAttachment *a;
    size_t len;

    if (!what->id)
        return; /* nobody could be told of its end */
    if (!is_good(s, what, spec)) {
        LOG_WARN(s->all->g->service->log, "socket_attach_refused", "rpc", s->op->rpc, "stream",
                 what->rpc ? what->rpc : "");
        note_end(s, slice_cstr(s->all->mem, utf8_take(slice(what->id), SOCKET_ATTACHMENT_ID_MAX_BYTES)), true);
        return;
    }
    len = strlen(what->id) + 1;
    a = xcalloc(1, sizeof(*a) + len);
    a->socket = s;
    a->spec = spec;
    memcpy(a->id, what->id, len);
    a->before = copy(&what->before, &a->before_len);
    a->after = copy(&what->after, &a->after_len);
    stream_reader_init(&a->reader, s->all->g, SOCKET_CREDIT_BYTES);
    LL_PREPEND(s->attachments, a);
    s->attachment_count++;
    gauge_add(s->group->attached, 1);
    if (err_failed(send_request(a, what, caller)))
        end(a, true);
    else
        a->reader.listening = true;
}

void socket_detach(Socket *s, const char *id)
{
    SocketAttachment *a = s->attachments;

    while (a && strcmp(a->id, id) != 0)
        a = a->next;
    if (a)
        free_attachment(a);
}

void socket_detach_all(Socket *s)
{
    while (s->attachments)
        free_attachment(s->attachments);
}

/* --- now and then --------------------------------------------------------------------------------------------------
 */
void socket_attachments_look(Socket *s)
{
    for (SocketAttachment *a = s->attachments, *next; a; a = next) {
        next = a->next; /* a may go */
        if (!stream_reader_look(&a->reader))
            end(a, true);
    }
}

void socket_attachments_read(Socket *s)
{
    for (SocketAttachment *a = s->attachments; a; a = a->next) {
        uint64_t cost = a->unread_cost;

        a->unread_cost = 0;
        if (cost)
            stream_reader_read(&a->reader, cost);
    }
}
