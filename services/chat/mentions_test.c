/* Whom a text means. */
#include "services/chat/mentions.h"

#include "shared/testing.h"

typedef struct Case {
    const char *text;
    int64_t users[3], roles[3];
    const char *names[3];
    bool everyone;
} Case;

static const Case CASES[] = {
    {.text = ""},
    {.text = "nobody at all"},
    {.text = "<@12> and <@!13>", .users = {12, 13}},
    {.text = "<@12><@12>", .users = {12}},
    {.text = "<@&77> <@&78>", .roles = {77, 78}},
    {.text = "@ann, @Bob_2!", .names = {"ann", "Bob_2"}},
    {.text = "(@ann) \"@ann\" @ANN", .names = {"ann"}},
    {.text = "@everyone", .everyone = true},
    {.text = "now: @here", .everyone = true},
    {.text = "@everyones", .names = {"everyones"}},
    {.text = "ann@example.org a.b@example.org x-@ann"},
    {.text = "\xc3\xa9@ann"},
    {.text = "\xc3\xa9 @ann", .names = {"ann"}},
    {.text = "@"},
    {.text = "@a"},
    {.text = "<@>"},
    {.text = "<@12"},
    {.text = "<@-12>"},
    {.text = "<@+12>"},
    {.text = "<@12x>"},
    {.text = "<@99999999999999999999>"},
    {.text = "<@9223372036854775807>", .users = {INT64_MAX}},
    {.text = "@abcdefghijabcdefghijabcdefghij123"},
};

static void a_text_means_whom_it_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        const Case *c = &CASES[i];
        Mentions m;
        size_t users = 0, roles = 0, names = 0;

        mentions_find(slice(c->text), &m);
        for (; users < 3 && c->users[users]; users++)
            assert_int_equal(m.users[users], c->users[users]);
        for (; roles < 3 && c->roles[roles]; roles++)
            assert_int_equal(m.roles[roles], c->roles[roles]);
        for (; names < 3 && c->names[names]; names++)
            assert_true(slice_eq_cstr(m.names[names], c->names[names]));
        assert_int_equal(m.user_count, users);
        assert_int_equal(m.role_count, roles);
        assert_int_equal(m.name_count, names);
        assert_int_equal(m.everyone, c->everyone);
        assert_int_equal(mentions_none(&m), users + roles + names == 0);
    }
}

static void no_more_are_meant_than_may_be(void **state)
{
    char text[MENTIONS_MAX * 2 * 8];
    size_t len = 0;
    Mentions m;

    (void)state;
    for (int i = 0; i < MENTIONS_MAX * 2; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "<@%d> ", 100 + i);
    mentions_find(slice_of(text, len), &m);
    assert_int_equal(m.user_count, MENTIONS_MAX);
    assert_int_equal(m.users[MENTIONS_MAX - 1], 100 + MENTIONS_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_means_whom_it_names),
        cmocka_unit_test(no_more_are_meant_than_may_be),
    };

    return RUN(tests);
}
