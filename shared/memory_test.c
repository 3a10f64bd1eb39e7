#include "shared/memory.h"

#include <unistd.h>

#include "shared/testing.h"

enum { BLOCKS = 2000, BLOCK_BYTES = 16 * 1024 };

static void a_quiet_process_is_left_alone(void **state)
{
    MemoryRest rest = {0};
    (void)state;

    assert_false(memory_rest(&rest));
    assert_false(memory_rest(&rest));
}

/* The sanitizers' allocators have nothing to trim. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static size_t resident_bytes(void)
{
    char text[128] = "";
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long size, pages;

    assert_non_null(f);
    assert_non_null(fgets(text, sizeof(text), f));
    fclose(f);
    assert_int_equal(sscanf(text, "%lu %lu", &size, &pages), 2);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* As connections do: many blocks, and something that outlives them on top. */
static void *burst(void)
{
    static char *blocks[BLOCKS];
    void *top;

    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = xmalloc(BLOCK_BYTES);
        memset(blocks[i], 1, BLOCK_BYTES);
    }
    top = xmalloc(100);
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    return top;
}

static void what_bursts_left_goes_back(void **state)
{
    MemoryRest rest = {0};
    size_t before = resident_bytes();
    (void)state;

    assert_false(memory_rest(&rest));
    for (int round = 0; round < 3; round++) {
        void *top = burst();

        assert_true(resident_bytes() > before + BLOCKS * BLOCK_BYTES / 2);
        assert_true(memory_rest(&rest));
        assert_true(resident_bytes() < before + BLOCKS * BLOCK_BYTES / 8);
        assert_false(memory_rest(&rest)); /* nothing happened since */
        free(top);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quiet_process_is_left_alone),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(what_bursts_left_goes_back),
#endif
    };

    memory_open();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
