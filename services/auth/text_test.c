/* What usernames and e-mail addresses may look like. */
#include "services/auth/text.h"

#include "shared/testing.h"

static void usernames_are_short_words(void **state)
{
    static const struct {
        const char *name;
        bool valid;
    } CASES[] = {
        {"ab", true},
        {"Alice_42", true},
        {"abcdefghijklmnopqrstuvwxyz012345", true},
        {"", false},
        {"a", false},
        {"abcdefghijklmnopqrstuvwxyz0123456", false},
        {"with space", false},
        {"dash-ed", false},
        {"a@b.c", false},
        {"m\xc3\xbcller", false},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        if (username_valid(slice(CASES[i].name)) != CASES[i].valid)
            fail_msg("\"%s\"", CASES[i].name);
}

static void addresses_are_checked(void **state)
{
    static const struct {
        const char *text, *address; /* NULL: refused */
    } CASES[] = {
        {"ann@example.com", "ann@example.com"},
        {" Ann.O'Neil+tag@Mail.Example.Com ", "Ann.O'Neil+tag@Mail.Example.Com"},
        {"Ann <ann@example.com>", "ann@example.com"},
        {"<ann@example.com>", "ann@example.com"},
        {"", NULL},
        {"ann", NULL},
        {"@example.com", NULL},
        {"ann@", NULL},
        {"ann@example", NULL},
        {"ann@@example.com", NULL},
        {"ann@example..com", NULL},
        {"ann@-example.com", NULL},
        {"ann@example.com.", NULL},
        {".ann@example.com", NULL},
        {"ann.@example.com", NULL},
        {"a..nn@example.com", NULL},
        {"an n@example.com", NULL},
        {"\"ann\"@example.com", NULL},
        {"\xc3\xa4nn@example.com", NULL},
        {"ann@ex\xc3\xa4mple.com", NULL},
        {"ann@host.test", NULL},
        {"ann@host.LOCALHOST", NULL},
        {"ann@localhost", NULL},
        {"ann@printer.local", NULL},
        {"ann@x.invalid", NULL},
        {">", NULL},
        {"<>", NULL},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Slice out = {NULL, 0};
        const char *problem = email_parse(slice(CASES[i].text), false, &out);
        if ((problem == NULL) != (CASES[i].address != NULL))
            fail_msg("\"%s\": %s", CASES[i].text, problem ? problem : "accepted");
        if (!problem)
            assert_slice_equal(out, slice(CASES[i].address));
    }
}

static void addresses_have_a_longest_length(void **state)
{
    char text[300];
    Slice out;
    (void)state;

    memset(text, 'a', sizeof(text));
    memcpy(text + 64, "@example.com", 13);
    assert_null(email_parse(slice(text), false, &out));
    memcpy(text + 65, "@example.com", 13);
    text[64] = 'a';
    assert_non_null(email_parse(slice(text), false, &out));
    for (int i = 10; i < 290; i += 10)
        text[i] = '.';
    text[5] = '@';
    text[295] = '\0';
    assert_non_null(email_parse(slice(text), false, &out));
}

static void reserved_names_pass_when_asked(void **state)
{
    Slice out;
    (void)state;

    assert_null(email_parse(SLICE_LIT("ann@host.test"), true, &out));
    assert_null(email_parse(SLICE_LIT("ann@localhost"), true, &out));
}

static void addresses_make_usernames(void **state)
{
    static const struct {
        const char *email, *username; /* NULL: with a random end */
    } CASES[] = {
        {"ann@example.com", "ann"},
        {"ann.o'neil+tag@example.com", "ann_o_neil"},
        {"a@example.com", NULL},
        {"a-very-long-name-that-goes-on-and-on@example.com", "a_very_long_name_that_g"},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        char *first = username_for_email(mem, slice(CASES[i].email), 0);
        char *second = username_for_email(mem, slice(CASES[i].email), 1);
        assert_true(username_valid(slice(first)));
        assert_true(username_valid(slice(second)));
        assert_string_not_equal(first, second);
        if (CASES[i].username)
            assert_string_equal(first, CASES[i].username);
    }
}

static void header_texts_become_storable(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    (void)state;

    assert_string_equal(text_of_header(mem, NULL, 10), "");
    assert_string_equal(text_of_header(mem, "curl/8", 10), "curl/8");
    assert_string_equal(text_of_header(mem, "m\xc3\xbcller", 10), "m\xc3\xbcller");
    assert_string_equal(text_of_header(mem, "abc\xc3\xbc", 4), "abc?");
    assert_string_equal(text_of_header(mem, "caf\xe9", 10), "caf?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usernames_are_short_words),       cmocka_unit_test(addresses_are_checked),
        cmocka_unit_test(addresses_have_a_longest_length), cmocka_unit_test(reserved_names_pass_when_asked),
        cmocka_unit_test(addresses_make_usernames),        cmocka_unit_test(header_texts_become_storable),
    };

    return RUN(tests);
}
