/* events: see events.h. */
#include "services/gateway/events.h"

#include "services/gateway/relay.h"
#include "services/gateway/stream_reader.h"

#include "atrium/reasons.atrium.h"
#include "shared/message.h"

enum { FIELD_TEXT_MAX_BYTES = 1024, TEXT_KEPT_BYTES = 64 * 1024, SCRATCH_BYTES = 4096 };

struct EventStream {
    Exchange *x;
    TallyEntry *counted; /* among its caller's */
    StreamReader reader;
    bool ended;            /* nothing comes after what is in `text` */
    uint64_t unread_bytes; /* cost of the messages in `text` */
    int64_t said_ms, deadline_ms;
    char *text; /* for the client: from `at` to `len` */
    size_t at, len, room;
};

/* --- to the client ----------------------------------------------------------------------------------------------- */
static bool put(EventStream *s, Slice text)
{
    if (s->len + text.len > EVENTS_TEXT_MAX_BYTES)
        return false;
    if (s->len + text.len > s->room) {
        s->room = MAX(s->len + text.len, s->room * 2);
        s->text = xrealloc(s->text, s->room);
    }
    memcpy(s->text + s->len, text.ptr, text.len);
    s->len += text.len;
    exchange_resume(s->x);
    return true;
}

static void end(EventStream *s, bool cancel)
{
    stream_reader_leave(&s->reader, cancel);
    s->ended = true;
    exchange_resume(s->x);
}

/* A text of whole lines. */
static void append_data(StrBuf *b, Slice text)
{
    Slice line, rest = slice_trim(text);
    bool more;

    do {
        more = slice_cut(rest, '\n', &line, &rest);
        strbuf_append_cstr(b, "data: ");
        strbuf_append(b, line);
        strbuf_append_char(b, '\n');
    } while (more);
    strbuf_append_char(b, '\n');
}

static void end_with(EventStream *s, Failure f)
{
    Exchange *x = s->x;
    StrBuf body = strbuf_new(x->mem, EVENTS_TEXT_MAX_BYTES), text = strbuf_new(x->mem, EVENTS_TEXT_MAX_BYTES);

    exchange_write_failure(x, f, &body);
    strbuf_append_cstr(&text, "event: error\n");
    append_data(&text, strbuf_slice(&body));
    (void)put(s, strbuf_slice(&text)); /* a client that has no room for it sees the end */
    end(s, true);
}

static void fail(EventStream *s, const char *text)
{
    Failure f = {.key = "UNAVAILABLE", .text = text, .retry_after_s = 1};

    if (s->x->answered) {
        end_with(s, f);
        return;
    }
    stream_reader_leave(&s->reader, true);
    s->ended = true;
    (void)exchange_fail(s->x, f);
}

/* A line of one field's value, as JSON has it but for the quotes: what that would have to escape cannot stand in a
 * line, and is left out. */
static void append_field(Exchange *x, StrBuf *b, const char *line, Slice field, Slice wire)
{
    const JsonWriteOptions options = {.dialect = x->dialect_id, .internal = true};
    char room[FIELD_TEXT_MAX_BYTES];
    StrBuf json = strbuf_over(room, sizeof(room));
    Slice text;

    if (!field.len || !wire_field_to_json(&options, x->op->reply, field, wire, &json) || !strbuf_finish(&json, &text))
        return;
    if (text.len >= 2 && text.ptr[0] == '"')
        text = slice_of(text.ptr + 1, text.len - 2);
    if (text.len == 0 || slice_eq(text, SLICE_LIT("null")) || slice_find_char(text, '\\') >= 0)
        return;
    strbuf_printf(b, "%s: ", line);
    strbuf_append(b, text);
    strbuf_append_char(b, '\n');
}

static bool append_json(Exchange *x, Arena *mem, Slice wire, StrBuf *out)
{
    const JsonWriteOptions options = {.dialect = x->dialect_id, .escape_html = x->dialect->escape_html};
    StrBuf json = strbuf_new(mem, EVENTS_TEXT_MAX_BYTES);
    bool fine = x->op->response_body[0]
                    ? wire_field_to_json(&options, x->op->reply, slice(x->op->response_body), wire, &json)
                    : wire_to_json(&options, x->op->reply, wire, &json);

    append_field(x, out, "id", x->op->event_id, wire);
    append_field(x, out, "event", x->op->event_name, wire);
    append_data(out, strbuf_slice(&json));
    return fine && !json.overflow;
}

/* The service's own text: it stands for its being fit for one, but a line stays a line. */
static void append_line(StrBuf *out, const char *name, const char *text)
{
    if (text && *text && !strpbrk(text, "\r\n"))
        strbuf_printf(out, "%s: %s\n", name, text);
}

static bool append_raw(Arena *mem, Slice wire, StrBuf *out)
{
    const Atrium__EventBody *body;
    ProtobufCMessage *message;

    if (err_failed(message_unpack(mem, &atrium__event_body__descriptor, wire, &message)))
        return false;
    body = (const Atrium__EventBody *)message;
    append_line(out, "id", body->id);
    append_line(out, "event", body->event);
    append_data(out, slice_of(body->data.data, body->data.len));
    return true;
}

static bool put_message(EventStream *s, Slice wire)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(SCRATCH_BYTES); /* not the exchange's: a stream may be endless */
    StrBuf text = strbuf_new(mem, EVENTS_TEXT_MAX_BYTES);
    bool fine = s->x->op->raw_event ? append_raw(mem, wire, &text) : append_json(s->x, mem, wire, &text);
    Slice whole;

    return fine && strbuf_finish(&text, &whole) && put(s, whole);
}

/* Called by libmicrohttpd when it has sent what it had. */
static ssize_t read_events(void *data, uint64_t position, char *into, size_t room)
{
    Exchange *x = data;
    EventStream *s = x->events;
    size_t len = MIN(s->len - s->at, room);

    (void)position;
    if (x->cut)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (len == 0 && s->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (len == 0) {
        exchange_suspend_answer(x);
        return 0;
    }
    memcpy(into, s->text + s->at, len);
    s->at += len;
    s->said_ms = loop_now_ms(x->gateway->loop);
    exchange_note_progress(x);
    if (s->at < s->len)
        return (ssize_t)len;
    s->at = s->len = 0;
    if (s->room > TEXT_KEPT_BYTES) {
        free(MOVE(s->text));
        s->room = 0;
    }
    stream_reader_read(&s->reader, s->unread_bytes);
    s->unread_bytes = 0;
    return (ssize_t)len;
}

/* --- what comes over the bus ------------------------------------------------------------------------------------- */
/* With the first message, so that a stream that fails before it is answered by the failure's status. */
static void open_answer(EventStream *s)
{
    Exchange *x = s->x;

    if (x->answered)
        return;
    header_add(&x->out, "Content-Type", "text/event-stream");
    header_add(&x->out, "Cache-Control", "no-store");
    header_add(&x->out, "X-Accel-Buffering", "no"); /* nginx in front would gather */
    (void)exchange_answer_from(x, 200, MHD_SIZE_UNKNOWN, TEXT_KEPT_BYTES, read_events);
}

static void take_end(EventStream *s, natsMsg *msg)
{
    const char *code = bus_header(msg, "Nats-Service-Error-Code");

    if (code && !s->x->answered) {
        s->ended = true;
        (void)exchange_answer_failure(s->x, msg, code);
        return;
    }
    open_answer(s);
    if (code)
        end_with(s, exchange_failure_of(s->x, msg, code));
    else
        end(s, false);
}

static void take_message(EventStream *s, natsMsg *msg)
{
    switch (stream_reader_take(&s->reader, msg)) {
    case STREAM_NOTHING:
        break;
    case STREAM_MESSAGE:
        open_answer(s);
        s->unread_bytes += stream_cost(msg);
        if (!put_message(s, slice_of(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg))))
            fail(s, "a message of the stream cannot be shown");
        break;
    case STREAM_END:
        take_end(s, msg);
        break;
    case STREAM_REFUSED:
        if (s->x->answered)
            fail(s, "the stream broke off"); /* it was opened for having said nothing for long */
        else
            (void)exchange_answer_failure(s->x, msg, bus_header(msg, "Nats-Service-Error-Code"));
        break;
    case STREAM_LOST:
        fail(s, "a message of the stream was lost");
        break;
    case STREAM_BROKEN:
        fail(s, "the stream broke off");
        break;
    }
}

static void came(void *data, UpstreamOutcome outcome, natsMsg *msg)
{
    Exchange *x = data;
    EventStream *s = x->events;

    if (outcome == UPSTREAM_REPLIED) {
        take_message(s, msg);
        return;
    }
    s->reader.listening = false;
    if (outcome == UPSTREAM_NOBODY) {
        fail(s, arena_printf(x->mem, "%s is not available", x->op->domain));
    } else if (outcome == UPSTREAM_LATE && s->reader.control) {
        open_answer(s);
        end(s, true);
    } else {
        fail(s, "the service was lost meanwhile");
    }
}

/* --- time -------------------------------------------------------------------------------------------------------- */
static void look(Exchange *x)
{
    EventStream *s = x->events;
    int64_t now_ms = loop_now_ms(x->gateway->loop);

    if (s->ended || x->cut || (x->answered && !s->reader.control))
        return;
    if (x->gateway->draining || now_ms >= s->deadline_ms) {
        if (x->answered || s->reader.control) {
            open_answer(s);
            end(s, true); /* the client comes again, by Last-Event-ID where it left */
        } else {
            fail(s, "the server is stopping");
        }
    } else if (!stream_reader_look(&s->reader)) {
        fail(s, "the service was lost meanwhile");
    } else if (s->reader.control) {
        if (now_ms - s->reader.began_ms >= EVENTS_OPEN_MS)
            open_answer(s);
        if (x->answered && s->len == 0 && now_ms - s->said_ms >= x->gateway->settings->events_comment_ms) {
            s->said_ms = now_ms;
            (void)put(s, SLICE_LIT(":\n\n"));
        }
    }
}

StepResult events_start(Exchange *x)
{
    Gateway *g = x->gateway;
    TallyEntry *counted;
    EventStream *s;
    char credit[16];
    Err e;

    if (strcmp(x->method, "HEAD") == 0)
        return exchange_answer(x, 200, "text/event-stream", SLICE_LIT(""));
    if ((int64_t)g->event_streams >= g->settings->events_max)
        return exchange_fail(x,
                             (Failure){.key = "UNAVAILABLE", .text = "too many streams at a time", .retry_after_s = 1});
    counted = tally_take(&g->event_callers, exchange_caller(x), g->settings->events_per_caller);
    if (!counted)
        return exchange_fail(
            x, (Failure){.key = "RATE_LIMITED", .text = "you have too many streams at a time", .retry_after_s = 1});
    s = xcalloc(1, sizeof(*s));
    s->x = x;
    s->counted = counted;
    stream_reader_init(&s->reader, x->gateway, EVENTS_CREDIT_BYTES);
    s->said_ms = loop_now_ms(x->gateway->loop);
    s->deadline_ms = s->said_ms + x->op->timeout_ms;
    x->events = s;
    x->gateway->event_streams++;
    gauge_set(x->gateway->metrics.event_streams, (double)x->gateway->event_streams);
    relays_watch(x, look);
    snprintf(credit, sizeof(credit), "%d", EVENTS_CREDIT_BYTES);
    e = request_send_stream(x, credit, (int64_t)x->op->timeout_ms + EVENTS_DEADLINE_GRACE_MS, came, &s->reader.ticket);
    if (err_failed(e))
        return exchange_fail_send(x, e);
    s->reader.listening = true;
    return STEP_WAIT;
}

void events_end(Exchange *x)
{
    EventStream *s = x->events;

    if (!s)
        return;
    relays_forget(x);
    tally_give(&x->gateway->event_callers, s->counted);
    stream_reader_done(&s->reader);
    free(s->text);
    free(s);
    x->events = NULL;
    x->gateway->event_streams--;
    gauge_set(x->gateway->metrics.event_streams, (double)x->gateway->event_streams);
}
