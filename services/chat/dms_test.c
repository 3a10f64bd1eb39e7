/* Channels between people, and who is blocked, through the dispatch table on a real schema. */
#include "atrium/chat/v1/dms.service.h"

#include <pthread.h>

#include "services/chat/fixture.h"
#include "services/chat/store_dms.h"

enum { PARALLEL = 6 };

static int people(void **state)
{
    Fixture *f = *state;

    test_schema_script(&f->schema, "TRUNCATE person, guild, channel, outbox, block CASCADE;"
                                   "INSERT INTO person (user_id, username, display_name, created_at)"
                                   " SELECT i, 'u' || i, 'User ' || i, now() FROM generate_series(1, 12) i");
    return 0;
}

static int64_t number(Fixture *f, const char *sql)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    assert_ok(db_read_with(f->schema.db, 5000, sql, DB_NO_ARGS, &rows));
    return db_get_int64(&rows, 0, 0);
}

static Google__Protobuf__Value *text(Arena *mem, int64_t id)
{
    Google__Protobuf__Value *value = MESSAGE_NEW(mem, Google__Protobuf__Value, google__protobuf__value__init);

    value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    value->string_value = arena_printf(mem, "%" PRId64, id);
    return value;
}

/* `mem` NULL: the fixture's, which is one thread's alone. */
static Err open_in(Fixture *f, Arena *mem, int64_t user, int64_t other, Chat__V1__DMChannel *out)
{
    Request rq = fixture_request(f, user);
    Chat__V1__OpenDmRequest in = CHAT__V1__OPEN_DM_REQUEST__INIT;

    rq.mem = mem ? mem : rq.mem;
    chat__v1__dmchannel__init(out);
    in.recipient_id = text(rq.mem, other);
    return rpc_call(&CHAT_V1_DM_SERVICE, &rq, "OpenDm", &in.base, &out->base);
}

static Err open_with(Fixture *f, int64_t user, int64_t other, Chat__V1__DMChannel *out)
{
    return open_in(f, NULL, user, other, out);
}

static Err open_group(Fixture *f, int64_t user, const int64_t *others, size_t count, Chat__V1__DMChannel *out)
{
    Request rq = fixture_request(f, user);
    Chat__V1__OpenDmRequest in = CHAT__V1__OPEN_DM_REQUEST__INIT;

    chat__v1__dmchannel__init(out);
    in.recipient_ids = ARENA_ARRAY(rq.mem, Google__Protobuf__Value *, count);
    for (size_t i = 0; i < count; i++)
        in.recipient_ids[in.n_recipient_ids++] = text(rq.mem, others[i]);
    return rpc_call(&CHAT_V1_DM_SERVICE, &rq, "OpenDm", &in.base, &out->base);
}

static Err recipient_in(Fixture *f, Arena *mem, int64_t user, const char *rpc, int64_t channel, int64_t other)
{
    Request rq = fixture_request(f, user);
    Chat__V1__RecipientRequest in = CHAT__V1__RECIPIENT_REQUEST__INIT;
    Chat__V1__RecipientReply out = CHAT__V1__RECIPIENT_REPLY__INIT;

    rq.mem = mem ? mem : rq.mem;
    in.channel_id = arena_printf(rq.mem, "%" PRId64, channel);
    in.user_id = arena_printf(rq.mem, "%" PRId64, other);
    return rpc_call(&CHAT_V1_DM_SERVICE, &rq, rpc, &in.base, &out.base);
}

static Err recipient(Fixture *f, int64_t user, const char *rpc, int64_t channel, int64_t other)
{
    return recipient_in(f, NULL, user, rpc, channel, other);
}

static Err block(Fixture *f, int64_t user, const char *rpc, int64_t other)
{
    Request rq = fixture_request(f, user);
    Chat__V1__BlockRequest in = CHAT__V1__BLOCK_REQUEST__INIT;
    Chat__V1__BlockReply out = CHAT__V1__BLOCK_REPLY__INIT;

    SET(&in, user_id, other);
    return rpc_call(&CHAT_V1_DM_SERVICE, &rq, rpc, &in.base, &out.base);
}

/* --- DMs -------------------------------------------------------------------------------------------------------------
 */
static void two_people_have_one_dm(void **state)
{
    Fixture *f = *state;
    Chat__V1__DMChannel a, b;
    Request rq = fixture_request(f, 2);
    Chat__V1__ListDmsRequest in = CHAT__V1__LIST_DMS_REQUEST__INIT;
    Chat__V1__ListDmsReply list = CHAT__V1__LIST_DMS_REPLY__INIT;

    assert_ok(open_with(f, 2, 1, &a));
    assert_ok(open_with(f, 1, 2, &b));
    assert_int_equal(a.id, b.id);
    assert_int_equal(a.type, CHANNEL_DIRECT);
    assert_false(a.has_owner_id);
    assert_int_equal(a.n_recipients, 2);
    assert_int_equal(a.recipients[0]->id, 1);
    assert_string_equal(a.recipients[1]->username, "u2");
    assert_int_equal(number(f, "SELECT count(*) FROM outbox WHERE subject LIKE 'dsp.chat.u.%'"), 2);
    assert_ok(open_with(f, 2, 3, &b));
    assert_ok(rpc_call(&CHAT_V1_DM_SERVICE, &rq, "ListDms", &in.base, &list.base));
    assert_int_equal(list.n_channels, 2);
    assert_int_equal(list.channels[0]->id, b.id);
    assert_int_equal(list.channels[1]->n_recipients, 2);
}

static void a_dm_needs_somebody_else(void **state)
{
    Request rq = fixture_request(*state, 1);
    Chat__V1__OpenDmRequest in = CHAT__V1__OPEN_DM_REQUEST__INIT;
    Google__Protobuf__Value word = GOOGLE__PROTOBUF__VALUE__INIT;
    Chat__V1__DMChannel dm = CHAT__V1__DMCHANNEL__INIT;

    assert_reason(rpc_call(&CHAT_V1_DM_SERVICE, &rq, "OpenDm", &in.base, &dm.base), &INVALID_RECIPIENT);
    word.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    word.string_value = "ann";
    in.recipient_id = &word;
    assert_reason(rpc_call(&CHAT_V1_DM_SERVICE, &rq, "OpenDm", &in.base, &dm.base), &INVALID_RECIPIENT);
    word.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
    word.number_value = 1.5;
    assert_reason(rpc_call(&CHAT_V1_DM_SERVICE, &rq, "OpenDm", &in.base, &dm.base), &INVALID_RECIPIENT);
    word.number_value = 1;
    assert_reason(rpc_call(&CHAT_V1_DM_SERVICE, &rq, "OpenDm", &in.base, &dm.base), &INVALID_RECIPIENT);
    word.number_value = 2;
    assert_ok(rpc_call(&CHAT_V1_DM_SERVICE, &rq, "OpenDm", &in.base, &dm.base));
}

typedef struct Opener {
    Fixture *f;
    int64_t user, other, got;
} Opener;

static void *run_opener(void *data)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    Opener *o = data;
    Chat__V1__DMChannel dm;

    o->got = err_failed(open_in(o->f, mem, o->user, o->other, &dm)) ? 0 : dm.id;
    return NULL;
}

static void of_parallel_first_calls_one_makes_it(void **state)
{
    pthread_t threads[PARALLEL];
    Opener openers[PARALLEL];

    for (int i = 0; i < PARALLEL; i++) {
        openers[i] = (Opener){.f = *state, .user = 1 + i % 2, .other = 2 - i % 2};
        assert_int_equal(pthread_create(&threads[i], NULL, run_opener, &openers[i]), 0);
    }
    for (int i = 0; i < PARALLEL; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < PARALLEL; i++) {
        assert_int_not_equal(openers[i].got, 0);
        assert_int_equal(openers[i].got, openers[0].got);
    }
    assert_int_equal(number(*state, "SELECT count(*) FROM channel"), 1);
}

/* --- groups ----------------------------------------------------------------------------------------------------------
 */
static void a_group_has_ten_and_no_one_twice(void **state)
{
    static const int64_t NINE[] = {2, 3, 4, 5, 6, 7, 8, 9, 10}, TWICE[] = {2, 2}, OWN[] = {1};
    static const int64_t TEN[] = {2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    Chat__V1__DMChannel a, b;

    assert_reason(open_group(*state, 1, TEN, ARRAY_LEN(TEN), &a), &INVALID_RECIPIENTS);
    assert_reason(open_group(*state, 1, TWICE, ARRAY_LEN(TWICE), &a), &INVALID_RECIPIENTS);
    assert_reason(open_group(*state, 1, OWN, ARRAY_LEN(OWN), &a), &INVALID_RECIPIENTS);
    assert_ok(open_group(*state, 1, NINE, ARRAY_LEN(NINE), &a));
    assert_ok(open_group(*state, 1, NINE, 1, &b));
    assert_int_not_equal(a.id, b.id);
    assert_int_equal(a.type, CHANNEL_GROUP);
    assert_int_equal(a.owner_id, 1);
    assert_int_equal(a.n_recipients, GROUP_RECIPIENTS_MAX);
    assert_reason(recipient(*state, 1, "AddRecipient", a.id, 11), &MAX_MEMBERS);
    assert_reason(recipient(*state, 1, "AddRecipient", b.id, 2), &ALREADY_MEMBER);
    assert_reason(recipient(*state, 2, "AddRecipient", b.id, 3), &PERMISSION_DENIED);
    assert_ok(recipient(*state, 1, "AddRecipient", b.id, 3));
    assert_reason(recipient(*state, 1, "AddRecipient", 999, 3), &NOT_FOUND);
    assert_ok(open_with(*state, 1, 2, &a));
    assert_reason(recipient(*state, 1, "AddRecipient", a.id, 3), &INVALID_CHANNEL);
}

typedef struct Adder {
    Fixture *f;
    int64_t channel, other;
    bool added;
} Adder;

static void *run_adder(void *data)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    Adder *a = data;

    a->added = !err_failed(recipient_in(a->f, mem, 1, "AddRecipient", a->channel, a->other));
    return NULL;
}

static void the_limit_holds_when_many_are_added_at_once(void **state)
{
    static const int64_t SEVEN[] = {2, 3, 4, 5, 6, 7, 8};
    pthread_t threads[4];
    Adder adders[4];
    Chat__V1__DMChannel group;
    int added = 0;

    assert_ok(open_group(*state, 1, SEVEN, ARRAY_LEN(SEVEN), &group));
    for (int i = 0; i < 4; i++) {
        adders[i] = (Adder){.f = *state, .channel = group.id, .other = 9 + i};
        assert_int_equal(pthread_create(&threads[i], NULL, run_adder, &adders[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        added += adders[i].added;
    }
    assert_int_equal(added, 2);
    assert_int_equal(number(*state, "SELECT count(*) FROM recipient"), GROUP_RECIPIENTS_MAX);
}

static void an_owner_who_goes_passes_it_on(void **state)
{
    static const int64_t TWO[] = {2, 3};
    Fixture *f = *state;
    Chat__V1__DMChannel group;

    assert_ok(open_group(f, 1, TWO, ARRAY_LEN(TWO), &group));
    assert_reason(recipient(f, 2, "RemoveRecipient", group.id, 3), &PERMISSION_DENIED);
    assert_reason(recipient(f, 4, "RemoveRecipient", group.id, 4), &PERMISSION_DENIED);
    assert_reason(recipient(f, 1, "RemoveRecipient", group.id, 4), &NOT_FOUND);
    assert_ok(recipient(f, 1, "RemoveRecipient", group.id, 1));
    assert_int_equal(number(f, "SELECT owner_id FROM channel"), 2);
    assert_ok(recipient(f, 2, "RemoveRecipient", group.id, 3));
    assert_ok(recipient(f, 2, "RemoveRecipient", group.id, 2));
    assert_int_equal(number(f, "SELECT count(*) FROM channel"), 0);
}

/* --- blocks ----------------------------------------------------------------------------------------------------------
 */
static void the_blocked_open_nothing(void **state)
{
    static const int64_t THREE[] = {3};
    Fixture *f = *state;
    Request rq = fixture_request(f, 1);
    Chat__V1__ListBlocksRequest in = CHAT__V1__LIST_BLOCKS_REQUEST__INIT;
    Chat__V1__ListBlocksReply list = CHAT__V1__LIST_BLOCKS_REPLY__INIT;
    Chat__V1__DMChannel dm;
    int64_t one = 1;

    assert_reason(block(f, 1, "BlockUser", 1), &INVALID_USER);
    assert_ok(open_with(f, 1, 2, &dm));
    assert_ok(block(f, 1, "BlockUser", 2));
    assert_ok(block(f, 1, "BlockUser", 2));
    assert_reason(open_with(f, 2, 1, &dm), &PERMISSION_DENIED);
    assert_reason(open_group(f, 2, &one, 1, &dm), &PERMISSION_DENIED);
    assert_ok(open_with(f, 1, 2, &dm));
    assert_ok(open_group(f, 2, THREE, 1, &dm));
    assert_reason(recipient(f, 2, "AddRecipient", dm.id, 1), &PERMISSION_DENIED);
    assert_ok(rpc_call(&CHAT_V1_DM_SERVICE, &rq, "ListBlocks", &in.base, &list.base));
    assert_int_equal(list.n_blocks, 1);
    assert_string_equal(list.blocks[0]->user->username, "u2");
    assert_int_equal(number(f, "SELECT count(*) FROM outbox WHERE subject = 'dsp.chat.u.1' AND key = '1'"), 1);
    assert_ok(block(f, 1, "UnblockUser", 2));
    assert_ok(block(f, 1, "UnblockUser", 2));
    assert_ok(open_with(f, 2, 1, &dm));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(two_people_have_one_dm, people),
        cmocka_unit_test_setup(a_dm_needs_somebody_else, people),
        cmocka_unit_test_setup(of_parallel_first_calls_one_makes_it, people),
        cmocka_unit_test_setup(a_group_has_ten_and_no_one_twice, people),
        cmocka_unit_test_setup(the_limit_holds_when_many_are_added_at_once, people),
        cmocka_unit_test_setup(an_owner_who_goes_passes_it_on, people),
        cmocka_unit_test_setup(the_blocked_open_nothing, people),
    };

    return cmocka_run_group_tests(tests, fixture_make, fixture_drop);
}
