/* Fuzz target: a live connection, its client and its service. The input is a script: what the client sends (raw bytes,
 * or frames with any head), how the requests that follow are answered, when the client reads, when it leaves. What must
 * hold: every frame that we write is one, and none comes after a close; the service is asked one thing at a time, about
 * whole messages within the limit, and always of the end; afterwards nothing is held. */
#include <nats/nats.h>
#include <sys/socket.h>
#include <unistd.h>

#include "services/gateway/connections.h"
#include "services/gateway/fuzz_tables.h"
#include "services/gateway/socket_internal.h"
#include "shared/message.h"
#include "tests/fuzz/bus_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SCRIPT_STEPS_MAX = 200, PAYLOAD_MAX = 5000, OUTPUT_MAX = 1 << 20 };

static struct {
    UpstreamDone done;
    void *data;
    bool waits;
    struct {
        UpstreamDone done;
        void *data;
        bool waits;
    } streams[SOCKET_ATTACHMENTS_MAX];
    int kind, opens, closes;
} asked;

static struct {
    Gateway g;
    GatewaySettings settings;
    Service service;
    Operation op;
    Exchange x;
    AuthVerdict verdict;
    bool seen_close; /* by the client */
    char out[OUTPUT_MAX];
    size_t out_len;
} world;

static void check_at(bool holds, int line)
{
    if (holds)
        return;
    fprintf(stderr, "socket_fuzz.c:%d does not hold\n", line);
    abort();
}
#define check(holds) check_at((holds), __LINE__)

/* --- what the live edge calls ------------------------------------------------------------------------------------- */
static void check_request(Slice body)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    ProtobufCMessage *message;
    const Atrium__SocketRequest *rq;

    check(!err_failed(message_unpack(mem, &atrium__socket_request__descriptor, body, &message)));
    rq = (const Atrium__SocketRequest *)message;
    asked.kind = (int)rq->kind;
    asked.opens += rq->kind == ATRIUM__SOCKET_KIND__OPEN;
    asked.closes += rq->kind == ATRIUM__SOCKET_KIND__CLOSED;
    check(rq->state.len <= SOCKET_STATE_MAX_BYTES);
    if (rq->kind == ATRIUM__SOCKET_KIND__FRAME) {
        Slice text = slice_of(rq->frame->parts[0]->text.data, rq->frame->parts[0]->text.len);

        check(text.len <= world.op.socket->max_frame_bytes && (rq->frame->binary || utf8_valid(text)));
    }
}

Err upstream_send(Upstream *u, const UpstreamRequest *rq)
{
    (void)u;
    if (rq->out_stream) {
        uint32_t i = 0;

        while (asked.streams[i].waits)
            check(++i < ARRAY_LEN(asked.streams));
        asked.streams[i].waits = true;
        asked.streams[i].done = rq->done;
        asked.streams[i].data = rq->data;
        *rq->out_stream = (UpstreamTicket){i, 1};
        return OK;
    }
    if (strcmp(rq->callee, world.op.domain) == 0 && memmem(rq->body.ptr, rq->body.len, "instance.", 9)) {
        check(!asked.waits);
        check_request(rq->body);
        asked.waits = true;
        asked.done = rq->done;
        asked.data = rq->data;
        return OK;
    }
    rq->done(rq->data, UPSTREAM_NOBODY, NULL); /* a lease */
    return OK;
}

void upstream_forget(Upstream *u, UpstreamTicket ticket)
{
    (void)u;
    asked.streams[ticket.index].waits = false;
}

const char *__wrap_bus_instance(const Bus *bus);
const char *__wrap_bus_instance(const Bus *bus)
{
    (void)bus;
    return "instance";
}

void __wrap_bus_publish_lossy(Bus *bus, const char *subject, const BusHeader *headers, size_t header_count, Slice body);
void __wrap_bus_publish_lossy(Bus *bus, const char *subject, const BusHeader *headers, size_t header_count, Slice body)
{
    (void)bus, (void)subject, (void)headers, (void)header_count, (void)body;
}

/* Pauses are over at once. */
void __real_loop_timer_set(LoopTimer *timer, int64_t after_ms, int64_t period_ms);
void __wrap_loop_timer_set(LoopTimer *timer, int64_t after_ms, int64_t period_ms);
void __wrap_loop_timer_set(LoopTimer *timer, int64_t after_ms, int64_t period_ms)
{
    __real_loop_timer_set(timer, period_ms ? after_ms : MIN(after_ms, 1), period_ms);
}

AuthVerdict auth_check(Auth *a, Slice token, AuthDone done, void *data, Identity *out)
{
    (void)a, (void)token, (void)done, (void)data;
    *out = (Identity){.user_id = 42, .login_id = token.len % 2 ? "login" : "", .username = "", .rate_tier = ""};
    return world.verdict;
}

AuthVerdict auth_check_login(Auth *a, const char *login_id, AuthDone done, void *data, Identity *out)
{
    return auth_check(a, slice(login_id), done, data, out);
}

void auth_keep_login(Auth *a, const Identity *identity)
{
    (void)a, (void)identity;
}

const char *auth_caller_header(Auth *a, const Identity *identity, const Operation *op)
{
    (void)a, (void)identity, (void)op;
    return "caller";
}

size_t connections_sockets_limit(Gateway *g)
{
    (void)g;
    return 10;
}

bool ring_look(Socket *s, RingLook *out)
{
    (void)s;
    *out = (RingLook){.position = 7, .oldest = 3, .epoch = "e"};
    return true;
}

bool ring_takes(Socket *s, const RingChange *c)
{
    (void)s;
    return !c->has_from || c->from >= 3;
}

uint64_t ring_position_before(Socket *s, const RingChange *c)
{
    (void)s;
    return c->asked;
}

uint64_t ring_position(Socket *s)
{
    (void)s;
    return 9;
}

void ring_apply(Socket *s, const RingChange *c)
{
    CLEANUP(shared_frame_unref_at) SharedFrame *frame = shared_frame_new(SLICE_LIT("{\"op\":0}"), false);

    for (size_t i = 0; i < c->n_join && i < 100; i++)
        (void)socket_write_shared(s, frame, 8 + i);
    if (c->n_leave > 3)
        socket_break(s, 1012, c->leave[0]);
}

void ring_forget(Socket *s)
{
    check(!socket_is_open(s));
}

/* --- the client ----------------------------------------------------------------------------------------------------
 */
/* What we wrote so far, frame by frame; what is half here stays. */
static void check_output(void)
{
    size_t at = 0;

    while (world.out_len - at >= 2) {
        const uint8_t *b = (const uint8_t *)world.out + at;
        unsigned opcode = b[0] & 0xf, extra = (b[1] & 0x7f) == 126 ? 2 : (b[1] & 0x7f) == 127 ? 8 : 0;
        uint64_t len = b[1] & 0x7f;

        check((b[0] & 0xf0) == 0x80 && !(b[1] & 0x80) && !world.seen_close);
        check(opcode == 1 || opcode == 2 || (opcode >= 8 && opcode <= 10));
        if (world.out_len - at < 2 + extra)
            break;
        if (extra)
            len = 0;
        for (unsigned i = 0; i < extra; i++)
            len = len << 8 | b[2 + i];
        check(extra == 0 || len > (extra == 2 ? 125 : UINT16_MAX));
        check(opcode < 8 || len <= 125);
        if (world.out_len - at < 2 + extra + len)
            break;
        check(opcode != 1 || utf8_valid(slice_of(b + 2 + extra, len)));
        if (opcode == 8) {
            check(len == 0 || (len >= 2 && utf8_valid(slice_of(b + 4, len - 2))));
            world.seen_close = true;
        }
        at += 2 + extra + len;
    }
    memmove(world.out, world.out + at, world.out_len - at);
    world.out_len -= at;
}

static void client_reads(int fd)
{
    ssize_t got;

    while ((got = recv(fd, world.out + world.out_len, OUTPUT_MAX - world.out_len, MSG_DONTWAIT)) > 0) {
        world.out_len += (size_t)got;
        check_output();
    }
}

static void client_sends(int fd, Slice bytes)
{
    (void)send(fd, bytes.ptr, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL); /* what does not fit is lost: as well */
}

static void client_sends_frame(int fd, unsigned first, bool masked, Slice payload)
{
    static char bytes[PAYLOAD_MAX + 14];
    size_t at = 2;

    bytes[0] = (char)first;
    bytes[1] = (char)((masked ? 0x80 : 0) | (payload.len < 126 ? payload.len : 126));
    if (payload.len >= 126) {
        bytes[at++] = (char)(payload.len >> 8);
        bytes[at++] = (char)payload.len;
    }
    for (int i = 0; masked && i < 4; i++)
        bytes[at++] = 0;
    if (payload.len)
        memcpy(bytes + at, payload.ptr, payload.len);
    client_sends(fd, slice_of(bytes, at + payload.len));
}

/* --- the service ---------------------------------------------------------------------------------------------------
 */
static void service_answers(UpstreamOutcome outcome, natsMsg *msg)
{
    if (!asked.waits)
        return;
    asked.waits = false;
    asked.done(asked.data, outcome, msg);
}

/* A reply whose fields are chosen by one byte and filled from the script. */
static void service_replies(uint8_t fields, Slice text)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Atrium__SocketReply reply = ATRIUM__SOCKET_REPLY__INIT;
    Atrium__FramePart part = ATRIUM__FRAME_PART__INIT, *parts[] = {&part};
    Atrium__SocketFrame frame = ATRIUM__SOCKET_FRAME__INIT, *frames[] = {&frame};
    Atrium__TopicJoin join = ATRIUM__TOPIC_JOIN__INIT, *joins[] = {&join};
    Atrium__SocketClose close_it = ATRIUM__SOCKET_CLOSE__INIT;
    Atrium__SocketAttach attach = ATRIUM__SOCKET_ATTACH__INIT;
    char rpc[] = "WatchThings", *name = slice_cstr(mem, text);
    natsMsg *msg;
    Slice wire;

    SET(&part, text, ((ProtobufCBinaryData){.len = text.len, .data = (uint8_t *)(uintptr_t)text.ptr}));
    SET(&part, position, (fields & 1) != 0);
    SET(&frame, binary, (fields & 2) != 0);
    frame.parts = parts;
    frame.n_parts = 1;
    reply.frames_before = reply.frames_after = frames;
    reply.n_frames_before = (fields & 4) != 0;
    reply.n_frames_after = (fields & 8) != 0;
    join.topic = name;
    reply.join = joins;
    reply.n_join = (fields & 16) != 0;
    if (fields & 32)
        SET(&reply, state, part.text);
    if ((fields & 64) && text.len % 3 == 0)
        reply.authenticate = utf8_valid(text) ? name : NULL;
    if ((fields & 64) && text.len % 3 == 1 && utf8_valid(text)) {
        attach.id = name;
        attach.rpc = rpc;
        reply.attach = &attach;
    }
    if ((fields & 128) && text.len % 2) {
        SET(&close_it, code, (uint32_t)text.len + 999);
        close_it.reason = utf8_valid(text) ? name : NULL;
        reply.close = &close_it;
    } else if (fields & 128) {
        SET(&reply, wake_ms, 1);
    }
    if (!utf8_valid(text))
        reply.n_join = 0; /* texts on the bus are UTF-8, or refused whole */
    wire = message_pack(mem, &reply.base);
    check(natsMsg_Create(&msg, "reply", NULL, wire.ptr, (int)wire.len) == NATS_OK);
    service_answers(UPSTREAM_REPLIED, msg);
    natsMsg_Destroy(msg);
}

/* As it stands in the script, headers included. */
static void bus_says(uint8_t to, Slice text)
{
    natsMsg *msg = bus_message("reply", SLICE_LIT(""), text);
    size_t stream = to / 2 % ARRAY_LEN(asked.streams);

    if (to & 1)
        service_answers(UPSTREAM_REPLIED, msg);
    else if (asked.streams[stream].waits)
        asked.streams[stream].done(asked.streams[stream].data, UPSTREAM_REPLIED, msg);
    natsMsg_Destroy(msg);
}

/* --- the script ------------------------------------------------------------------------------------------------------
 */
static Slice take(Slice *script, size_t len)
{
    Slice head = slice_take(*script, len);

    *script = slice_skip(*script, head.len);
    return head;
}

static void run(Slice script, int fd, bool *gone)
{
    static char large[PAYLOAD_MAX];

    for (int step = 0; script.len >= 2 && step < SCRIPT_STEPS_MAX; step++) {
        uint8_t what = (uint8_t)script.ptr[0], more = (uint8_t)script.ptr[1];
        Slice text;

        script = slice_skip(script, 2);
        switch (what % 10) {
        case 0: /* any bytes */
            client_sends(fd, take(&script, more));
            break;
        case 1: /* a frame of any kind */
        case 2:
            text = take(&script, 1);
            client_sends_frame(fd, text.len ? (uint8_t)text.ptr[0] : 0x81, true, take(&script, more));
            break;
        case 3: /* a large one */
            memset(large, more & 0x7f, sizeof(large));
            client_sends_frame(fd, more & 0x80 ? 0x81 : 0x01, true, slice_of(large, (size_t)more * 19));
            break;
        case 4:
            text = take(&script, 1);
            service_replies(text.len ? (uint8_t)text.ptr[0] : 0, take(&script, more));
            break;
        case 5:
            service_answers(more % 3 == 0 ? UPSTREAM_NOBODY : more % 3 == 1 ? UPSTREAM_LATE : UPSTREAM_LOST, NULL);
            break;
        case 6:
            bus_says(what / 10, take(&script, more));
            break;
        case 7:
            client_reads(fd);
            break;
        case 8:
            world.verdict = (AuthVerdict)(more % AUTH_WAIT);
            break;
        case 9:
            if (more % 4 == 0) {
                (void)shutdown(fd, more & 4 ? SHUT_WR : SHUT_RDWR);
                *gone = true;
            }
            break;
        }
        loop_turn(world.g.loop, 0);
    }
}

static void start(void)
{
    static const Profile PROFILE = {.name = "all"};
    RouteMatch match;
    RoutePath path;
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);

    check(nats_Open(0) == NATS_OK);
    world.service = (Service){.clock = &SYSTEM_CLOCK, .metrics = metrics_new()};
    world.settings = (GatewaySettings){.sockets_per_address = 10,
                                       .socket_ping_ms = 30000,
                                       .socket_silence_ms = 60000,
                                       .socket_memory_bytes = 64 * 1024};
    world.g = (Gateway){.service = &world.service, .settings = &world.settings, .loop = loop_new()};
    world.g.tables = fuzz_tables();
    check(!err_failed(revocations_start(
        &(RevocationsOptions){
            .clock = &SYSTEM_CLOCK, .metrics = world.service.metrics, .age_ms = 1000, .entries_max = 10},
        &world.g.revocations)));
    check(routes_split(mem, SLICE_LIT("/talk"), &path) &&
          routes_match(tables_routes(world.g.tables), mem, SLICE_LIT("GET"), &path, &match));
    world.op = *(const Operation *)match.target;
    world.op.rate = NULL; /* time is real */
    world.g.sockets = sockets_new(&world.g);
    world.x = (Exchange){.gateway = &world.g, .tables = world.g.tables, .op = &world.op};
    world.x.profile = &PROFILE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Slice script = slice_of(data, size);
    int pair[2], status;
    bool gone = false;
    Socket *s;

    if (!world.g.loop)
        start();
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    memset(&asked, 0, sizeof(asked));
    world.out_len = 0;
    world.seen_close = false;
    world.verdict = AUTH_GOOD;
    s = socket_reserve(&world.x, &status);
    check(s != NULL);
    socket_begin(s, pair[0], take(&script, size ? data[0] % 32 : 0));
    loop_turn(world.g.loop, 0);
    run(script, pair[1], &gone);
    if (!gone)
        client_reads(pair[1]);
    close(pair[1]);
    world.verdict = AUTH_GOOD; /* whoever could not be asked is there again */
    /* What still waits is answered, until the service knows that it is over. */
    for (int i = 0; i < 1000 && !sockets_gone(world.g.sockets); i++) {
        loop_turn(world.g.loop, i > 100 ? 1 : 0);
        service_replies(0, SLICE_LIT(""));
    }
    check(sockets_gone(world.g.sockets) && world.g.sockets->held_bytes == 0);
    for (size_t i = 0; i < ARRAY_LEN(asked.streams); i++)
        check(!asked.streams[i].waits);
    check((asked.closes > 0) == (asked.opens > 0));
    return 0;
}
