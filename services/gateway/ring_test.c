/* Tests of the ring: who gets what, in which order, and when it ends. */
#include "services/gateway/ring_fixture.h"

static void who_follows_a_topic_gets_what_it_tells(void **state)
{
    Socket *a = socket_of(1), *b = socket_of(2);
    (void)state;

    tell("g.1");
    start(a, "g.1 u.1");
    start(b, "g.1.c.2");
    tell("g.1");     /* 2 */
    tell("g.1.c.2"); /* 3 */
    tell("g.10");    /* 4 */
    tell("u.1");     /* 5 */
    ASSERT_WRITTEN(a, 2, 5);
    ASSERT_WRITTEN(b, 3);
    ring_forget(a);
    tell("g.1");
    tell("g.1.c.2"); /* 7 */
    ASSERT_WRITTEN(a, 2, 5);
    ASSERT_WRITTEN(b, 3, 7);
    ring_forget(b);
    ring_forget(b);
}

static void a_resume_gets_what_it_missed_in_order_over_all_topics(void **state)
{
    Socket *s = socket_of(1);
    (void)state;

    tell("a");
    tell("b"); /* 2 */
    tell("c");
    tell("a"); /* 4 */
    tell("b"); /* 5 */
    resume(s, "a b", 1);
    ASSERT_WRITTEN(s, 2, 4, 5);
    tell("a");
    ASSERT_WRITTEN(s, 2, 4, 5, 6);
    assert_int_equal(ring_position(s), 6);
    ring_forget(s);
}

static void what_comes_while_a_request_is_under_way_comes_once(void **state)
{
    Socket *s = socket_of(1);
    RingChange c;
    (void)state;

    start(s, "a");
    c = ask(s);
    tell("a"); /* 1 */
    tell("b"); /* 2 */
    assert_int_equal(ring_position_before(s, &c), 2);
    reply(s, c, "", "a b");
    ASSERT_WRITTEN(s, 1, 2);
    /* Left and joined again by one reply: what it had of it does not come again. */
    c = ask(s);
    tell("a"); /* 3 */
    reply(s, c, "a", "a");
    tell("a"); /* 4 */
    ASSERT_WRITTEN(s, 1, 2, 3, 4);
    ring_forget(s);
}

static void frames_before_the_first_joins_stand_where_it_begins(void **state)
{
    Socket *s = socket_of(1);
    RingChange c = ask(s);
    Atrium__TopicJoin join = ATRIUM__TOPIC_JOIN__INIT, *list = &join;
    (void)state;

    tell("a");
    tell("a");
    join.topic = (char *)"a";
    assert_int_equal(ring_position_before(s, &c), 2); /* joins nothing */
    c.join = &list;
    c.n_join = 1;
    assert_int_equal(ring_position_before(s, &c), 0);
    ring_apply(s, &c);
    ASSERT_WRITTEN(s, 1, 2);
    ring_forget(s);
}

static void a_change_after_the_question_counts_whatever_the_answer_knew(void **state)
{
    Socket *gains = socket_of(1), *loses = socket_of(2), *back = socket_of(3);
    RingChange g = ask(gains), l = ask(loses), b = ask(back);
    (void)state;

    tell("t");                                  /* 1 */
    tell_change("t", change(1, NULL, "t", "")); /* 2 */
    tell_change("t", change(2, NULL, "", "t")); /* 3 */
    tell_change("t", change(3, NULL, "", "t")); /* 4 */
    tell("t");                                  /* 5 */
    tell_change("t", change(3, NULL, "t", "")); /* 6 */
    tell("t");                                  /* 7 */
    reply(gains, g, "", "u.1");                 /* read before 2 */
    reply(loses, l, "", "u.2 t");               /* read before 3 */
    reply(back, b, "", "u.3 t");                /* read before 4, or after 6 */
    ASSERT_WRITTEN(gains, 2, 3, 4, 5, 6, 7);
    ASSERT_WRITTEN(loses, 1, 2);
    ASSERT_WRITTEN(back, 1, 2, 3, 6, 7);
    ring_forget(gains);
    ring_forget(loses);
    ring_forget(back);
}

static void changes_are_in_the_order_of_the_stream(void **state)
{
    Socket *a = socket_of(1), *b = socket_of(2);
    Atrium__AudienceChange *all_but_b = change(0, "g.1", "g.1.c.2", "");
    (void)state;

    start(a, "g.1 u.1");
    start(b, "g.1 u.2");
    all_but_b->except_users = ARENA_ARRAY(mem, int64_t, 1);
    all_but_b->except_users[0] = 2;
    all_but_b->n_except_users = 1;
    tell("g.1.c.2");                                    /* 1: to nobody */
    tell_change("g.1.c.2", all_but_b);                  /* 2: to a, who has just joined it */
    tell("g.1.c.2");                                    /* 3 */
    tell_change("g.1.c.2", change(1, NULL, "", "g.1")); /* 4: a is out, and of all below it */
    tell("g.1.c.2");
    tell("g.1"); /* 6 */
    tell("u.1"); /* 7 */
    ASSERT_WRITTEN(a, 2, 3, 7);
    ASSERT_WRITTEN(b, 6);
    ring_forget(a);
    ring_forget(b);
}

static int64_t *users_of(size_t *out_count, int64_t a, int64_t b, int64_t c)
{
    int64_t *list = ARENA_ARRAY(mem, int64_t, 3);

    list[0] = a;
    list[1] = b;
    list[2] = c;
    *out_count = 3;
    return list;
}

static void lists_of_users_may_be_in_any_order(void **state)
{
    Socket *a = socket_of(1), *b = socket_of(2), *c = socket_of(3);
    Atrium__AudienceChange *c_leaves = change(0, "t", "", "t"), *a_and_b_join = change(1, NULL, "v", "");
    Atrium__Dispatch *d = dispatch_of(NULL, variant("for a and c, but not c"));
    (void)state;

    start(a, "t");
    start(b, "t");
    start(c, "t");
    d->variants[0]->users = users_of(&d->variants[0]->n_users, 9, 3, 1);
    d->variants[0]->except_users = users_of(&d->variants[0]->n_except_users, 8, 3, 2);
    dispatch_at(1, "t", d);
    c_leaves->except_users = users_of(&c_leaves->n_except_users, 7, 2, 1);
    tell_change("t", c_leaves); /* 2 */
    a_and_b_join->users = users_of(&a_and_b_join->n_users, 3, 2, 1);
    a_and_b_join->except_users = users_of(&a_and_b_join->n_except_users, 5, 3, 4);
    tell_change("v", a_and_b_join); /* 3 */
    ASSERT_WRITTEN(a, 1, 2, 3);
    ASSERT_WRITTEN(b, 2, 3);
    ASSERT_WRITTEN(c);
    ring_forget(a);
    ring_forget(b);
    ring_forget(c);
}

static void changes_mean_nobody_who_has_not_begun(void **state)
{
    Socket *s = socket_of(1);
    RingChange c = ask(s);
    (void)state;

    c.marks = texts("seen", &c.n_marks); /* known by its user, and follows nothing */
    ring_apply(s, &c);
    tell_change("t", change(1, NULL, "t", ""));
    ASSERT_WRITTEN(s);
    reply(s, c, "", "u.1");
    ASSERT_WRITTEN(s, 1);
    ring_forget(s);
}

static void a_dispatch_is_made_once_for_all_who_see_the_same(void **state)
{
    Socket *a = socket_of(1), *b = socket_of(2), *c = socket_of(3), *web = socket_of(4);
    Atrium__Dispatch *d = dispatch_of(NULL, NULL);
    (void)state;

    web->dialect = 2;
    start(a, "t");
    start(b, "t");
    start(c, "t");
    start(web, "t");
    d->variants = ARENA_ARRAY(mem, Atrium__DispatchVariant *, 3);
    d->n_variants = 3;
    d->variants[0] = variant("web");
    d->variants[0]->dialects = ARENA_ARRAY(mem, uint32_t, 1);
    d->variants[0]->dialects[0] = 2;
    d->variants[0]->n_dialects = 1;
    d->variants[1] = variant("for b");
    d->variants[1]->users = ARENA_ARRAY(mem, int64_t, 1);
    d->variants[1]->users[0] = 2;
    d->variants[1]->n_users = 1;
    d->variants[2] = variant("all but c");
    d->variants[2]->except_users = ARENA_ARRAY(mem, int64_t, 1);
    d->variants[2]->except_users[0] = 3;
    d->variants[2]->n_except_users = 1;
    dispatch_at(1, "t", d);
    tell("t"); /* 2 */
    ASSERT_WRITTEN(a, 1, 2);
    ASSERT_WRITTEN(b, 1, 2);
    ASSERT_WRITTEN(c, 2);
    ASSERT_WRITTEN(web, 1, 2);
    assert_ptr_equal(a->last, b->last);
    assert_ptr_equal(a->last, c->last);
    assert_ptr_not_equal(a->last, web->last);
    ring_forget(a);
    ring_forget(b);
    ring_forget(c);
    ring_forget(web);
}

static void what_cannot_be_read_keeps_its_place(void **state)
{
    Socket *s = socket_of(1);
    (void)state;

    start(s, "t");
    say((RingItem){.kind = RING_ITEM_ENTRY,
                   .entry = ring_entry_new(SLICE_LIT("t"), 1, now_us / 1000, SLICE_LIT("\xff\xff"))});
    dispatch_at(2, "t", dispatch_of(NULL, variant("!")));
    tell("t");
    ASSERT_WRITTEN(s, 3);
    assert_int_equal(counter_value(ring->metrics.unreadable), 2);
    assert_int_equal(s->broken, 0);
    ring_forget(s);
}

static void a_client_that_is_ahead_of_us_gets_nothing_twice(void **state)
{
    Socket *s = socket_of(1);
    (void)state;

    tell("t");
    resume(s, "t u.1", 3); /* it was on an edge that had seen more */
    assert_int_equal(ring_position(s), 3);
    tell("t");
    tell_change("v", change(1, NULL, "v", "")); /* 3 */
    tell("t");                                  /* 4 */
    tell("v");                                  /* 5 */
    ASSERT_WRITTEN(s, 4, 5);
    ring_forget(s);
}

static void what_is_read_again_is_passed_over(void **state)
{
    Socket *s = socket_of(1);
    (void)state;

    start(s, "t");
    tell("t");
    tell("t");
    dispatch_at(1, "t", dispatch_of(NULL, variant("x")));
    dispatch_at(2, "t", dispatch_of(NULL, variant("x")));
    tell("t");
    ASSERT_WRITTEN(s, 1, 2, 3);
    ring_forget(s);
}

/* Of what the database says at the end nobody knows since when it was so. */
static void a_gap_in_which_the_audience_changed_is_not_filled_in(void **state)
{
    static const struct {
        const char *what, *said_before; /* on which topic */
        int64_t user;
        const char *topic, *join, *leave; /* of the change */
        bool takes, exact;
    } cases[] = {
        {"let in", "g.1.c.2", 1, NULL, "g.1.c.2", "", false, false},
        {"let in where nothing was said", "g.1.c.3", 1, NULL, "g.1.c.2", "", true, false},
        {"somebody else let in", "g.1.c.2", 2, NULL, "g.1.c.2", "", true, false},
        {"let out of all", "g.9.c.2", 1, NULL, "", "g.9", false, false},
        {"all of a guild let in", "g.1.c.2", 0, "g.1", "g.1.c.2", "", false, false},
        {"all of another", "g.2.c.2", 0, "g.2", "g.2.c.2", "", true, false},
        {"a channel that ended", "g.1.c.2", 0, "g.1.c.2", "", "g.1.c.2", false, false},
        {"let in, exactly", "g.1.c.2", 1, NULL, "g.1.c.2", "", true, true},
        {"let out, exactly", "g.1.c.2", 1, NULL, "", "g.1.c.2", true, true},
        {"out of all and in again", "g.1.c.2", 1, NULL, "", "g.1", false, true},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Socket *s = socket_of(1);
        RingChange c;
        RingLook look;
        Atrium__TopicJoin joins[] = {ATRIUM__TOPIC_JOIN__INIT, ATRIUM__TOPIC_JOIN__INIT};
        Atrium__TopicJoin *list[] = {&joins[0], &joins[1]};
        uint64_t from = ring->position;

        joins[0].topic = (char *)(uintptr_t) "g.1";
        joins[1].topic = (char *)(uintptr_t) "g.1.c.2";
        tell(cases[i].said_before);
        tell_change("x", exactly(change(cases[i].user, cases[i].topic, cases[i].join, cases[i].leave), cases[i].exact));
        c = ask(s);
        c.has_from = true;
        c.from = from;
        c.join = list;
        c.n_join = 2;
        if (ring_takes(s, &c) != cases[i].takes)
            fail_msg("%s", cases[i].what);
        assert_true(ring_look(s, &look));
        assert_int_equal(look.oldest, cases[i].takes ? ring->oldest : from + 3);
        c.from = c.asked; /* afresh */
        assert_true(ring_takes(s, &c));
        ring_apply(s, &c);
        assert_int_equal(s->broken, 0);
        ring_forget(s);
    }
}

static void who_was_away_gets_what_he_might_see_then(void **state)
{
    Socket *gained = socket_of(1), *had = socket_of(2), *late = socket_of(3);
    RingChange l;
    (void)state;

    tell("g.1.c.2");                                                  /* 1 */
    tell_change("x", exactly(change(1, NULL, "g.1.c.2", ""), true));  /* 2 */
    tell("g.1.c.2");                                                  /* 3 */
    tell_change("x", exactly(change(2, NULL, "", "g.1.c.2"), true));  /* 4 */
    tell("g.1.c.2");                                                  /* 5 */
    tell_change("x", exactly(change(2, NULL, "g.1.c.2", ""), true));  /* 6 */
    tell_change("x", exactly(change(0, "g.1", "g.1.c.3", ""), true)); /* 7 */
    tell("g.1.c.3");                                                  /* 8 */
    l = ask(late);
    tell("g.1.c.2");                                                 /* 9 */
    tell_change("x", exactly(change(3, NULL, "g.1.c.2", ""), true)); /* 10 */
    tell("g.1.c.2");                                                 /* 11 */
    resume(gained, "g.1 g.1.c.2 g.1.c.3", 0);
    ASSERT_WRITTEN(gained, 3, 5, 8, 9, 11);
    resume(had, "g.1 g.1.c.2 g.1.c.3", 0);
    ASSERT_WRITTEN(had, 1, 3, 8, 9, 11);
    reply(late, l, "", "u.3 g.1.c.2"); /* read behind 10 */
    ASSERT_WRITTEN(late, 11);
    ring_forget(gained);
    ring_forget(had);
    ring_forget(late);
}

/* Some tens of thousands at once would fill any queue. */
static void what_was_missed_comes_as_fast_as_it_is_read(void **state)
{
    Socket *s = socket_of(1), *other = socket_of(1);
    RingLook look;
    (void)state;

    start(other, "t");
    for (int i = 0; i < 5; i++)
        tell("t");
    s->room = 2;
    resume(s, "t v u.1", 0);
    ASSERT_WRITTEN(s, 1, 2);
    assert_false(ring_look(s, &look)); /* nothing is asked meanwhile */
    assert_int_equal(ring_position(s), 2);
    tell_change("t", change(1, NULL, "w", "v")); /* 6 */
    tell("v");                                   /* 7: it is out by then */
    tell("w");                                   /* 8 */
    ASSERT_WRITTEN(s, 1, 2);
    ring_go_on(ring);
    ASSERT_WRITTEN(s, 1, 2);
    s->room = 4;
    ring_go_on(ring);
    ASSERT_WRITTEN(s, 1, 2, 3, 4);
    s->room = 0;
    ring_go_on(ring);
    ASSERT_WRITTEN(s, 1, 2, 3, 4, 5, 6, 8);
    assert_true(ring_look(s, &look));
    tell("w");
    ASSERT_WRITTEN(s, 1, 2, 3, 4, 5, 6, 8, 9);
    ASSERT_WRITTEN(other, 1, 2, 3, 4, 5, 6, 8, 9);
    ring_forget(s);
    ring_forget(other);
}

static void who_reads_too_slowly_for_the_ring_comes_again(void **state)
{
    Socket *s = socket_of(1), *gone = socket_of(2);
    (void)state;

    tell("t");
    tell("t");
    s->room = gone->room = 1;
    resume(s, "t", 0);
    resume(gone, "t", 0);
    ring_forget(gone);
    now_us += INT64_C(1000) * settings.ring_age_ms + 1000;
    tell("t");
    s->room = 2;
    ring_go_on(ring);
    assert_int_equal(s->broken, 1012);
    assert_int_equal(ring->lagging, 0);
    ring_forget(s);
}

static void a_jump_ends_all_who_may_have_missed_something(void **state)
{
    Socket *s = socket_of(1), *asks = socket_of(2), *late = socket_of(3);
    RingChange c = ask(asks);
    RingLook look;
    (void)state;

    start(s, "t");
    tell("t");
    dispatch_at(100, "t", dispatch_of(NULL, variant("x")));
    assert_int_equal(s->broken, 1012);
    ASSERT_WRITTEN(s, 1);
    reply(asks, c, "", "t");
    assert_int_equal(asks->broken, 1012);
    assert_true(ring_look(late, &look));
    assert_int_equal(look.oldest, 100);
    assert_int_equal(look.position, 100);
    start(late, "t");
    tell("t");
    ASSERT_WRITTEN(late, 101);
    ring_forget(s);
    ring_forget(asks);
    ring_forget(late);
}

static void another_stream_begins_anew(void **state)
{
    Socket *s = socket_of(1);
    RingLook look;
    (void)state;

    start(s, "t");
    tell("t");
    say((RingItem){.kind = RING_ITEM_BEGIN, .begin = {.epoch = 8, .last = 40}});
    assert_int_equal(s->broken, 1012);
    assert_false(ring_look(s, &look));
    say((RingItem){.kind = RING_ITEM_CAUGHT_UP});
    assert_true(ring_look(s, &look));
    assert_string_equal(look.epoch, "8");
    assert_int_equal(look.position, 40);
    assert_int_equal(look.oldest, 41);
    ring_forget(s);
}

static void the_old_and_the_many_go(void **state)
{
    Socket *s = socket_of(1), *late = socket_of(2);
    RingLook look;
    (void)state;

    tell("t");
    now_us += INT64_C(1000) * settings.ring_age_ms + 1000;
    tell("t");
    assert_int_equal(ring->count, 1);
    assert_int_equal(ring->oldest, 2);
    resume(late, "t", 0);
    assert_int_equal(late->broken, 1012);
    start(s, "t");
    settings.ring_bytes = 65536;
    for (int i = 0; i < 1000; i++)
        tell("t");
    assert_true(ring->bytes <= 65536 && ring->count > 10);
    assert_true(ring_look(s, &look));
    assert_int_equal(look.position, 1002);
    assert_int_equal(look.oldest, look.position - ring->count + 1);
    assert_int_equal(s->count, 1000);
    ring_forget(s);
    ring_forget(late);
    now_us += INT64_C(1000) * settings.ring_age_ms + 1000;
    ring_drop_old(ring);
    assert_int_equal(ring->count, 0);
    assert_int_equal(ring->bytes, 0);
    assert_int_equal(topics_count(ring->topics), 0);
    assert_true(ring_look(s, &look));
    assert_int_equal(look.oldest, 1003);
    tell("t");
    assert_int_equal(ring->count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RING_TEST(who_follows_a_topic_gets_what_it_tells),
        RING_TEST(a_resume_gets_what_it_missed_in_order_over_all_topics),
        RING_TEST(what_comes_while_a_request_is_under_way_comes_once),
        RING_TEST(frames_before_the_first_joins_stand_where_it_begins),
        RING_TEST(a_change_after_the_question_counts_whatever_the_answer_knew),
        RING_TEST(changes_are_in_the_order_of_the_stream),
        RING_TEST(lists_of_users_may_be_in_any_order),
        RING_TEST(changes_mean_nobody_who_has_not_begun),
        RING_TEST(a_dispatch_is_made_once_for_all_who_see_the_same),
        RING_TEST(what_cannot_be_read_keeps_its_place),
        RING_TEST(a_client_that_is_ahead_of_us_gets_nothing_twice),
        RING_TEST(what_is_read_again_is_passed_over),
        RING_TEST(a_gap_in_which_the_audience_changed_is_not_filled_in),
        RING_TEST(who_was_away_gets_what_he_might_see_then),
        RING_TEST(what_was_missed_comes_as_fast_as_it_is_read),
        RING_TEST(who_reads_too_slowly_for_the_ring_comes_again),
        RING_TEST(a_jump_ends_all_who_may_have_missed_something),
        RING_TEST(another_stream_begins_anew),
        RING_TEST(the_old_and_the_many_go),
    };

    return RUN(tests);
}
