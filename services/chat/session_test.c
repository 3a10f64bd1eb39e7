/* Ids of sessions: read back as they were made, and nothing else is taken for one. */
#include "services/chat/session.h"

#include "shared/message.h"
#include "shared/testing.h"

static const uint8_t SECRET[SESSION_SECRET_BYTES] = "the secret of this test, in full",
                     OTHER[SESSION_SECRET_BYTES] = "x";

static char *make(Arena *mem, const uint8_t *secret)
{
    Chat__V1__SessionFacts facts = CHAT__V1__SESSION_FACTS__INIT;

    SET(&facts, user_id, 7);
    facts.login_id = "login";
    facts.epoch = "epoch";
    return session_id_make(mem, secret, &facts);
}

static void an_id_says_what_was_put_in(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Chat__V1__SessionFacts *facts;
    (void)state;

    assert_true(session_id_read(mem, SECRET, slice(make(mem, SECRET)), &facts));
    assert_int_equal(facts->user_id, 7);
    assert_string_equal(facts->login_id, "login");
    assert_string_equal(facts->epoch, "epoch");
    assert_string_not_equal(make(mem, SECRET), make(mem, SECRET)); /* each is another */
}

static void no_other_text_is_one(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    char *id = make(mem, SECRET);
    Chat__V1__SessionFacts *facts;
    (void)state;

    assert_false(session_id_read(mem, SECRET, slice(make(mem, OTHER)), &facts));
    assert_false(session_id_read(mem, SECRET, slice(""), &facts));
    assert_false(session_id_read(mem, SECRET, slice("."), &facts));
    for (size_t i = 0; id[i]; i++) { /* any letter that is another */
        char *changed = arena_strdup(mem, id);

        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        if (id[i + 1] && id[i] != '.') /* the last one has bits that mean nothing */
            assert_false(session_id_read(mem, SECRET, slice(changed), &facts));
    }
    for (size_t len = 0; len < strlen(id) - 1; len++)
        assert_false(session_id_read(mem, SECRET, slice_of(id, len), &facts));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_says_what_was_put_in),
        cmocka_unit_test(no_other_text_is_one),
    };

    return RUN(tests);
}
