/* Tests of the live edge in one process: raw bytes of RFC 6455 over TCP on one side, a service of a few lines on the
 * bus on the other. What the service does is said in the frames that it gets. */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "atrium/bus.pb-c.h"
#include "atrium/realtime.pb-c.h"
#include "atrium/reasons.atrium.h"
#include "services/gateway/edge_fixture.h"
#include "services/gateway/socket_internal.h"
#include "shared/message.h"

static const char LOGIN[] = "01a1f9d0-812a-7dc3-99d6-c818edbc95fa";
static const char GONE_LOGIN[] = "01a1f9d0-812a-7dc3-99d6-c818edbc95fb"; /* that nobody knows any more */

enum { WAIT_MS = 10000, FRAME_ROOM = 300000, MAX_FRAME = 4096, QUEUE_BYTES = 200000, BRIEF_MS = 200 };

/* --- the tables -------------------------------------------------------------------------------------------------- */
static Atrium__FieldRow *field_row(Arena *mem, uint32_t number, const char *name, FieldKind kind)
{
    Atrium__FieldRow *row = MESSAGE_NEW(mem, Atrium__FieldRow, atrium__field_row__init);

    SET(row, number, number);
    row->name = row->json_name = arena_strdup(mem, name);
    SET(row, type, kind);
    return row;
}

static Atrium__RouteRow *route_row(Arena *mem, const char *path, int caller, int dialect, uint32_t per_minute)
{
    Atrium__RouteRow *row = MESSAGE_NEW(mem, Atrium__RouteRow, atrium__route_row__init);
    Atrium__SocketRules *rules = MESSAGE_NEW(mem, Atrium__SocketRules, atrium__socket_rules__init);
    char **protocols = ARENA_ARRAY(mem, char *, 2);

    row->method = arena_strdup(mem, "GET");
    row->path = arena_strdup(mem, path);
    row->domain = arena_strdup(mem, "talktest");
    row->version = arena_strdup(mem, "v1");
    row->rpc = arena_strdup(mem, "Talk");
    row->body = arena_strdup(mem, "");
    row->rate = arena_strdup(mem, strcmp(path, "/rated") == 0 ? "some" : "");
    SET(row, request, 0);
    SET(row, reply, 0);
    SET(row, caller, (Atrium__CallerPolicy)caller);
    SET(row, dialect, (Atrium__Dialect)dialect);
    SET(row, timeout_ms, 2000);
    row->socket = rules;
    SET(rules, max_frame_bytes, MAX_FRAME);
    SET(rules, frames_per_minute, per_minute);
    SET(rules, flood_close, 4008);
    SET(rules, queue_bytes, QUEUE_BYTES);
    SET(rules, slow_close, 4010);
    SET(rules, revoked_close, 4004);
    SET(rules, silent_close, 4009);
    SET(rules, farewell, ((ProtobufCBinaryData){.data = (uint8_t *)arena_strdup(mem, "good-bye"), .len = 8}));
    protocols[0] = arena_strdup(mem, "talk.v1");
    protocols[1] = arena_strdup(mem, "talk.v2");
    rules->protocols = protocols;
    rules->n_protocols = 2;
    return row;
}

static void write_tables(const char *path)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(16384);
    Atrium__Tables file = ATRIUM__TABLES__INIT;
    Atrium__TypeRow *word = MESSAGE_NEW(mem, Atrium__TypeRow, atrium__type_row__init), *types[] = {word};
    Atrium__RouteRow *routes[] = {
        route_row(mem, "/talk", ATRIUM__CALLER_POLICY__ANYONE, ATRIUM__DIALECT__ATRIUM, 600),
        route_row(mem, "/few", ATRIUM__CALLER_POLICY__ANYONE, ATRIUM__DIALECT__RETROCAST, 5),
        route_row(mem, "/rated", ATRIUM__CALLER_POLICY__ANYONE, ATRIUM__DIALECT__ATRIUM, 600),
        route_row(mem, "/private", ATRIUM__CALLER_POLICY__USER, ATRIUM__DIALECT__STREAMSPACE, 600),
    };
    Atrium__StreamRow *stream = MESSAGE_NEW(mem, Atrium__StreamRow, atrium__stream_row__init), *streams[] = {stream};
    Atrium__RateClass *some = MESSAGE_NEW(mem, Atrium__RateClass, atrium__rate_class__init), *rates[] = {some};
    Slice wire;
    FILE *out;

    word->name = arena_strdup(mem, "talktest.v1.Word");
    word->fields = ARENA_ARRAY(mem, Atrium__FieldRow *, 2);
    word->fields[word->n_fields++] = field_row(mem, 1, "text", FIELD_STRING);
    word->fields[word->n_fields++] = field_row(mem, 2, "n", FIELD_INT32);
    SET(&file, format, TYPES_FORMAT);
    file.types = types;
    file.n_types = ARRAY_LEN(types);
    some->name = arena_strdup(mem, "some");
    SET(some, limit, 2);
    SET(some, window_ms, 60000);
    file.rates = rates;
    file.n_rates = ARRAY_LEN(rates);
    file.routes = routes;
    file.n_routes = ARRAY_LEN(routes);
    stream->domain = arena_strdup(mem, "talktest");
    stream->version = arena_strdup(mem, "v1");
    stream->rpc = arena_strdup(mem, "Count");
    SET(stream, reply, 0);
    SET(stream, timeout_ms, 5000);
    file.streams = streams;
    file.n_streams = ARRAY_LEN(streams);
    wire = message_pack(mem, &file.base);
    out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(wire.ptr, 1, wire.len, out), wire.len);
    fclose(out);
}

/* --- the service ------------------------------------------------------------------------------------------------- */
/* What it heard, and what it is to do next. */
static struct {
    atomic_int opens, closed, leases, frames, refusals, timers;
    atomic_int close_code;
    atomic_bool serves; /* else nobody takes requests */
    pthread_mutex_t lock;
    char state[64];   /* of the last CLOSED */
    char held[256];   /* where a held request's answer goes */
    char control[64]; /* what the last stream was told */
} heard = {.lock = PTHREAD_MUTEX_INITIALIZER, .serves = true};

static void publish(natsConnection *nc, const char *subject, Slice body, const BusHeader *headers, size_t count)
{
    natsMsg *msg;

    if (natsMsg_Create(&msg, subject, NULL, body.ptr, (int)body.len) != NATS_OK)
        return;
    for (size_t i = 0; i < count; i++)
        natsMsgHeader_Set(msg, headers[i].name, headers[i].value);
    (void)natsConnection_PublishMsg(nc, msg); /* the test notices */
    natsMsg_Destroy(msg);
}

static void add_frame(Arena *mem, Atrium__SocketReply *reply, Atrium__FramePart *part, bool before)
{
    Atrium__SocketFrame *frame = MESSAGE_NEW(mem, Atrium__SocketFrame, atrium__socket_frame__init);
    Atrium__SocketFrame ***list = before ? &reply->frames_before : &reply->frames_after;
    size_t *count = before ? &reply->n_frames_before : &reply->n_frames_after;

    frame->parts = ARENA_ARRAY(mem, Atrium__FramePart *, 1);
    frame->parts[frame->n_parts++] = part;
    if (!*list)
        *list = ARENA_ARRAY(mem, Atrium__SocketFrame *, 4);
    (*list)[(*count)++] = frame;
}

static void say(Arena *mem, Atrium__SocketReply *reply, Slice text, bool before)
{
    Atrium__FramePart *part = MESSAGE_NEW(mem, Atrium__FramePart, atrium__frame_part__init);

    SET(part, text, ((ProtobufCBinaryData){.len = text.len, .data = (uint8_t *)(uintptr_t)text.ptr}));
    add_frame(mem, reply, part, before);
}

static void set_state(Atrium__SocketReply *reply, Slice text)
{
    SET(reply, state, ((ProtobufCBinaryData){.len = text.len, .data = (uint8_t *)(uintptr_t)text.ptr}));
}

static Slice state_of(const Atrium__SocketRequest *rq)
{
    return slice_of(rq->state.data, rq->state.len);
}

static int64_t caller_of(Arena *mem, natsMsg *msg)
{
    const char *header = bus_header(msg, "Atrium-Caller");
    Caller caller = {.user_id = 0};

    if (header)
        assert_ok(caller_decode(mem, slice(header), &caller));
    return caller.user_id;
}

static void say_word(Arena *mem, Atrium__SocketReply *reply, const char *type)
{
    Atrium__FramePart *part = MESSAGE_NEW(mem, Atrium__FramePart, atrium__frame_part__init);

    part->message = MESSAGE_NEW(mem, Atrium__FrameMessage, atrium__frame_message__init);
    part->message->type = arena_strdup(mem, type);
    SET(part->message, wire, ((ProtobufCBinaryData){.len = 5, .data = (uint8_t *)arena_strdup(mem, "\n\1w\20\7")}));
    add_frame(mem, reply, part, false);
}

/* False: nothing is answered. */
static bool obey(natsConnection *nc, natsMsg *msg, Arena *mem, const Atrium__SocketRequest *rq,
                 Atrium__SocketReply *reply)
{
    Slice text = slice_of(rq->frame->parts[0]->text.data, rq->frame->parts[0]->text.len), word, rest;

    (void)slice_cut(text, ' ', &word, &rest);
    if (slice_eq_cstr(word, "echo")) {
        say(mem, reply, rest, false);
    } else if (slice_eq_cstr(word, "length")) {
        say(mem, reply, slice(arena_printf(mem, "%zu %d", text.len, rq->frame->binary)), false);
    } else if (slice_eq_cstr(word, "more")) {
        set_state(reply, slice(arena_printf(mem, SLICE_FMT "x", SLICE_ARG(state_of(rq)))));
        say(mem, reply, state_of(rq), true);
    } else if (slice_eq_cstr(word, "huge-state")) {
        set_state(reply, slice_of(arena_alloc(mem, 5000, 1), 5000));
    } else if (slice_eq_cstr(word, "word")) {
        say_word(mem, reply, "talktest.v1.Word");
    } else if (slice_eq_cstr(word, "nonsense")) {
        say_word(mem, reply, "talktest.v1.Nothing");
    } else if (slice_eq_cstr(word, "wake")) {
        SET(reply, wake_ms, 30);
    } else if (slice_eq_cstr(word, "close")) {
        reply->close = MESSAGE_NEW(mem, Atrium__SocketClose, atrium__socket_close__init);
        SET(reply->close, code, 4001);
        reply->close->reason = arena_strdup(mem, "you said so");
        say(mem, reply, SLICE_LIT("last words"), true);
    } else if (slice_eq_cstr(word, "who")) {
        say(mem, reply, slice(arena_printf(mem, "%" PRId64, caller_of(mem, msg))), false);
    } else if (slice_eq_cstr(word, "login") && !rq->authentication) {
        reply->authenticate = slice_cstr(mem, rest);
        say(mem, reply, SLICE_LIT("this is left aside"), false);
    } else if (slice_eq_cstr(word, "login")) {
        say(mem, reply, slice(arena_printf(mem, "%d %" PRId64, (int)rq->authentication, caller_of(mem, msg))), false);
    } else if (slice_eq_cstr(word, "big")) {
        int64_t len = 0;

        assert_true(slice_to_int64(rest, &len));
        say(mem, reply, slice_of(memset(arena_alloc(mem, (size_t)len, 1), 'b', (size_t)len), (size_t)len), false);
    } else if (slice_eq_cstr(word, "silent")) {
        return false;
    } else if (slice_eq_cstr(word, "hold")) {
        pthread_mutex_lock(&heard.lock);
        snprintf(heard.held, sizeof(heard.held), "%s", natsMsg_GetReply(msg));
        pthread_mutex_unlock(&heard.lock);
        return false;
    } else if (slice_eq_cstr(word, "fail")) {
        publish(nc, natsMsg_GetReply(msg), SLICE_LIT(""), (const BusHeader[]){{"Nats-Service-Error-Code", "13"}}, 1);
        return false;
    } else if (slice_eq_cstr(word, "busy") && atomic_fetch_add(&heard.refusals, 1) < 2) {
        publish(nc, natsMsg_GetReply(msg), SLICE_LIT(""), (const BusHeader[]){{"Nats-Service-Error-Code", "14"}}, 1);
        return false;
    } else if (slice_eq_cstr(word, "broken")) {
        publish(nc, natsMsg_GetReply(msg), SLICE_LIT("\377"), NULL, 0);
        return false;
    } else if (slice_eq_cstr(word, "attach") || slice_eq_cstr(word, "attach-nothing")) {
        Atrium__SocketAttach *attach = MESSAGE_NEW(mem, Atrium__SocketAttach, atrium__socket_attach__init);

        attach->id = slice_cstr(mem, rest);
        attach->rpc = arena_strdup(mem, slice_eq_cstr(word, "attach") ? "Count" : "Nothing");
        SET(attach, before, ((ProtobufCBinaryData){.len = 1, .data = (uint8_t *)arena_strdup(mem, "<")}));
        SET(attach, after, ((ProtobufCBinaryData){.len = 1, .data = (uint8_t *)arena_strdup(mem, ">")}));
        reply->attach = attach;
    } else if (slice_eq_cstr(word, "cancel")) {
        reply->cancel = ARENA_ARRAY(mem, char *, 1);
        reply->cancel[reply->n_cancel++] = slice_cstr(mem, rest);
    } else {
        say(mem, reply, SLICE_LIT("done"), false);
    }
    return true;
}

static void note_closed(const Atrium__SocketRequest *rq)
{
    pthread_mutex_lock(&heard.lock);
    snprintf(heard.state, sizeof(heard.state), SLICE_FMT, SLICE_ARG(state_of(rq)));
    pthread_mutex_unlock(&heard.lock);
    atomic_store(&heard.close_code, (int)rq->close_code);
    atomic_fetch_add(&heard.closed, 1);
}

static bool answer(natsConnection *nc, natsMsg *msg, Arena *mem, const Atrium__SocketRequest *rq,
                   Atrium__SocketReply *reply)
{
    switch (rq->kind) {
    case ATRIUM__SOCKET_KIND__OPEN:
        atomic_fetch_add(&heard.opens, 1);
        say(mem, reply, slice(arena_printf(mem, "hello %s %" PRId64, rq->query ? rq->query : "-", caller_of(mem, msg))),
            true);
        set_state(reply, SLICE_LIT("s"));
        return true;
    case ATRIUM__SOCKET_KIND__FRAME:
        atomic_fetch_add(&heard.frames, 1);
        return obey(nc, msg, mem, rq, reply);
    case ATRIUM__SOCKET_KIND__TIMER:
        atomic_fetch_add(&heard.timers, 1);
        say(mem, reply,
            slice(rq->attachment_ended ? arena_printf(mem, "ended %s %d", rq->attachment_ended, rq->attachment_failed)
                                       : "woke"),
            false);
        return true;
    case ATRIUM__SOCKET_KIND__CLOSED:
        note_closed(rq);
        return true;
    case ATRIUM__SOCKET_KIND__LEASE:
        atomic_fetch_add(&heard.leases, 1);
        return true;
    default:
        fail_msg("kind %d", (int)rq->kind);
        return false;
    }
}

static void serve_talk(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *data)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Atrium__SocketReply reply = ATRIUM__SOCKET_REPLY__INIT;
    ProtobufCMessage *message;

    (void)sub, (void)data;
    assert_ok(message_unpack(mem, &atrium__socket_request__descriptor,
                             slice_of(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg)), &message));
    if (answer(nc, msg, mem, (const Atrium__SocketRequest *)message, &reply))
        publish(nc, natsMsg_GetReply(msg), message_pack(mem, &reply.base), NULL, 0);
    natsMsg_Destroy(msg);
}

/* Three words, and the end; the request's text "9" is a stream that says one and goes on for ever. */
static void serve_count(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *data)
{
    const char *to = natsMsg_GetReply(msg);
    char number[12] = "0";

    (void)sub, (void)data;
    publish(nc, to, SLICE_LIT(""),
            (const BusHeader[]){{"Atrium-Seq", number}, {"Atrium-Stream-Control", "talktest.control"}}, 2);
    for (int i = 1; i <= 3; i++) {
        const char wire[] = {2 << 3, (char)i};

        snprintf(number, sizeof(number), "%d", i);
        publish(nc, to, slice_of(wire, sizeof(wire)), (const BusHeader[]){{"Atrium-Seq", number}}, 1);
    }
    publish(nc, to, SLICE_LIT(""), (const BusHeader[]){{"Atrium-Seq", "4"}, {"Atrium-Stream-End", "1"}}, 2);
    natsMsg_Destroy(msg);
}

static bool has(Slice body, const char *word)
{
    return memmem(body.ptr, body.len, word, strlen(word)) != NULL;
}

static void serve_auth(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *data)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    const char *rpc = strrchr(natsMsg_GetSubject(msg), '.') + 1;
    Slice body = slice_of(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg));
    Atrium__ResolveTokenReply owner = ATRIUM__RESOLVE_TOKEN_REPLY__INIT;

    (void)sub, (void)data;
    if (strcmp(rpc, "GetGrants") == 0) {
        publish(nc, natsMsg_GetReply(msg), SLICE_LIT(""), NULL, 0);
    } else if (has(body, OPAQUE) || has(body, LOGIN) || has(body, "brief") || has(body, "doomed")) {
        SET(&owner, user_id, 42);
        SET(&owner, role, ROLE_USER);
        SET(&owner, expires_ms,
            clock_unix_ms(&SYSTEM_CLOCK) + (has(body, OPAQUE) || has(body, LOGIN) ? 60000 : BRIEF_MS));
        owner.login_id = (char *)(uintptr_t)(has(body, "doomed") ? GONE_LOGIN : LOGIN);
        publish(nc, natsMsg_GetReply(msg), message_pack(mem, &owner.base), NULL, 0);
    } else {
        publish(nc, natsMsg_GetReply(msg), SLICE_LIT(""), (const BusHeader[]){{"Nats-Service-Error-Code", "16"}}, 1);
    }
    natsMsg_Destroy(msg);
}

/* --- set-up ------------------------------------------------------------------------------------------------------ */
static void wait_for_ready(Gateway *g)
{
    for (int64_t end_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + WAIT_MS;
         !rings_ready(g->rings) || !grants_ready(g->grants);)
        assert_true(clock_monotonic_ms(&SYSTEM_CLOCK) < end_ms), usleep(1000);
}

static int start_all(void **state)
{
    (void)state;
    edge_prepare("talktest");
    write_tables(f.tables);
    edge_stream("EVT_AUTH", "evt.auth.>");
    edge_stream("DSP_TALKTEST", "dsp.talktest.>");
    edge_serve("rpc.talktest.talktest.v1.Count", serve_count);
    edge_serve("rpc.talktest.auth.v1.*", serve_auth);
    edge_serve("rpc.talktest.talktest.v1.Talk", serve_talk); /* the last one: a test takes it away */
    edge_start();
    wait_for_ready(f.context);
    return 0;
}

/* --- a client ----------------------------------------------------------------------------------------------------- */
/* Byte by byte, so that no frame behind it is taken. */
static int read_head(int fd, char *out, size_t room)
{
    size_t len = 0;

    while (!memmem(out, len, "\r\n\r\n", 4)) {
        assert_true(len + 1 < room);
        assert_int_equal(recv(fd, out + len, 1, 0), 1);
        len++;
    }
    out[len] = '\0';
    return (int)strtol(out + 9, NULL, 10);
}

#define UPGRADE                                                                                                        \
    "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"         \
    "Sec-WebSocket-Version: 13\r\n"

/* `target` with further headers, each ending in a line break. */
static int shake_hands(int fd, const char *target, const char *headers, char *head, size_t room)
{
    char text[4096];

    snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: t\r\n%s\r\n", target, headers);
    send_bytes(fd, text, strlen(text));
    return read_head(fd, head, room);
}

/* A handshake that is refused. */
static int refused(const char *target, const char *headers, char *head, size_t room)
{
    int fd = open_connection(), status = shake_hands(fd, target, headers, head, room);

    close(fd);
    return status;
}

static void send_frame(int fd, unsigned first, Slice payload)
{
    uint8_t bytes[14 + 66000] = {(uint8_t)first}, mask[4] = {0x12, 0x34, 0x56, 0x78};
    size_t at = 2;

    assert_true(payload.len <= 66000);
    if (payload.len < 126) {
        bytes[1] = (uint8_t)(0x80 | payload.len);
    } else if (payload.len <= UINT16_MAX) {
        bytes[1] = 0x80 | 126;
        bytes[at++] = (uint8_t)(payload.len >> 8);
        bytes[at++] = (uint8_t)payload.len;
    } else {
        bytes[1] = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8)
            bytes[at++] = (uint8_t)((uint64_t)payload.len >> shift);
    }
    memcpy(bytes + at, mask, 4);
    at += 4;
    for (size_t i = 0; i < payload.len; i++)
        bytes[at + i] = (uint8_t)payload.ptr[i] ^ mask[i % 4];
    send_bytes(fd, bytes, at + payload.len);
}

static void send_text(int fd, const char *text)
{
    send_frame(fd, 0x81, slice(text));
}

static void read_exactly(int fd, void *out, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t got = recv(fd, (char *)out + at, len - at, 0);

        assert_true(got > 0);
        at += (size_t)got;
    }
}

typedef struct Frame {
    unsigned opcode;
    size_t len;
    char text[FRAME_ROOM];
} Frame;
static Frame got;

static const Frame *read_frame(int fd)
{
    uint8_t head[2], more[8];
    size_t extra;

    read_exactly(fd, head, 2);
    assert_int_equal(head[0] & 0xf0, 0x80);
    assert_int_equal(head[1] & 0x80, 0); /* servers do not mask */
    got.opcode = head[0] & 0xfu;
    got.len = head[1];
    extra = head[1] == 126 ? 2 : head[1] == 127 ? 8 : 0;
    read_exactly(fd, more, extra);
    if (extra)
        got.len = 0;
    for (size_t i = 0; i < extra; i++)
        got.len = got.len << 8 | more[i];
    assert_true(got.len < FRAME_ROOM);
    read_exactly(fd, got.text, got.len);
    got.text[got.len] = '\0';
    return &got;
}

static void expect_text(int fd, const char *text)
{
    const Frame *frame = read_frame(fd);

    assert_int_equal(frame->opcode, 1);
    assert_string_equal(frame->text, text);
}

/* A close frame with this code, whatever else comes before. */
static void expect_close(int fd, int code)
{
    const Frame *frame = read_frame(fd);

    while (frame->opcode != 8)
        frame = read_frame(fd);
    assert_true(frame->len >= 2);
    assert_int_equal((uint8_t)frame->text[0] << 8 | (uint8_t)frame->text[1], code);
}

static void expect_end(int fd)
{
    char byte;

    assert_true(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
}

static int open_socket(const char *target, const char *headers)
{
    char head[4096], all[2048];
    int fd = open_connection();

    snprintf(all, sizeof(all), UPGRADE "%s", headers);
    assert_int_equal(shake_hands(fd, target, all, head, sizeof(head)), 101);
    return fd;
}

static int open_talk(void)
{
    int fd = open_socket("/talk", "");

    expect_text(fd, "hello - 0");
    return fd;
}

static void wait_until(const atomic_int *count, int wanted)
{
    int64_t end_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + WAIT_MS;

    while (atomic_load(count) < wanted) {
        assert_true(clock_monotonic_ms(&SYSTEM_CLOCK) < end_ms);
        usleep(1000);
    }
}

/* The service is told so; of a connection of the test before it may have been told just now. */
static void wait_for_code(int code)
{
    int64_t end_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + WAIT_MS;

    while (atomic_load(&heard.close_code) != code) {
        assert_true(clock_monotonic_ms(&SYSTEM_CLOCK) < end_ms);
        usleep(1000);
    }
}

/* Our part of a close, and the service is told. */
static void close_with(int fd, int code)
{
    const char payload[] = {(char)(code >> 8), (char)code};
    int closed = atomic_load(&heard.closed);

    send_frame(fd, 0x88, slice_of(payload, sizeof(payload)));
    expect_close(fd, code);
    expect_end(fd);
    wait_until(&heard.closed, closed + 1);
    wait_for_code(code);
}

/* Between two tests: of all that was opened, the service has heard the end. */
static int settle(void **state)
{
    (void)state;
    wait_until(&heard.closed, atomic_load(&heard.opens));
    return 0;
}

/* --- handshakes --------------------------------------------------------------------------------------------------- */
static void handshakes_are_those_of_the_rfc(void **state)
{
    char head[4096];
    int fd = open_connection();
    (void)state;

    assert_int_equal(
        shake_hands(fd, "/talk?a=1&b=2", UPGRADE "Sec-WebSocket-Protocol: other, talk.v2, talk.v1\r\n", head, 4096),
        101);
    assert_non_null(strcasestr(head, "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert_non_null(strcasestr(head, "\r\nSec-WebSocket-Protocol: talk.v2\r\n"));
    assert_non_null(strcasestr(head, "\r\nUpgrade: websocket\r\n"));
    assert_non_null(strcasestr(head, "\r\nConnection: Upgrade\r\n"));
    expect_text(fd, "hello a=1&b=2 0");
    close_with(fd, 1000);
}

static void other_requests_are_refused(void **state)
{
    static const struct {
        const char *target, *headers;
        int status;
    } CASES[] = {
        {"/talk", "", 426},
        {"/few", "", 400},
        {"/talk", "Upgrade: h2c\r\nConnection: Upgrade\r\n", 426},
        {"/talk", "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
         426},
        {"/talk",
         "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
         "Sec-WebSocket-Version: 8\r\n",
         426},
        {"/talk", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n", 400},
        {"/talk",
         "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n", 400},
        {"/talk", UPGRADE "Origin: http://evil.example\r\n", 403},
        {"/private", UPGRADE, 401},
        {"/private?token=nobodys", UPGRADE, 401},
    };
    char head[4096];
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_int_equal(refused(CASES[i].target, CASES[i].headers, head, sizeof(head)), CASES[i].status);
        if (CASES[i].status == 426)
            assert_non_null(strcasestr(head, "\r\nSec-WebSocket-Version: 13\r\n"));
    }
}

static void known_origins_may_connect(void **state)
{
    int fd = open_socket("/talk", "Origin: http://good.example\r\n");
    (void)state;

    close_with(fd, 1000);
    fd = open_socket("/talk", "Origin: http://t\r\n"); /* a page of ours */
    close_with(fd, 1000);
}

static void credentials_of_the_handshake_count(void **state)
{
    char target[128], header[128];
    int fd;
    (void)state;

    snprintf(target, sizeof(target), "/private?token=%s", OPAQUE);
    fd = open_socket(target, "");
    snprintf(target, sizeof(target), "hello token=%s 42", OPAQUE);
    expect_text(fd, target);
    send_text(fd, "who");
    expect_text(fd, "42");
    close_with(fd, 1000);
    snprintf(header, sizeof(header), "Authorization: Bearer %s\r\n", OPAQUE);
    fd = open_socket("/private", header);
    expect_text(fd, "hello - 42");
    close_with(fd, 1000);
}

/* --- requests ------------------------------------------------------------------------------------------------------
 */
static void frames_are_answered_in_order_with_state(void **state)
{
    int fd = open_talk();
    (void)state;

    send_text(fd, "echo \303\251");
    send_text(fd, "more");
    send_text(fd, "more");
    send_frame(fd, 0x82, SLICE_LIT("length"));
    expect_text(fd, "\303\251");
    expect_text(fd, "s");
    expect_text(fd, "sx");
    expect_text(fd, "6 1");
    send_text(fd, "word");
    expect_text(fd, "{\"text\":\"w\",\"n\":7}");
    send_text(fd, "wake");
    expect_text(fd, "woke");
    close_with(fd, 3000);
    assert_string_equal(heard.state, "sxx");
    assert_true(atomic_load(&heard.leases) >= 1);
}

static void frames_of_the_first_packet_are_not_lost(void **state)
{
    char text[1024], head[4096];
    static const uint8_t FRAME[] = {0x81, 0x86, 0, 0, 0, 0, 'e', 'c', 'h', 'o', ' ', '1'};
    int fd = open_connection(), len = snprintf(text, sizeof(text), "GET /talk HTTP/1.1\r\nHost: t\r\n" UPGRADE "\r\n");
    (void)state;

    memcpy(text + len, FRAME, sizeof(FRAME));
    send_bytes(fd, text, (size_t)len + sizeof(FRAME));
    assert_int_equal(read_head(fd, head, sizeof(head)), 101);
    expect_text(fd, "hello - 0");
    expect_text(fd, "1");
    close_with(fd, 1000);
}

static void the_service_closes(void **state)
{
    int fd = open_talk(), closed = atomic_load(&heard.closed);
    (void)state;

    send_text(fd, "close");
    expect_text(fd, "last words");
    expect_close(fd, 4001);
    assert_string_equal(got.text + 2, "you said so");
    send_frame(fd, 0x88, SLICE_LIT("\x0f\xa1"));
    expect_end(fd);
    wait_until(&heard.closed, closed + 1);
    wait_for_code(4001);
}

static void a_client_that_vanishes_is_closed_with_1006(void **state)
{
    int fd = open_talk(), closed = atomic_load(&heard.closed);
    (void)state;

    send_text(fd, "more");
    expect_text(fd, "s");
    close(fd);
    wait_until(&heard.closed, closed + 1);
    wait_for_code(1006);
    assert_string_equal(heard.state, "sx");
}

static void what_was_said_before_a_close_is_heard(void **state)
{
    int fd = open_talk(), frames = atomic_load(&heard.frames);
    (void)state;

    send_text(fd, "more");
    send_text(fd, "more");
    close_with(fd, 1001);
    assert_int_equal(atomic_load(&heard.frames), frames + 2);
    assert_string_equal(heard.state, "sxx");
}

static void failures_of_the_service_close(void **state)
{
    static const struct {
        const char *frame;
        int code;
    } CASES[] = {{"fail", 1011}, {"broken", 1011}, {"silent", 1011}, {"nonsense", 1011}, {"huge-state", 1011}};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        int fd = open_talk();

        send_text(fd, CASES[i].frame);
        expect_close(fd, CASES[i].code);
        close(fd);
    }
}

static void a_busy_service_is_asked_again(void **state)
{
    int fd = open_talk();
    (void)state;

    atomic_store(&heard.refusals, 0);
    send_text(fd, "busy");
    expect_text(fd, "done");
    assert_int_equal(atomic_load(&heard.refusals), 3);
    close_with(fd, 1000);
}

/* An instance dies and another comes: the connection does not notice. */
static void nobody_there_for_a_while_is_waited_for(void **state)
{
    int fd = open_talk();
    (void)state;

    bus_unsubscribe(f.subs[--f.sub_count]);
    natsConnection_Flush(f.nc);
    send_text(fd, "more");
    send_text(fd, "more");
    assert_int_equal(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 200), 0);
    edge_serve("rpc.talktest.talktest.v1.Talk", serve_talk);
    expect_text(fd, "s");
    expect_text(fd, "sx");
    close_with(fd, 1000);
}

static void release_held(void)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    Atrium__SocketReply reply = ATRIUM__SOCKET_REPLY__INIT;

    pthread_mutex_lock(&heard.lock);
    say(mem, &reply, SLICE_LIT("held"), false);
    publish(f.nc, heard.held, message_pack(mem, &reply.base), NULL, 0);
    natsConnection_Flush(f.nc);
    heard.held[0] = '\0';
    pthread_mutex_unlock(&heard.lock);
}

/* While the service thinks, messages wait, and then the client. */
static void reading_pauses_while_the_service_is_asked(void **state)
{
    static char text[3000];
    int fd = open_talk(), frames = atomic_load(&heard.frames);
    Gateway *g = f.context;
    (void)state;

    memset(text, 'x', sizeof(text) - 1);
    send_text(fd, "hold");
    wait_until(&heard.frames, frames + 1);
    for (int i = 0; i < 60; i++)
        send_text(fd, text);
    assert_true(g->sockets->held_bytes < (SOCKET_WAITING_MAX + 4) * 4096);
    release_held();
    expect_text(fd, "held");
    for (int i = 0; i < 60; i++)
        expect_text(fd, "done");
    close_with(fd, 1000);
}

/* --- who it is -----------------------------------------------------------------------------------------------------
 */
static void tokens_in_frames_are_verified(void **state)
{
    char text[128];
    int fd = open_talk();
    (void)state;

    send_text(fd, "login nobodys");
    expect_text(fd, "2 0");
    snprintf(text, sizeof(text), "login %s", OPAQUE);
    send_text(fd, text);
    expect_text(fd, "1 42");
    send_text(fd, "who");
    expect_text(fd, "42");
    close_with(fd, 1000);
}

static void logins_are_counted_as_handshakes_are(void **state)
{
    char text[128], head[4096];
    int fd = open_socket("/rated", ""), other = open_socket("/rated", "");
    (void)state;

    assert_int_equal(refused("/rated", UPGRADE, head, sizeof(head)), 429);
    snprintf(text, sizeof(text), "login %s", OPAQUE);
    send_text(fd, text);
    send_text(fd, text);
    send_text(fd, text);
    expect_text(fd, "hello - 0");
    expect_text(fd, "1 42");
    expect_text(fd, "1 42");
    expect_close(fd, 4008);
    close(fd);
    expect_text(other, "hello - 0");
    send_text(other, text); /* the same user's */
    expect_close(other, 4008);
    close(other);
}

static void wait_past(int64_t unix_ms)
{
    while (clock_unix_ms(&SYSTEM_CLOCK) <= unix_ms)
        usleep(1000);
}

/* While its login lasts. */
static void a_connection_outlives_its_token(void **state)
{
    int fd = open_talk();
    (void)state;

    send_text(fd, "login brief");
    expect_text(fd, "1 42");
    wait_past(clock_unix_ms(&SYSTEM_CLOCK) + BRIEF_MS);
    send_text(fd, "who");
    expect_text(fd, "42");
    close_with(fd, 1000);
    fd = open_talk();
    send_text(fd, "login doomed");
    expect_text(fd, "1 42");
    wait_past(clock_unix_ms(&SYSTEM_CLOCK) + BRIEF_MS);
    send_text(fd, "who");
    expect_close(fd, 4004);
    close(fd);
}

static void an_ended_login_cuts_within_a_second(void **state)
{
    char text[128];
    Gateway *g = f.context;
    int fd = open_talk();
    int64_t begin_ms;
    (void)state;

    snprintf(text, sizeof(text), "login %s", OPAQUE);
    send_text(fd, text);
    expect_text(fd, "1 42");
    begin_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    revocations_add(g->revocations, login_key(slice(LOGIN)), clock_unix_ms(&SYSTEM_CLOCK) + 1500);
    expect_close(fd, 4004);
    assert_true(clock_monotonic_ms(&SYSTEM_CLOCK) - begin_ms < 5000);
    close(fd);
}

/* --- the framing rules ---------------------------------------------------------------------------------------------
 */
typedef struct Rule {
    const char *name;
    uint8_t bytes[24];
    size_t len;
    int code;
} Rule;
#define BYTES(...) {__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static void broken_frames_are_told_why(void **state)
{
    static const Rule RULES[] = {
        {"not masked", BYTES(0x81, 0x01, 'a'), 1002},
        {"reserved bit", BYTES(0xc1, 0x80, 0, 0, 0, 0), 1002},
        {"reserved opcode", BYTES(0x83, 0x80, 0, 0, 0, 0), 1002},
        {"reserved control opcode", BYTES(0x8b, 0x80, 0, 0, 0, 0), 1002},
        {"continuation of nothing", BYTES(0x80, 0x80, 0, 0, 0, 0), 1002},
        {"text within fragments", BYTES(0x01, 0x81, 0, 0, 0, 0, 'a', 0x81, 0x81, 0, 0, 0, 0, 'b'), 1002},
        {"control frame in fragments", BYTES(0x09, 0x80, 0, 0, 0, 0), 1002},
        {"control frame too long", BYTES(0x89, 0xfe, 0, 126, 0, 0, 0, 0), 1002},
        {"length longer than it must be", BYTES(0x81, 0xfe, 0, 1, 0, 0, 0, 0, 'a'), 1002},
        {"length with the highest bit", BYTES(0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0), 1002},
        {"not UTF-8", BYTES(0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28), 1007},
        {"half a letter at the end", BYTES(0x81, 0x81, 0, 0, 0, 0, 0xc3), 1007},
        {"surrogate", BYTES(0x81, 0x83, 0, 0, 0, 0, 0xed, 0xa0, 0x80), 1007},
        {"close with one byte", BYTES(0x88, 0x81, 0, 0, 0, 0, 3), 1002},
        {"close with a code that is none", BYTES(0x88, 0x82, 0, 0, 0, 0, 3, 0xed), 1002},
        {"close with a reason that is not UTF-8", BYTES(0x88, 0x83, 0, 0, 0, 0, 3, 0xe8, 0xff), 1007},
        {"too long", BYTES(0x81, 0xfe, 0x10, 0x01, 0, 0, 0, 0, 'a'), 1009},
        {"far too long", BYTES(0x82, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'a'), 1009},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(RULES); i++) {
        int fd = open_talk(), closed = atomic_load(&heard.closed);

        print_message("%s\n", RULES[i].name);
        send_bytes(fd, RULES[i].bytes, RULES[i].len);
        expect_close(fd, RULES[i].code);
        close(fd);
        wait_until(&heard.closed, closed + 1);
    }
}

static void a_close_in_pieces_is_looked_at_as_a_whole(void **state)
{
    static const uint8_t CLOSE[] = {0x88, 0x85, 0, 0, 0, 0, 3, 0xe8, 'a', 0xff, 'b'};
    int fd = open_talk();
    (void)state;

    for (size_t i = 0; i < sizeof(CLOSE); i++) {
        send_bytes(fd, CLOSE + i, 1);
        usleep(2000); /* so that most pieces come by themselves */
    }
    expect_close(fd, 1007);
    close(fd);
}

static void fragments_and_control_frames_between_them(void **state)
{
    int fd = open_talk();
    char letter[] = "echo \303";
    (void)state;

    send_frame(fd, 0x01, slice(letter)); /* a letter in two fragments */
    send_frame(fd, 0x89, SLICE_LIT("are you there"));
    assert_int_equal(read_frame(fd)->opcode, 10);
    assert_string_equal(got.text, "are you there");
    send_frame(fd, 0x00, SLICE_LIT(""));
    send_frame(fd, 0x8a, SLICE_LIT("a pong that nobody asked for"));
    send_frame(fd, 0x80, SLICE_LIT("\251"));
    expect_text(fd, "\303\251");
    send_frame(fd, 0x81, SLICE_LIT(""));
    expect_text(fd, "done");
    /* Byte by byte. */
    static const uint8_t SLOW[] = {0x81, 0x86, 1, 2, 3, 4, 'e' ^ 1, 'c' ^ 2, 'h' ^ 3, 'o' ^ 4, ' ' ^ 1, 'z' ^ 2};
    for (size_t i = 0; i < sizeof(SLOW); i++)
        send_bytes(fd, SLOW + i, 1);
    expect_text(fd, "z");
    send_frame(fd, 0x88, SLICE_LIT("")); /* no code */
    assert_int_equal(read_frame(fd)->opcode, 8);
    expect_end(fd);
}

static void the_longest_message_may_come_in_pieces(void **state)
{
    static char text[MAX_FRAME];
    int fd = open_talk();
    (void)state;

    memset(text, 'x', sizeof(text));
    send_frame(fd, 0x01, SLICE_LIT("length "));
    send_frame(fd, 0x00, slice_of(text, 2000));
    send_frame(fd, 0x80, slice_of(text, MAX_FRAME - 2007));
    expect_text(fd, "4096 0");
    send_frame(fd, 0x01, slice_of(text, 4000));
    send_frame(fd, 0x80, slice_of(text, 97));
    expect_close(fd, 1009);
    close(fd);
}

static void too_many_frames_close(void **state)
{
    int fd = open_socket("/few", "");
    (void)state;

    expect_text(fd, "hello - 0");
    for (int i = 0; i < 6; i++)
        send_text(fd, "x");
    expect_close(fd, 4008);
    close(fd);
    fd = open_socket("/few", "");
    for (int i = 0; i < 5 * SOCKET_RAW_FRAMES_FACTOR + 1; i++)
        send_frame(fd, 0x89, SLICE_LIT(""));
    expect_close(fd, 4008);
    close(fd);
}

/* Of the only connection; in the loop's thread. */
static void look_at_phase(void *data)
{
    const Gateway *g = f.context;

    *(SocketPhase *)data = g->sockets->list ? g->sockets->list->phase : SOCKET_GONE;
}

static void wait_for_phase(SocketPhase wanted)
{
    int64_t end_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + WAIT_MS;
    SocketPhase phase = SOCKET_OPEN;

    while (phase != wanted) {
        assert_true(clock_monotonic_ms(&SYSTEM_CLOCK) < end_ms);
        usleep(1000);
        loop_call(((Gateway *)f.context)->loop, look_at_phase, &phase);
    }
}

/* --- limits ----------------------------------------------------------------------------------------------------------
 */
static void who_does_not_read_is_closed(void **state)
{
    int fd = open_connection(), small = 65536, closed = atomic_load(&heard.closed);
    char head[4096];
    (void)state;

    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    assert_int_equal(shake_hands(fd, "/talk", UPGRADE, head, sizeof(head)), 101);
    for (int i = 0; i < 80; i++)
        send_text(fd, "big 100000");
    wait_for_phase(SOCKET_CLOSING);
    expect_close(fd, 4010);
    close(fd);
    wait_until(&heard.closed, closed + 1);
    wait_for_code(4010);
}

static void one_long_frame_always_fits(void **state)
{
    int fd = open_talk();
    (void)state;

    send_text(fd, "big 250000");
    assert_int_equal(read_frame(fd)->len, 250000);
    close_with(fd, 1000);
}

static void an_address_has_so_many_and_no_more(void **state)
{
    int fds[8], closed;
    char head[4096];
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = open_talk();
    assert_int_equal(refused("/talk", UPGRADE, head, sizeof(head)), 429);
    closed = atomic_load(&heard.closed);
    assert_int_equal(refused("/talk", UPGRADE "X-Forwarded-For: 192.0.2.1\r\n", head, sizeof(head)), 101);
    wait_until(&heard.closed, closed + 1);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close_with(fds[i], 1000);
}

static void silent_clients_are_pinged_and_then_cut(void **state)
{
    int fd = open_talk(), closed;
    (void)state;

    f.settings.socket_ping_ms = 100;
    assert_int_equal(read_frame(fd)->opcode, 9);
    send_frame(fd, 0x8a, SLICE_LIT(""));
    assert_int_equal(read_frame(fd)->opcode, 9);
    closed = atomic_load(&heard.closed);
    f.settings.socket_silence_ms = 300;
    expect_close(fd, 4009);
    expect_end(fd);
    wait_until(&heard.closed, closed + 1);
    wait_for_code(4009);
    f.settings.socket_ping_ms = 60000;
    f.settings.socket_silence_ms = 120000;
}

/* --- attached streams
 * ------------------------------------------------------------------------------------------------- */
static void streams_are_attached(void **state)
{
    int fd = open_talk();
    (void)state;

    send_text(fd, "attach a");
    expect_text(fd, "<{\"n\":1}>");
    expect_text(fd, "<{\"n\":2}>");
    expect_text(fd, "<{\"n\":3}>");
    expect_text(fd, "ended a 0");
    send_text(fd, "attach-nothing b");
    expect_text(fd, "ended b 1");
    close_with(fd, 1000);
}

/* --- the end -------------------------------------------------------------------------------------------------------
 */
static void drain_now(void *data)
{
    sockets_drain(((Gateway *)data)->sockets);
}

/* The last test: nothing is accepted any more. */
static void a_farewell_before_the_end(void **state)
{
    int fd = open_talk(), closed = atomic_load(&heard.closed);
    char head[4096];
    Gateway *g = f.context;
    (void)state;

    loop_post(g->loop, drain_now, g);
    expect_text(fd, "good-bye");
    expect_close(fd, 1001);
    send_frame(fd, 0x88, SLICE_LIT("\3\351"));
    expect_end(fd);
    wait_until(&heard.closed, closed + 1);
    assert_int_equal(refused("/talk", UPGRADE, head, sizeof(head)), 503);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(handshakes_are_those_of_the_rfc, settle),
        cmocka_unit_test_setup(other_requests_are_refused, settle),
        cmocka_unit_test_setup(known_origins_may_connect, settle),
        cmocka_unit_test_setup(credentials_of_the_handshake_count, settle),
        cmocka_unit_test_setup(frames_are_answered_in_order_with_state, settle),
        cmocka_unit_test_setup(frames_of_the_first_packet_are_not_lost, settle),
        cmocka_unit_test_setup(the_service_closes, settle),
        cmocka_unit_test_setup(a_client_that_vanishes_is_closed_with_1006, settle),
        cmocka_unit_test_setup(what_was_said_before_a_close_is_heard, settle),
        cmocka_unit_test_setup(failures_of_the_service_close, settle),
        cmocka_unit_test_setup(a_busy_service_is_asked_again, settle),
        cmocka_unit_test_setup(nobody_there_for_a_while_is_waited_for, settle),
        cmocka_unit_test_setup(reading_pauses_while_the_service_is_asked, settle),
        cmocka_unit_test_setup(tokens_in_frames_are_verified, settle),
        cmocka_unit_test_setup(logins_are_counted_as_handshakes_are, settle),
        cmocka_unit_test_setup(a_connection_outlives_its_token, settle),
        cmocka_unit_test_setup(an_ended_login_cuts_within_a_second, settle),
        cmocka_unit_test_setup(broken_frames_are_told_why, settle),
        cmocka_unit_test_setup(a_close_in_pieces_is_looked_at_as_a_whole, settle),
        cmocka_unit_test_setup(fragments_and_control_frames_between_them, settle),
        cmocka_unit_test_setup(the_longest_message_may_come_in_pieces, settle),
        cmocka_unit_test_setup(too_many_frames_close, settle),
        cmocka_unit_test_setup(who_does_not_read_is_closed, settle),
        cmocka_unit_test_setup(one_long_frame_always_fits, settle),
        cmocka_unit_test_setup(an_address_has_so_many_and_no_more, settle),
        cmocka_unit_test_setup(silent_clients_are_pinged_and_then_cut, settle),
        cmocka_unit_test_setup(streams_are_attached, settle),
        cmocka_unit_test_setup(a_farewell_before_the_end, settle),
    };

    return cmocka_run_group_tests(tests, start_all, edge_stop);
}
