/* relay: see relay.h. */
#include "services/gateway/relay.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <utlist.h>

#include "atrium/reasons.atrium.h"
#include "services/gateway/connections.h"
#include "services/gateway/relay_parts.h"

enum { TRIES_MAX = 3, RETRY_AFTER_S = 1 };

/* --- all of them ------------------------------------------------------------------------------------------------- */
static void look_at_all(void *data)
{
    Relays *all = data;
    Revocations *ended = all->gateway->revocations;

    for (Exchange *x = all->watched, *next; x; x = next) {
        next = x->watched_next;
        if (x->has_login && !x->cut && revocations_has(ended, x->login)) {
            counter_add(x->relay ? all->failures[backend_index(x->relay->backend)][RELAY_CUT] : all->stream_cut, 1);
            exchange_cut(x);
        } else {
            x->look(x);
        }
    }
}

static void open_metrics(Relays *all)
{
    static const char *const KINDS[] = {[RELAY_UNREACHABLE] = "unreachable",
                                        [RELAY_LATE] = "timeout",
                                        [RELAY_BROKEN] = "broken",
                                        [RELAY_CUT] = "login_ended",
                                        [RELAY_FULL] = "full"};
    static const char BYTES[] = "atrium_relay_bytes_total",
                      BYTES_HELP[] = "Of bodies, relayed to and from data planes.";
    Metrics *m = all->gateway->service->metrics;
    const char *domain;

    all->active = metrics_gauge(m, "atrium_relays", "Requests that are being relayed to data planes.", "");
    all->bytes_up = metrics_counter(m, BYTES, BYTES_HELP, "direction=\"up\"");
    all->bytes_down = metrics_counter(m, BYTES, BYTES_HELP, "direction=\"down\"");
    all->bytes_direct = metrics_counter(m, "atrium_relay_direct_bytes_total",
                                        "Of bodies, moved between sockets past libmicrohttpd.", "");
    all->pipes = metrics_gauge(m, "atrium_relay_pipes", "Pipes that bodies go through, with kept ones.", "");
    all->stream_cut = metrics_counter(m, "atrium_event_streams_cut_total", "Event streams whose login ended.", "");
    for (size_t i = 0; (domain = backends_name(all->gateway->backends, i)); i++)
        for (size_t k = 0; k < RELAY_FAILURES; k++)
            all->failures[i][k] = metrics_counter(
                m, "atrium_relay_failures_total", "Relayed requests that the data plane did not answer as a whole.",
                arena_printf(all->gateway->service->mem, "domain=\"%s\",kind=\"%s\"", domain, KINDS[k]));
}

Relays *relays_new(Gateway *g)
{
    Relays *all = xcalloc(1, sizeof(*all));

    all->gateway = g;
    open_metrics(all);
    all->timer = loop_timer_new(g->loop, look_at_all, all);
    loop_timer_set(all->timer, RELAYS_LOOK_MS, RELAYS_LOOK_MS);
    return all;
}

void relays_free(Relays *all)
{
    if (!all)
        return;
    loop_timer_free(all->timer);
    relays_free_pipes(all);
    free(all);
}

/* Who closes his side has left: a client that only half closes is rare, and cannot be told from it. While its body goes
 * on, libmicrohttpd comes to the end by itself. */
static void client_left(Exchange *x)
{
    x->client_left = true;
    if (x->suspended && !(x->body_open && x->relay && !x->relay->body_complete))
        exchange_cut(x);
}

static void on_client(void *data, uint32_t events)
{
    Exchange *x = data;

    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        client_left(x);
    if (x->relay)
        relay_direct_ready(x->relay, events);
}

void relays_watch(Exchange *x, void (*handler)(Exchange *x))
{
    Relays *all = x->gateway->relays;

    x->look = handler;
    /* libmicrohttpd does not look at connections that sleep. */
    loop_add_fd(all->gateway->loop, connection_of(x->connection)->fd, RELAY_CLIENT_EVENTS, on_client, x);
    DL_APPEND2(all->watched, x, watched_previous, watched_next);
}

void relays_forget(Exchange *x)
{
    Relays *all = x->gateway->relays;

    if (!x->look)
        return;
    loop_remove_fd(all->gateway->loop, connection_of(x->connection)->fd);
    DL_DELETE2(all->watched, x, watched_previous, watched_next);
    x->look = NULL;
}

void relays_cut_all(Relays *all)
{
    for (Exchange *x = all->watched, *next; x; x = next) {
        next = x->watched_next;
        exchange_cut(x);
    }
}

void relay_moved(Relay *r)
{
    r->since_ms = loop_now_ms(r->x->gateway->loop);
}

static void enter(Relay *r, RelayPhase phase)
{
    r->phase = phase;
    relay_moved(r);
}

/* --- what goes wrong --------------------------------------------------------------------------------------------- */
static void on_event(void *data)
{
    relay_step(data);
}

static bool open_connection(Relay *r, bool fresh)
{
    r->conn = backend_take(r->backend, fresh, on_event, r);
    if (!r->conn)
        return false;
    r->sent = r->start = r->end = 0;
    r->frame_len = r->frame_at = 0;
    r->chunk_left = 0;
    r->write_failed = false;
    enter(r, r->conn->connecting ? RELAY_CONNECTING : RELAY_SENDING);
    return true;
}

/* Twice is as once, or it was not told all of it. */
static bool is_harmless_again(const Relay *r)
{
    return !r->body_sent && (r->x->has_body || strcmp(r->x->method, "POST") != 0) && strcmp(r->x->method, "PATCH") != 0;
}

/* A kept connection may have ended before it knew of us, and another address may answer. */
static bool try_again(Relay *r)
{
    bool connecting = r->phase == RELAY_CONNECTING;
    bool fresh_may_do = connecting ? (size_t)r->tries + 1 < backend_address_count(r->backend)
                                   : r->conn && r->conn->reused && r->end == 0 && is_harmless_again(r);

    if (r->conn && connecting)
        backend_mark_down(r->conn);
    if (!fresh_may_do || r->tries++ >= TRIES_MAX)
        return false;
    backend_close(MOVE(r->conn));
    return open_connection(r, true);
}

static StepResult tell_failure(Exchange *x, RelayFailure kind)
{
    counter_add(x->gateway->relays->failures[backend_index(x->relay->backend)][kind], 1);
    if (kind == RELAY_LATE)
        return exchange_fail_with(x, "DEADLINE_EXCEEDED", "no answer in time; it may have happened");
    if (kind == RELAY_BROKEN)
        return exchange_fail(x, (Failure){.key = "UNAVAILABLE", .http = 502, .text = "the service broke off"});
    return exchange_fail(x, (Failure){.key = "UNAVAILABLE",
                                      .text = kind == RELAY_FULL
                                                  ? "too many transfers at a time"
                                                  : arena_printf(x->mem, "%s is not available", x->op->domain),
                                      .retry_after_s = RETRY_AFTER_S});
}

/* An answer that comes before the body is complete has no place in libmicrohttpd's order. What is left is thrown away
 * when it is little; else the client is told all the same, and the connection ends. */
static void end_body_early(Exchange *x)
{
    if (!x->body_open || (x->relay->body_complete && !x->relay->direct.past))
        return;
    if (x->chunked || x->relay->direct.past || x->content_length - x->received > DISCARD_MAX_BYTES)
        exchange_tell_past(x);
    else
        exchange_resume(x);
}

void relay_fail(Relay *r, RelayFailure kind)
{
    Exchange *x = r->x;

    if (r->phase != RELAY_ANSWERING && kind != RELAY_LATE && try_again(r)) {
        relay_step(r);
        return;
    }
    backend_close(MOVE(r->conn));
    if (r->phase == RELAY_ANSWERING) {
        counter_add(x->gateway->relays->failures[backend_index(r->backend)][kind], 1);
        r->broken = true;
        if (r->direct.past)
            exchange_cut(x);
        exchange_resume(x);
        return;
    }
    enter(r, RELAY_ENDED);
    (void)tell_failure(x, kind);
    end_body_early(x);
}

/* --- the request ------------------------------------------------------------------------------------------------- */
/* Not for the data plane: what is between two hops, credentials, and all that it believes because we say it. */
static bool is_ours_alone(const Exchange *x, Slice name)
{
    static const char *const DROPPED[] = {"authorization",
                                          "cookie",
                                          "x-csrf-token",
                                          "content-length",
                                          "expect",
                                          "x-request-id",
                                          "traceparent",
                                          "tracestate",
                                          "forwarded",
                                          "x-real-ip",
                                          "connection",
                                          "keep-alive",
                                          "proxy-connection",
                                          "proxy-authorization",
                                          "proxy-authenticate",
                                          "te",
                                          "trailer",
                                          "transfer-encoding",
                                          "upgrade"};
    Slice lists = exchange_header_joined(x, "connection");

    if (name.len >= 7 && slice_eq_nocase(slice_take(name, 7), SLICE_LIT("atrium-")))
        return true;
    if (name.len >= 12 && slice_eq_nocase(slice_take(name, 12), SLICE_LIT("x-forwarded-")))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(DROPPED); i++)
        if (slice_eq_nocase(name, slice(DROPPED[i])))
            return true;
    return lists.len && header_list_has(lists, name);
}

static void add_header(StrBuf *b, const char *name, const char *value)
{
    if (value)
        strbuf_printf(b, "%s: %s\r\n", name, value);
}

static void add_framing(const Exchange *x, StrBuf *b)
{
    if (x->chunked)
        add_header(b, "Transfer-Encoding", "chunked");
    else if (x->has_body || strcmp(x->method, "PUT") == 0 || strcmp(x->method, "POST") == 0 ||
             strcmp(x->method, "PATCH") == 0)
        strbuf_printf(b, "Content-Length: %" PRIu64 "\r\n", x->content_length);
    if (x->expects && x->has_body)
        add_header(b, "Expect", "100-continue");
}

static bool write_head(Exchange *x, Slice *out)
{
    StrBuf b = strbuf_new(x->mem, RELAY_HEAD_MAX_BYTES);
    char traceparent[TRACEPARENT_BYTES];

    strbuf_printf(&b, "%s " SLICE_FMT "%s" SLICE_FMT " HTTP/1.1\r\n", x->method, SLICE_ARG(x->raw_path),
                  x->raw_query.len ? "?" : "", SLICE_ARG(x->raw_query));
    for (size_t i = 0; i < x->header_count; i++)
        if (!is_ours_alone(x, x->headers[i].name))
            strbuf_printf(&b, SLICE_FMT ": " SLICE_FMT "\r\n", SLICE_ARG(x->headers[i].name),
                          SLICE_ARG(x->headers[i].value));
    if (!exchange_header(x, "host"))
        add_header(&b, "Host", x->op->domain);
    add_framing(x, &b);
    trace_format(&x->span.self, traceparent);
    add_header(&b, "traceparent", traceparent);
    add_header(&b, "X-Request-Id", x->request_id);
    add_header(&b, "Atrium-Profile", x->profile->name);
    add_header(&b, "Atrium-Client", x->client_text);
    add_header(&b, "Atrium-Caller", x->caller_header);
    strbuf_append_cstr(&b, "\r\n");
    return strbuf_finish(&b, out);
}

/* What would end the request line is refused, however it came past libmicrohttpd. */
static bool has_control(Slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] == 0x7f)
            return true;
    return false;
}

/* After the head. */
static void go_on(Relay *r)
{
    Exchange *x = r->x;

    if (!x->has_body) {
        enter(r, RELAY_WAITING);
    } else if (x->expects && !x->body_open) {
        enter(r, RELAY_CONTINUE);
    } else {
        enter(r, RELAY_BODY);
        exchange_resume(x);
    }
}

/* False: not yet, or failed. */
static bool send_head(Relay *r)
{
    while (r->sent < r->head.len) {
        ssize_t n = send(r->conn->fd, r->head.ptr + r->sent, r->head.len - r->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            r->conn->writable = false;
            return false;
        }
        if (n < 0) {
            relay_fail(r, RELAY_BROKEN);
            return false;
        }
        r->sent += (size_t)n;
        relay_moved(r);
    }
    go_on(r);
    return true;
}

static bool frame_is_sent(const Relay *r)
{
    return r->frame_at == r->frame_len;
}

/* The line before a chunk of `len` bytes, behind the end of the one before. */
static void frame_chunk(Relay *r, size_t len)
{
    r->frame_len =
        (size_t)snprintf(r->frame, sizeof(r->frame), "%s%zx\r\n%s", r->body_sent ? "\r\n" : "", len, len ? "" : "\r\n");
    r->frame_at = 0;
    r->chunk_left = len;
}

void relay_write_failed(Relay *r)
{
    r->write_failed = r->conn->readable = true;
    enter(r, RELAY_WAITING);
}

/* What is left of the frame, then `data`, in one go. False: no more can be sent now. */
static bool push(Relay *r, Slice data, size_t *out_taken)
{
    struct iovec parts[] = {{r->frame + r->frame_at, r->frame_len - r->frame_at},
                            {(void *)(uintptr_t)data.ptr, data.len}};
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = data.len ? 2 : 1};
    ssize_t n = sendmsg(r->conn->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    size_t of_frame;

    *out_taken = 0;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        r->conn->writable = false;
        return false;
    }
    if (n < 0) {
        relay_write_failed(r);
        return false;
    }
    of_frame = MIN((size_t)n, r->frame_len - r->frame_at);
    r->frame_at += of_frame;
    *out_taken = (size_t)n - of_frame;
    relay_moved(r);
    return true;
}

size_t relay_take_body(Exchange *x, Slice piece)
{
    Relay *r = x->relay;
    size_t at = 0, taken;

    while (r->phase == RELAY_BODY && at < piece.len) {
        Slice rest = slice_skip(piece, at);

        if (x->chunked && frame_is_sent(r) && r->chunk_left == 0)
            frame_chunk(r, rest.len);
        if (!push(r, x->chunked ? slice_take(rest, (size_t)r->chunk_left) : rest, &taken)) {
            if (r->phase == RELAY_BODY)
                return at;
            break;
        }
        if (x->chunked)
            r->chunk_left -= taken;
        r->body_sent |= taken > 0;
        at += taken;
        counter_add(x->gateway->relays->bytes_up, taken);
    }
    if (r->write_failed && r->conn)
        relay_step(r);
    return x->answered || r->phase == RELAY_EARLY || r->phase == RELAY_ENDED ? piece.len /* nobody wants it any more */
                                                                             : at;
}

bool relay_goes_past(Exchange *x)
{
    const Relay *r = x->relay;

    return r->phase == RELAY_BODY && r->conn && !x->chunked && !x->client_left &&
           x->content_length - x->received >= RELAY_DIRECT_UP_MIN_BYTES;
}

void relay_go_past(Exchange *x)
{
    relay_direct_begin_up(x->relay);
}

void relay_body_ended(Exchange *x)
{
    Relay *r = x->relay;

    r->body_complete = true;
    if (r->phase != RELAY_BODY)
        return;
    if (x->chunked)
        frame_chunk(r, 0);
    relay_step(r);
}

bool relay_takes_body(const Exchange *x)
{
    return x->relay && (x->relay->phase == RELAY_BODY || x->relay->phase == RELAY_EARLY);
}

/* The end of the body, where that takes words of its own. */
static void finish_body(Relay *r)
{
    size_t taken;

    while (!frame_is_sent(r))
        if (!push(r, (Slice){"", 0}, &taken))
            return;
    enter(r, RELAY_WAITING);
}

/* --- the answer -------------------------------------------------------------------------------------------------- */
/* Those that say what we say ourselves. */
static bool is_said_by_us(const char *name)
{
    static const char *const OURS[] = {"content-length",  "date",
                                       "x-request-id",    "x-content-type-options",
                                       "x-frame-options", "referrer-policy",
                                       "x-atrium-slot",   "x-csrf-token",
                                       "ratelimit",       "ratelimit-policy"};
    Slice n = slice(name);

    if (n.len >= 7 && slice_eq_nocase(slice_take(n, 7), SLICE_LIT("atrium-")))
        return true;
    if (n.len >= 15 && slice_eq_nocase(slice_take(n, 15), SLICE_LIT("access-control-")))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(OURS); i++)
        if (slice_eq_nocase(n, slice(OURS[i])))
            return true;
    return false;
}

static void take_headers(Relay *r)
{
    Exchange *x = r->x;

    for (size_t i = 0; i < r->answer.header_count; i++) {
        const AnswerHeader *h = &r->answer.headers[i];

        if (is_said_by_us(h->name) || answer_is_hop_header(&r->answer, h->name))
            continue;
        if (slice_eq_nocase(slice(h->name), SLICE_LIT("vary")))
            header_join(x->mem, &x->out, "Vary", arena_strdup(x->mem, h->value));
        else
            header_add(&x->out, arena_strdup(x->mem, h->name), arena_strdup(x->mem, h->value));
    }
}

size_t relay_buffered(const Relay *r)
{
    return r->end - r->start;
}

/* The connection is of use for others when nothing is left of this one on it. */
void relay_give_back(Relay *r)
{
    bool clean = r->answer_complete && r->answer.keep_alive && relay_buffered(r) == 0 && !r->write_failed &&
                 (!r->x->has_body || (r->body_complete && frame_is_sent(r)));

    if (r->conn && clean)
        backend_keep(MOVE(r->conn));
    else
        backend_close(MOVE(r->conn));
}

static Received receive(Relay *r, char *into, size_t room, size_t *out_len)
{
    ssize_t n = recv(r->conn->fd, into, room, MSG_DONTWAIT);

    *out_len = 0;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        r->conn->readable = false;
        return RECEIVED_NOTHING;
    }
    if (n <= 0)
        return RECEIVED_END;
    *out_len = (size_t)n;
    relay_moved(r);
    return RECEIVED;
}

Received relay_fill(Relay *r)
{
    size_t len = 0;
    Received got;

    if (r->start == r->end) {
        r->start = r->end = 0;
    } else if (r->start && r->end == sizeof(r->buffer)) {
        memmove(r->buffer, r->buffer + r->start, relay_buffered(r));
        r->end -= r->start;
        r->start = 0;
    }
    if (r->end == sizeof(r->buffer))
        return RECEIVED;
    got = receive(r, r->buffer + r->end, sizeof(r->buffer) - r->end, &len);
    r->end += len;
    return got;
}

/* Out of the buffer: body, without its framing. */
static AnswerResult take_buffered(Relay *r, char *into, size_t room, size_t *out_len)
{
    Slice in = slice_of(r->buffer + r->start, MIN(relay_buffered(r), room)), piece = in;
    size_t used = in.len;
    AnswerResult result = ANSWER_MORE;

    if (r->answer.body == ANSWER_CHUNKED)
        result = answer_chunk(&r->chunks, in, &piece, &used);
    memcpy(into, piece.ptr, piece.len);
    *out_len = piece.len;
    r->start += used;
    return result;
}

/* Called by libmicrohttpd when it has sent what it had. */
static ssize_t read_answer(void *data, uint64_t position, char *into, size_t room)
{
    Exchange *x = data;
    Relay *r = x->relay;
    size_t len = 0;

    (void)position;
    for (;;) {
        Received got = RECEIVED;

        if (x->cut || r->broken)
            return MHD_CONTENT_READER_END_WITH_ERROR;
        if (r->answer_complete)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (r->direct.wanted) {
            r->direct.wanted = false;
            exchange_suspend_answer(x);
            relay_direct_begin_down(r, SLICE_LIT(""));
            return 0;
        }
        if (relay_buffered(r)) {
            AnswerResult result = take_buffered(r, into, room, &len);

            if (result == ANSWER_BROKEN) {
                relay_fail(r, RELAY_BROKEN);
                continue;
            }
            r->answer_complete = result == ANSWER_DONE;
        } else if (r->answer.body != ANSWER_CHUNKED) {
            got = receive(r, into, r->answer.body == ANSWER_LENGTH ? (size_t)MIN(r->left, (uint64_t)room) : room, &len);
        } else {
            got = relay_fill(r);
            if (got == RECEIVED)
                continue;
        }
        if (len)
            break;
        if (got == RECEIVED_NOTHING) {
            exchange_suspend_answer(x);
            return 0;
        }
        if (got == RECEIVED_END && r->answer.body == ANSWER_TO_CLOSE)
            r->answer_complete = true;
        else if (got == RECEIVED_END)
            relay_fail(r, RELAY_BROKEN);
    }
    if (r->answer.body == ANSWER_LENGTH) {
        r->left -= len;
        r->answer_complete = r->left == 0;
    }
    if (r->answer_complete && r->answer.body == ANSWER_LENGTH)
        relay_give_back(r);
    exchange_note_progress(x);
    counter_add(x->gateway->relays->bytes_down, len);
    return (ssize_t)len;
}

/* As the client is told it; what is not known ends with the connection. */
static uint64_t past_size(const AnswerHead *a)
{
    return a->has_length ? a->length : a->body == ANSWER_NO_BODY ? 0 : MHD_SIZE_UNKNOWN;
}

static void begin_answer(Relay *r)
{
    Exchange *x = r->x;
    const AnswerHead *a = &r->answer;

    take_headers(r);
    enter(r, RELAY_ANSWERING);
    r->left = a->body == ANSWER_LENGTH ? a->length : 0;
    r->answer_complete = a->body == ANSWER_NO_BODY || (a->body == ANSWER_LENGTH && a->length == 0);
    if (r->direct.past) {
        relay_direct_begin_down(r, exchange_answer_past(x, a->status, past_size(a)));
    } else if (a->body == ANSWER_NO_BODY && a->status != 204 && (a->has_length ? a->length > 0 : a->status != 304)) {
        /* What it would be: told, not sent. */
        relay_give_back(r);
        (void)exchange_answer_from(x, a->status, a->has_length ? a->length : MHD_SIZE_UNKNOWN, 1, read_answer);
    } else if (r->answer_complete || (a->body == ANSWER_LENGTH && a->length <= relay_buffered(r))) {
        Slice body = slice_of(r->buffer + r->start, (size_t)r->left);

        r->start += body.len;
        r->answer_complete = true;
        counter_add(x->gateway->relays->bytes_down, body.len);
        relay_give_back(r); /* the buffer stays as long as the exchange */
        (void)exchange_answer(x, a->status, NULL, body);
    } else {
        r->direct.wanted = a->body == ANSWER_LENGTH && a->length >= RELAY_DIRECT_DOWN_MIN_BYTES;
        if (r->direct.wanted)
            header_add(&x->out, "Connection",
                       "close"); /* libmicrohttpd sends the head, and knows no more of the rest */
        (void)exchange_answer_from(x, a->status, a->body == ANSWER_LENGTH ? a->length : MHD_SIZE_UNKNOWN,
                                   a->body == ANSWER_LENGTH ? RELAY_BLOCK_BYTES : RELAY_BUFFER_BYTES, read_answer);
    }
}

/* As much as there is of an answer that came too early, as a whole or not at all. */
static void answer_early(Relay *r)
{
    Exchange *x = r->x;
    StrBuf body = strbuf_new(x->mem, RELAY_EARLY_MAX_BYTES);
    Slice text;

    if (r->answer.body == ANSWER_CHUNKED) {
        AnswerChunks chunks = {.left = 0};
        Slice in = slice_of(r->buffer + r->start, relay_buffered(r)), piece;
        AnswerResult result = ANSWER_MORE;
        size_t used;

        while (in.len && result == ANSWER_MORE) {
            result = answer_chunk(&chunks, in, &piece, &used);
            in = slice_skip(in, used);
            strbuf_append(&body, piece);
        }
    } else {
        strbuf_append(&body, slice_take(slice_of(r->buffer + r->start, relay_buffered(r)), (size_t)r->left));
    }
    take_headers(r);
    backend_close(MOVE(r->conn));
    enter(r, RELAY_ENDED);
    (void)exchange_answer(x, r->answer.status, NULL, strbuf_finish(&body, &text) ? text : SLICE_LIT(""));
    end_body_early(x);
}

static bool early_is_complete(const Relay *r)
{
    if (r->answer.body == ANSWER_NO_BODY)
        return true;
    if (r->answer.body == ANSWER_LENGTH)
        return relay_buffered(r) >= r->answer.length;
    return slice_ends_with(slice_of(r->buffer + r->start, relay_buffered(r)), SLICE_LIT("0\r\n\r\n"));
}

static void read_early(Relay *r)
{
    while (r->conn && r->conn->readable && !early_is_complete(r) && relay_buffered(r) < RELAY_EARLY_MAX_BYTES)
        if (relay_fill(r) == RECEIVED_END)
            break;
    if (!r->conn->readable && !early_is_complete(r))
        return; /* until RELAY_EARLY_WAIT_MS */
    answer_early(r);
}

static void take_head(Relay *r)
{
    r->left = r->answer.body == ANSWER_LENGTH ? r->answer.length : r->answer.body == ANSWER_NO_BODY ? 0 : SIZE_MAX;
    if (r->phase == RELAY_BODY || r->write_failed) {
        enter(r, RELAY_EARLY);
        read_early(r);
        return;
    }
    begin_answer(r);
}

/* Heads, until one is final. */
static void read_heads(Relay *r)
{
    while (r->conn && r->conn->readable) {
        Received got = relay_fill(r);
        size_t used = 0;
        AnswerResult result =
            answer_head(r->buffer + r->start, relay_buffered(r), strcmp(r->x->method, "HEAD") == 0, &r->answer, &used);

        r->start += used;
        if (result == ANSWER_BROKEN || (result == ANSWER_MORE && got == RECEIVED_END)) {
            relay_fail(r, RELAY_BROKEN);
            return;
        }
        if (result == ANSWER_MORE && got == RECEIVED_NOTHING)
            return;
        if (result == ANSWER_MORE)
            continue;
        if (r->answer.status >= 200) {
            take_head(r);
            return;
        }
        if (r->answer.status == 100 && r->phase == RELAY_CONTINUE) {
            enter(r, RELAY_BODY);
            exchange_resume(r->x);
        }
    }
}

/* --- the steps --------------------------------------------------------------------------------------------------- */
void relay_step(Relay *r)
{
    BackendConnection *c = r->conn;

    if (r->phase == RELAY_CONNECTING) {
        if (!c->writable)
            return;
        if (!backend_connected(c)) {
            relay_fail(r, RELAY_UNREACHABLE);
            return;
        }
        enter(r, RELAY_SENDING);
    }
    if (r->phase == RELAY_SENDING && !send_head(r))
        return;
    if (r->phase == RELAY_BODY && r->body_complete)
        finish_body(r);
    if (r->conn && (r->phase == RELAY_CONTINUE || r->phase == RELAY_BODY || r->phase == RELAY_WAITING))
        read_heads(r);
    if (r->conn && r->phase == RELAY_EARLY)
        read_early(r);
    if (r->direct.way)
        relay_direct_go_on(r);
    else if (r->conn &&
             ((r->phase == RELAY_BODY && r->conn->writable) || (r->phase == RELAY_ANSWERING && r->conn->readable)))
        exchange_resume(r->x);
}

/* libmicrohttpd takes a short read for a sign that there is no more, and so may miss the end that came with it. */
static bool left_within_body(const Exchange *x)
{
    int unread = 0;

    return x->client_left && x->body_open && (!x->relay->body_complete || x->relay->direct.past) && !x->suspended &&
           ioctl(connection_of(x->connection)->fd, FIONREAD, &unread) == 0 && unread == 0;
}

static void look(Exchange *x)
{
    Relay *r = x->relay;
    const GatewaySettings *s = x->gateway->settings;
    int64_t waited_ms = loop_now_ms(x->gateway->loop) - r->since_ms;

    if (x->cut)
        return;
    if (left_within_body(x)) {
        exchange_cut(x);
        return;
    }
    switch (r->phase) {
    case RELAY_CONNECTING:
        if (waited_ms > s->relay_connect_timeout_ms)
            relay_fail(r, RELAY_UNREACHABLE);
        break;
    case RELAY_CONTINUE:
        if (waited_ms > RELAY_CONTINUE_WAIT_MS) {
            enter(r, RELAY_BODY);
            exchange_resume(x);
        }
        break;
    case RELAY_BODY:
        if ((relay_direct_waits(r) || r->body_complete) && waited_ms > s->relay_idle_timeout_ms)
            relay_fail(r, RELAY_LATE);
        break;
    case RELAY_SENDING:
    case RELAY_WAITING:
        if (waited_ms > s->relay_answer_timeout_ms)
            relay_fail(r, RELAY_LATE);
        break;
    case RELAY_EARLY:
        if (waited_ms > RELAY_EARLY_WAIT_MS)
            answer_early(r);
        break;
    case RELAY_ANSWERING:
        if (relay_direct_waits(r) && waited_ms > s->relay_idle_timeout_ms)
            relay_fail(r, RELAY_LATE);
        break;
    case RELAY_ENDED:
        break;
    }
}

StepResult relay_start(Exchange *x)
{
    Relays *all = x->gateway->relays;
    Backend *backend = backends_find(x->gateway->backends, x->op->domain);
    Relay *r;

    if (!backend)
        return exchange_fail(x, (Failure){.key = "UNAVAILABLE",
                                          .text = arena_printf(x->mem, "%s is not available", x->op->domain),
                                          .retry_after_s = RETRY_AFTER_S});
    if (has_control(x->raw_path) || has_control(x->raw_query))
        return exchange_fail_with(x, "INVALID_ARGUMENT", "the path has a character that it cannot have");
    r = xmalloc(sizeof(*r));
    memset(r, 0, offsetof(Relay, buffer));
    r->x = x;
    r->backend = backend;
    r->phase = RELAY_ENDED;
    x->relay = r;
    all->count++;
    gauge_add(all->active, 1);
    relays_watch(x, look);
    if ((int64_t)all->count > x->gateway->settings->relays_max)
        return tell_failure(x, RELAY_FULL);
    if (!write_head(x, &r->head))
        return exchange_fail_with(x, "INVALID_ARGUMENT", "the request's head is too long");
    if (!open_connection(r, false)) {
        enter(r, RELAY_ENDED);
        return tell_failure(x, RELAY_UNREACHABLE);
    }
    relay_step(r);
    return x->answered ? STEP_ANSWERED : STEP_WAIT;
}

void relay_end(Exchange *x)
{
    Relays *all = x->gateway->relays;
    Relay *r = x->relay;

    relays_forget(x);
    if (!r)
        return;
    relay_direct_end(r);
    relay_give_back(r);
    all->count--;
    gauge_add(all->active, -1);
    free(r);
    x->relay = NULL;
}
