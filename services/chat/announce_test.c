/* Who follows what, and what browsers are told beside (announce.h): read back from the rows of the outbox. */
#include "services/chat/announce.h"

#include "atrium/chat/v1/gateway.pb-c.h"
#include "atrium/options.pb-c.h"
#include "services/chat/fixture.h"

enum { ANN = 1, BOB = 2, EVE = 3, DAN = 4, GUILD = 100, GENERAL = 101, HIDDEN = 102, NEW = 104, DM = 200 };

/* Ann owns; Bob is staff and sees HIDDEN; Eve and Dan see GENERAL alone. */
static int setup(void **state)
{
    Fixture *f;

    fixture_empty(state);
    f = *state;
    for (int64_t user = ANN; user <= DAN; user++)
        fixture_person(f, user);
    test_schema_script(
        &f->schema,
        "INSERT INTO guild (id, name, owner_id, created_at) VALUES (100, 'Guild', 1, now());"
        "INSERT INTO role (id, guild_id, name, permissions, position) VALUES (100, 100, '@everyone', 32771, 0),"
        " (103, 100, 'Staff', 0, 1);"
        "INSERT INTO channel (id, guild_id, type, name, created_at) VALUES (101, 100, 0, 'general', now()),"
        " (102, 100, 2, 'hidden', now());"
        "INSERT INTO channel_override (channel_id, role_id, allow, deny) VALUES (102, 100, 0, 1), (102, 103, 1, 0);"
        "INSERT INTO member (guild_id, user_id, joined_at, roles) VALUES (100, 1, now(), '{}'), (100, 2, now(), "
        "'{103}'),"
        " (100, 3, now(), '{}'), (100, 4, now(), '{}')");
    return 0;
}

static DbTx begin(Fixture *f)
{
    DbTx tx;

    assert_ok(db_tx_begin_with(f->schema.db, 5000, &tx));
    assert_ok(chat_lock_guild(&tx, GUILD));
    return tx;
}

/* The rows so far, as "subject event event …" each, in order; what they hold last in `out`. */
static size_t told(Fixture *f, char **out_lines, Atrium__Dispatch **out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    assert_ok(
        db_read_with(f->schema.db, 5000, "SELECT subject, key, payload FROM outbox ORDER BY pos", DB_NO_ARGS, &rows));
    for (int i = 0; i < rows.count; i++) {
        ProtobufCMessage *message;

        assert_ok(message_unpack(f->schema.mem, &atrium__dispatch__descriptor, db_get_bytes(&rows, i, 2), &message));
        out[i] = (Atrium__Dispatch *)message;
        out_lines[i] =
            arena_printf(f->schema.mem, "%s %s", db_get_cstr(f->schema.mem, &rows, i, 0) + strlen("dsp.chat."),
                         db_get_cstr(f->schema.mem, &rows, i, 1));
    }
    return (size_t)rows.count;
}

/* "READY" of a frame. */
static const char *event_of(Fixture *f, const Atrium__SocketFrame *frame)
{
    Slice text = slice_of(frame->parts[0]->text.data, frame->parts[0]->text.len), name, rest;

    text = slice_skip(text, strlen("{\"op\":0,\"t\":\""));
    assert_true(slice_cut(text, '"', &name, &rest));
    return slice_cstr(f->schema.mem, name);
}

static bool lists(char *const *list, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(list[i], text))
            return true;
    return false;
}

/* Of the change that says of `topic` who joins: its users, and whom it leaves out. */
static const Atrium__AudienceChange *change_of(const Atrium__Dispatch *d, const char *topic, bool join)
{
    for (size_t i = 0; i < d->n_changes; i++)
        if (join ? lists(d->changes[i]->join, d->changes[i]->n_join, topic)
                 : lists(d->changes[i]->leave, d->changes[i]->n_leave, topic))
            return d->changes[i];
    return NULL;
}

static void who_joins_follows_and_sees_it(void **state)
{
    Fixture *f = *state;
    Atrium__Dispatch *d[4];
    char *lines[4];
    DbTx tx = begin(f);

    assert_ok(chat_announce_joined(&tx, f->schema.mem, GUILD, EVE, "mark"));
    assert_ok(db_tx_commit(&tx));
    db_tx_done(&tx);
    assert_int_equal(told(f, lines, d), 1);
    assert_string_equal(lines[0], "u.3 100");
    assert_string_equal(d[0]->mark, "mark");
    assert_int_equal(d[0]->n_changes, 1);
    assert_int_equal(d[0]->changes[0]->n_users, 1);
    assert_int_equal(d[0]->changes[0]->n_join, 2);
    assert_non_null(change_of(d[0], "g.100", true));
    assert_non_null(change_of(d[0], "g.100.c.101", true));
    assert_int_equal(d[0]->n_variants, 2);
    assert_int_equal(d[0]->variants[0]->n_dialects, 1);
    assert_int_equal(d[0]->variants[0]->dialects[0], ATRIUM__DIALECT__RETROCAST_WEB);
    assert_int_equal(d[0]->variants[0]->n_frames, 1 + 2 + 1 + 1); /* roles, himself, general */
    assert_string_equal(event_of(f, d[0]->variants[0]->frames[0]), "GUILD_CREATE");
    assert_int_equal(d[0]->variants[1]->n_frames, 1);
}

static void who_leaves_follows_nothing(void **state)
{
    Fixture *f = *state;
    Atrium__Dispatch *d[4];
    char *lines[4];
    DbTx tx = begin(f);

    test_schema_script(&f->schema, "INSERT INTO voice_state VALUES (100, 2, 102, false, false, now())");
    assert_ok(chat_announce_left(&tx, f->schema.mem, GUILD, BOB));
    assert_ok(db_tx_commit(&tx));
    db_tx_done(&tx);
    assert_int_equal(told(f, lines, d), 2);
    assert_string_equal(lines[0], "g.100.c.102 100"); /* his voice state */
    assert_string_equal(lines[1], "u.2 100");
    assert_string_equal(d[1]->changes[0]->leave[0], "g.100");
    assert_string_equal(event_of(f, d[1]->variants[0]->frames[0]), "GUILD_DELETE");
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM voice_order WHERE user_id = 2"), 1);
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM voice_state"), 0);
}

/* Announces what `sql` changes of what `user` (0: all) sees. */
static size_t change_rights(Fixture *f, int64_t user, const char *sql, char **lines, Atrium__Dispatch **d)
{
    DbTx tx = begin(f);
    Audience seen;

    assert_ok(audience_look(&tx, f->schema.mem, GUILD, 0, user, &seen));
    assert_ok(db_exec(&tx, sql, DB_NO_ARGS));
    assert_ok(chat_announce_visibility(&tx, f->schema.mem, &seen));
    assert_ok(db_tx_commit(&tx));
    db_tx_done(&tx);
    return told(f, lines, d);
}

static void who_gains_a_channel_follows_and_sees_it(void **state)
{
    Fixture *f = *state;
    Atrium__Dispatch *d[4];
    char *lines[4];

    assert_int_equal(change_rights(f, 0, "DELETE FROM channel_override WHERE role_id = 100", lines, d), 1);
    assert_string_equal(lines[0], "g.100 100");
    /* Ann and Bob saw it before: nothing changes for them, nor for others where general is concerned. */
    assert_int_equal(d[0]->n_changes, 1);
    assert_true(d[0]->changes[0]->exact);
    assert_int_equal(d[0]->changes[0]->n_join, 1);
    assert_string_equal(d[0]->changes[0]->join[0], "g.100.c.102");
    assert_string_equal(d[0]->changes[0]->topic, "g.100");
    assert_int_equal(d[0]->changes[0]->n_except_users, 2);
    assert_int_equal(d[0]->n_variants, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(d[0]->variants[i]->n_except_users, 2);
        assert_string_equal(event_of(f, d[0]->variants[i]->frames[0]), "CHANNEL_CREATE");
    }
    assert_int_equal(d[0]->variants[0]->dialects[0], ATRIUM__DIALECT__RETROCAST_WEB);
    assert_string_equal(event_of(f, d[0]->variants[0]->frames[1]), "MESSAGE_DELETE");
    assert_int_equal(d[0]->variants[1]->n_frames, 1);
}

static void who_loses_a_channel_is_told_and_out_of_its_voice(void **state)
{
    Fixture *f = *state;
    Atrium__Dispatch *d[4];
    char *lines[4];

    test_schema_script(&f->schema, "INSERT INTO voice_state VALUES (100, 2, 102, false, false, now())");
    assert_int_equal(change_rights(f, BOB, "UPDATE member SET roles = '{}' WHERE user_id = 2", lines, d), 2);
    assert_string_equal(lines[0], "g.100.c.102 100"); /* while he follows it still */
    assert_string_equal(event_of(f, d[0]->variants[0]->frames[0]), "VOICE_STATE_UPDATE");
    assert_string_equal(lines[1], "g.100 100");
    assert_int_equal(d[1]->n_changes, 1);
    assert_int_equal(d[1]->changes[0]->n_users, 1);
    assert_int_equal(d[1]->changes[0]->users[0], BOB);
    assert_string_equal(d[1]->changes[0]->leave[0], "g.100.c.102");
    assert_int_equal(d[1]->n_variants, 1);
    assert_int_equal(d[1]->variants[0]->users[0], BOB);
    assert_string_equal(event_of(f, d[1]->variants[0]->frames[0]), "CHANNEL_DELETE");
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM voice_order WHERE user_id = 2"), 1);
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM voice_state"), 0);
}

static void what_makes_no_difference_is_not_told(void **state)
{
    Fixture *f = *state;
    Atrium__Dispatch *d[4];
    char *lines[4];

    assert_int_equal(change_rights(f, 0, "UPDATE role SET permissions = 1 WHERE id = 103", lines, d), 0);
    assert_int_equal(change_rights(f, EVE, "UPDATE member SET roles = '{}' WHERE user_id = 3", lines, d), 0);
}

static void some_gain_what_others_lose(void **state)
{
    Fixture *f = *state;
    Atrium__Dispatch *d[4];
    char *lines[4];

    assert_int_equal(change_rights(f, 0,
                                   "UPDATE channel_override SET allow = 1 - allow, deny = 1 - deny"
                                   " WHERE channel_id = 102",
                                   lines, d),
                     1);
    assert_int_equal(d[0]->n_changes, 2);
    assert_non_null(change_of(d[0], "g.100.c.102", true));
    assert_int_equal(change_of(d[0], "g.100.c.102", false)->users[0], BOB);
    assert_int_equal(d[0]->n_variants, 3);
    assert_string_equal(event_of(f, d[0]->variants[2]->frames[0]), "CHANNEL_DELETE");
}

static void a_new_channel_reaches_who_may_view_it(void **state)
{
    Fixture *f = *state;
    Chat__V1__Channel channel = CHAT__V1__CHANNEL__INIT;
    Atrium__Dispatch *d[4];
    char *lines[4];
    DbTx tx = begin(f);

    test_schema_script(&f->schema, "INSERT INTO channel (id, guild_id, type, name, created_at)"
                                   " VALUES (104, 100, 0, 'new', now())");
    SET(&channel, id, NEW);
    SET(&channel, guild_id, GUILD);
    channel.name = "new";
    assert_ok(chat_announce_channel_created(&tx, f->schema.mem, &channel, ANN, NULL));
    assert_ok(db_tx_commit(&tx));
    db_tx_done(&tx);
    assert_int_equal(told(f, lines, d), 1);
    assert_string_equal(lines[0], "g.100.c.104 100");
    assert_non_null(change_of(d[0], "g.100.c.104", true));
    assert_null(change_of(d[0], "g.100.c.101", true)); /* nothing is said of others */
    assert_int_equal(d[0]->n_variants, 3);
    assert_int_equal(d[0]->variants[0]->users[0], ANN);
    assert_string_equal(event_of(f, d[0]->variants[0]->frames[0]), "CHANNEL_UPDATE");
    assert_string_equal(event_of(f, d[0]->variants[0]->frames[1]), "MESSAGE_DELETE");
    assert_string_equal(event_of(f, d[0]->variants[1]->frames[0]), "CHANNEL_CREATE");
    assert_int_equal(d[0]->variants[1]->n_frames, 2);
    assert_string_equal(event_of(f, d[0]->variants[2]->frames[0]), "CHANNEL_CREATE");
    assert_int_equal(d[0]->variants[2]->n_frames, 1);
}

static void what_is_deleted_is_followed_by_nobody(void **state)
{
    Fixture *f = *state;
    Atrium__Dispatch *d[8];
    char *lines[8];
    DbTx tx = begin(f);

    test_schema_script(&f->schema, "INSERT INTO voice_state VALUES (100, 2, 102, false, false, now())");
    assert_ok(chat_announce_channel_deleted(&tx, f->schema.mem, GUILD, HIDDEN));
    assert_ok(chat_announce_guild_deleted(&tx, f->schema.mem, GUILD));
    assert_ok(db_tx_commit(&tx));
    db_tx_done(&tx);
    assert_int_equal(told(f, lines, d), 5);
    assert_string_equal(event_of(f, d[0]->variants[0]->frames[0]), "VOICE_STATE_UPDATE");
    assert_string_equal(event_of(f, d[1]->variants[0]->frames[0]), "CHANNEL_DELETE");
    assert_string_equal(d[2]->changes[0]->topic, "g.100.c.102");
    assert_string_equal(d[2]->changes[0]->leave[0], "g.100.c.102");
    assert_string_equal(event_of(f, d[3]->variants[0]->frames[0]), "GUILD_DELETE");
    assert_string_equal(d[4]->changes[0]->leave[0], "g.100");
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM voice_order WHERE user_id IS NULL"), 1);
}

static void recipients_follow_their_dm(void **state)
{
    Fixture *f = *state;
    Chat__V1__GuildGone any = CHAT__V1__GUILD_GONE__INIT; /* a message is a message */
    const int64_t both[] = {ANN, BOB};
    Atrium__Dispatch *d[8];
    char *lines[8];
    DbTx tx = begin(f);

    assert_ok(chat_announce_dm_created(&tx, f->schema.mem, DM, both, 2, &any.base));
    assert_ok(chat_announce_dm_recipient_added(&tx, f->schema.mem, DM, EVE, &any.base));
    assert_ok(chat_announce_dm_recipient_removed(&tx, f->schema.mem, DM, BOB, &any.base, &any.base));
    assert_ok(db_tx_commit(&tx));
    db_tx_done(&tx);
    assert_int_equal(told(f, lines, d), 6);
    assert_string_equal(lines[0], "u.1 200");
    assert_string_equal(d[0]->changes[0]->join[0], "d.200");
    assert_int_equal(d[0]->variants[0]->n_frames, 2); /* primed */
    assert_string_equal(lines[1], "u.2 200");
    assert_string_equal(lines[2], "u.3 200");
    assert_string_equal(lines[3], "d.200 200");
    assert_string_equal(event_of(f, d[3]->variants[0]->frames[0]), "CHANNEL_UPDATE");
    assert_string_equal(lines[4], "u.2 200");
    assert_string_equal(d[4]->changes[0]->leave[0], "d.200");
    assert_string_equal(event_of(f, d[4]->variants[0]->frames[0]), "CHANNEL_DELETE");
    assert_string_equal(lines[5], "d.200 200");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(who_joins_follows_and_sees_it, setup),
        cmocka_unit_test_setup(who_leaves_follows_nothing, setup),
        cmocka_unit_test_setup(who_gains_a_channel_follows_and_sees_it, setup),
        cmocka_unit_test_setup(who_loses_a_channel_is_told_and_out_of_its_voice, setup),
        cmocka_unit_test_setup(what_makes_no_difference_is_not_told, setup),
        cmocka_unit_test_setup(some_gain_what_others_lose, setup),
        cmocka_unit_test_setup(a_new_channel_reaches_who_may_view_it, setup),
        cmocka_unit_test_setup(what_is_deleted_is_followed_by_nobody, setup),
        cmocka_unit_test_setup(recipients_follow_their_dm, setup),
    };

    return cmocka_run_group_tests(tests, fixture_make, fixture_drop);
}
