/* gateway: the protocol of live connections (contracts/chat.md section 7) as answers to the edge's questions. Nothing
 * of a connection is kept here: what must be remembered travels with each request (ConnectionState).
 *
 *   OPEN      HELLO; whoever does not identify himself within IDENTIFY_MS is closed
 *   IDENTIFY  the edge verifies the token and asks again; then READY, what is online, and the topics from here on
 *   RESUME    the same token's check; then the topics from the last number that the client saw, and RESUMED. When that
 *             cannot be done exactly (another stream, too long ago, not his session), it is an IDENTIFY
 *   others    heartbeats, the choice of a status
 *   CLOSED    the connection counts no more; the user is offline some time after his last one
 *
 * Rights are read when a session begins or resumes, and follow by the dispatches that change them (announce.h). */
#include "atrium/chat/v1/gateway.service.h"
#include "atrium/options.pb-c.h"
#include "services/chat/chat.h"
#include "services/chat/command.h"
#include "services/chat/frames.h"
#include "services/chat/live.h"
#include "services/chat/primer.h"
#include "services/chat/store_live.h"
#include "services/chat/store_reads.h"

enum { /* close codes, contracts/chat.md section 7, "Ours" */
       CLOSE_INTERNAL = 4000,
       CLOSE_UNKNOWN_OP = 4001,
       CLOSE_BAD_FRAME = 4002,
       CLOSE_NOT_IDENTIFIED = 4003,
       CLOSE_TOKEN = 4004
};

enum {
    IDENTIFY_MS = 30000,
    SESSION_AGE_MAX_MS = 24 * 3600 * 1000,
    /* By how much this edge may be behind the one that the client was connected to. */
    SEQUENCE_AHEAD_MAX = 1000000
};

/* One question of the edge. */
typedef struct Ask {
    Request *rq;
    const Chat *chat;
    const Atrium__SocketRequest *in;
    Atrium__SocketReply *out;
    const Chat__V1__ConnectionState *state;
} Ask;

/* --- pieces of replies ------------------------------------------------------------------------------------------- */
static void close_with(const Ask *a, uint32_t code, const char *reason)
{
    a->out->close = MESSAGE_NEW(a->rq->mem, Atrium__SocketClose, atrium__socket_close__init);
    SET(a->out->close, code, code);
    a->out->close->reason = (char *)(uintptr_t)reason;
}

static void set_state(const Ask *a, const Chat__V1__ConnectionState *state)
{
    Slice wire = message_pack(a->rq->mem, &state->base);

    a->out->has_state = true;
    a->out->state = (ProtobufCBinaryData){wire.len, (uint8_t *)(uintptr_t)wire.ptr};
}

/* A reply's wake replaces the one before, so one that says nothing would take the deadline away. */
static void keep_deadline(const Ask *a)
{
    int64_t left = a->state->opened_ms + IDENTIFY_MS - clock_unix_ms(a->rq->clock);

    if (!a->state->identified)
        SET(a->out, wake_ms, (uint32_t)MIN(MAX(left, 1), IDENTIFY_MS));
}

static void say(const Ask *a, Atrium__SocketFrame *frame)
{
    a->out->frames_before = ARENA_NEW(a->rq->mem, Atrium__SocketFrame *);
    a->out->frames_before[0] = frame;
    a->out->n_frames_before = 1;
}

static void join(const Ask *a, ChatTopic topic)
{
    Atrium__TopicJoin *one = MESSAGE_NEW(a->rq->mem, Atrium__TopicJoin, atrium__topic_join__init);

    one->topic = chat_topic_text(a->rq->mem, topic);
    a->out->join[a->out->n_join++] = one;
}

static void join_all(const Ask *a, int64_t user_id, const SessionView *view)
{
    a->out->join =
        ARENA_ARRAY(a->rq->mem, Atrium__TopicJoin *, 1 + view->guild_count + view->channel_count + view->dm_count);
    join(a, chat_user_topic(user_id));
    for (size_t i = 0; i < view->guild_count; i++)
        join(a, chat_guild_topic(view->guilds[i]));
    for (size_t i = 0; i < view->channel_count; i++)
        join(a, chat_channel_topic(view->channels[i].guild_id, view->channels[i].id));
    for (size_t i = 0; i < view->dm_count; i++)
        join(a, chat_dm_topic(view->dms[i]));
}

/* --- presence ---------------------------------------------------------------------------------------------------- */
/* status 0: as his sessions were last (he resumes one). */
static Err connected(const Ask *a, Status status)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t user_id = a->rq->caller.user_id;

    TRY(db_tx_begin(a->rq, &tx));
    if (status)
        TRY(presence_connected(&tx, a->rq->mem, a->in->connection, user_id, status));
    else
        TRY(presence_resumed(&tx, a->rq->mem, a->in->connection, user_id, &status));
    TRY(db_tx_commit(&tx));
    outbox_nudge(a->chat->outbox);
    set_state(a, &(Chat__V1__ConnectionState){
                     .base = PROTOBUF_C_MESSAGE_INIT(&chat__v1__connection_state__descriptor),
                     .has_opened_ms = true,
                     .opened_ms = a->state->opened_ms,
                     .has_identified = true,
                     .identified = true,
                     .has_status = true,
                     .status = (int32_t)status,
                 });
    return OK;
}

/* An edge that was cut off from us for longer than its lease was taken for gone, with all its connections. */
static Err come_back(const Ask *a)
{
    bool known;

    TRY(chat_store_connection_known(a->rq, a->in->connection, &known));
    return known ? OK : connected(a, (Status)a->state->status);
}

/* --- sessions begin ---------------------------------------------------------------------------------------------- */
static char *new_session_id(const Ask *a)
{
    Chat__V1__SessionFacts facts = CHAT__V1__SESSION_FACTS__INIT;

    SET(&facts, user_id, a->rq->caller.user_id);
    facts.login_id = (char *)(uintptr_t)a->rq->caller.login_id;
    facts.epoch = a->in->epoch;
    SET(&facts, created_ms, clock_unix_ms(a->rq->clock));
    return session_id_make(a->rq->mem, a->chat->live->session_secret, &facts);
}

static Err make_ready(const Ask *a, const SessionView *view, Chat__V1__Ready *ready)
{
    ready->session_id = new_session_id(a);
    SET(ready, user_id, a->rq->caller.user_id);
    ready->guilds = view->guilds;
    ready->n_guilds = view->guild_count;
    return chat_store_read_states(a->rq, a->rq->caller.user_id, &ready->read_states, &ready->n_read_states);
}

/* READY, who is online, and in dialect W what makes the browser client's stores non-empty (W2). */
static Err write_ready(const Ask *a, const SessionView *view)
{
    Arena *mem = a->rq->mem;
    bool web = a->in->dialect == ATRIUM__DIALECT__RETROCAST_WEB;
    Chat__V1__Ready *ready = MESSAGE_NEW(mem, Chat__V1__Ready, chat__v1__ready__init);
    Primer primer = {0};
    ChatEvents list;

    TRY(make_ready(a, view, ready));
    if (web)
        TRY(chat_store_primer(a->rq, NULL, mem, a->rq->caller.user_id, 0, &primer));
    list = chat_events_new(mem, 1 + view->presence_count + primer.role_count + primer.member_count +
                                    view->channel_count + view->dm_count);
    chat_events_add(&list, "READY", &ready->base);
    for (size_t i = 0; i < view->presence_count; i++)
        chat_events_add(&list, "PRESENCE_UPDATE",
                        presence_update(mem, view->presences[i].user_id, view->presences[i].status));
    primer_add_guilds(mem, &list, &primer);
    for (size_t i = 0; web && i < view->channel_count; i++)
        primer_add_channel(mem, &list, view->channels[i].id);
    for (size_t i = 0; web && i < view->dm_count; i++)
        primer_add_channel(mem, &list, view->dms[i]);
    a->out->frames_before = chat_frames(mem, list.list, list.count);
    a->out->n_frames_before = list.count;
    return OK;
}

static void mark_primed(const Ask *a)
{
    a->out->marks = ARENA_NEW(a->rq->mem, char *);
    a->out->marks[0] = chat_primed_mark(a->rq);
    a->out->n_marks = 1;
}

/* Can the client get exactly what it has missed? */
static bool can_resume(const Ask *a, const Command *c)
{
    Chat__V1__SessionFacts *facts;

    if (c->sequence < 0 || !session_id_read(a->rq->mem, a->chat->live->session_secret, slice(c->session_id), &facts))
        return false;
    return facts->user_id == a->rq->caller.user_id && slice_eq(slice(facts->login_id), slice(a->rq->caller.login_id)) &&
           slice_eq(slice(facts->epoch), slice(a->in->epoch)) &&
           facts->created_ms > clock_unix_ms(a->rq->clock) - SESSION_AGE_MAX_MS &&
           (uint64_t)c->sequence + 1 >= a->in->oldest && (uint64_t)c->sequence <= a->in->position + SEQUENCE_AHEAD_MAX;
}

static void count_session(const Live *live, const Command *c, bool resumes)
{
    Counter *counter = resumes ? live->resumed : c->kind == COMMAND_RESUME ? live->not_resumed : live->identified;

    if (counter)
        counter_add(counter, 1);
}

static Err begin_session(const Ask *a, const Command *c)
{
    bool resumes = c->kind == COMMAND_RESUME && can_resume(a, c);
    SessionView view;

    TRY(connected(a, resumes ? 0 : STATUS_ONLINE));
    TRY(chat_store_session_view(a->rq, a->rq->caller.user_id, !resumes, &view));
    join_all(a, a->rq->caller.user_id, &view);
    SET(a->out, from, resumes ? (uint64_t)c->sequence : a->in->position);
    mark_primed(a);
    count_session(a->chat->live, c, resumes);
    if (!resumes)
        return write_ready(a, &view);
    a->out->frames_after = chat_frames(a->rq->mem, &(ChatEvent){"RESUMED", NULL}, 1);
    a->out->n_frames_after = 1;
    return OK;
}

/* --- frames ------------------------------------------------------------------------------------------------------ */
static Err log_in(const Ask *a, const Command *c)
{
    if (a->state->identified) {
        close_with(a, CLOSE_BAD_FRAME, "identified already");
        return OK;
    }
    switch (a->in->authentication) {
    case ATRIUM__AUTHENTICATION__VERIFIED:
        if (a->rq->caller.kind == CALLER_PERSON && caller_reaches(&a->rq->caller, ""))
            return begin_session(a, c);
        close_with(a, CLOSE_TOKEN, "this token opens no session");
        return OK;
    case ATRIUM__AUTHENTICATION__REFUSED:
        close_with(a, CLOSE_TOKEN, "invalid or expired token");
        return OK;
    case ATRIUM__AUTHENTICATION__UNKNOWN:
        close_with(a, CLOSE_INTERNAL, "try again");
        return OK;
    default:
        a->out->authenticate = (char *)(uintptr_t)c->token;
        return OK;
    }
}

static Err choose_status(const Ask *a, const Command *c)
{
    if (!a->state->identified) {
        close_with(a, CLOSE_NOT_IDENTIFIED, "not identified");
        return OK;
    }
    return c->status && (int32_t)c->status != a->state->status ? connected(a, c->status) : OK;
}

static Err take_command(const Ask *a, const Command *c)
{
    switch (c->kind) {
    case COMMAND_HEARTBEAT:
        say(a, frame_op(a->rq->mem, OP_HEARTBEAT_ACK, NULL));
        return a->state->identified ? come_back(a) : OK;
    case COMMAND_IDENTIFY:
    case COMMAND_RESUME:
        return log_in(a, c);
    case COMMAND_PRESENCE:
        return choose_status(a, c);
    case COMMAND_UNKNOWN:
        close_with(a, CLOSE_UNKNOWN_OP, "unknown op");
        return OK;
    case COMMAND_BROKEN:
        break;
    }
    close_with(a, CLOSE_BAD_FRAME, "bad frame");
    return OK;
}

/* As it came: one part with text (binary frames are read alike). */
static Slice frame_text(const Atrium__SocketFrame *frame)
{
    const Atrium__FramePart *part = frame && frame->n_parts ? frame->parts[0] : NULL;

    return part && part->has_text ? slice_of(part->text.data, part->text.len) : SLICE_LIT("");
}

static Err take_frame(const Ask *a)
{
    Command command = command_read(a->rq->mem, frame_text(a->in->frame));

    TRY(take_command(a, &command));
    if (!a->out->n_join)
        keep_deadline(a);
    return OK;
}

/* --- the rest ---------------------------------------------------------------------------------------------------- */
static Err open_connection(const Ask *a)
{
    Chat__V1__ConnectionState state = CHAT__V1__CONNECTION_STATE__INIT;

    SET(&state, opened_ms, clock_unix_ms(a->rq->clock));
    set_state(a, &state);
    say(a, frame_op(a->rq->mem, OP_HELLO, "{\"heartbeat_interval\":41250}"));
    SET(a->out, wake_ms, IDENTIFY_MS);
    return OK;
}

static Err take_timer(const Ask *a)
{
    if (!a->state->identified)
        close_with(a, CLOSE_NOT_IDENTIFIED, "not identified in time");
    return OK;
}

static Err end_connection(const Ask *a)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    if (!a->state->identified)
        return OK;
    TRY(db_tx_begin(a->rq, &tx));
    TRY(presence_disconnected(&tx, a->rq->mem, a->in->connection));
    TRY(db_tx_commit(&tx));
    return OK;
}

static Err renew_lease(const Ask *a)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin(a->rq, &tx));
    TRY(presence_renew(&tx, a->in->connection, a->in->lease_ms));
    return db_tx_commit(&tx);
}

static Err read_state(Request *rq, const Atrium__SocketRequest *in, const Chat__V1__ConnectionState **out)
{
    ProtobufCMessage *message;

    TRY(message_unpack(rq->mem, &chat__v1__connection_state__descriptor, slice_of(in->state.data, in->state.len),
                       &message));
    *out = (const Chat__V1__ConnectionState *)message;
    return OK;
}

/* A failure closes the connection with a code of the protocol: the client comes again and resumes. */
static Err or_close(const Ask *a, Err e)
{
    if (!err_failed(e))
        return OK;
    LOG_WARN(a->rq->log, "gateway_failed", "reason", e.reason->key, "error", e.text);
    atrium__socket_reply__init(a->out);
    close_with(a, CLOSE_INTERNAL, "internal error");
    return OK;
}

Err chat_v1_gateway(Request *rq, const Atrium__SocketRequest *in, Atrium__SocketReply *out)
{
    Ask a = {.rq = rq, .chat = rq->service, .in = in, .out = out};

    if (rq->caller.service[0])
        return err_make(&PERMISSION_DENIED, "for edges only");
    if (!in->connection || !*in->connection)
        return err_make(&INVALID_ARGUMENT, "no connection");
    TRY(read_state(rq, in, &a.state));
    switch (in->kind) {
    case ATRIUM__SOCKET_KIND__OPEN:
        return open_connection(&a);
    case ATRIUM__SOCKET_KIND__FRAME:
        return or_close(&a, take_frame(&a));
    case ATRIUM__SOCKET_KIND__TIMER:
        return take_timer(&a);
    case ATRIUM__SOCKET_KIND__CLOSED:
        return end_connection(&a);
    case ATRIUM__SOCKET_KIND__LEASE:
        return renew_lease(&a);
    default:
        return err_make(&INVALID_ARGUMENT, "no such kind");
    }
}
