/* Messages and what belongs to them, through the dispatch table on a real schema. */
#include "atrium/chat/v1/attachments.service.h"
#include "atrium/chat/v1/messages.service.h"
#include "services/chat/fixture.h"
#include "services/chat/messages.h"
#include "services/chat/sweeper.h"

enum {
    OWNER = 1,
    MEMBER = 2,
    STRANGER = 3,
    OTHER = 4,
    GUILD = 100,
    OPEN = 200,
    HIDDEN = 201,
    CATEGORY = 202,
    ROLE = 301
};
enum { DM = 400 };

#define PEOPLE                                                                                                         \
    "INSERT INTO person (user_id, username, display_name, created_at)"                                                 \
    " SELECT i, 'u' || i, 'User ' || i, now() FROM generate_series(1, 4) i;"
#define PLACES                                                                                                         \
    "INSERT INTO guild (id, name, owner_id, created_at) VALUES (100, 'g', 1, now());"                                  \
    "INSERT INTO role (id, guild_id, name, permissions) VALUES (100, 100, '@everyone', 32771), (301, 100, 'r', 0);"    \
    "INSERT INTO member (guild_id, user_id, joined_at, roles) VALUES (100, 1, '2025-06-01', '{}'),"                    \
    " (100, 2, '2025-06-01', '{301}');"                                                                                \
    "INSERT INTO channel (id, guild_id, type, name, created_at) VALUES (200, 100, 0, 'open', now()),"                  \
    " (201, 100, 0, 'hidden', now()), (202, 100, 4, 'category', now());"                                               \
    "INSERT INTO channel_override (channel_id, role_id, deny) VALUES (201, 100, 1);"                                   \
    "INSERT INTO channel (id, type, created_at) VALUES (400, 1, now());"                                               \
    "INSERT INTO recipient (channel_id, user_id, joined_at) VALUES (400, 1, '2025-06-01'), (400, 2, '2025-06-01');"
#define NO_ROWS                                                                                                        \
    "TRUNCATE person, guild, channel, outbox, message, mention, reaction, read_state, slow_post, attachment, block,"   \
    " discarded_channel CASCADE;"

static int places(void **state)
{
    Fixture *f = *state;

    test_schema_script(&f->schema, NO_ROWS PEOPLE PLACES);
    test_schema_script(&f->schema, "TRUNCATE discarded_channel");
    return 0;
}

static int64_t number(Fixture *f, const char *sql)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    assert_ok(db_read_with(f->schema.db, 5000, sql, DB_NO_ARGS, &rows));
    return db_get_int64(&rows, 0, 0);
}

static Err say_more(Fixture *f, int64_t user, Chat__V1__SendMessageRequest *in, Chat__V1__Message *out)
{
    Request rq = fixture_request(f, user);

    chat__v1__message__init(out);
    return rpc_call(&CHAT_V1_MESSAGE_SERVICE, &rq, "SendMessage", &in->base, &out->base);
}

static Err say(Fixture *f, int64_t user, int64_t channel, const char *text, Chat__V1__Message *out)
{
    Chat__V1__SendMessageRequest in = CHAT__V1__SEND_MESSAGE_REQUEST__INIT;

    SET(&in, channel_id, channel);
    in.content = (char *)text;
    return say_more(f, user, &in, out);
}

static Chat__V1__Message said(Fixture *f, int64_t user, int64_t channel, const char *text)
{
    Chat__V1__Message message;

    assert_ok(say(f, user, channel, text, &message));
    return message;
}

static Err list(Fixture *f, int64_t user, int64_t channel, const char *after, Chat__V1__MessageList *out)
{
    Request rq = fixture_request(f, user);
    Chat__V1__ListMessagesRequest in = CHAT__V1__LIST_MESSAGES_REQUEST__INIT;

    chat__v1__message_list__init(out);
    SET(&in, channel_id, channel);
    in.after = (char *)after;
    return rpc_call(&CHAT_V1_MESSAGE_SERVICE, &rq, "ListMessages", &in.base, &out->base);
}

/* --- posting ---------------------------------------------------------------------------------------------------------
 */
static void what_is_posted_is_read_again_and_told(void **state)
{
    Chat__V1__Message a = said(*state, OWNER, OPEN, "first"), b = said(*state, MEMBER, OPEN, "second");
    Chat__V1__MessageList page;

    assert_true(b.id > a.id);
    assert_string_equal(b.author_username, "u2");
    assert_int_equal(b.guild_id, GUILD);
    assert_ok(list(*state, MEMBER, OPEN, NULL, &page));
    assert_int_equal(page.n_messages, 2);
    assert_int_equal(page.messages[0]->id, b.id);
    assert_string_equal(page.messages[1]->content, "first");
    assert_string_equal(page.messages[1]->author_display_name, "User 1");
    assert_int_equal(number(*state, "SELECT count(*) FROM outbox WHERE key = '100'"
                                    " AND subject = 'dsp.chat.g.100.c.200'"),
                     2);
}

static void ids_rise_whatever_the_clock_says(void **state)
{
    Fixture *f = *state;
    Chat__V1__Message message;

    test_schema_script(&f->schema, "INSERT INTO message (channel_id, id, guild_id, author_id, content)"
                                   " VALUES (200, 9000000000000000000, 100, 1, 'from tomorrow')");
    message = said(f, OWNER, OPEN, "today");
    assert_int_equal(message.id, INT64_C(9000000000000000001));
}

static char *repeated(const char *text, int times)
{
    size_t len = strlen(text);
    char *out = xmalloc(len * (size_t)times + 1);

    for (int i = 0; i < times; i++)
        memcpy(out + len * (size_t)i, text, len);
    out[len * (size_t)times] = '\0';
    return out;
}

static void characters_are_counted_not_bytes(void **state)
{
    char *fits = repeated("\xc3\xa9", CONTENT_MAX_CHARS), *too_long = repeated("x", CONTENT_MAX_CHARS + 1);
    Chat__V1__Message message;

    assert_ok(say(*state, MEMBER, OPEN, fits, &message));
    assert_reason(say(*state, MEMBER, OPEN, too_long, &message), &INVALID_CONTENT);
    assert_reason(say(*state, MEMBER, OPEN, "", &message), &INVALID_CONTENT);
    assert_ok(say(*state, MEMBER, OPEN, " ", &message));
    free(fits);
    free(too_long);
}

static void who_may_post_where(void **state)
{
    static const struct {
        int64_t user, channel;
        const Reason *reason;
    } ROWS[] = {
        {OWNER, OPEN, NULL},
        {MEMBER, OPEN, NULL},
        {STRANGER, OPEN, &PERMISSION_DENIED},
        {OWNER, HIDDEN, NULL},
        {MEMBER, HIDDEN, &MISSING_PERMISSIONS},
        {OWNER, CATEGORY, &INVALID_CHANNEL},
        {OWNER, 999, &NOT_FOUND},
        {OWNER, DM, NULL},
        {MEMBER, DM, NULL},
        {STRANGER, DM, &PERMISSION_DENIED},
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        Chat__V1__Message message;
        Err e = say(*state, ROWS[i].user, ROWS[i].channel, "hello", &message);

        assert_ptr_equal(e.reason, ROWS[i].reason);
    }
}

static void the_blocked_do_not_write(void **state)
{
    Fixture *f = *state;
    Chat__V1__Message message;

    test_schema_script(&f->schema, "INSERT INTO block (user_id, blocked_id, created_at) VALUES (1, 2, now())");
    assert_reason(say(f, MEMBER, DM, "hello?", &message), &PERMISSION_DENIED);
    assert_ok(say(f, OWNER, DM, "hello", &message));
    assert_false(message.has_guild_id);
    assert_ok(say(f, MEMBER, OPEN, "in a guild everybody talks", &message));
}

static void a_text_means_members_and_roles(void **state)
{
    Chat__V1__Message m = said(*state, MEMBER, OPEN, "@U1 <@2> <@3> @u4 <@&301> <@&100> @everyone");

    assert_int_equal(m.n_mentions, 2);
    assert_int_equal(m.mentions[0], OWNER);
    assert_int_equal(m.mentions[1], MEMBER);
    assert_int_equal(m.n_mention_roles, 1);
    assert_int_equal(m.mention_roles[0], ROLE);
    assert_false(m.mention_everyone);
    m = said(*state, OWNER, OPEN, "@everyone");
    assert_true(m.mention_everyone);
}

static void a_reply_means_whom_it_answers(void **state)
{
    Chat__V1__Message first = said(*state, OWNER, OPEN, "question"), answer, elsewhere = said(*state, OWNER, DM, "x");
    Chat__V1__SendMessageRequest in = CHAT__V1__SEND_MESSAGE_REQUEST__INIT;

    SET(&in, channel_id, OPEN);
    SET(&in, reply_to, first.id);
    in.content = "answer";
    in.nonce = "n-1";
    assert_ok(say_more(*state, MEMBER, &in, &answer));
    assert_int_equal(answer.type, MESSAGE_TYPE_REPLY);
    assert_int_equal(answer.reply_to, first.id);
    assert_int_equal(answer.n_mentions, 1);
    assert_int_equal(answer.mentions[0], OWNER);
    assert_string_equal(answer.nonce, "n-1");
    SET(&in, reply_to, elsewhere.id);
    assert_reason(say_more(*state, MEMBER, &in, &answer), &INVALID_REPLY);
}

static void slow_mode_holds_for_all_who_do_not_manage(void **state)
{
    Fixture *f = *state;
    Chat__V1__SendMessageRequest in = CHAT__V1__SEND_MESSAGE_REQUEST__INIT;
    Chat__V1__Message message = CHAT__V1__MESSAGE__INIT;
    Request rq = fixture_request(f, MEMBER);

    test_schema_script(&f->schema, "UPDATE channel SET rate_limit_per_user = 30 WHERE id = 200");
    (void)said(f, OWNER, OPEN, "one");
    (void)said(f, OWNER, OPEN, "two");
    (void)said(f, MEMBER, OPEN, "one");
    SET(&in, channel_id, OPEN);
    in.content = "two";
    assert_reason(rpc_call(&CHAT_V1_MESSAGE_SERVICE, &rq, "SendMessage", &in.base, &message.base), &SLOW_MODE);
    assert_int_equal(rq.reply.retry_after_s, 30);
    f->schema.now_us += 30 * INT64_C(1000000);
    (void)said(f, MEMBER, OPEN, "two");
}

/* --- reading ---------------------------------------------------------------------------------------------------------
 */
static void pages_go_in_both_directions(void **state)
{
    Fixture *f = *state;
    Request rq = fixture_request(f, OWNER);
    Chat__V1__ListMessagesRequest in = CHAT__V1__LIST_MESSAGES_REQUEST__INIT;
    Chat__V1__MessageList page = CHAT__V1__MESSAGE_LIST__INIT;

    test_schema_script(&f->schema, "INSERT INTO message (channel_id, id, guild_id, author_id, content)"
                                   " SELECT 200, i, 100, 1, 'm' || i FROM generate_series(1, 9) i");
    SET(&in, channel_id, OPEN);
    in.limit = "3";
    in.before = "5";
    assert_ok(rpc_call(&CHAT_V1_MESSAGE_SERVICE, &rq, "ListMessages", &in.base, &page.base));
    assert_int_equal(page.n_messages, 3);
    assert_int_equal(page.messages[0]->id, 4);
    in.before = NULL;
    in.after = "5";
    chat__v1__message_list__init(&page);
    assert_ok(rpc_call(&CHAT_V1_MESSAGE_SERVICE, &rq, "ListMessages", &in.base, &page.base));
    assert_int_equal(page.n_messages, 3);
    assert_int_equal(page.messages[0]->id, 8);
    assert_int_equal(page.messages[2]->id, 6);
    in.after = NULL;
    in.around = "5";
    chat__v1__message_list__init(&page);
    assert_ok(rpc_call(&CHAT_V1_MESSAGE_SERVICE, &rq, "ListMessages", &in.base, &page.base));
    assert_int_equal(page.n_messages, 3);
    assert_int_equal(page.messages[0]->id, 6);
    assert_int_equal(page.messages[2]->id, 4);
}

static void history_needs_its_permission(void **state)
{
    Chat__V1__MessageList page;

    (void)said(*state, OWNER, HIDDEN, "secret");
    assert_reason(list(*state, MEMBER, HIDDEN, NULL, &page), &MISSING_PERMISSIONS);
    assert_reason(list(*state, STRANGER, OPEN, NULL, &page), &PERMISSION_DENIED);
    assert_reason(list(*state, STRANGER, 999, NULL, &page), &NOT_FOUND);
    assert_reason(list(*state, OWNER, OPEN, "x", &page), &INVALID_AFTER);
    assert_ok(list(*state, MEMBER, OPEN, NULL, &page));
    assert_int_equal(page.n_messages, 0);
}

/* --- changing --------------------------------------------------------------------------------------------------------
 */
static Err edit(Fixture *f, int64_t user, const Chat__V1__Message *m, const char *text, Chat__V1__Message *out)
{
    Request rq = fixture_request(f, user);
    Chat__V1__EditMessageRequest in = CHAT__V1__EDIT_MESSAGE_REQUEST__INIT;

    SET(&in, channel_id, m->channel_id);
    SET(&in, message_id, m->id);
    in.content = (char *)text;
    chat__v1__message__init(out);
    return rpc_call(&CHAT_V1_MESSAGE_SERVICE, &rq, "EditMessage", &in.base, &out->base);
}

static Err delete (Fixture *f, int64_t user, const Chat__V1__Message *m)
{
    Request rq = fixture_request(f, user);
    Chat__V1__DeleteMessageRequest in = CHAT__V1__DELETE_MESSAGE_REQUEST__INIT;
    Chat__V1__DeleteMessageReply out = CHAT__V1__DELETE_MESSAGE_REPLY__INIT;

    SET(&in, channel_id, m->channel_id);
    SET(&in, message_id, m->id);
    return rpc_call(&CHAT_V1_MESSAGE_SERVICE, &rq, "DeleteMessage", &in.base, &out.base);
}

static void authors_edit_and_others_do_not(void **state)
{
    Fixture *f = *state;
    Chat__V1__Message m = said(f, MEMBER, OPEN, "helo @u1"), out;

    assert_ok(edit(f, MEMBER, &m, "hello @u2", &out));
    assert_string_equal(out.content, "hello @u2");
    assert_non_null(out.edited_at);
    assert_int_equal(out.mentions[0], MEMBER);
    assert_int_equal(number(f, "SELECT target_id FROM mention"), MEMBER);
    assert_reason(edit(f, OWNER, &m, "mine", &out), &PERMISSION_DENIED);
    assert_reason(edit(f, MEMBER, &m, "", &out), &INVALID_CONTENT);
    test_schema_script(&f->schema, "DELETE FROM member WHERE user_id = 2");
    assert_reason(edit(f, MEMBER, &m, "I was kicked", &out), &PERMISSION_DENIED);
    assert_reason(delete (f, MEMBER, &m), &PERMISSION_DENIED);
    assert_ok(delete (f, OWNER, &m));
    assert_reason(delete (f, OWNER, &m), &NOT_FOUND);
    assert_int_equal(number(f, "SELECT count(*) FROM mention"), 0);
}

static void an_edited_reply_means_the_same_one(void **state)
{
    Chat__V1__Message first = said(*state, OWNER, OPEN, "question"), answer, edited;
    Chat__V1__SendMessageRequest in = CHAT__V1__SEND_MESSAGE_REQUEST__INIT;

    SET(&in, channel_id, OPEN);
    SET(&in, reply_to, first.id);
    in.content = "answer";
    assert_ok(say_more(*state, MEMBER, &in, &answer));
    assert_ok(edit(*state, MEMBER, &answer, "another answer", &edited));
    assert_int_equal(edited.n_mentions, 1);
    assert_int_equal(edited.mentions[0], OWNER);
    assert_int_equal(number(*state, "SELECT count(*) FROM mention"), 1);
}

static void in_dms_only_ones_own_is_deleted(void **state)
{
    Chat__V1__Message m = said(*state, MEMBER, DM, "hello");

    assert_reason(delete (*state, OWNER, &m), &PERMISSION_DENIED);
    assert_reason(delete (*state, STRANGER, &m), &PERMISSION_DENIED);
    assert_ok(delete (*state, MEMBER, &m));
}

static Err bulk(Fixture *f, int64_t user, int64_t *ids, size_t count)
{
    Request rq = fixture_request(f, user);
    Chat__V1__BulkDeleteMessagesRequest in = CHAT__V1__BULK_DELETE_MESSAGES_REQUEST__INIT;
    Chat__V1__BulkDeleteMessagesReply out = CHAT__V1__BULK_DELETE_MESSAGES_REPLY__INIT;

    SET(&in, channel_id, OPEN);
    in.messages = ids;
    in.n_messages = count;
    return rpc_call(&CHAT_V1_MESSAGE_SERVICE, &rq, "BulkDeleteMessages", &in.base, &out.base);
}

static void many_are_deleted_at_once(void **state)
{
    Fixture *f = *state;
    int64_t ids[BULK_DELETE_MAX + 1] = {said(f, OWNER, OPEN, "a").id, said(f, MEMBER, OPEN, "b").id, 12,
                                        said(f, OWNER, DM, "elsewhere").id};

    assert_reason(bulk(f, MEMBER, ids, 4), &MISSING_PERMISSIONS);
    assert_reason(bulk(f, OWNER, ids, 1), &INVALID_MESSAGES);
    assert_reason(bulk(f, OWNER, ids, BULK_DELETE_MAX + 1), &INVALID_MESSAGES);
    assert_ok(bulk(f, OWNER, ids, 4));
    assert_int_equal(number(f, "SELECT count(*) FROM message"), 1);
    test_schema_script(&f->schema, "TRUNCATE outbox");
    assert_ok(bulk(f, OWNER, ids, 4));
    assert_int_equal(number(f, "SELECT count(*) FROM outbox"), 0);
}

/* --- reactions and pins ----------------------------------------------------------------------------------------------
 */
static Err react(Fixture *f, int64_t user, const char *rpc, const Chat__V1__Message *m, const char *emoji)
{
    Request rq = fixture_request(f, user);
    Chat__V1__ReactionRequest in = CHAT__V1__REACTION_REQUEST__INIT;
    Chat__V1__ReactionReply out = CHAT__V1__REACTION_REPLY__INIT;

    SET(&in, channel_id, m->channel_id);
    SET(&in, message_id, m->id);
    in.emoji = (char *)emoji;
    return rpc_call(&CHAT_V1_MESSAGE_SERVICE, &rq, rpc, &in.base, &out.base);
}

static void reactions_are_counted_and_told_once(void **state)
{
    Fixture *f = *state;
    Chat__V1__Message m = said(f, OWNER, OPEN, "look");
    Chat__V1__MessageList page;
    char emoji[16];

    test_schema_script(&f->schema, "TRUNCATE outbox");
    assert_ok(react(f, OWNER, "AddReaction", &m, "\xf0\x9f\x91\x8d"));
    assert_ok(react(f, OWNER, "AddReaction", &m, "\xf0\x9f\x91\x8d"));
    assert_ok(react(f, MEMBER, "AddReaction", &m, "\xf0\x9f\x91\x8d"));
    f->schema.now_us++;
    assert_ok(react(f, MEMBER, "AddReaction", &m, "2:x,1"));
    assert_ok(react(f, OWNER, "RemoveReaction", &m, "never"));
    assert_int_equal(number(f, "SELECT count(*) FROM outbox"), 3);
    assert_ok(list(f, OWNER, OPEN, NULL, &page));
    assert_int_equal(page.messages[0]->n_reactions, 2);
    assert_string_equal(page.messages[0]->reactions[0]->emoji, "\xf0\x9f\x91\x8d");
    assert_int_equal(page.messages[0]->reactions[0]->count, 2);
    assert_true(page.messages[0]->reactions[0]->me);
    assert_string_equal(page.messages[0]->reactions[1]->emoji, "2:x,1");
    assert_false(page.messages[0]->reactions[1]->me);
    assert_reason(react(f, OWNER, "AddReaction", &m, ""), &INVALID_EMOJI);
    assert_reason(react(f, STRANGER, "AddReaction", &m, "x"), &PERMISSION_DENIED);
    for (int i = 2; i < EMOJI_KINDS_MAX; i++) {
        snprintf(emoji, sizeof emoji, "e%d", i);
        assert_ok(react(f, OWNER, "AddReaction", &m, emoji));
    }
    assert_reason(react(f, OWNER, "AddReaction", &m, "one too many"), &MAX_REACTIONS);
    assert_ok(react(f, MEMBER, "AddReaction", &m, "e2"));
    assert_ok(delete (f, OWNER, &m));
    assert_int_equal(number(f, "SELECT count(*) FROM reaction"), 0);
}

static Err pin(Fixture *f, int64_t user, const char *rpc, int64_t channel, int64_t id)
{
    Request rq = fixture_request(f, user);
    Chat__V1__PinRequest in = CHAT__V1__PIN_REQUEST__INIT;
    Chat__V1__PinReply out = CHAT__V1__PIN_REPLY__INIT;

    SET(&in, channel_id, channel);
    SET(&in, message_id, id);
    return rpc_call(&CHAT_V1_MESSAGE_SERVICE, &rq, rpc, &in.base, &out.base);
}

static void a_channel_has_so_many_pins(void **state)
{
    Fixture *f = *state;
    Request rq = fixture_request(f, MEMBER);
    Chat__V1__ListPinsRequest in = CHAT__V1__LIST_PINS_REQUEST__INIT;
    Chat__V1__MessageList page = CHAT__V1__MESSAGE_LIST__INIT;

    test_schema_script(&f->schema, "INSERT INTO message (channel_id, id, guild_id, author_id, content)"
                                   " SELECT 200, i, 100, 1, 'm' || i FROM generate_series(1, 51) i");
    assert_reason(pin(f, MEMBER, "PinMessage", OPEN, 1), &MISSING_PERMISSIONS);
    assert_reason(pin(f, OWNER, "PinMessage", OPEN, 99), &NOT_FOUND);
    for (int64_t id = 1; id <= PINS_MAX; id++) {
        f->schema.now_us++;
        assert_ok(pin(f, OWNER, "PinMessage", OPEN, id));
    }
    assert_reason(pin(f, OWNER, "PinMessage", OPEN, 51), &MAX_PINS);
    assert_ok(pin(f, OWNER, "PinMessage", OPEN, 7)); /* it is: nothing happens */
    assert_ok(pin(f, OWNER, "UnpinMessage", OPEN, 1));
    assert_ok(pin(f, OWNER, "UnpinMessage", OPEN, 1));
    assert_int_equal(number(f, "SELECT count(*) FROM outbox"), PINS_MAX + 1);
    SET(&in, channel_id, OPEN);
    assert_ok(rpc_call(&CHAT_V1_MESSAGE_SERVICE, &rq, "ListPins", &in.base, &page.base));
    assert_int_equal(page.n_messages, PINS_MAX - 1);
    assert_int_equal(page.messages[0]->id, PINS_MAX);
    assert_true(page.messages[0]->pinned);
}

/* --- read states -----------------------------------------------------------------------------------------------------
 */
static Err ack(Fixture *f, int64_t user, int64_t channel, int64_t id)
{
    Request rq = fixture_request(f, user);
    Chat__V1__AckMessageRequest in = CHAT__V1__ACK_MESSAGE_REQUEST__INIT;
    Chat__V1__AckMessageReply out = CHAT__V1__ACK_MESSAGE_REPLY__INIT;

    SET(&in, channel_id, channel);
    SET(&in, message_id, id);
    return rpc_call(&CHAT_V1_MESSAGE_SERVICE, &rq, "AckMessage", &in.base, &out.base);
}

static Chat__V1__ReadStateList read_states(Fixture *f, int64_t user)
{
    Request rq = fixture_request(f, user);
    Chat__V1__ListReadStatesRequest in = CHAT__V1__LIST_READ_STATES_REQUEST__INIT;
    Chat__V1__ReadStateList out = CHAT__V1__READ_STATE_LIST__INIT;

    assert_ok(rpc_call(&CHAT_V1_MESSAGE_SERVICE, &rq, "ListReadStates", &in.base, &out.base));
    return out;
}

static void reading_never_goes_back(void **state)
{
    Fixture *f = *state;
    Chat__V1__Message a = said(f, OWNER, OPEN, "a"), b = said(f, OWNER, OPEN, "b");
    Chat__V1__ReadStateList states = read_states(f, MEMBER);

    assert_int_equal(states.n_read_states, 0);
    test_schema_script(&f->schema, "TRUNCATE outbox");
    assert_ok(ack(f, MEMBER, OPEN, b.id));
    assert_ok(ack(f, MEMBER, OPEN, a.id));
    assert_ok(ack(f, MEMBER, OPEN, b.id));
    assert_int_equal(number(f, "SELECT count(*) FROM outbox WHERE subject = 'dsp.chat.u.2'"), 1);
    states = read_states(f, MEMBER);
    assert_int_equal(states.n_read_states, 1);
    assert_int_equal(states.read_states[0]->last_message_id, b.id);
    assert_int_equal(states.read_states[0]->unread_count, 0);
    assert_ok(ack(f, MEMBER, OPEN, INT64_MAX)); /* nobody reads what is not yet written */
    (void)said(f, OWNER, OPEN, "c");
    states = read_states(f, MEMBER);
    assert_int_equal(states.read_states[0]->unread_count, 1);
    assert_reason(ack(f, MEMBER, HIDDEN, b.id), &MISSING_PERMISSIONS);
    assert_reason(ack(f, STRANGER, OPEN, b.id), &PERMISSION_DENIED);
    assert_reason(ack(f, STRANGER, 999, b.id), &NOT_FOUND);
}

static void mentions_are_counted_until_they_are_read(void **state)
{
    Fixture *f = *state;
    Chat__V1__Message last;
    Chat__V1__ReadStateList states;

    (void)said(f, OWNER, OPEN, "@u2 and <@2>");
    (void)said(f, OWNER, OPEN, "<@&301>");
    (void)said(f, OWNER, OPEN, "@everyone");
    (void)said(f, MEMBER, OPEN, "@u2 myself");
    (void)said(f, OWNER, HIDDEN, "@u2 and @everyone");
    last = said(f, OWNER, OPEN, "nobody");
    states = read_states(f, MEMBER);
    assert_int_equal(states.n_read_states, 1);
    assert_int_equal(states.read_states[0]->channel_id, OPEN);
    assert_int_equal(states.read_states[0]->mention_count, 3);
    assert_int_equal(states.read_states[0]->unread_count, 4);
    assert_ok(ack(f, MEMBER, OPEN, last.id));
    states = read_states(f, MEMBER);
    assert_int_equal(states.read_states[0]->mention_count, 0);
    test_schema_script(&f->schema, "UPDATE member SET joined_at = now() + interval '1 hour' WHERE user_id = 2;"
                                   "TRUNCATE read_state");
    states = read_states(f, MEMBER);
    assert_int_equal(states.n_read_states, 0); /* what was before he came is not for him */
}

/* --- search ----------------------------------------------------------------------------------------------------------
 */
static Err search(Fixture *f, int64_t user, Chat__V1__SearchMessagesRequest *in, Chat__V1__SearchMessagesReply *out)
{
    Request rq = fixture_request(f, user);

    chat__v1__search_messages_reply__init(out);
    SET(in, guild_id, GUILD);
    return rpc_call(&CHAT_V1_MESSAGE_SERVICE, &rq, "SearchMessages", &in->base, &out->base);
}

static void words_are_found_in_what_one_may_read(void **state)
{
    static const struct {
        const char *q;
        size_t found;
    } ROWS[] = {{"fox", 2},
                {"foxes", 2},
                {"fox fence", 1},
                {"the", 0},
                {"the fox", 2},
                {"\"brown foxes\"", 1},
                {"\"foxes brown\"", 0},
                {"jum*", 1},
                {"F\xc3\xbc*", 1},
                {"f\xc3\xbc\xc3\x9f"
                 "e",
                 1},
                {"!fox | & (", 2},
                {"#100", 0},
                {"secret", 0},
                {"'; DROP", 0},
                {"\\", 0},
                {":*", 0},
                {"it's", 0}};
    Chat__V1__SearchMessagesRequest in = CHAT__V1__SEARCH_MESSAGES_REQUEST__INIT;
    Chat__V1__SearchMessagesReply out;
    Chat__V1__Message fox;

    (void)said(*state, OWNER, OPEN, "Two brown foxes jumped over the fence");
    fox = said(*state, MEMBER, OPEN, "fox");
    (void)said(*state, MEMBER, OPEN,
               "F\xc3\xbc\xc3\x9f"
               "e im Wald");
    (void)said(*state, OWNER, HIDDEN, "secret fox");
    (void)said(*state, OWNER, DM, "fox in a DM");
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        in.q = (char *)ROWS[i].q;
        assert_ok(search(*state, MEMBER, &in, &out));
        if (out.n_messages != ROWS[i].found)
            fail_msg("%s: %zu", ROWS[i].q, out.n_messages);
    }
    in.q = "fox";
    assert_ok(search(*state, OWNER, &in, &out));
    assert_int_equal(out.n_messages, 3);
    assert_ok(edit(*state, MEMBER, &fox, "wolf", &fox));
    assert_ok(search(*state, OWNER, &in, &out));
    assert_int_equal(out.n_messages, 2);
    in.q = "wolf";
    assert_ok(search(*state, OWNER, &in, &out));
    assert_int_equal(out.n_messages, 1);
    in.q = "fox";
    assert_reason(search(*state, STRANGER, &in, &out), &PERMISSION_DENIED);
    in.q = " ";
    assert_reason(search(*state, MEMBER, &in, &out), &INVALID_QUERY);
}

static void searches_are_narrowed_and_gone_on_with(void **state)
{
    Fixture *f = *state;
    Chat__V1__SearchMessagesRequest in = CHAT__V1__SEARCH_MESSAGES_REQUEST__INIT;
    Chat__V1__SearchMessagesReply out;
    int64_t seen[7] = {0}, last = 0;
    size_t count = 0;
    char cursor[24];

    for (int i = 0; i < 7; i++)
        (void)said(f, i & 1 || i == 6 ? OWNER : MEMBER, i == 6 ? HIDDEN : OPEN, i % 3 ? "fox" : "fox fox fox");
    in.q = "fox";
    in.limit = "2";
    do {
        assert_ok(search(f, OWNER, &in, &out));
        for (size_t i = 0; i < out.n_messages; i++) {
            last = out.messages[i]->id;
            for (size_t k = 0; k < count; k++)
                assert_int_not_equal(seen[k], last);
            seen[count++] = last;
        }
        snprintf(cursor, sizeof cursor, "%" PRId64, last);
        in.cursor = cursor;
    } while (out.n_messages);
    assert_int_equal(count, 7);
    in = (Chat__V1__SearchMessagesRequest)CHAT__V1__SEARCH_MESSAGES_REQUEST__INIT;
    in.q = "fox";
    in.author_id = "2";
    assert_ok(search(f, OWNER, &in, &out));
    assert_int_equal(out.n_messages, 3);
    in.author_id = NULL;
    in.channel_id = "201";
    assert_ok(search(f, OWNER, &in, &out));
    assert_int_equal(out.n_messages, 1);
    assert_ok(search(f, MEMBER, &in, &out));
    assert_int_equal(out.n_messages, 0);
    in.channel_id = NULL;
    in.before = "2025-01-01T00:00:00.5+01:00";
    assert_ok(search(f, OWNER, &in, &out));
    assert_int_equal(out.n_messages, 0);
    in.after = in.before;
    in.before = NULL;
    assert_ok(search(f, OWNER, &in, &out));
    assert_int_equal(out.n_messages, 7);
    in.after = "yesterday";
    assert_reason(search(f, OWNER, &in, &out), &INVALID_AFTER);
    in.after = NULL;
    in.before = "2025-01-01 00:00:00Z";
    assert_reason(search(f, OWNER, &in, &out), &INVALID_BEFORE);
    in.author_id = "x";
    assert_reason(search(f, OWNER, &in, &out), &INVALID_AUTHOR_ID);
    in.limit = "101";
    assert_reason(search(f, OWNER, &in, &out), &INVALID_LIMIT);
}

/* By its own cursor also behind a message that is gone meanwhile. */
static void a_search_goes_on_behind_what_was_deleted(void **state)
{
    Fixture *f = *state;
    Chat__V1__SearchMessagesRequest in = CHAT__V1__SEARCH_MESSAGES_REQUEST__INIT;
    Chat__V1__SearchMessagesReply all, out;
    int64_t gone;

    for (int i = 0; i < 7; i++)
        (void)said(f, OWNER, OPEN, i % 3 ? "fox" : "fox fox fox");
    in.q = "fox";
    assert_ok(search(f, OWNER, &in, &all));
    assert_int_equal(all.n_messages, 7);
    gone = all.messages[2]->id;
    test_schema_script(&f->schema, arena_printf(f->schema.mem, "DELETE FROM message WHERE id = %" PRId64, gone));
    in.cursor = all.messages[2]->cursor;
    assert_ok(search(f, OWNER, &in, &out));
    assert_int_equal(out.n_messages, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(out.messages[i]->id, all.messages[3 + i]->id);
    in.cursor = arena_printf(f->schema.mem, "%" PRId64, gone); /* whose rank nobody knows any more */
    assert_ok(search(f, OWNER, &in, &out));
    for (size_t i = 0; i < out.n_messages; i++)
        assert_true(out.messages[i]->id < gone);
    in.cursor = "0.5";
    assert_reason(search(f, OWNER, &in, &out), &INVALID_CURSOR);
}

/* Of a word that is everywhere, the newest are ranked. */
static void a_common_word_costs_no_more_than_so_many(void **state)
{
    Fixture *f = *state;
    Chat__V1__SearchMessagesRequest in = CHAT__V1__SEARCH_MESSAGES_REQUEST__INIT;
    Chat__V1__SearchMessagesReply out;
    int64_t best = said(f, OWNER, OPEN, "fox fox fox fox").id, newest;

    test_schema_script(&f->schema, "INSERT INTO message (channel_id, id, guild_id, author_id, content, words)"
                                   " SELECT m.channel_id, m.id + n, m.guild_id, m.author_id, 'fox', to_tsvector('fox')"
                                   "  || array_to_tsvector(array['#' || m.guild_id])"
                                   " FROM message m, generate_series(1, 10100) n");
    newest = said(f, OWNER, OPEN, "fox fox").id;
    in.q = "fox";
    in.limit = "3";
    assert_ok(search(f, OWNER, &in, &out));
    assert_int_equal(out.n_messages, 3);
    assert_int_equal(out.messages[0]->id, best);
    assert_int_equal(out.messages[1]->id, newest);
    in.cursor = out.messages[2]->cursor;
    assert_ok(search(f, OWNER, &in, &out));
    assert_int_equal(out.n_messages, 3);
    assert_true(out.messages[0]->id < newest);
}

/* --- attachments -----------------------------------------------------------------------------------------------------
 */
static Err bring(Fixture *f, int64_t user, int64_t channel, bool alone, Chat__V1__Attachment *out)
{
    Request rq = fixture_request(f, user);
    Chat__V1__RegisterAttachmentRequest in = CHAT__V1__REGISTER_ATTACHMENT_REQUEST__INIT;

    chat__v1__attachment__init(out);
    SET(&in, channel_id, channel);
    in.media_id = uuid_text(rq.mem, uuid_v4());
    in.filename = "a.png";
    in.content_type = "image/png";
    SET(&in, size, 5);
    in.path = "/attachments/secret/a.png";
    SET(&in, alone, alone);
    return rpc_call(&CHAT_V1_ATTACHMENT_SERVICE, &rq, "RegisterAttachment", &in.base, &out->base);
}

static void messages_take_what_their_author_brought(void **state)
{
    Fixture *f = *state;
    Chat__V1__Attachment a, b, c;
    Chat__V1__SendMessageRequest in = CHAT__V1__SEND_MESSAGE_REQUEST__INIT;
    Chat__V1__Message message;
    Chat__V1__MessageList page;

    assert_reason(bring(f, MEMBER, OPEN, false, &a), &MISSING_PERMISSIONS);
    assert_ok(bring(f, OWNER, OPEN, false, &a));
    assert_ok(bring(f, OWNER, OPEN, false, &b));
    assert_ok(bring(f, OWNER, DM, false, &c));
    assert_int_equal(a.message_id, 0);
    SET(&in, channel_id, OPEN);
    in.attachments = (int64_t[]){a.id};
    in.n_attachments = 1;
    assert_reason(say_more(f, MEMBER, &in, &message), &INVALID_ATTACHMENT);
    assert_ok(say_more(f, OWNER, &in, &message));
    assert_int_equal(message.n_attachments, 1);
    assert_int_equal(message.attachments[0]->message_id, message.id);
    assert_reason(say_more(f, OWNER, &in, &message), &INVALID_ATTACHMENT);
    message = said(f, OWNER, OPEN, "with the other");
    assert_int_equal(message.n_attachments, 1);
    assert_int_equal(message.attachments[0]->id, b.id);
    message = said(f, OWNER, OPEN, "none left");
    assert_int_equal(message.n_attachments, 0);
    assert_ok(list(f, MEMBER, OPEN, NULL, &page));
    assert_int_equal(page.messages[1]->n_attachments, 1);
    assert_string_equal(page.messages[1]->attachments[0]->filename, "a.png");
    assert_int_equal(page.messages[1]->attachments[0]->size, 5);
    assert_ok(delete (f, OWNER, page.messages[1]));
    assert_int_equal(number(f, "SELECT count(*) FROM outbox WHERE ce_type = 'atrium.chat.attachment.released'"), 1);
}

static ChatSweeps sweeps_of(Fixture *f)
{
    return (ChatSweeps){.chat = &f->chat, .db = f->schema.db, .clock = &f->schema.clock};
}

static void what_no_message_takes_goes_its_way(void **state)
{
    Fixture *f = *state;
    ChatSweeps sweeps = sweeps_of(f);
    Chat__V1__Attachment a;
    Chat__V1__MessageList page;
    bool more;

    f->schema.now_us = clock_unix_us(&SYSTEM_CLOCK);
    assert_ok(bring(f, OWNER, OPEN, true, &a));
    assert_ok(bring(f, OWNER, OPEN, false, &a));
    assert_ok(sweep_lone_uploads(&sweeps, &more));
    assert_ok(list(f, OWNER, OPEN, NULL, &page));
    assert_int_equal(page.n_messages, 0);
    f->schema.now_us = clock_unix_us(&SYSTEM_CLOCK) + 3100000;
    assert_ok(sweep_lone_uploads(&sweeps, &more));
    assert_ok(list(f, OWNER, OPEN, NULL, &page));
    assert_int_equal(page.n_messages, 1);
    assert_string_equal(page.messages[0]->content, "");
    assert_int_equal(page.messages[0]->n_attachments, 1);
    f->schema.now_us += INT64_C(3601) * 1000000;
    assert_ok(sweep_old_uploads(&sweeps, &more));
    assert_int_equal(number(f, "SELECT count(*) FROM attachment"), 1);
    assert_int_equal(number(f, "SELECT count(*) FROM outbox WHERE ce_type = 'atrium.chat.attachment.released'"), 1);
}

static void an_upload_in_slow_mode_holds_up_no_other(void **state)
{
    Fixture *f = *state;
    ChatSweeps sweeps = sweeps_of(f);
    Chat__V1__Attachment a;
    Chat__V1__MessageList page;
    bool more;

    test_schema_script(&f->schema, "UPDATE role SET permissions = permissions | 16384;" /* ATTACH_FILES */
                                   "UPDATE channel SET rate_limit_per_user = 60 WHERE id = 200");
    f->schema.now_us = clock_unix_us(&SYSTEM_CLOCK);
    (void)said(f, MEMBER, OPEN, "just now");
    assert_ok(bring(f, MEMBER, OPEN, true, &a));
    assert_ok(bring(f, OWNER, OPEN, true, &a));
    f->schema.now_us = clock_unix_us(&SYSTEM_CLOCK) + 3100000; /* from when they came, however slow this machine is */
    assert_ok(sweep_lone_uploads(&sweeps, &more));
    assert_ok(list(f, OWNER, OPEN, NULL, &page));
    assert_int_equal(page.n_messages, 2);
    assert_int_equal(page.messages[0]->author_id, OWNER);
    assert_int_equal(number(f, "SELECT count(*) FROM attachment WHERE alone"), 0);
}

static void channels_that_are_gone_take_their_messages_along(void **state)
{
    Fixture *f = *state;
    ChatSweeps sweeps = sweeps_of(f);
    bool more = true;

    (void)said(f, OWNER, OPEN, "@u2 a");
    (void)said(f, OWNER, OPEN, "b");
    (void)said(f, OWNER, HIDDEN, "c");
    test_schema_script(&f->schema, "DELETE FROM channel WHERE id = 200");
    for (int i = 0; more && i < 10; i++)
        assert_ok(sweep_channels(&sweeps, &more));
    assert_false(more);
    assert_int_equal(number(f, "SELECT count(*) FROM message"), 1);
    assert_int_equal(number(f, "SELECT count(*) FROM mention"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_is_posted_is_read_again_and_told, places),
        cmocka_unit_test_setup(ids_rise_whatever_the_clock_says, places),
        cmocka_unit_test_setup(characters_are_counted_not_bytes, places),
        cmocka_unit_test_setup(who_may_post_where, places),
        cmocka_unit_test_setup(the_blocked_do_not_write, places),
        cmocka_unit_test_setup(a_text_means_members_and_roles, places),
        cmocka_unit_test_setup(a_reply_means_whom_it_answers, places),
        cmocka_unit_test_setup(slow_mode_holds_for_all_who_do_not_manage, places),
        cmocka_unit_test_setup(pages_go_in_both_directions, places),
        cmocka_unit_test_setup(history_needs_its_permission, places),
        cmocka_unit_test_setup(authors_edit_and_others_do_not, places),
        cmocka_unit_test_setup(an_edited_reply_means_the_same_one, places),
        cmocka_unit_test_setup(in_dms_only_ones_own_is_deleted, places),
        cmocka_unit_test_setup(many_are_deleted_at_once, places),
        cmocka_unit_test_setup(reactions_are_counted_and_told_once, places),
        cmocka_unit_test_setup(a_channel_has_so_many_pins, places),
        cmocka_unit_test_setup(reading_never_goes_back, places),
        cmocka_unit_test_setup(mentions_are_counted_until_they_are_read, places),
        cmocka_unit_test_setup(words_are_found_in_what_one_may_read, places),
        cmocka_unit_test_setup(searches_are_narrowed_and_gone_on_with, places),
        cmocka_unit_test_setup(a_search_goes_on_behind_what_was_deleted, places),
        cmocka_unit_test_setup(a_common_word_costs_no_more_than_so_many, places),
        cmocka_unit_test_setup(messages_take_what_their_author_brought, places),
        cmocka_unit_test_setup(what_no_message_takes_goes_its_way, places),
        cmocka_unit_test_setup(an_upload_in_slow_mode_holds_up_no_other, places),
        cmocka_unit_test_setup(channels_that_are_gone_take_their_messages_along, places),
    };

    return cmocka_run_group_tests(tests, fixture_make, fixture_drop);
}
