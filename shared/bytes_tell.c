/* bytes_tell: answers, by libmicrohttpd and past it.
 *
 * What libmicrohttpd cannot do is to answer before a body is there and go on as if nothing were: an answer that it is
 * given early closes the connection at once, with the client's bytes unread, and the kernel's reset then may overtake
 * the answer. So a small rest of a body is read and thrown away, and before a large one the answer is written here,
 * past libmicrohttpd, with a bounded wait for the client to notice. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "shared/bytes_link.h"

enum {
    READ_BYTES = 128 * 1024,         /* of a source that is no file, at a time */
    DISCARD_MAX_BYTES = 1024 * 1024, /* of a refused body, so that its connection lives on */
    LINGER_MAX_BYTES = 64 * 1024 * 1024,
    LINGER_MS = 2000,
    RAW_HEAD_MAX_BYTES = 32 * 1024
};

/* --- answers by libmicrohttpd ------------------------------------------------------------------------------------ */
static ssize_t read_source(void *data, uint64_t position, char *into, size_t max)
{
    Carried *c = data;
    BytesExchange *x = &c->x;
    BytesSource *s = &x->answer.source;
    size_t len = 0;
    Err e;

    (void)position; /* it is read from the beginning to the end */
    if (bytes_is_cut(x))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    link_begin_work(c->link);
    e = s->read(s->data, into, max, &len);
    link_end_work(c->link, 0);
    x->sent += len;
    if (err_failed(e)) {
        x->failure = e;
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (len > 0)
        return (ssize_t)len;
    if (x->answer.length == BYTES_UNKNOWN)
        return MHD_CONTENT_READER_END_OF_STREAM;
    x->failure = err_make(&INTERNAL, "%" PRIu64 " of %" PRId64 " bytes came", x->sent, x->answer.length);
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static ssize_t read_nothing(void *data, uint64_t position, char *into, size_t max)
{
    (void)data, (void)position, (void)into, (void)max;
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *make_response(Carried *c)
{
    BytesAnswer *a = &c->x.answer;
    uint64_t size = a->length < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)a->length;
    int fd = a->source.fd;

    if (a->has_source && fd >= 0 && a->length > 0) {
        struct MHD_Response *response = MHD_create_response_from_fd_at_offset64(size, fd, a->source.fd_offset);

        if (response) { /* which closes it from now on */
            a->by_sendfile = true;
            a->source.fd = -1;
        }
        return response;
    }
    if (a->has_source && a->length != 0)
        return MHD_create_response_from_callback(size, READ_BYTES, read_source, c, NULL);
    /* What is only told: the length of a HEAD, and of what a 304 stands for. */
    if ((bytes_is_head(&c->x) || a->status == MHD_HTTP_NOT_MODIFIED) && a->body.len == 0 && a->length != 0)
        return MHD_create_response_from_callback(size, 1, read_nothing, NULL, NULL);
    return MHD_create_response_from_buffer(a->body.len, (void *)(uintptr_t)a->body.ptr, MHD_RESPMEM_MUST_COPY);
}

typedef void (*PutHeader)(void *to, const char *name, const char *value);

static void each_header(const Carried *c, PutHeader put, void *to)
{
    const BytesExchange *x = &c->x;

    for (size_t i = 0; i < x->rq.reply.header_count; i++)
        put(to, x->rq.reply.headers[i].name, x->rq.reply.headers[i].value);
    for (size_t i = 0; i < x->answer.header_count; i++)
        put(to, x->answer.headers[i].name, x->answer.headers[i].value);
    put(to, "X-Request-Id", x->rq.id);
    if (bytes_cors_origin(x)) {
        put(to, "Access-Control-Allow-Origin", bytes_cors_origin(x));
        put(to, "Access-Control-Expose-Headers", "*");
    }
}

static void put_to_response(void *to, const char *name, const char *value)
{
    (void)MHD_add_response_header(to, name, value); /* fails for what is no header at all: left out */
}

enum MHD_Result tell_answer(Carried *c)
{
    struct MHD_Response *response = make_response(c);
    enum MHD_Result queued;

    if (!response)
        return MHD_NO;
    c->told = true;
    each_header(c, put_to_response, response);
    if (link_is_draining(c->link->listener))
        put_to_response(response, "Connection", "close");
    link_enter(c->link, PHASE_ANSWER);
    queued = MHD_queue_response(c->connection, (unsigned)c->x.answer.status, response);
    MHD_destroy_response(response);
    return queued;
}

/* --- answers past libmicrohttpd ---------------------------------------------------------------------------------- */
static void put_to_text(void *to, const char *name, const char *value)
{
    strbuf_printf(to, "%s: %s\r\n", name, value);
}

static bool wait_for(int fd, short events, int64_t end_ms, const Clock *clock)
{
    struct pollfd p = {.fd = fd, .events = events};
    int64_t left = end_ms - clock_monotonic_ms(clock);

    return left > 0 && poll(&p, 1, (int)left) > 0;
}

static bool send_all(int fd, Slice text, int64_t end_ms, const Clock *clock)
{
    while (text.len) {
        ssize_t n = send(fd, text.ptr, text.len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n > 0)
            text = slice_skip(text, (size_t)n);
        else if ((n < 0 && errno != EAGAIN && errno != EINTR) || !wait_for(fd, POLLOUT, end_ms, clock))
            return false;
    }
    return true;
}

/* Reads on until the client has read and closed, so that no reset takes the answer from him. */
static void linger(int fd, int64_t end_ms, const Clock *clock)
{
    char waste[65536];
    size_t total = 0;

    (void)shutdown(fd, SHUT_WR); /* fails when he has left */
    while (total < LINGER_MAX_BYTES && wait_for(fd, POLLIN, end_ms, clock)) {
        ssize_t n = recv(fd, waste, sizeof(waste), MSG_DONTWAIT);

        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return;
        total += n > 0 ? (size_t)n : 0;
    }
}

enum MHD_Result tell_past(Carried *c)
{
    BytesExchange *x = &c->x;
    const Clock *clock = x->rq.clock;
    int64_t end_ms = clock_monotonic_ms(clock) + LINGER_MS;
    StrBuf head = strbuf_new(x->rq.mem, RAW_HEAD_MAX_BYTES);

    if (x->answer.has_source) { /* a download with a body that nobody asked for */
        answer_failure(x, err_make(&PAYLOAD_TOO_LARGE, "there is nothing here that wants a body"));
    }
    c->told = c->raw = true;
    strbuf_printf(&head, "HTTP/1.1 %d %s\r\n", x->answer.status, MHD_get_reason_phrase_for((unsigned)x->answer.status));
    each_header(c, put_to_text, &head);
    strbuf_printf(&head, "Content-Length: %zu\r\nConnection: close\r\n\r\n", x->answer.body.len);
    link_enter(c->link, PHASE_WORK);
    if (send_all(c->link->fd, strbuf_slice(&head), end_ms, clock) &&
        (bytes_is_head(x) || send_all(c->link->fd, x->answer.body, end_ms, clock)))
        linger(c->link->fd, end_ms, clock);
    carried_end(c->link, BYTES_SENT);
    return MHD_NO;
}

bool tell_reads_rest(const Carried *c)
{
    const HttpHead *head = &c->x.head;
    const char *expect = bytes_header(&c->x, "expect");

    if (!head->has_body)
        return true;
    if (expect && c->x.received == 0)
        return false;
    if (head->chunked)
        return c->x.received <= DISCARD_MAX_BYTES;
    return head->content_length - MIN(c->x.received, head->content_length) <= DISCARD_MAX_BYTES;
}
