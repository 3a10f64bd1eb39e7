/* The gateway protocol, through the dispatch table: what the edge asks, and what it is answered. */
#include "atrium/chat/v1/gateway.service.h"
#include "atrium/options.pb-c.h"
#include "services/chat/fixture.h"
#include "services/chat/store_live.h"

enum { ANN = 1, BOB = 2, EVE = 3, GUILD = 100 };

/* A connection as the edge keeps it. */
typedef struct Socket {
    Fixture *f;
    const char *name;
    int64_t user_id;
    uint32_t dialect;
    uint64_t position, oldest;
    const char *epoch;
    ProtobufCBinaryData state;
    Atrium__SocketReply *reply; /* the last one */
} Socket;

static Socket socket_new(Fixture *f, const char *name)
{
    return (Socket){
        .f = f, .name = name, .dialect = ATRIUM__DIALECT__RETROCAST, .position = 50, .oldest = 10, .epoch = "e1"};
}

static Err ask(Socket *s, Atrium__SocketRequest *in)
{
    Request rq = fixture_request(s->f, s->user_id);

    if (s->user_id)
        rq.caller.login_id = "login";
    in->connection = (char *)s->name;
    in->has_state = s->state.len > 0;
    in->state = s->state;
    SET(in, position, s->position);
    SET(in, oldest, s->oldest);
    in->epoch = (char *)s->epoch;
    SET(in, dialect, s->dialect);
    s->reply = MESSAGE_NEW(s->f->schema.mem, Atrium__SocketReply, atrium__socket_reply__init);
    TRY(rpc_call(&CHAT_V1_LIVE_SERVICE, &rq, "Gateway", &in->base, &s->reply->base));
    if (s->reply->has_state)
        s->state = s->reply->state;
    return OK;
}

static void ask_kind(Socket *s, Atrium__SocketKind kind)
{
    Atrium__SocketRequest in = ATRIUM__SOCKET_REQUEST__INIT;

    SET(&in, kind, kind);
    assert_ok(ask(s, &in));
}

static void say_as(Socket *s, const char *text, Atrium__Authentication authentication)
{
    Atrium__SocketRequest in = ATRIUM__SOCKET_REQUEST__INIT;
    Atrium__SocketFrame frame = ATRIUM__SOCKET_FRAME__INIT;
    Atrium__FramePart part = ATRIUM__FRAME_PART__INIT, *parts[] = {&part};

    part.has_text = true;
    part.text = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
    frame.parts = parts;
    frame.n_parts = 1;
    in.frame = &frame;
    SET(&in, kind, ATRIUM__SOCKET_KIND__FRAME);
    SET(&in, authentication, authentication);
    assert_ok(ask(s, &in));
}

static void say(Socket *s, const char *text)
{
    say_as(s, text, ATRIUM__AUTHENTICATION__NOT_ASKED);
}

/* The edge's side of a token that is good. */
static void log_in(Socket *s, const char *text, int64_t user_id)
{
    say(s, text);
    assert_string_equal(s->reply->authenticate, "t");
    s->user_id = user_id;
    say_as(s, text, ATRIUM__AUTHENTICATION__VERIFIED);
    assert_null(s->reply->authenticate);
}

static void identify(Socket *s, int64_t user_id)
{
    ask_kind(s, ATRIUM__SOCKET_KIND__OPEN);
    log_in(s, "{\"op\":2,\"d\":{\"token\":\"t\"}}", user_id);
    assert_null(s->reply->close);
}

static int close_code(const Socket *s)
{
    return s->reply->close ? (int)s->reply->close->code : 0;
}

/* The frame's text, the position as "#", messages left out. */
static const char *frame_text(const Socket *s, const Atrium__SocketFrame *frame)
{
    StrBuf out = strbuf_new(s->f->schema.mem, 4096);
    Slice text;

    for (size_t i = 0; i < frame->n_parts; i++)
        if (frame->parts[i]->has_text)
            strbuf_append(&out, slice_of(frame->parts[i]->text.data, frame->parts[i]->text.len));
        else
            strbuf_append_cstr(&out, frame->parts[i]->has_position ? "#" : "@");
    assert_true(strbuf_finish(&out, &text));
    return text.ptr;
}

/* The message inside. */
static const ProtobufCMessage *frame_message(const Socket *s, const Atrium__SocketFrame *frame,
                                             const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = NULL;

    for (size_t i = 0; i < frame->n_parts; i++)
        if (frame->parts[i]->message) {
            const Atrium__FrameMessage *m = frame->parts[i]->message;

            assert_string_equal(m->type, type->name);
            assert_ok(message_unpack(s->f->schema.mem, type, slice_of(m->wire.data, m->wire.len), &message));
        }
    assert_non_null(message);
    return message;
}

static const Chat__V1__Ready *ready(const Socket *s)
{
    assert_true(s->reply->n_frames_before > 0);
    assert_string_equal(frame_text(s, s->reply->frames_before[0]), "{\"op\":0,\"t\":\"READY\",\"s\":#,\"d\":@}");
    return (const Chat__V1__Ready *)frame_message(s, s->reply->frames_before[0], &chat__v1__ready__descriptor);
}

static bool joins(const Socket *s, const char *topic)
{
    for (size_t i = 0; i < s->reply->n_join; i++)
        if (!strcmp(s->reply->join[i]->topic, topic))
            return true;
    return false;
}

static size_t frames_of(const Socket *s, const char *event)
{
    const char *begin = arena_printf(s->f->schema.mem, "{\"op\":0,\"t\":\"%s\"", event);
    size_t count = 0;

    for (size_t i = 0; i < s->reply->n_frames_before; i++)
        count += slice_starts_with(slice(frame_text(s, s->reply->frames_before[i])), slice(begin));
    return count;
}

/* What was told so far, and forgotten. */
static int64_t dispatches(Fixture *f, const char *subject)
{
    int64_t count = test_schema_count(
        &f->schema,
        arena_printf(f->schema.mem, "SELECT count(*) FROM outbox WHERE subject LIKE 'dsp.chat.%s'", subject));

    test_schema_script(&f->schema, "DELETE FROM outbox");
    return count;
}

/* Ann owns a guild with Bob in it, who does not see HIDDEN; Ann and Bob have a DM; Eve is nobody. */
static int setup(void **state)
{
    Fixture *f;

    fixture_empty(state);
    f = *state;
    fixture_person(f, ANN);
    fixture_person(f, BOB);
    fixture_person(f, EVE);
    test_schema_script(
        &f->schema,
        "INSERT INTO guild (id, name, owner_id, created_at) VALUES (100, 'Guild', 1, now());"
        "INSERT INTO role (id, guild_id, name, permissions, position) VALUES (100, 100, '@everyone', 32771, 0),"
        " (103, 100, 'Staff', 0, 1);"
        "INSERT INTO channel (id, guild_id, type, name, created_at) VALUES (101, 100, 0, 'general', now()),"
        " (102, 100, 0, 'hidden', now());"
        "INSERT INTO channel_override (channel_id, role_id, deny) VALUES (102, 100, 1);"
        "INSERT INTO member (guild_id, user_id, joined_at, roles) VALUES (100, 1, now(), '{103}'), (100, 2, now(), "
        "'{}');"
        "INSERT INTO channel (id, type, created_at) VALUES (200, 1, now());"
        "INSERT INTO recipient (channel_id, user_id, joined_at) VALUES (200, 1, now()), (200, 2, now())");
    return 0;
}

/* --- the beginning -------------------------------------------------------------------------------------------------
 */
static void a_connection_begins_with_hello(void **state)
{
    Socket s = socket_new(*state, "e.1");

    ask_kind(&s, ATRIUM__SOCKET_KIND__OPEN);
    assert_int_equal(s.reply->n_frames_before, 1);
    assert_string_equal(frame_text(&s, s.reply->frames_before[0]), "{\"op\":10,\"d\":{\"heartbeat_interval\":41250}}");
    assert_int_equal(s.reply->wake_ms, 30000);
    ask_kind(&s, ATRIUM__SOCKET_KIND__TIMER);
    assert_int_equal(close_code(&s), 4003);
}

static void a_heartbeat_takes_no_deadline_away(void **state)
{
    Socket s = socket_new(*state, "e.1");

    ask_kind(&s, ATRIUM__SOCKET_KIND__OPEN);
    s.f->schema.now_us += 10 * 1000 * 1000;
    say(&s, "{\"op\":1,\"d\":null}");
    assert_string_equal(frame_text(&s, s.reply->frames_before[0]), "{\"op\":11}");
    assert_int_equal(s.reply->wake_ms, 20000);
}

static void identifying_gives_ready_and_what_one_may_see(void **state)
{
    Socket s = socket_new(*state, "e.1");

    identify(&s, BOB);
    assert_int_equal(ready(&s)->user_id, BOB);
    assert_int_equal(ready(&s)->n_guilds, 1);
    assert_int_equal(ready(&s)->guilds[0], GUILD);
    assert_int_equal(s.reply->from, 50);
    assert_int_equal(s.reply->n_join, 4);
    assert_true(joins(&s, "u.2"));
    assert_true(joins(&s, "g.100"));
    assert_true(joins(&s, "g.100.c.101"));
    assert_true(joins(&s, "d.200"));
    assert_int_equal(s.reply->n_marks, 1);
    assert_string_equal(s.reply->marks[0], "primed.login");
    assert_int_equal(s.reply->wake_ms, 0);
    ask_kind(&s, ATRIUM__SOCKET_KIND__TIMER);
    assert_int_equal(close_code(&s), 0);
}

static void an_owner_sees_all_channels(void **state)
{
    Socket s = socket_new(*state, "e.1");

    identify(&s, ANN);
    assert_true(joins(&s, "g.100.c.102"));
}

static void what_is_no_login_is_closed(void **state)
{
    static const struct {
        const char *frame;
        int code;
    } CASES[] = {
        {"", 4002},
        {"nonsense", 4002},
        {"[]", 4002},
        {"{}", 4002},
        {"{\"op\":\"2\"}", 4002},
        {"{\"op\":2}", 4002},
        {"{\"op\":2,\"d\":null}", 4002},
        {"{\"op\":2,\"d\":{\"token\":7}}", 4002},
        {"{\"op\":6,\"d\":{\"session_id\":\"x\",\"seq\":1}}", 4002},
        {"{\"op\":2,\"d\":{\"token\":\"\\u0000\"}}", 4002},
        {"{\"op\":0}", 4001},
        {"{\"op\":4}", 4001},
        {"{\"op\":99}", 4001},
        {"{\"op\":-1}", 4001},
        {"{\"op\":3,\"d\":{\"status\":\"idle\"}}", 4003},
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Socket s = socket_new(*state, "e.1");

        ask_kind(&s, ATRIUM__SOCKET_KIND__OPEN);
        say(&s, CASES[i].frame);
        if (close_code(&s) != CASES[i].code)
            fail_msg("%s: %d", CASES[i].frame, close_code(&s));
    }
}

static void a_bad_token_is_closed(void **state)
{
    static const struct {
        Atrium__Authentication authentication;
        int code;
    } CASES[] = {{ATRIUM__AUTHENTICATION__REFUSED, 4004},
                 {ATRIUM__AUTHENTICATION__UNKNOWN, 4000},
                 {ATRIUM__AUTHENTICATION__VERIFIED, 4004}}; /* of nobody */

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Socket s = socket_new(*state, "e.1");

        ask_kind(&s, ATRIUM__SOCKET_KIND__OPEN);
        say_as(&s, "{\"op\":2,\"d\":{\"token\":\"t\"}}", CASES[i].authentication);
        assert_int_equal(close_code(&s), CASES[i].code);
        assert_int_equal(s.reply->n_join, 0);
    }
}

static void nobody_identifies_twice(void **state)
{
    Socket s = socket_new(*state, "e.1");

    identify(&s, BOB);
    say(&s, "{\"op\":2,\"d\":{\"token\":\"t\"}}");
    assert_int_equal(close_code(&s), 4002);
}

static void other_services_have_no_say(void **state)
{
    Request rq = fixture_request(*state, 0);
    Atrium__SocketRequest in = ATRIUM__SOCKET_REQUEST__INIT;
    Atrium__SocketReply out = ATRIUM__SOCKET_REPLY__INIT;

    rq.caller.kind = CALLER_SERVICE;
    rq.caller.service = "media";
    in.connection = "e.1";
    SET(&in, kind, ATRIUM__SOCKET_KIND__CLOSED);
    assert_reason(rpc_call(&CHAT_V1_LIVE_SERVICE, &rq, "Gateway", &in.base, &out.base), &PERMISSION_DENIED);
}

/* --- resuming ------------------------------------------------------------------------------------------------------
 */
static void resume(Socket *s, const char *session_id, const char *seq, int64_t user_id)
{
    ask_kind(s, ATRIUM__SOCKET_KIND__OPEN);
    log_in(s,
           arena_printf(s->f->schema.mem, "{\"op\":6,\"d\":{\"token\":\"t\",\"session_id\":\"%s\",\"seq\":%s}}",
                        session_id, seq),
           user_id);
    assert_int_equal(close_code(s), 0);
}

static bool resumed(const Socket *s)
{
    if (!s->reply->n_frames_after) {
        assert_non_null(ready(s));
        return false;
    }
    assert_int_equal(frames_of(s, "READY"), 0);
    assert_string_equal(frame_text(s, s->reply->frames_after[0]), "{\"op\":0,\"t\":\"RESUMED\",\"s\":#,\"d\":{}}");
    return true;
}

static void a_session_goes_on_at_another_edge(void **state)
{
    Socket first = socket_new(*state, "e.1"), second = socket_new(*state, "f.1");

    identify(&first, BOB);
    resume(&second, ready(&first)->session_id, "20", BOB);
    assert_true(resumed(&second));
    assert_int_equal(second.reply->from, 20);
    assert_true(joins(&second, "g.100.c.101"));
    assert_false(joins(&second, "g.100.c.102"));
}

static void a_session_may_be_old(void **state)
{
    Socket first = socket_new(*state, "e.1"), second = socket_new(*state, "f.1");

    identify(&first, BOB);
    first.f->schema.now_us += INT64_C(7) * 24 * 3600 * 1000000;
    resume(&second, ready(&first)->session_id, "20", BOB);
    assert_true(resumed(&second));
}

static void more_channels_than_can_be_followed_are_refused_by_name(void **state)
{
    Socket s = socket_new(*state, "e.1");

    test_schema_script(&s.f->schema, "INSERT INTO channel (id, guild_id, type, name, created_at)"
                                     " SELECT 1000 + n, 100, 0, 'c' || n, now() FROM generate_series(1, 15000) n");
    ask_kind(&s, ATRIUM__SOCKET_KIND__OPEN);
    log_in(&s, "{\"op\":2,\"d\":{\"token\":\"t\"}}", BOB);
    assert_int_equal(close_code(&s), 4000);
    assert_string_equal(s.reply->close->reason, "you may view more than 15000 channels");
    test_schema_script(&s.f->schema, "DELETE FROM channel WHERE id = 16000");
    s = socket_new(*state, "e.2");
    identify(&s, BOB);
    assert_int_equal(s.reply->n_join, 3 + 15000);
}

static void what_cannot_be_resumed_begins_afresh(void **state)
{
    Socket first = socket_new(*state, "e.1");
    const char *good;

    identify(&first, BOB);
    good = ready(&first)->session_id;
    {
        const struct {
            const char *id, *seq;
            int64_t user;
            const char *epoch;
            bool resumes;
        } CASES[] = {
            {good, "50", BOB, "e1", true},      {good, "9", BOB, "e1", true},
            {good, "8", BOB, "e1", false},      {good, "-1", BOB, "e1", false},
            {good, "null", BOB, "e1", false},   {good, "\"20\"", BOB, "e1", false},
            {good, "60", BOB, "e1", true},      {good, "20", BOB, "e2", false},
            {good, "20", EVE, "e1", false},     {"", "20", BOB, "e1", false},
            {"a.b", "20", BOB, "e1", false},    {".", "20", BOB, "e1", false},
            {good + 1, "20", BOB, "e1", false}, {good, "9223372036854775807", BOB, "e1", false},
        };

        for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
            Socket s = socket_new(*state, "f.1");

            s.epoch = CASES[i].epoch;
            resume(&s, CASES[i].id, CASES[i].seq, CASES[i].user);
            if (resumed(&s) != CASES[i].resumes)
                fail_msg("case %zu", i);
        }
    }
}

/* --- presence ------------------------------------------------------------------------------------------------------
 */
static void presence_is_told_once_and_ends_after_its_grace(void **state)
{
    Fixture *f = *state;
    Socket one = socket_new(f, "e.1"), two = socket_new(f, "f.1"), ann = socket_new(f, "e.2");
    bool more;

    identify(&ann, ANN);
    (void)dispatches(f, "%%");
    identify(&one, BOB);
    assert_int_equal(dispatches(f, "g.100"), 1);
    identify(&two, BOB);
    assert_int_equal(dispatches(f, "%%"), 0);
    say(&two, "{\"op\":3,\"d\":{\"status\":\"dnd\"}}");
    assert_int_equal(dispatches(f, "%%"), 0); /* the other session is online */
    ask_kind(&one, ATRIUM__SOCKET_KIND__CLOSED);
    assert_int_equal(dispatches(f, "g.100"), 1); /* dnd is the best that is left */
    ask_kind(&two, ATRIUM__SOCKET_KIND__CLOSED);
    assert_ok(presence_sweep(f->schema.db, NULL, &more));
    assert_int_equal(dispatches(f, "%%"), 0);
    test_schema_script(&f->schema, "UPDATE presence SET offline_at = offline_at - interval '10 s'");
    assert_ok(presence_sweep(f->schema.db, NULL, &more));
    assert_int_equal(dispatches(f, "g.100"), 1);
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM presence WHERE user_id = 2"), 0);
}

static void a_reload_is_not_seen(void **state)
{
    Fixture *f = *state;
    Socket one = socket_new(f, "e.1"), two = socket_new(f, "f.1");
    bool more;

    identify(&one, BOB);
    (void)dispatches(f, "%%");
    ask_kind(&one, ATRIUM__SOCKET_KIND__CLOSED);
    identify(&two, BOB);
    test_schema_script(&f->schema, "UPDATE presence SET offline_at = now() WHERE offline_at IS NOT NULL");
    assert_ok(presence_sweep(f->schema.db, NULL, &more));
    assert_int_equal(dispatches(f, "%%"), 0);
}

static void who_is_invisible_is_offline_and_stays_so_when_resuming(void **state)
{
    Fixture *f = *state;
    Socket ann = socket_new(f, "e.1"), bob = socket_new(f, "e.2"), again = socket_new(f, "f.1");
    const char *session;

    identify(&bob, BOB);
    session = ready(&bob)->session_id;
    (void)dispatches(f, "%%");
    say(&bob, "{\"op\":3,\"d\":{\"status\":\"invisible\"}}");
    assert_int_equal(dispatches(f, "g.100"), 1);
    identify(&ann, ANN);
    assert_int_equal(frames_of(&ann, "PRESENCE_UPDATE"), 0);
    (void)dispatches(f, "%%");
    resume(&again, session, "50", BOB);
    assert_int_equal(dispatches(f, "%%"), 0);
    say(&again, "{\"op\":3,\"d\":{\"status\":\"away\"}}"); /* unknown: ignored */
    assert_int_equal(close_code(&again), 0);
    assert_int_equal(dispatches(f, "%%"), 0);
}

static void statuses_have_a_limit_and_the_last_one_counts(void **state)
{
    Fixture *f = *state;
    Socket bob = socket_new(f, "e.1");
    int64_t wake_ms;

    identify(&bob, BOB);
    for (int i = 0; i < 5; i++)
        say(&bob, i % 2 ? "{\"op\":3,\"d\":{\"status\":\"dnd\"}}" : "{\"op\":3,\"d\":{\"status\":\"idle\"}}");
    (void)dispatches(f, "%%");
    f->schema.now_us += 5 * 1000 * 1000;
    say(&bob, "{\"op\":3,\"d\":{\"status\":\"dnd\"}}");
    say(&bob, "{\"op\":3,\"d\":{\"status\":\"online\"}}");
    say(&bob, "{\"op\":1}"); /* takes no deadline away */
    wake_ms = bob.reply->wake_ms;
    assert_int_equal(wake_ms, 15000);
    assert_int_equal(dispatches(f, "%%"), 0);
    f->schema.now_us += wake_ms * 1000;
    ask_kind(&bob, ATRIUM__SOCKET_KIND__TIMER);
    assert_int_equal(dispatches(f, "g.100"), 1);
    assert_int_equal(test_schema_count(&f->schema, "SELECT status FROM presence WHERE user_id = 2"), 1);
    assert_int_equal(bob.reply->wake_ms, 0);
}

static void ready_tells_who_is_online(void **state)
{
    Socket ann = socket_new(*state, "e.1"), bob = socket_new(*state, "e.2"), eve = socket_new(*state, "e.3");

    identify(&ann, ANN);
    identify(&bob, BOB);
    assert_int_equal(frames_of(&bob, "PRESENCE_UPDATE"), 1);
    identify(&eve, EVE);
    assert_int_equal(frames_of(&eve, "PRESENCE_UPDATE"), 0);
}

static void who_shares_two_guilds_is_told_in_one(void **state)
{
    Fixture *f = *state;
    Socket ann = socket_new(f, "e.1"), bob = socket_new(f, "e.2");
    Atrium__Dispatch *d;
    CLEANUP(db_rows_done) DbRows rows = {0};
    ProtobufCMessage *message;

    test_schema_script(&f->schema,
                       "INSERT INTO guild (id, name, owner_id, created_at) VALUES (300, 'Second', 3, now());"
                       "INSERT INTO role (id, guild_id, name, permissions) VALUES (300, 300, '@everyone', 3);"
                       "INSERT INTO member (guild_id, user_id, joined_at) SELECT 300, user_id, now() FROM person");
    identify(&ann, ANN);
    {
        Socket eve = socket_new(f, "e.3");

        identify(&eve, EVE);
    }
    (void)dispatches(f, "%%");
    identify(&bob, BOB);
    assert_ok(db_read_with(f->schema.db, 5000, "SELECT payload FROM outbox WHERE subject = 'dsp.chat.g.300'",
                           DB_NO_ARGS, &rows));
    assert_int_equal(rows.count, 1);
    assert_ok(message_unpack(f->schema.mem, &atrium__dispatch__descriptor, db_get_bytes(&rows, 0, 0), &message));
    d = (Atrium__Dispatch *)message;
    assert_int_equal(d->n_variants, 1);
    assert_int_equal(d->variants[0]->n_except_users, 2); /* Ann and Bob himself have it from the first */
    assert_int_equal(dispatches(f, "g.%%"), 2);
}

static void an_edge_that_is_silent_is_gone(void **state)
{
    Fixture *f = *state;
    Socket bob = socket_new(f, "e.1"), edge = socket_new(f, "e");
    Atrium__SocketRequest in = ATRIUM__SOCKET_REQUEST__INIT;
    bool more;

    SET(&in, kind, ATRIUM__SOCKET_KIND__LEASE);
    SET(&in, lease_ms, 5000);
    assert_ok(ask(&edge, &in));
    identify(&bob, BOB);
    assert_ok(presence_sweep(f->schema.db, NULL, &more));
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM connection"), 1);
    test_schema_script(&f->schema, "UPDATE edge SET expires_at = now() - interval '1 s'");
    assert_ok(presence_sweep(f->schema.db, NULL, &more));
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM connection"), 0);
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM edge"), 0);
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM presence WHERE offline_at > now()"), 1);
    say(&bob, "{\"op\":1}"); /* it was only cut off */
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM presence WHERE offline_at IS NULL"), 1);
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM connection"), 1);
}

/* --- dialect W ------------------------------------------------------------------------------------------------------
 */
static void a_browser_is_primed(void **state)
{
    Socket s = socket_new(*state, "e.1");

    s.dialect = ATRIUM__DIALECT__RETROCAST_WEB;
    identify(&s, BOB);
    assert_int_equal(frames_of(&s, "GUILD_ROLE_CREATE"), 2);
    assert_int_equal(frames_of(&s, "GUILD_MEMBER_ADD"), 1);
    assert_int_equal(frames_of(&s, "MESSAGE_DELETE"), 2); /* general and the DM, not the hidden one */
    s = socket_new(*state, "e.2");
    identify(&s, BOB);
    assert_int_equal(frames_of(&s, "GUILD_ROLE_CREATE"), 0);
}

/* It may have broken off while it was primed. */
static void a_browser_that_resumes_is_primed_again(void **state)
{
    Socket first = socket_new(*state, "e.1"), again = socket_new(*state, "f.1");

    first.dialect = again.dialect = ATRIUM__DIALECT__RETROCAST_WEB;
    identify(&first, BOB);
    resume(&again, ready(&first)->session_id, "20", BOB);
    assert_true(resumed(&again));
    assert_int_equal(frames_of(&again, "GUILD_ROLE_CREATE"), 2);
    assert_int_equal(frames_of(&again, "MESSAGE_DELETE"), 2);
    assert_int_equal(again.reply->n_marks, 1);
}

static void a_browser_is_primed_in_pieces(void **state)
{
    Socket s = socket_new(*state, "e.1");
    size_t roles = 0, members = 0, channels = 0, pieces = 0;

    s.dialect = ATRIUM__DIALECT__RETROCAST_WEB;
    test_schema_script(
        &s.f->schema,
        "INSERT INTO guild (id, name, owner_id, created_at) SELECT n, 'g', 3, now() FROM generate_series(301, 309) n;"
        "INSERT INTO role (id, guild_id, name, permissions) SELECT n, n, '@everyone', 3 FROM generate_series(301, 309) "
        "n;"
        "INSERT INTO member (guild_id, user_id, joined_at, roles) SELECT n, 2, now(), array[n]"
        " FROM generate_series(301, 309) n;"
        "INSERT INTO channel (id, guild_id, type, name, created_at)"
        " SELECT g * 1000 + n, g, 0, 'c' || n, now() FROM generate_series(301, 309) g, generate_series(1, 500) n");
    identify(&s, BOB);
    for (;;) {
        roles += frames_of(&s, "GUILD_ROLE_CREATE");
        members += frames_of(&s, "GUILD_MEMBER_ADD");
        channels += frames_of(&s, "MESSAGE_DELETE");
        pieces++;
        if (s.reply->n_marks)
            break;
        assert_int_equal(s.reply->wake_ms, 1);
        ask_kind(&s, ATRIUM__SOCKET_KIND__TIMER);
    }
    assert_int_equal(s.reply->wake_ms, 0);
    assert_int_equal(pieces, 2);
    assert_int_equal(roles, 2 + 9);
    assert_int_equal(members, 1 + 9);
    assert_int_equal(channels, 2 + 9 * 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_connection_begins_with_hello, setup),
        cmocka_unit_test_setup(a_heartbeat_takes_no_deadline_away, setup),
        cmocka_unit_test_setup(identifying_gives_ready_and_what_one_may_see, setup),
        cmocka_unit_test_setup(an_owner_sees_all_channels, setup),
        cmocka_unit_test_setup(what_is_no_login_is_closed, setup),
        cmocka_unit_test_setup(a_bad_token_is_closed, setup),
        cmocka_unit_test_setup(nobody_identifies_twice, setup),
        cmocka_unit_test_setup(other_services_have_no_say, setup),
        cmocka_unit_test_setup(a_session_goes_on_at_another_edge, setup),
        cmocka_unit_test_setup(a_session_may_be_old, setup),
        cmocka_unit_test_setup(more_channels_than_can_be_followed_are_refused_by_name, setup),
        cmocka_unit_test_setup(what_cannot_be_resumed_begins_afresh, setup),
        cmocka_unit_test_setup(presence_is_told_once_and_ends_after_its_grace, setup),
        cmocka_unit_test_setup(a_reload_is_not_seen, setup),
        cmocka_unit_test_setup(who_is_invisible_is_offline_and_stays_so_when_resuming, setup),
        cmocka_unit_test_setup(statuses_have_a_limit_and_the_last_one_counts, setup),
        cmocka_unit_test_setup(ready_tells_who_is_online, setup),
        cmocka_unit_test_setup(who_shares_two_guilds_is_told_in_one, setup),
        cmocka_unit_test_setup(an_edge_that_is_silent_is_gone, setup),
        cmocka_unit_test_setup(a_browser_is_primed, setup),
        cmocka_unit_test_setup(a_browser_that_resumes_is_primed_again, setup),
        cmocka_unit_test_setup(a_browser_is_primed_in_pieces, setup),
    };

    return cmocka_run_group_tests(tests, fixture_make, fixture_drop);
}
