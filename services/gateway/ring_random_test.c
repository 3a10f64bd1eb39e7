/* The ring under everything in any order, against what each socket should have seen. */
#include "services/gateway/ring_fixture.h"

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
    const struct CMUnitTest tests[] = {
        RING_TEST(whatever_comes_first_all_is_seen_once_and_in_order),
    };

    return RUN(tests);
}
