#include "shared/id.h"

#include <pthread.h>

#include "shared/testing.h"

/* A clock that a test sets, and that moves by itself when told to, so that waiting for it ends. */
typedef struct FakeClock {
    int64_t unix_us, step_us;
} FakeClock;

static int64_t fake_unix_us(void *context)
{
    FakeClock *f = context;

    return f->unix_us += f->step_us;
}

static Clock fake_clock(FakeClock *f)
{
    return (Clock){.unix_us = fake_unix_us, .monotonic_us = fake_unix_us, .context = f};
}

#define MS_2026 INT64_C(1767225600000)
#define MS_2025 INT64_C(1735689600000)

static void user_ids_have_their_layout(void **state)
{
    FakeClock f = {.unix_us = (MS_2026 + 12345678) * 1000};
    Clock clock = fake_clock(&f);
    CLEANUP(id_source_free_at) IdSource *ids = id_source_new(&clock, 1023);
    int64_t first = id_next_user(ids), second = id_next_user(ids);
    (void)state;

    assert_int_equal(first >> 20, 123456);
    assert_int_equal(first >> 10 & 1023, 1023);
    assert_int_equal(first & 1023, 0);
    assert_int_equal(second, first + 1);
    f.unix_us += 100 * 1000;
    assert_int_equal(id_next_user(ids), ((INT64_C(123457) << 10) | 1023) << 10);
}

static void user_ids_stay_positive_and_below_2_to_the_53(void **state)
{
    static const int64_t TIMES_MS[] = {0, MS_2026 - 1, MS_2026, MS_2026 + ((INT64_C(1) << 33) - 1) * 100};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(TIMES_MS); i++) {
        FakeClock f = {.unix_us = TIMES_MS[i] * 1000};
        Clock clock = fake_clock(&f);
        CLEANUP(id_source_free_at) IdSource *ids = id_source_new(&clock, 0);
        int64_t id = id_next_user(ids);
        assert_true(id > 0);
        assert_true(id < INT64_C(1) << 53);
    }
}

static void snowflakes_carry_their_time(void **state)
{
    FakeClock f = {.unix_us = (MS_2025 + 1000) * 1000};
    Clock clock = fake_clock(&f);
    CLEANUP(id_source_free_at) IdSource *ids = id_source_new(&clock, 33);
    int64_t id = id_next(ids);
    (void)state;

    assert_int_equal(id, INT64_C(1000) << 22 | 33 << 12);
    assert_int_equal(id_snowflake_unix_ms(id), MS_2025 + 1000);
    assert_int_equal(id_next(ids), id + 1);
}

static void ids_never_go_back_with_the_clock(void **state)
{
    FakeClock f = {.unix_us = (MS_2026 + 1000000) * 1000};
    Clock clock = fake_clock(&f);
    CLEANUP(id_source_free_at) IdSource *ids = id_source_new(&clock, 1);
    int64_t user = 0, snowflake = 0;
    char ulid[ULID_TEXT_BYTES] = "", uuid[UUID_TEXT_BYTES] = "";
    (void)state;

    for (int i = 0; i < 500; i++) {
        char next_ulid[ULID_TEXT_BYTES], next_uuid[UUID_TEXT_BYTES];
        int64_t next_user = id_next_user(ids), next_snowflake = id_next(ids);
        assert_true(next_user > user);
        assert_true(next_snowflake > snowflake);
        id_ulid(ids, next_ulid);
        uuid_format(uuid_v7(ids), next_uuid);
        assert_true(strcmp(next_ulid, ulid) > 0);
        assert_true(strcmp(next_uuid, uuid) > 0);
        user = next_user;
        snowflake = next_snowflake;
        memcpy(ulid, next_ulid, sizeof(ulid));
        memcpy(uuid, next_uuid, sizeof(uuid));
        f.unix_us += i % 2 ? -50000 : 20000;
    }
}

static void a_used_up_sequence_waits_for_the_next_tick(void **state)
{
    FakeClock f = {.unix_us = (MS_2026 + 1000) * 1000};
    Clock clock = fake_clock(&f);
    CLEANUP(id_source_free_at) IdSource *ids = id_source_new(&clock, 0);
    int64_t last = 0;
    (void)state;

    for (int i = 0; i < 1024; i++)
        last = id_next_user(ids);
    assert_int_equal(last, (INT64_C(10) << 20) + 1023);
    f.step_us = 60000; /* time goes on while it waits */
    assert_int_equal(id_next_user(ids), INT64_C(11) << 20);
}

static void a_clock_that_stands_still_is_not_waited_for_long(void **state)
{
    FakeClock f = {.unix_us = (MS_2025 + 1000) * 1000};
    Clock clock = fake_clock(&f);
    CLEANUP(id_source_free_at) IdSource *ids = id_source_new(&clock, 0);
    int64_t last = 0;
    (void)state;

    for (int i = 0; i < 3 * 4096; i++) {
        int64_t next = id_next(ids);
        assert_true(next > last);
        last = next;
    }
    assert_int_equal(last >> 22, 1002);
}

enum { THREADS = 4, IDS_PER_THREAD = 20000 };

typedef struct Minter {
    IdSource *ids;
    int64_t minted[IDS_PER_THREAD];
} Minter;

static void *mint(void *data)
{
    Minter *m = data;

    for (int i = 0; i < IDS_PER_THREAD; i++)
        m->minted[i] = id_next(m->ids);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void threads_share_a_source(void **state)
{
    static Minter minters[THREADS];
    static int64_t all[THREADS * IDS_PER_THREAD];
    CLEANUP(id_source_free_at) IdSource *ids = id_source_new(&SYSTEM_CLOCK, 5);
    pthread_t threads[THREADS];
    (void)state;

    for (int t = 0; t < THREADS; t++) {
        minters[t].ids = ids;
        assert_int_equal(pthread_create(&threads[t], NULL, mint, &minters[t]), 0);
    }
    for (int t = 0; t < THREADS; t++) {
        assert_int_equal(pthread_join(threads[t], NULL), 0);
        memcpy(all + t * IDS_PER_THREAD, minters[t].minted, sizeof(minters[t].minted));
    }
    qsort(all, ARRAY_LEN(all), sizeof(all[0]), compare);
    for (size_t i = 1; i < ARRAY_LEN(all); i++)
        assert_true(all[i] > all[i - 1]);
}

static void ulids_are_crockford_base_32(void **state)
{
    static const uint8_t MAX_ULID[16] = {255, 255, 255, 255, 255, 255, 255, 255,
                                         255, 255, 255, 255, 255, 255, 255, 255};
    static const char *const WRONG[] = {"",
                                        "80000000000000000000000000",
                                        "01ARZ3NDEKTSV4RRFFQ69G5FA",
                                        "01ARZ3NDEKTSV4RRFFQ69G5FAVX",
                                        "01ARZ3NDEKTSV4RRFFQ69G5FAU",
                                        "01ARZ3NDEKTSV4RRFFQ69G5FAI",
                                        "01ARZ3NDEKTSV4RRFFQ69G5FA-"};
    uint8_t bytes[16], again[16];
    char text[ULID_TEXT_BYTES];
    (void)state;

    id_ulid_format(MAX_ULID, text);
    assert_string_equal(text, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
    assert_true(id_ulid_parse(SLICE_LIT("01ARZ3NDEKTSV4RRFFQ69G5FAV"), bytes));
    assert_true(id_ulid_parse(SLICE_LIT("01arz3ndektsv4rrffq69g5fav"), again));
    assert_memory_equal(bytes, again, 16);
    id_ulid_format(bytes, text);
    assert_string_equal(text, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
    /* 0x01563E3AB5D3 ms, the time in that ULID of the specification */
    assert_memory_equal(bytes, "\x01\x56\x3e\x3a\xb5\xd3", 6);
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        if (id_ulid_parse(slice(WRONG[i]), bytes))
            fail_msg("\"%s\" was read", WRONG[i]);
    }
}

static void uuids_have_version_variant_and_time(void **state)
{
    FakeClock f = {.unix_us = INT64_C(0x0123456789AB) * 1000};
    Clock clock = fake_clock(&f);
    CLEANUP(id_source_free_at) IdSource *ids = id_source_new(&clock, 0);
    Uuid seven = uuid_v7(ids), four = uuid_v4(), other = uuid_v4();
    (void)state;

    assert_memory_equal(seven.bytes, "\x01\x23\x45\x67\x89\xab", 6);
    assert_int_equal(seven.bytes[6] >> 4, 7);
    assert_int_equal(seven.bytes[8] >> 6, 2);
    assert_int_equal(four.bytes[6] >> 4, 4);
    assert_int_equal(four.bytes[8] >> 6, 2);
    assert_memory_not_equal(four.bytes, other.bytes, 16);
}

static void a_user_id_goes_into_a_uuid_and_back(void **state)
{
    static const int64_t IDS[] = {1, 255, 256, INT64_C(123456789012345), (INT64_C(1) << 53) - 1};
    static const char *const FOREIGN[] = {
        "00000000-0000-0000-0000-000000000000", "61747269-756d-8000-8000-000000000000",
        "61747269-756d-8000-8020-000000000000", "61747269-756d-8000-9000-000000000001",
        "61747269-756d-4000-8000-000000000001", "61747268-756d-8000-8000-000000000001",
        "01890a5d-ac96-774b-bcce-b302099a8057"};
    int64_t id;
    Uuid u;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(IDS); i++) {
        u = uuid_from_user_id(IDS[i]);
        assert_int_equal(u.bytes[6] >> 4, 8);
        assert_int_equal(u.bytes[8] >> 6, 2);
        assert_true(uuid_to_user_id(u, &id));
        assert_int_equal(id, IDS[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(FOREIGN); i++) {
        assert_true(uuid_parse(slice(FOREIGN[i]), &u));
        if (uuid_to_user_id(u, &id))
            fail_msg("%s", FOREIGN[i]);
    }
}

static void uuids_are_read_in_every_usual_form(void **state)
{
    static const char *const GOOD[] = {
        "01890a5d-ac96-774b-bcce-b302099a8057",
        "01890A5D-AC96-774B-BCCE-B302099A8057",
        "01890a5dac96774bbcceb302099a8057",
        "{01890a5d-ac96-774b-bcce-b302099a8057}",
        "urn:uuid:01890a5d-ac96-774b-bcce-b302099a8057",
        "URN:UUID:01890a5d-ac96-774b-bcce-b302099a8057",
    };
    static const char *const WRONG[] = {
        "",
        "{}",
        "urn:uuid:",
        "01890a5d-ac96-774b-bcce-b302099a805",
        "01890a5d-ac96-774b-bcce-b302099a80577",
        "01890a5d-ac96-774b-bcceb-302099a8057",
        "01890a5dac96-774b-bcce-b302099a8057-",
        "g1890a5d-ac96-774b-bcce-b302099a8057",
        "{01890a5d-ac96-774b-bcce-b302099a8057",
        "01890a5d ac96 774b bcce b302099a8057",
        "urn:uuid:{01890a5d-ac96-774b-bcce-b302099a8057}",
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(256);
    Uuid u;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++) {
        if (!uuid_parse(slice(GOOD[i]), &u))
            fail_msg("\"%s\" was not read", GOOD[i]);
        assert_string_equal(uuid_text(mem, u), GOOD[0]);
    }
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        if (uuid_parse(slice(WRONG[i]), &u))
            fail_msg("\"%s\" was read", WRONG[i]);
    }
}

static void random_bytes_differ(void **state)
{
    uint8_t a[300] = {0}, b[300] = {0};
    (void)state;

    random_bytes(a, sizeof(a));
    random_bytes(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    assert_true(random_uint64() != random_uint64());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(user_ids_have_their_layout),
        cmocka_unit_test(user_ids_stay_positive_and_below_2_to_the_53),
        cmocka_unit_test(snowflakes_carry_their_time),
        cmocka_unit_test(ids_never_go_back_with_the_clock),
        cmocka_unit_test(a_used_up_sequence_waits_for_the_next_tick),
        cmocka_unit_test(a_clock_that_stands_still_is_not_waited_for_long),
        cmocka_unit_test(threads_share_a_source),
        cmocka_unit_test(ulids_are_crockford_base_32),
        cmocka_unit_test(uuids_have_version_variant_and_time),
        cmocka_unit_test(a_user_id_goes_into_a_uuid_and_back),
        cmocka_unit_test(uuids_are_read_in_every_usual_form),
        cmocka_unit_test(random_bytes_differ),
    };
    return RUN(tests);
}
