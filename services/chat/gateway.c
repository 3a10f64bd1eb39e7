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
 * Rights are read when a session begins or resumes, and follow by the dispatches that change them (announce.h). What a
 * browser is primed with comes in pieces, the first with READY, others at TIMER. */
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
    /* By how much this edge may be behind the one that the client was connected to. */
    SEQUENCE_AHEAD_MAX = 1000000,
    /* Statuses that one connection chooses in a while; the last one of more counts when it is over. */
    STATUSES_MAX = 5,
    STATUSES_MS = 20000,
    NEXT_PIECE_MS = 1
};

/* One question of the edge. */
typedef struct Ask {
    Request *rq;
    const Chat *chat;
    const Atrium__SocketRequest *in;
    Atrium__SocketReply *out;
    Chat__V1__ConnectionState *state; /* a copy: what is changed in it is told at the end, when `changed` */
    bool *changed;
} Ask;

/* --- pieces of replies ------------------------------------------------------------------------------------------- */
static void close_with(const Ask *a, uint32_t code, const char *reason)
{
    a->out->close = MESSAGE_NEW(a->rq->mem, Atrium__SocketClose, atrium__socket_close__init);
    SET(a->out->close, code, code);
    a->out->close->reason = (char *)(uintptr_t)reason;
}

/* A reply's wake replaces the one before, so one that says nothing would take a deadline away. 0: none. */
static int64_t next_wake_ms(const Ask *a)
{
    int64_t now_ms = clock_unix_ms(a->rq->clock);

    if (!a->state->identified)
        return MIN(MAX(a->state->opened_ms + IDENTIFY_MS - now_ms, 1), IDENTIFY_MS);
    if (a->state->priming)
        return NEXT_PIECE_MS;
    return a->state->wanted_status ? MIN(MAX(a->state->statuses_since_ms + STATUSES_MS - now_ms, 1), STATUSES_MS) : 0;
}

/* What the edge is to keep, and when it is to ask again. */
static void finish(const Ask *a)
{
    int64_t wake_ms = next_wake_ms(a);

    if (*a->changed) {
        Slice wire = message_pack(a->rq->mem, &a->state->base);

        a->out->has_state = true;
        a->out->state = (ProtobufCBinaryData){wire.len, (uint8_t *)(uintptr_t)wire.ptr};
    }
    if (wake_ms)
        SET(a->out, wake_ms, (uint32_t)wake_ms);
}
#define SET_STATE(a, member, value)                                                                                    \
    do {                                                                                                               \
        SET((a)->state, member, value);                                                                                \
        *(a)->changed = true;                                                                                          \
    } while (0)

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
    SET_STATE(a, identified, true);
    SET_STATE(a, status, (int32_t)status);
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

/* READY, and who is online. */
static Err add_ready(const Ask *a, const SessionView *view, ChatEvents *to)
{
    Arena *mem = a->rq->mem;
    Chat__V1__Ready *ready = MESSAGE_NEW(mem, Chat__V1__Ready, chat__v1__ready__init);

    TRY(make_ready(a, view, ready));
    chat_events_add(to, "READY", &ready->base);
    for (size_t i = 0; i < view->presence_count; i++)
        chat_events_add(to, "PRESENCE_UPDATE",
                        presence_update(mem, view->presences[i].user_id, view->presences[i].status));
    return OK;
}

/* What waits for "primed" goes on. */
static void mark_primed(const Ask *a)
{
    a->out->marks = ARENA_NEW(a->rq->mem, char *);
    a->out->marks[0] = chat_primed_mark(a->rq);
    a->out->n_marks = 1;
}

/* In dialect W, what makes the browser client's stores non-empty (W2): the next piece of it. Whoever breaks off in
 * between resumes, and is primed anew: nothing of it is lost by a bad moment. */
static Err add_primer(const Ask *a, const Primer *primer, ChatEvents *to)
{
    primer_add(a->rq->mem, to, primer);
    SET_STATE(a, priming, primer->more);
    SET_STATE(a, primed_guild, primer->last_guild);
    if (!primer->more)
        mark_primed(a);
    return OK;
}

static void write_before(const Ask *a, const ChatEvents *events)
{
    a->out->frames_before = chat_frames(a->rq->mem, events->list, events->count);
    a->out->n_frames_before = events->count;
}

static Err prime_on(const Ask *a)
{
    Primer primer;
    ChatEvents list;

    TRY(chat_store_primer(a->rq, NULL, a->rq->mem, a->rq->caller.user_id, 0, a->state->primed_guild, &primer));
    list = chat_events_new(a->rq->mem, primer_count(&primer));
    TRY(add_primer(a, &primer, &list));
    write_before(a, &list);
    return OK;
}

/* Can the client get exactly what it has missed? However long the session lasts: it ends with its login. */
static bool can_resume(const Ask *a, const Command *c)
{
    Chat__V1__SessionFacts *facts;

    if (c->sequence < 0 || !session_id_read(a->rq->mem, a->chat->live->session_secret, slice(c->session_id), &facts))
        return false;
    return facts->user_id == a->rq->caller.user_id && slice_eq(slice(facts->login_id), slice(a->rq->caller.login_id)) &&
           slice_eq(slice(facts->epoch), slice(a->in->epoch)) && (uint64_t)c->sequence + 1 >= a->in->oldest &&
           (uint64_t)c->sequence <= a->in->position + SEQUENCE_AHEAD_MAX;
}

static void count_session(const Live *live, const Command *c, bool resumes)
{
    Counter *counter = resumes ? live->resumed : c->kind == COMMAND_RESUME ? live->not_resumed : live->identified;

    if (counter)
        counter_add(counter, 1);
}

static Err write_beginning(const Ask *a, const SessionView *view, bool resumes)
{
    bool web = a->in->dialect == ATRIUM__DIALECT__RETROCAST_WEB;
    Primer primer = {0};
    ChatEvents list;

    if (web)
        TRY(chat_store_primer(a->rq, NULL, a->rq->mem, a->rq->caller.user_id, 0, 0, &primer));
    list = chat_events_new(a->rq->mem, 1 + view->presence_count + primer_count(&primer));
    if (!resumes)
        TRY(add_ready(a, view, &list));
    if (web)
        TRY(add_primer(a, &primer, &list));
    else
        mark_primed(a);
    write_before(a, &list);
    return OK;
}

static Err begin_session(const Ask *a, const Command *c)
{
    bool resumes = c->kind == COMMAND_RESUME && can_resume(a, c);
    SessionView view;

    TRY(chat_store_session_view(a->rq, a->rq->caller.user_id, !resumes, &view));
    if (view.channel_count > SESSION_CHANNELS_MAX) {
        close_with(a, CLOSE_INTERNAL,
                   arena_printf(a->rq->mem, "you may view more than %d channels", SESSION_CHANNELS_MAX));
        return OK;
    }
    TRY(connected(a, resumes ? 0 : STATUS_ONLINE));
    join_all(a, a->rq->caller.user_id, &view);
    SET(a->out, from, resumes ? (uint64_t)c->sequence : a->in->position);
    count_session(a->chat->live, c, resumes);
    TRY(write_beginning(a, &view, resumes));
    if (!resumes)
        return OK;
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

/* Each one is told to all who share a guild: so many, and the last one of more when the time is over. */
static Err want_status(const Ask *a, Status status)
{
    int64_t now_ms = clock_unix_ms(a->rq->clock);

    if (now_ms - a->state->statuses_since_ms >= STATUSES_MS) {
        SET_STATE(a, statuses_since_ms, now_ms);
        SET_STATE(a, statuses, 0);
    }
    SET_STATE(a, wanted_status, 0);
    if ((int32_t)status == a->state->status)
        return OK;
    if (a->state->statuses >= STATUSES_MAX) {
        SET_STATE(a, wanted_status, (int32_t)status);
        return OK;
    }
    SET_STATE(a, statuses, a->state->statuses + 1);
    return connected(a, status);
}

static Err choose_status(const Ask *a, const Command *c)
{
    if (!a->state->identified) {
        close_with(a, CLOSE_NOT_IDENTIFIED, "not identified");
        return OK;
    }
    return c->status ? want_status(a, c->status) : OK;
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
    finish(a);
    return OK;
}

/* --- the rest ---------------------------------------------------------------------------------------------------- */
static Err open_connection(const Ask *a)
{
    SET_STATE(a, opened_ms, clock_unix_ms(a->rq->clock));
    say(a, frame_op(a->rq->mem, OP_HELLO, "{\"heartbeat_interval\":41250}"));
    finish(a);
    return OK;
}

static Err take_timer(const Ask *a)
{
    if (!a->state->identified) {
        close_with(a, CLOSE_NOT_IDENTIFIED, "not identified in time");
        return OK;
    }
    if (a->state->priming)
        TRY(prime_on(a));
    if (a->state->wanted_status)
        TRY(want_status(a, (Status)a->state->wanted_status));
    finish(a);
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

static Err read_state(Request *rq, const Atrium__SocketRequest *in, Chat__V1__ConnectionState **out)
{
    ProtobufCMessage *message;

    TRY(message_unpack(rq->mem, &chat__v1__connection_state__descriptor, slice_of(in->state.data, in->state.len),
                       &message));
    *out = (Chat__V1__ConnectionState *)message;
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
    bool changed = false;
    Ask a = {.rq = rq, .chat = rq->service, .in = in, .out = out, .changed = &changed};

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
        return or_close(&a, take_timer(&a));
    case ATRIUM__SOCKET_KIND__CLOSED:
        return end_connection(&a);
    case ATRIUM__SOCKET_KIND__LEASE:
        return renew_lease(&a);
    default:
        return err_make(&INVALID_ARGUMENT, "no such kind");
    }
}
