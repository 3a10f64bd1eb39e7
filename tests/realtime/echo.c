/* echo: the service that test_realtime.py and the benchmark of fan-out speak to. Keeps nothing: what a connection is
 * told to be stands in its state. A message that begins with "!" is a command, see COMMANDS; others come back. */
#include "atrium/echo/v1/echo.service.h"
#include "atrium/realtime.pb-c.h"
#include "shared/service.h"

enum { WORDS_MAX = 256, TIMES_MAX = 1000000, COUNT_MAX = 1000000, FAST_THREADS = 4, STREAM_THREADS = 16 };

typedef struct EchoSettings {
    int unused;
} EchoSettings;

typedef struct Echo {
    Bus *bus; /* threaded */
} Echo;

/* One request of a connection, and what is answered. */
typedef struct Turn {
    Request *rq;
    const Echo *echo;
    const Atrium__SocketRequest *in;
    Atrium__SocketReply *out;
    char *words[WORDS_MAX];
    size_t count;
} Turn;

/* --- frames
 * ----------------------------------------------------------------------------------------------------------- */
static Atrium__FramePart *text_part(Arena *mem, const char *text)
{
    Atrium__FramePart *part = MESSAGE_NEW(mem, Atrium__FramePart, atrium__frame_part__init);

    part->has_text = true;
    part->text.data = (uint8_t *)arena_strdup(mem, text);
    part->text.len = strlen(text);
    return part;
}

/* {"t":"ECHO","s":7,"d":{"text":…}} */
static Atrium__SocketFrame *frame_of(Arena *mem, const char *kind, const char *text, uint64_t number)
{
    Atrium__SocketFrame *frame = MESSAGE_NEW(mem, Atrium__SocketFrame, atrium__socket_frame__init);
    Echo__V1__Said said = ECHO__V1__SAID__INIT;
    Slice wire;

    said.text = (char *)(uintptr_t)text;
    if (number)
        SET(&said, number, number);
    wire = message_pack(mem, &said.base);
    frame->n_parts = 5;
    frame->parts = ARENA_ARRAY(mem, Atrium__FramePart *, 5);
    frame->parts[0] = text_part(mem, arena_printf(mem, "{\"t\":\"%s\",\"s\":", kind));
    frame->parts[1] = MESSAGE_NEW(mem, Atrium__FramePart, atrium__frame_part__init);
    SET(frame->parts[1], position, true);
    frame->parts[2] = text_part(mem, ",\"d\":");
    frame->parts[3] = MESSAGE_NEW(mem, Atrium__FramePart, atrium__frame_part__init);
    frame->parts[3]->message = MESSAGE_NEW(mem, Atrium__FrameMessage, atrium__frame_message__init);
    frame->parts[3]->message->type = (char *)"atrium.echo.v1.Said";
    frame->parts[3]->message->has_wire = true;
    frame->parts[3]->message->wire.data = (uint8_t *)(uintptr_t)wire.ptr;
    frame->parts[3]->message->wire.len = wire.len;
    frame->parts[4] = text_part(mem, "}");
    return frame;
}

static void answer(Turn *t, const char *kind, const char *text, bool first)
{
    Atrium__SocketFrame **list = ARENA_ARRAY(t->rq->mem, Atrium__SocketFrame *, 1);

    list[0] = frame_of(t->rq->mem, kind, text, 0);
    if (first) {
        t->out->frames_before = list;
        t->out->n_frames_before = 1;
    } else {
        t->out->frames_after = list;
        t->out->n_frames_after = 1;
    }
}

/* --- dispatches
 * ------------------------------------------------------------------------------------------------------- */
static Err publish(const Echo *echo, Arena *mem, const char *topic, const Atrium__Dispatch *dispatch, uint64_t *out)
{
    Slice wire = message_pack(mem, &dispatch->base);
    jsPubAck *ack = NULL;
    jsErrCode code = 0;

    TRY(bus_err(js_Publish(&ack, bus_jetstream(echo->bus), arena_printf(mem, "dsp.echo.%s", topic), wire.ptr,
                           (int)wire.len, NULL, &code),
                "publish"));
    *out = ack->Sequence;
    jsPubAck_Destroy(ack);
    return OK;
}

static Atrium__Dispatch *dispatch_of(Arena *mem, Atrium__SocketFrame *frame)
{
    Atrium__Dispatch *d = MESSAGE_NEW(mem, Atrium__Dispatch, atrium__dispatch__init);

    d->n_variants = 1;
    d->variants = ARENA_ARRAY(mem, Atrium__DispatchVariant *, 1);
    d->variants[0] = MESSAGE_NEW(mem, Atrium__DispatchVariant, atrium__dispatch_variant__init);
    d->variants[0]->n_frames = 1;
    d->variants[0]->frames = ARENA_ARRAY(mem, Atrium__SocketFrame *, 1);
    d->variants[0]->frames[0] = frame;
    return d;
}

static void add_change(Arena *mem, Atrium__Dispatch *d, const Echo__V1__SayRequest *in)
{
    Atrium__AudienceChange *change;

    if (!in->n_join && !in->n_leave)
        return;
    change = MESSAGE_NEW(mem, Atrium__AudienceChange, atrium__audience_change__init);
    change->users = in->users;
    change->n_users = in->n_users;
    change->topic = in->topic;
    change->join = in->join;
    change->n_join = in->n_join;
    change->leave = in->leave;
    change->n_leave = in->n_leave;
    d->n_changes = 1;
    d->changes = ARENA_ARRAY(mem, Atrium__AudienceChange *, 1);
    d->changes[0] = change;
}

Err echo_v1_say(Request *rq, const Echo__V1__SayRequest *in, Echo__V1__SayReply *out)
{
    uint32_t times = in->times ? MIN(in->times, TIMES_MAX) : 1;
    uint64_t position = 0;

    for (uint32_t i = 0; i < times; i++) {
        CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
        Atrium__Dispatch *d = dispatch_of(mem, frame_of(mem, "SAID", in->text ? in->text : "", i + 1));

        d->mark = in->mark;
        add_change(mem, d, in);
        TRY(publish(rq->service, mem, in->topic ? in->topic : "none", d, &position));
    }
    SET(out, position, position);
    if (in->after)
        request_set_after(rq, in->after);
    return OK;
}

Err echo_v1_count(Request *rq, const Echo__V1__CountRequest *in, RpcStream *out)
{
    Echo__V1__Said said = ECHO__V1__SAID__INIT;

    (void)rq;
    for (uint32_t i = 1; i <= MIN(in->count, COUNT_MAX); i++) {
        SET(&said, number, i);
        TRY(rpc_stream_send(out, &said.base));
        if (in->pause_ms)
            nats_Sleep(MIN(in->pause_ms, 1000));
    }
    return OK;
}

/* --- commands
 * ----------------------------------------------------------------------------------------------------------- */
static uint64_t number_at(const Turn *t, size_t i)
{
    uint64_t number = 0;

    if (i < t->count)
        (void)slice_to_uint64(slice(t->words[i]), &number);
    return number;
}

static const char *word_at(const Turn *t, size_t i)
{
    return i < t->count ? t->words[i] : "";
}

static void join(Turn *t, char *const *topics, size_t count)
{
    t->out->join = ARENA_ARRAY(t->rq->mem, Atrium__TopicJoin *, count + 1);
    t->out->n_join = count;
    for (size_t i = 0; i < count; i++) {
        t->out->join[i] = MESSAGE_NEW(t->rq->mem, Atrium__TopicJoin, atrium__topic_join__init);
        t->out->join[i]->topic = topics[i];
    }
}

static void on_join(Turn *t)
{
    join(t, t->words + 1, t->count - 1);
    answer(t, "JOINED", "", true);
}

static void on_leave(Turn *t)
{
    t->out->leave = t->words + 1;
    t->out->n_leave = t->count - 1;
    answer(t, "LEFT", "", false);
}

static void on_wake(Turn *t)
{
    SET(t->out, wake_ms, (uint32_t)number_at(t, 1));
}

static void on_auth(Turn *t)
{
    static const char *const SAID[] = {"", "verified", "refused", "unknown"};

    if (t->in->authentication == ATRIUM__AUTHENTICATION__NOT_ASKED)
        t->out->authenticate = (char *)(uintptr_t)word_at(t, 1);
    else
        answer(t, "AUTH",
               arena_printf(t->rq->mem, "%s %" PRId64, SAID[MIN((unsigned)t->in->authentication, 3)],
                            t->rq->caller.user_id),
               false);
}

static void on_attach(Turn *t)
{
    Echo__V1__CountRequest request = ECHO__V1__COUNT_REQUEST__INIT;
    Atrium__SocketAttach *attach = MESSAGE_NEW(t->rq->mem, Atrium__SocketAttach, atrium__socket_attach__init);
    static const char BEFORE[] = "{\"t\":\"COUNT\",\"d\":", AFTER[] = "}";
    Slice wire;

    SET(&request, count, (uint32_t)number_at(t, 2));
    SET(&request, pause_ms, (uint32_t)number_at(t, 3));
    wire = message_pack(t->rq->mem, &request.base);
    attach->id = (char *)(uintptr_t)word_at(t, 1);
    attach->rpc = (char *)"Count";
    attach->has_request = attach->has_before = attach->has_after = true;
    attach->request = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)wire.ptr, .len = wire.len};
    attach->before = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)BEFORE, .len = sizeof(BEFORE) - 1};
    attach->after = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)AFTER, .len = sizeof(AFTER) - 1};
    t->out->attach = attach;
}

static void on_cancel(Turn *t)
{
    t->out->cancel = t->words + 1;
    t->out->n_cancel = t->count - 1;
    answer(t, "CANCELLED", "", false);
}

static void on_close(Turn *t)
{
    t->out->close = MESSAGE_NEW(t->rq->mem, Atrium__SocketClose, atrium__socket_close__init);
    SET(t->out->close, code, (uint32_t)number_at(t, 1));
    t->out->close->reason = (char *)(uintptr_t)word_at(t, 2);
}

static void on_mark(Turn *t)
{
    t->out->marks = t->words + 1;
    t->out->n_marks = t->count - 1;
    answer(t, "MARKED", "", false);
}

static void on_state(Turn *t)
{
    if (t->count > 1) {
        t->out->has_state = true;
        t->out->state.data = (uint8_t *)t->words[1];
        t->out->state.len = strlen(t->words[1]);
    }
    answer(t, "STATE", arena_strndup(t->rq->mem, (const char *)t->in->state.data, t->in->state.len), false);
}

static void on_who(Turn *t)
{
    answer(t, "WHO", arena_printf(t->rq->mem, "%" PRId64 " %s", t->rq->caller.user_id, t->in->connection), false);
}

static void on_nap(Turn *t)
{
    nats_Sleep((int64_t)MIN(number_at(t, 1), 2000));
    answer(t, "NAPPED", "", false);
}

static const struct Command {
    const char *name;
    void (*run)(Turn *t);
} COMMANDS[] = {
    {"!join", on_join},                       /* topic… */
    {"!leave", on_leave},                     /* topic… */
    {"!wake", on_wake},                       /* milliseconds */
    {"!auth", on_auth},                       /* token */
    {"!attach", on_attach},                   /* id count pause_ms */
    {"!cancel", on_cancel},                   /* id… */
    {"!close", on_close},                     /* code reason */
    {"!mark", on_mark},                       /* mark… */
    {"!state", on_state},                     /* says the state, and sets it */
    {"!who", on_who},       {"!nap", on_nap}, /* milliseconds before the answer */
};

/* --- what is asked
 * ------------------------------------------------------------------------------------------------------ */
static void take_words(Turn *t, Slice text, char separator)
{
    Slice word, rest = text;
    bool more = true;

    while (more && t->count < WORDS_MAX) {
        more = slice_cut(rest, separator, &word, &rest);
        if (word.len)
            t->words[t->count++] = slice_cstr(t->rq->mem, word);
    }
}

static void take_frame(Turn *t)
{
    Slice text = SLICE_LIT("");

    if (t->in->frame && t->in->frame->n_parts)
        text = slice_of(t->in->frame->parts[0]->text.data, t->in->frame->parts[0]->text.len);
    if (text.len && text.ptr[0] == '!') {
        take_words(t, text, ' ');
        for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++)
            if (strcmp(COMMANDS[i].name, t->words[0]) == 0) {
                COMMANDS[i].run(t);
                return;
            }
    }
    answer(t, "ECHO", slice_cstr(t->rq->mem, text), false);
}

/* "topics=a,b" to follow them from now on; "from=7&epoch=…" to go on. */
static void take_open(Turn *t)
{
    Slice rest = slice(t->in->query ? t->in->query : ""), pair, name, value, topics = SLICE_LIT(""), epoch = topics;
    uint64_t from = 0;
    bool resumes = false, more = true;

    while (more) {
        more = slice_cut(rest, '&', &pair, &rest);
        (void)slice_cut(pair, '=', &name, &value);
        if (slice_eq_cstr(name, "topics"))
            topics = value;
        else if (slice_eq_cstr(name, "epoch"))
            epoch = value;
        else if (slice_eq_cstr(name, "from"))
            resumes = slice_to_uint64(value, &from);
    }
    resumes = resumes && slice_eq_cstr(epoch, t->in->epoch) && from + 1 >= t->in->oldest;
    take_words(t, topics, ',');
    join(t, t->words, t->count);
    SET(t->out, from, resumes ? from : t->in->position);
    answer(t, resumes ? "RESUMED" : "READY", t->in->epoch, !resumes);
}

static Err take_closed(Turn *t)
{
    uint64_t position;
    char *text = arena_printf(t->rq->mem, "%s %u %" PRIu64, t->in->connection, t->in->close_code, t->in->position);

    return publish(t->echo, t->rq->mem, "closed", dispatch_of(t->rq->mem, frame_of(t->rq->mem, "CLOSED", text, 0)),
                   &position);
}

static Err take_turn(Request *rq, const Atrium__SocketRequest *in, Atrium__SocketReply *out)
{
    Turn t = {.rq = rq, .echo = rq->service, .in = in, .out = out};

    if (in->attachment_ended) {
        answer(&t, in->attachment_failed ? "BROKEN" : "ENDED", in->attachment_ended, true);
        if (in->kind != ATRIUM__SOCKET_KIND__FRAME)
            return OK;
    }
    switch (in->kind) {
    case ATRIUM__SOCKET_KIND__OPEN:
        take_open(&t);
        return OK;
    case ATRIUM__SOCKET_KIND__FRAME:
        take_frame(&t);
        return OK;
    case ATRIUM__SOCKET_KIND__TIMER:
        answer(&t, "TIMER", "", false);
        return OK;
    case ATRIUM__SOCKET_KIND__CLOSED:
        return take_closed(&t);
    default:
        return OK;
    }
}

Err echo_v1_talk(Request *rq, const Atrium__SocketRequest *in, Atrium__SocketReply *out)
{
    return take_turn(rq, in, out);
}

Err echo_v1_talk_briefly(Request *rq, const Atrium__SocketRequest *in, Atrium__SocketReply *out)
{
    return take_turn(rq, in, out);
}

/* --- wiring
 * ------------------------------------------------------------------------------------------------------------- */
static Err open_echo(Service *service, void **out_context)
{
    Echo *echo = ARENA_NEW(service->mem, Echo);

    echo->bus = service->bus;
    *out_context = echo;
    return OK;
}

int main(int argc, char **argv)
{
    static const RpcService *const RPCS[] = {&ECHO_V1_ECHO_SERVICE};
    static const RpcLane LANES[] = {{.name = "fast", .threads = FAST_THREADS, .queue_max = 4096},
                                    {.name = "streams", .threads = STREAM_THREADS, .queue_max = 64}};
    const ServiceDefinition definition = {.name = "echo",
                                          .summary = "says what it hears, for tests of live connections",
                                          .settings_bytes = sizeof(EchoSettings),
                                          .rpcs = RPCS,
                                          .rpc_count = ARRAY_LEN(RPCS),
                                          .lanes = LANES,
                                          .lane_count = ARRAY_LEN(LANES),
                                          .open = open_echo};

    return service_main(&definition, argc, argv);
}
