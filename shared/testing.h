/* testing: cmocka with what it needs, for *_test.c files. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "shared/base.h"
#include "shared/clock.h"
#include "shared/err.h"

#define assert_ok(call)                                                                                                \
    do {                                                                                                               \
        Err assert_err_ = (call);                                                                                      \
        if (assert_err_.reason)                                                                                        \
            fail_msg("%s: %s: %s", #call, assert_err_.reason->key, assert_err_.text);                                  \
    } while (0)
#define assert_reason(call, wanted)                                                                                    \
    do {                                                                                                               \
        Err assert_err_ = (call);                                                                                      \
        if (assert_err_.reason != (wanted))                                                                            \
            fail_msg("%s: got %s (%s), wanted %s", #call, assert_err_.reason ? assert_err_.reason->key : "OK",         \
                     assert_err_.text, (wanted)->key);                                                                 \
    } while (0)
#define assert_slice_equal(a, b)                                                                                       \
    do {                                                                                                               \
        Slice assert_a_ = (a), assert_b_ = (b);                                                                        \
        if (!slice_eq(assert_a_, assert_b_))                                                                           \
            fail_msg("got \"%.*s\", wanted \"%.*s\"", (int)assert_a_.len, assert_a_.ptr, (int)assert_b_.len,           \
                     assert_b_.ptr);                                                                                   \
    } while (0)
/* Polls. Patient, since tests share a busy machine with others: what has a bound that is promised is measured apart. */
enum { TESTING_PATIENCE_MS = 60000 };
#define WAIT_UNTIL(condition)                                                                                          \
    do {                                                                                                               \
        int64_t wait_end_ = clock_monotonic_ms(&SYSTEM_CLOCK) + TESTING_PATIENCE_MS;                                   \
        while (!(condition)) {                                                                                         \
            if (clock_monotonic_ms(&SYSTEM_CLOCK) > wait_end_)                                                         \
                fail_msg("never came true: %s", #condition);                                                           \
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);                                                   \
        }                                                                                                              \
    } while (0)
#define RUN(tests) cmocka_run_group_tests(tests, NULL, NULL)
