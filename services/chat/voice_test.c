/* Voice and typing: who may, who is told, and what the voice server is told and tells. */
#include "services/chat/voice.h"

#include <jansson.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "atrium/chat/v1/gateway.service.h"
#include "services/chat/fixture.h"
#include "services/chat/livekit.h"
#include "shared/testing_http.h"

enum { ANN = 1, BOB = 2, EVE = 3, GUILD = 100, TEXT = 101, LOUNGE = 102, STAGE = 103, DM = 200 };
static const char KEY[] = "APIkey", SECRET[] = "a secret that only the tests know";

/* A stand-in for LiveKit: keeps what it was told, answers with the status that is set. */
typedef struct Server {
    HttpStub stub;
    char head[2048], body[512];
    atomic_int status;
} Server;

static void answer(HttpStub *stub, int number, Slice head, Slice body, int connection)
{
    Server *s = stub->data;

    (void)number;
    snprintf(s->head, sizeof s->head, "%.*s", SLICE_ARG(head));
    snprintf(s->body, sizeof s->body, "%.*s", SLICE_ARG(body));
    http_stub_write(connection, atomic_load(&s->status) == 200 ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
                                                               : "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
}

/* Everybody may enter the lounge, and nobody but the owner may speak on the stage. Eve is no member. */
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
        "INSERT INTO role (id, guild_id, name, permissions) VALUES (100, 100, '@everyone', 771);" /* 0, 1, 8, 9 */
        "INSERT INTO channel (id, guild_id, type, name, created_at) VALUES (101, 100, 0, 'text', now()),"
        " (102, 100, 2, 'lounge', now()), (103, 100, 2, 'stage', now());"
        "INSERT INTO channel_override (channel_id, role_id, deny) VALUES (103, 100, 512);"
        "INSERT INTO member (guild_id, user_id, joined_at) VALUES (100, 1, now()), (100, 2, now());"
        "INSERT INTO channel (id, type, created_at) VALUES (200, 1, now());"
        "INSERT INTO recipient (channel_id, user_id, joined_at) VALUES (200, 1, now()), (200, 2, now())");
    f->live.voice = voice_new(&(VoiceOptions){
        .url = "ws://127.0.0.1:1", .key = KEY, .secret = SECRET, .token_ttl_ms = 60000, .clock = &f->schema.clock});
    return 0;
}

static int teardown(void **state)
{
    Fixture *f = *state;

    voice_free(f->live.voice);
    f->live.voice = NULL;
    return 0;
}

static Err join(Fixture *f, int64_t user_id, int64_t channel_id, Chat__V1__JoinVoiceReply *out)
{
    Request rq = fixture_request(f, user_id);
    Chat__V1__JoinVoiceRequest in = CHAT__V1__JOIN_VOICE_REQUEST__INIT;

    chat__v1__join_voice_reply__init(out);
    SET(&in, channel_id, channel_id);
    return rpc_call(&CHAT_V1_LIVE_SERVICE, &rq, "JoinVoice", &in.base, &out->base);
}

static Err leave(Fixture *f, int64_t user_id, int64_t channel_id)
{
    Request rq = fixture_request(f, user_id);
    Chat__V1__LeaveVoiceRequest in = CHAT__V1__LEAVE_VOICE_REQUEST__INIT;
    Chat__V1__Nothing out = CHAT__V1__NOTHING__INIT;

    SET(&in, channel_id, channel_id);
    return rpc_call(&CHAT_V1_LIVE_SERVICE, &rq, "LeaveVoice", &in.base, &out.base);
}

/* The events so far, as "subject subject …", and forgotten. */
static const char *told(Fixture *f)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    StrBuf out = strbuf_new(f->schema.mem, 4096);
    Slice text;

    assert_ok(db_read_with(f->schema.db, 5000, "SELECT subject FROM outbox ORDER BY pos", DB_NO_ARGS, &rows));
    for (int i = 0; i < rows.count; i++)
        strbuf_printf(&out, "%s%.*s", i ? " " : "",
                      SLICE_ARG(slice_skip(db_get_text(&rows, i, 0), strlen("dsp.chat."))));
    assert_true(strbuf_finish(&out, &text));
    test_schema_script(&f->schema, "DELETE FROM outbox");
    return text.ptr;
}

static json_t *claims_of(Fixture *f, const char *token)
{
    Slice head, rest, payload, mac, json;
    json_t *claims;

    assert_true(slice_cut(slice(token), '.', &head, &rest));
    assert_true(slice_cut(rest, '.', &payload, &mac));
    assert_true(base64_decode(f->schema.mem, payload, &json));
    claims = json_loadb(json.ptr, json.len, 0, NULL);
    assert_non_null(claims);
    return claims;
}

static void a_token_says_what_one_may(void **state)
{
    Fixture *f = *state;
    Chat__V1__JoinVoiceReply out;
    json_t *claims;
    const json_t *video;

    assert_ok(join(f, BOB, STAGE, &out));
    assert_string_equal(out.url, "ws://127.0.0.1:1");
    assert_int_equal(out.n_voice_states, 1);
    assert_string_equal(out.voice_states[0]->session_id, "voice-103");
    claims = claims_of(f, out.token);
    video = json_object_get(claims, "video");
    assert_string_equal(json_string_value(json_object_get(claims, "iss")), KEY);
    assert_string_equal(json_string_value(json_object_get(claims, "sub")), "2");
    assert_int_equal(
        json_integer_value(json_object_get(claims, "exp")) - json_integer_value(json_object_get(claims, "iat")), 60);
    assert_string_equal(json_string_value(json_object_get(video, "room")), "voice-103");
    assert_true(json_is_true(json_object_get(video, "roomJoin")));
    assert_true(json_is_false(json_object_get(video, "canPublish")));
    json_decref(claims);
    assert_ok(join(f, ANN, STAGE, &out));
    claims = claims_of(f, out.token);
    assert_true(json_is_true(json_object_get(json_object_get(claims, "video"), "canPublish")));
    json_decref(claims);
}

static void voice_is_for_members_and_voice_channels(void **state)
{
    Fixture *f = *state;
    Chat__V1__JoinVoiceReply out;

    assert_reason(join(f, BOB, 999, &out), &NOT_FOUND);
    assert_reason(join(f, EVE, LOUNGE, &out), &PERMISSION_DENIED);
    assert_reason(join(f, BOB, TEXT, &out), &NOT_VOICE_CHANNEL);
    assert_reason(join(f, BOB, DM, &out), &NOT_VOICE_CHANNEL);
    test_schema_script(&f->schema, "UPDATE role SET permissions = 3");
    assert_reason(join(f, BOB, LOUNGE, &out), &MISSING_PERMISSIONS);
    assert_string_equal(told(f), "");
}

static void without_a_server_there_is_no_voice(void **state)
{
    Fixture *f = *state;
    Chat__V1__JoinVoiceReply out;

    teardown(state);
    assert_reason(join(f, BOB, LOUNGE, &out), &VOICE_UNAVAILABLE);
}

static void one_is_in_one_channel_of_a_guild(void **state)
{
    Fixture *f = *state;
    Chat__V1__JoinVoiceReply out;

    assert_ok(join(f, BOB, LOUNGE, &out));
    assert_string_equal(told(f), "g.100.c.102");
    assert_ok(join(f, BOB, STAGE, &out));
    assert_string_equal(told(f), "g.100.c.102 g.100.c.103");
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM voice_state"), 1);
    assert_ok(leave(f, BOB, LOUNGE)); /* it only names the guild */
    assert_string_equal(told(f), "g.100.c.103");
    assert_reason(leave(f, BOB, LOUNGE), &NOT_FOUND);
}

/* What LiveKit would send: the body, and the token that signs it. */
static Err news(Fixture *f, const char *body, const char *secret)
{
    Request rq = fixture_request(f, 0);
    Atrium__HttpBody in = ATRIUM__HTTP_BODY__INIT;
    Chat__V1__Nothing out = CHAT__V1__NOTHING__INIT;
    uint8_t digest[SHA256_DIGEST_LENGTH], mac[32];
    unsigned len = sizeof mac;
    char *text;

    SHA256((const unsigned char *)body, strlen(body), digest);
    text = arena_printf(f->schema.mem, "{\"iss\":\"%s\",\"exp\":%" PRId64 ",\"sha256\":\"%s\"}", KEY,
                        f->schema.now_us / 1000000 + 60, base64_encode(f->schema.mem, slice_of(digest, sizeof digest)));
    text = arena_printf(f->schema.mem, "%s.%s", base64url_encode(f->schema.mem, SLICE_LIT("{\"alg\":\"HS256\"}")),
                        base64url_encode(f->schema.mem, slice(text)));
    assert_non_null(
        HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)text, strlen(text), mac, &len));
    rq.headers = &(RequestHeader){"authorization", arena_printf(f->schema.mem, "%s.%s", text,
                                                                base64url_encode(f->schema.mem, slice_of(mac, len)))};
    rq.header_count = 1;
    in.has_data = true;
    in.data = (ProtobufCBinaryData){strlen(body), (uint8_t *)(uintptr_t)body};
    return rpc_call(&CHAT_V1_LIVE_SERVICE, &rq, "TakeVoiceNews", &in.base, &out.base);
}

static void who_hangs_up_is_gone(void **state)
{
    static const char LEFT[] =
        "{\"event\":\"participant_left\",\"room\":{\"name\":\"voice-102\"},\"participant\":{\"identity\":\"2\"}}";
    Fixture *f = *state;
    Chat__V1__JoinVoiceReply out;

    assert_ok(join(f, BOB, LOUNGE, &out));
    assert_ok(join(f, ANN, LOUNGE, &out));
    (void)told(f);
    assert_reason(news(f, LEFT, "another secret, of somebody else."), &UNAUTHENTICATED);
    assert_ok(news(f,
                   "{\"event\":\"participant_left\",\"room\":{\"name\":\"voice-102\"},"
                   "\"participant\":{\"identity\":\"2\",\"disconnectReason\":\"DUPLICATE_IDENTITY\"}}",
                   SECRET));
    assert_ok(news(f,
                   "{\"event\":\"participant_left\",\"room\":{\"name\":\"voice-103\"},\"participant\":{\"identity\":"
                   "\"2\"}}",
                   SECRET)); /* where he is not */
    assert_ok(news(f, "{\"event\":\"room_started\",\"room\":{\"name\":\"voice-102\"}}", SECRET));
    assert_string_equal(told(f), "");
    assert_ok(news(f, LEFT, SECRET));
    assert_string_equal(told(f), "g.100.c.102");
    assert_ok(news(f, "{\"event\":\"room_finished\",\"room\":{\"name\":\"voice-102\"}}", SECRET));
    assert_string_equal(told(f), "g.100.c.102"); /* Ann */
    assert_reason(news(f, "[]", SECRET), &INVALID_ARGUMENT);
}

static void the_voice_server_is_told_until_it_listens(void **state)
{
    Fixture *f = *state;
    Server server = {.stub = {.answer = answer, .data = &server}};
    CLEANUP(db_tx_done) DbTx tx = {0};
    Chat__V1__JoinVoiceReply out;
    VoiceOptions options = {.key = KEY, .secret = SECRET, .token_ttl_ms = 60000, .clock = &f->schema.clock};
    json_t *claims;
    bool more;

    atomic_init(&server.status, 500);
    http_stub_start(&server.stub);
    options.url = arena_printf(f->schema.mem, "ws://127.0.0.1:%d/", server.stub.port);
    teardown(state);
    f->live.voice = voice_new(&options);
    assert_ok(join(f, BOB, LOUNGE, &out));
    assert_ok(db_tx_begin_with(f->schema.db, 5000, &tx));
    assert_ok(voice_end_user(&tx, f->schema.mem, GUILD, BOB));
    assert_ok(db_tx_commit(&tx));
    assert_ok(voice_work(f->live.voice, f->schema.db, &more));
    assert_int_equal(test_schema_count(&f->schema, "SELECT tries FROM voice_order"), 1);
    assert_ok(voice_work(f->live.voice, f->schema.db, &more)); /* not due yet */
    assert_int_equal(atomic_load(&server.stub.requests), 1);
    atomic_store(&server.status, 200);
    test_schema_script(&f->schema, "UPDATE voice_order SET due_at = now()");
    assert_ok(voice_work(f->live.voice, f->schema.db, &more));
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM voice_order"), 0);
    http_stub_stop(&server.stub);
    assert_true(slice_starts_with(slice(server.head), SLICE_LIT("POST /twirp/livekit.RoomService/RemoveParticipant ")));
    assert_string_equal(server.body, "{\"room\":\"voice-102\",\"identity\":\"2\"}");
    claims = claims_of(f, strstr(server.head, "Bearer ") + strlen("Bearer "));
    assert_true(json_is_true(json_object_get(json_object_get(claims, "video"), "roomAdmin")));
    json_decref(claims);
}

/* --- typing ------------------------------------------------------------------------------------------------------ */
static Err type_in(Fixture *f, int64_t user_id, int64_t channel_id)
{
    Request rq = fixture_request(f, user_id);
    Chat__V1__StartTypingRequest in = CHAT__V1__START_TYPING_REQUEST__INIT;
    Chat__V1__Nothing out = CHAT__V1__NOTHING__INIT;

    SET(&in, channel_id, channel_id);
    return rpc_call(&CHAT_V1_LIVE_SERVICE, &rq, "StartTyping", &in.base, &out.base);
}

static void typing_is_seen_where_one_may_write(void **state)
{
    Fixture *f = *state;

    assert_ok(type_in(f, BOB, TEXT));
    assert_string_equal(told(f), "g.100.c.101");
    assert_ok(type_in(f, BOB, DM));
    assert_string_equal(told(f), "d.200");
    assert_reason(type_in(f, EVE, TEXT), &PERMISSION_DENIED);
    assert_reason(type_in(f, EVE, DM), &PERMISSION_DENIED);
    assert_reason(type_in(f, BOB, 999), &NOT_FOUND);
    test_schema_script(&f->schema, "UPDATE role SET permissions = 1");
    assert_reason(type_in(f, BOB, TEXT), &MISSING_PERMISSIONS);
    assert_string_equal(told(f), "");
}

int main(void)
{
#define VOICE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        VOICE_TEST(a_token_says_what_one_may),
        VOICE_TEST(voice_is_for_members_and_voice_channels),
        VOICE_TEST(without_a_server_there_is_no_voice),
        VOICE_TEST(one_is_in_one_channel_of_a_guild),
        VOICE_TEST(who_hangs_up_is_gone),
        VOICE_TEST(the_voice_server_is_told_until_it_listens),
        VOICE_TEST(typing_is_seen_where_one_may_write),
    };

    return cmocka_run_group_tests(tests, fixture_make, fixture_drop);
}
