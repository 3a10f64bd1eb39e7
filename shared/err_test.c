#include "shared/err.h"

#include <errno.h>

#include "atrium/reasons.atrium.h"
#include "shared/slice.h"
#include "shared/testing.h"

static void a_wrapped_error_reads_outermost_step_first(void **state)
{
    Err e = err_wrap(err_wrap(err_make(&NOT_FOUND, "no room %d", 7), "load room"), "post");
    (void)state;

    assert_ptr_equal(e.reason, &NOT_FOUND);
    assert_string_equal(e.text, "post: load room: no room 7");
}

static void success_stays_success_when_wrapped(void **state)
{
    (void)state;
    assert_false(err_failed(err_wrap(OK, "step")));
    assert_string_equal(err_wrap(OK, "step").text, "");
}

static void long_texts_are_cut_between_characters(void **state)
{
    char text[256];
    (void)state;

    for (size_t lead = 0; lead < 4; lead++) {
        Err e, wrapped;
        memset(text, 'x', lead);
        text[lead] = '\0';
        while (strlen(text) + 3 < sizeof(text))
            memcpy(text + strlen(text), "é", sizeof("é"));
        e = err_make(&INTERNAL, "%s", text);
        wrapped = err_wrap(e, "a step");
        assert_true(utf8_valid(slice(e.text)));
        assert_true(utf8_valid(slice(wrapped.text)));
        assert_in_range(strlen(e.text), sizeof(e.text) - 4, sizeof(e.text) - 1);
    }
}

static void errno_is_spelled_out(void **state)
{
    (void)state;
    errno = ENOENT;
    assert_string_equal(err_errno(&INTERNAL, "open x").text, "open x: No such file or directory");
}

static void reasons_are_found_by_their_keys(void **state)
{
    static const Reason OURS = {.key = "test.v1.OURS", .code = "OURS", .http = 418};
    static const Reason *const LIST[] = {&OURS};
    (void)state;

    assert_ptr_equal(reason_find("CONFLICT"), &CONFLICT);
    assert_null(reason_find("test.v1.OURS"));
    reasons_add(LIST, ARRAY_LEN(LIST));
    assert_ptr_equal(reason_find("test.v1.OURS"), &OURS);
    assert_null(reason_find("OURS"));
    assert_null(reason_find(""));
    assert_null(reason_find(NULL));
}

static Err fails_at(int step, int *reached)
{
    for (*reached = 0; *reached < 3; (*reached)++)
        TRY(*reached == step ? err_make(&CONFLICT, "step %d", step) : OK);
    return OK;
}

static void try_returns_at_the_first_failure(void **state)
{
    int reached;
    (void)state;

    assert_reason(fails_at(1, &reached), &CONFLICT);
    assert_int_equal(reached, 1);
    assert_ok(fails_at(9, &reached));
    assert_int_equal(reached, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrapped_error_reads_outermost_step_first),
        cmocka_unit_test(success_stays_success_when_wrapped),
        cmocka_unit_test(long_texts_are_cut_between_characters),
        cmocka_unit_test(errno_is_spelled_out),
        cmocka_unit_test(reasons_are_found_by_their_keys),
        cmocka_unit_test(try_returns_at_the_first_failure),
    };
    return RUN(tests);
}
