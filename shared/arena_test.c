#include "shared/arena.h"

#include "shared/testing.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

static void allocations_are_aligned_zeroed_and_apart(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(256);
    char *blocks[200];
    size_t total = 0;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
        size_t align = (size_t)1 << i % 8, size = i * 3;
        blocks[i] = arena_alloc(mem, size, align);
        assert_int_equal((uintptr_t)blocks[i] % align, 0);
        for (size_t b = 0; b < size; b++)
            assert_int_equal(blocks[i][b], 0);
        memset(blocks[i], (int)i, size);
        total += size;
    }
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
        for (size_t b = 0; b < i * 3; b++)
            assert_int_equal((unsigned char)blocks[i][b], i);
    }
    assert_int_equal(arena_used(mem), total);
}

static void a_reset_arena_starts_again_in_its_first_chunk(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    char *first = arena_strdup(mem, "first");
    (void)state;

    for (int i = 0; i < 100; i++)
        memset(arena_alloc_raw(mem, 900, 1), 0x55, 900);
    arena_reset(mem);
    assert_int_equal(arena_used(mem), 0);
    assert_ptr_equal(arena_strdup(mem, "again"), first);
    assert_string_equal(arena_alloc(mem, 100, 1), ""); /* zeroed although used before */
}

static void a_large_allocation_leaves_the_current_chunk_in_use(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    char *before = arena_alloc(mem, 8, 8), *large = arena_alloc(mem, 1 << 20, 64), *after = arena_alloc(mem, 8, 8);
    (void)state;

    memset(large, 1, 1 << 20);
    assert_in_range((uintptr_t)after, (uintptr_t)before, (uintptr_t)before + 64);
}

static void the_latest_allocation_grows_in_place(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    char *text = arena_grow(mem, NULL, 0, 4), *other;
    (void)state;

    memcpy(text, "abcd", 4);
    assert_ptr_equal(arena_grow(mem, text, 4, 100), text);
    assert_ptr_equal(arena_grow(mem, text, 100, 50), text);
    other = arena_alloc(mem, 1, 1);
    assert_ptr_not_equal(arena_grow(mem, text, 100, 200), text);
    assert_memory_equal(arena_grow(mem, text, 100, 5000), "abcd", 4);
    assert_int_equal(*other, 0);
}

static void copies_are_copies(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(256);
    char source[] = "text", long_text[1000];
    char *copy = arena_strdup(mem, source), *part = arena_strndup(mem, source, 2);
    (void)state;

    source[0] = 'T';
    assert_string_equal(copy, "text");
    assert_string_equal(part, "te");
    assert_null(arena_strdup(mem, NULL));
    assert_memory_equal(arena_memdup(mem, "a\0b", 3), "a\0b", 3);
    assert_non_null(arena_memdup(mem, NULL, 0));
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    assert_string_equal(arena_printf(mem, "%s", long_text), long_text);
    assert_string_equal(arena_printf(mem, "%d-%s", 7, "x"), "7-x");
    arena_free(NULL);
}

#if defined(__SANITIZE_ADDRESS__)
static void the_sanitizer_sees_what_is_dead(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    char *p = arena_alloc(mem, 16, 16), *q = arena_alloc(mem, 16, 16);
    (void)state;

    assert_false(__asan_address_is_poisoned(p + 15));
    assert_true(__asan_address_is_poisoned(p + 16));
    assert_true(__asan_address_is_poisoned(q + 16));
    arena_reset(mem);
    assert_true(__asan_address_is_poisoned(p));
    assert_true(__asan_address_is_poisoned(q));
    assert_ptr_equal(arena_alloc(mem, 16, 16), p);
    assert_false(__asan_address_is_poisoned(p));
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_aligned_zeroed_and_apart),
        cmocka_unit_test(a_reset_arena_starts_again_in_its_first_chunk),
        cmocka_unit_test(a_large_allocation_leaves_the_current_chunk_in_use),
        cmocka_unit_test(the_latest_allocation_grows_in_place),
        cmocka_unit_test(copies_are_copies),
#if defined(__SANITIZE_ADDRESS__)
        cmocka_unit_test(the_sanitizer_sees_what_is_dead),
#endif
    };
    return RUN(tests);
}
