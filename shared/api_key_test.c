#include "shared/api_key.h"

#include "shared/testing.h"

static void what_is_made_is_well_formed(void **state)
{
    static const char *const SCHEMES[] = {API_KEY_COMMONS, API_KEY_PERSONAL};
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(SCHEMES); i++) {
        char *key = api_key_make(mem, SCHEMES[i]);

        assert_true(slice_starts_with(slice(key), slice(SCHEMES[i])));
        assert_int_equal(strlen(key), strlen(SCHEMES[i]) + 49);
        assert_true(strlen(key) <= API_KEY_MAX_BYTES);
        assert_true(api_key_looks(slice(key)));
        assert_true(api_key_well_formed(slice(key)));
        assert_string_not_equal(key, api_key_make(mem, SCHEMES[i]));
    }
}

/* Reckoned with Python's zlib.crc32, so that keys of today are good tomorrow. */
static void the_checksum_stays_what_it_is(void **state)
{
    (void)state;
    assert_true(api_key_well_formed(SLICE_LIT("sel_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA3Jy7iC")));
    assert_true(api_key_well_formed(SLICE_LIT("sk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA2nuKpf")));
}

static void a_key_that_was_touched_is_refused(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    char *key = api_key_make(mem, API_KEY_COMMONS);
    size_t len = strlen(key);
    (void)state;

    for (size_t i = 0; i < len; i++) {
        char *changed = arena_strdup(mem, key);

        changed[i] = changed[i] == 'x' ? 'y' : 'x';
        assert_false(api_key_well_formed(slice(changed)));
        assert_false(api_key_well_formed(slice_of(key, i)));
    }
    assert_false(api_key_well_formed(slice(arena_printf(mem, "%sx", key))));
    assert_false(api_key_well_formed(slice_skip(slice(key), 1)));
}

static void other_tokens_are_no_keys(void **state)
{
    static const char *const OTHERS[] = {"", "sel_", "sk_", "sel", "a.b.c", "SEL_abc", "0123456789abcdef"};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(OTHERS); i++) {
        assert_false(api_key_looks(slice(OTHERS[i])));
        assert_false(api_key_well_formed(slice(OTHERS[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_made_is_well_formed),
        cmocka_unit_test(the_checksum_stays_what_it_is),
        cmocka_unit_test(a_key_that_was_touched_is_refused),
        cmocka_unit_test(other_tokens_are_no_keys),
    };

    return RUN(tests);
}
