/* Tests of the ring with sockets that only note what is written to them. */
#include "services/gateway/ring_internal.h"

#include "shared/message.h"
#include "shared/testing.h"

enum { WRITTEN_MAX = 4096 };

/* --- sockets
 * ---------------------------------------------------------------------------------------------------------- */
struct Socket {
    RingSocket *ring;
    int64_t user;
    int dialect;
    uint32_t broken; /* close code */
    size_t room;     /* frames that it takes, beyond `count`; 0: all */
    uint64_t written[WRITTEN_MAX];
    SharedFrame *last;
    size_t count;
};

static Gateway gateway;
static const Operation OPERATION = {.domain = "test"};

int64_t socket_user(const Socket *s)
{
    return s->user;
}

int socket_dialect(const Socket *s)
{
    return s->dialect;
}

const Operation *socket_operation(const Socket *s)
{
    (void)s;
    return &OPERATION;
}

Gateway *socket_gateway(const Socket *s)
{
    (void)s;
    return &gateway;
}

RingSocket **socket_ring(Socket *s)
{
    return &s->ring;
}

bool socket_write_shared(Socket *s, SharedFrame *frame, uint64_t position)
{
    if (s->broken)
        return false;
    assert_true(s->count < WRITTEN_MAX);
    s->written[s->count++] = position;
    s->last = frame;
    return true;
}

bool socket_has_room(const Socket *s)
{
    return s->room == 0 || s->count < s->room;
}

void socket_break(Socket *s, uint32_t code, const char *reason)
{
    (void)reason;
    s->broken = code;
}

/* A frame whose text is "!" cannot be made. */
SharedFrame *shared_frame_build(const TypeTables *types, int dialect, const Atrium__SocketFrame *frame,
                                uint64_t position)
{
    SharedFrame *made;

    (void)types, (void)dialect, (void)position;
    if (frame->n_parts && frame->parts[0]->text.len == 1 && frame->parts[0]->text.data[0] == '!')
        return NULL;
    made = xcalloc(1, sizeof(*made) + 8);
    made->references = 1;
    made->len = 8;
    return made;
}

void shared_frame_unref(SharedFrame *frame)
{
    if (frame && --frame->references == 0)
        free(frame);
}

const TypeTables *tables_types(const Tables *t)
{
    (void)t;
    return NULL;
}

const Operation *const *tables_sockets(const Tables *t, size_t *out_count)
{
    static const Operation *const LIST[] = {&OPERATION};

    (void)t;
    *out_count = 1;
    return LIST;
}

/* --- the world
 * -------------------------------------------------------------------------------------------------------- */
static GatewaySettings settings;
static Service service;
static Rings rings;
static Ring *ring;
static Arena *mem;
static int64_t now_us;

static int64_t read_now(void *context)
{
    (void)context;
    return now_us;
}

static const Clock CLOCK = {.unix_us = read_now, .monotonic_us = read_now};

static void say(RingItem item)
{
    ring_take(ring, &item);
}

static void begin_stream(int64_t epoch, uint64_t last)
{
    say((RingItem){.kind = RING_ITEM_BEGIN, .begin = {.epoch = epoch, .last = last}});
    say((RingItem){.kind = RING_ITEM_CAUGHT_UP});
}

static int set_up(void **state)
{
    (void)state;
    now_us = INT64_C(1700000000000000);
    settings = (GatewaySettings){.ring_age_ms = 300000, .ring_bytes = 1 << 20};
    service = (Service){.clock = &CLOCK, .metrics = metrics_new()};
    gateway = (Gateway){.service = &service, .settings = &settings, .loop = loop_new(), .rings = &rings};
    rings = (Rings){.g = &gateway};
    ring = rings.first = ring_new(&gateway, "test");
    mem = arena_new(4096);
    begin_stream(7, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ring_free(ring);
    loop_free(gateway.loop);
    metrics_free(service.metrics);
    arena_free(mem);
    return 0;
}

static Socket *socket_of(int64_t user)
{
    Socket *s = ARENA_NEW(mem, Socket);

    s->user = user;
    return s;
}

/* --- what is said
 * ------------------------------------------------------------------------------------------------------- */
static char **texts(const char *list, size_t *out_count)
{
    char **out = ARENA_ARRAY(mem, char *, 64);
    Slice rest = slice(list), word;

    *out_count = 0;
    while (slice_cut(rest, ' ', &word, &rest) || word.len) {
        if (word.len)
            out[(*out_count)++] = slice_cstr(mem, word);
        if (rest.len == 0)
            break;
    }
    if (list[0] && *out_count == 0)
        out[(*out_count)++] = arena_strdup(mem, list);
    return out;
}

static Atrium__AudienceChange *change(int64_t user, const char *topic, const char *join, const char *leave)
{
    Atrium__AudienceChange *c = MESSAGE_NEW(mem, Atrium__AudienceChange, atrium__audience_change__init);

    if (user) {
        c->users = ARENA_ARRAY(mem, int64_t, 1);
        c->users[0] = user;
        c->n_users = 1;
    }
    c->topic = topic ? arena_strdup(mem, topic) : NULL;
    c->join = texts(join, &c->n_join);
    c->leave = texts(leave, &c->n_leave);
    return c;
}

static Atrium__AudienceChange *exactly(Atrium__AudienceChange *c, bool exact)
{
    SET(c, exact, exact);
    return c;
}

static Atrium__DispatchVariant *variant(const char *text)
{
    Atrium__DispatchVariant *v = MESSAGE_NEW(mem, Atrium__DispatchVariant, atrium__dispatch_variant__init);

    v->frames = ARENA_ARRAY(mem, Atrium__SocketFrame *, 1);
    v->frames[0] = MESSAGE_NEW(mem, Atrium__SocketFrame, atrium__socket_frame__init);
    v->frames[0]->parts = ARENA_ARRAY(mem, Atrium__FramePart *, 1);
    v->frames[0]->parts[0] = MESSAGE_NEW(mem, Atrium__FramePart, atrium__frame_part__init);
    v->frames[0]->parts[0]->has_text = true;
    v->frames[0]->parts[0]->text.data = (uint8_t *)arena_strdup(mem, text);
    v->frames[0]->parts[0]->text.len = strlen(text);
    v->frames[0]->n_parts = 1;
    v->n_frames = 1;
    return v;
}

static void dispatch_at(uint64_t position, const char *topic, Atrium__Dispatch *d)
{
    say((RingItem){.kind = RING_ITEM_ENTRY,
                   .entry = ring_entry_new(slice(topic), position, now_us / 1000, message_pack(mem, &d->base))});
}

static Atrium__Dispatch *dispatch_of(Atrium__AudienceChange *c, Atrium__DispatchVariant *v)
{
    Atrium__Dispatch *d = MESSAGE_NEW(mem, Atrium__Dispatch, atrium__dispatch__init);

    d->changes = ARENA_ARRAY(mem, Atrium__AudienceChange *, 1);
    d->changes[0] = c;
    d->n_changes = c != NULL;
    d->variants = ARENA_ARRAY(mem, Atrium__DispatchVariant *, 1);
    d->variants[0] = v;
    d->n_variants = v != NULL;
    return d;
}

static void tell(const char *topic)
{
    dispatch_at(ring->position + 1, topic, dispatch_of(NULL, variant("x")));
}

static void tell_change(const char *topic, Atrium__AudienceChange *c)
{
    dispatch_at(ring->position + 1, topic, dispatch_of(c, variant("x")));
}

static RingChange ask(Socket *s)
{
    RingLook look;

    assert_true(ring_look(s, &look));
    return (RingChange){.asked = look.position, .generation = look.generation};
}

static void reply(Socket *s, RingChange c, const char *leave, const char *join)
{
    size_t count;
    char **names = texts(join, &count);

    c.leave = texts(leave, &c.n_leave);
    c.join = ARENA_ARRAY(mem, Atrium__TopicJoin *, count);
    c.n_join = count;
    for (size_t i = 0; i < count; i++) {
        c.join[i] = MESSAGE_NEW(mem, Atrium__TopicJoin, atrium__topic_join__init);
        c.join[i]->topic = names[i];
    }
    ring_apply(s, &c);
}

static void start(Socket *s, const char *join)
{
    reply(s, ask(s), "", join);
}

static void resume(Socket *s, const char *join, uint64_t from)
{
    RingChange c = ask(s);

    c.has_from = true;
    c.from = from;
    reply(s, c, "", join);
}

static void assert_written(const Socket *s, const uint64_t *expected, size_t count)
{
    assert_int_equal(s->count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(s->written[i], expected[i]);
}
#define ASSERT_WRITTEN(s, ...)                                                                                         \
    do {                                                                                                               \
        const uint64_t expected_[] = {0, ##__VA_ARGS__};                                                               \
        assert_written((s), expected_ + 1, ARRAY_LEN(expected_) - 1);                                                  \
    } while (0)

/* --- tests
 * -------------------------------------------------------------------------------------------------------------- */
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

/* --- at random
 * ---------------------------------------------------------------------------------------------------------- */
/* Rights change in the stream; sockets begin at any time, with an answer that was read from a database that is ahead of
 * the edge or behind what it has seen when the answer comes. What the right to see held when it was said, and when the
 * database was read, must have come once; what it never held must not; all in order. */
enum { HISTORY = 1500, USERS = 3, CHANNELS = 4, SOCKETS = 60 };

static struct Said {
    int channel;                   /* 0 is the guild itself */
    int user;                      /* whose rights change, 0 nobody's */
    bool may[USERS + 1][CHANNELS]; /* afterwards */
} history[HISTORY + 1];

static uint32_t random_state;
static unsigned random_below(unsigned n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % n;
}

/* Are changes exact? Then they name all that is left. */
static bool exact;

static const char *channel_name(int channel)
{
    static const char *const NAMES[CHANNELS] = {"g.1", "g.1.c.1", "g.1.c.2", "g.1.c.3"};
    static const char *const APART[CHANNELS] = {"g.1", "c.1", "c.2", "c.3"};
    return exact ? APART[channel] : NAMES[channel];
}

static const char *names_of(const bool may[CHANNELS])
{
    StrBuf out = strbuf_new(mem, 64);
    Slice text;

    for (int c = 0; c < CHANNELS; c++)
        if (may[c])
            strbuf_printf(&out, "%s%s", out.len ? " " : "", channel_name(c));
    assert_true(strbuf_finish(&out, &text));
    return slice_cstr(mem, text);
}

static void make_history(void)
{
    for (int i = 1; i <= HISTORY; i++) {
        struct Said *said = &history[i];

        *said = history[i - 1];
        said->channel = (int)random_below(CHANNELS);
        said->user = random_below(4) == 0 ? 1 + (int)random_below(USERS) : 0;
        if (!said->user)
            continue;
        if (said->channel == 0) { /* out of the guild, or into it and all its channels */
            bool in = !said->may[said->user][0];
            for (int c = 0; c < CHANNELS; c++)
                said->may[said->user][c] = in;
        } else if (said->may[said->user][0]) {
            said->may[said->user][said->channel] = !said->may[said->user][said->channel];
        } else {
            said->user = 0;
        }
    }
}

static void say_history(int at)
{
    const struct Said *said = &history[at];
    Atrium__AudienceChange *c = NULL;

    if (said->user && said->may[said->user][said->channel])
        c = change(said->user, NULL, said->channel ? channel_name(said->channel) : names_of(said->may[said->user]), "");
    else if (said->user && exact && said->channel == 0)
        c = change(said->user, NULL, "", names_of(history[at - 1].may[said->user]));
    else if (said->user)
        c = change(said->user, NULL, "", channel_name(said->channel));
    if (c)
        SET(c, exact, exact);
    dispatch_at((uint64_t)at, channel_name(said->channel), dispatch_of(c, variant("x")));
}

typedef struct Try {
    Socket *s;
    RingChange asked;
    int user, from, read; /* positions; -1 not yet */
    bool applied;
    int applied_at; /* the position then */
    char join[64];
} Try;

static void read_database(Try *t, int produced)
{
    StrBuf join = strbuf_over(t->join, sizeof(t->join));

    t->read = produced;
    strbuf_append_cstr(&join, "u");
    for (int c = 0; c < CHANNELS; c++)
        if (history[produced].may[t->user][c])
            strbuf_printf(&join, " %s", channel_name(c));
    assert_true(strbuf_finish(&join, &(Slice){0}));
}

static void check(const Try *t, int end)
{
    size_t next = 0;

    for (int at = t->from + 1; at <= end; at++) {
        const struct Said *said = &history[at];
        bool held = said->may[t->user][said->channel], at_read = history[t->read].may[t->user][said->channel];
        bool came = next < t->s->count && t->s->written[next] == (uint64_t)at;

        next += came;
        if (held && (at > t->read || at_read))
            assert_true(came);
        /* What is let in by a change that has not come yet is followed from the reply on; else exact changes tell. */
        if (!held && !(at <= t->read && at_read && (!exact || !history[t->applied_at].may[t->user][said->channel])))
            assert_false(came);
    }
    assert_int_equal(next, t->s->count);
}

static void run_at_random(uint32_t seed)
{
    Try tries[SOCKETS];
    int taken = 0, produced = 0, used = 0;

    random_state = seed;
    make_history();
    while (taken < HISTORY) {
        Try *t = used ? &tries[random_below((unsigned)used)] : NULL;

        switch (random_below(5)) {
        case 0:
            if (used < SOCKETS && random_below(8) == 0) {
                t = &tries[used++];
                *t = (Try){.user = 1 + (int)random_below(USERS), .read = -1};
                t->s = socket_of(t->user);
                t->s->room = random_below(2) * (1 + random_below(8));
                t->asked = ask(t->s);
                t->asked.has_from = true;
                t->from = (int)t->asked.asked - (int)random_below(20);
                t->from = MAX(t->from, 0);
                t->asked.from = (uint64_t)t->from;
            }
            break;
        case 1:
            if (t && t->read < 0 && random_below(3) == 0)
                read_database(t, produced);
            break;
        case 2:
            if (t && t->read >= 0 && !t->applied && random_below(3) == 0) {
                t->applied = true;
                t->applied_at = taken;
                reply(t->s, t->asked, "", t->join);
            }
            break;
        case 3:
            if (t && t->s->room && random_below(3) == 0)
                t->s->room = t->s->count + 1 + random_below(8);
            ring_go_on(ring);
            break;
        default:
            produced += (int)random_below(3);
            produced = MIN(produced, HISTORY);
            for (int n = (int)random_below(4); n > 0 && taken < produced; n--)
                say_history(++taken);
        }
    }
    for (int i = 0; i < used; i++)
        tries[i].s->room = 0;
    ring_go_on(ring);
    assert_int_equal(ring->lagging, 0);
    for (int i = 0; i < used; i++) {
        assert_int_equal(tries[i].s->broken, 0);
        if (tries[i].applied)
            check(&tries[i], HISTORY);
        ring_forget(tries[i].s);
    }
}

static void whatever_comes_first_all_is_seen_once_and_in_order(void **state)
{
    for (uint32_t seed = 1; seed <= 40; seed++) {
        exact = seed % 2;
        settings.ring_bytes = 64 << 20;
        run_at_random(seed);
        tear_down(state);
        set_up(state);
    }
}

int main(void)
{
#define RING_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
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
        RING_TEST(whatever_comes_first_all_is_seen_once_and_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
