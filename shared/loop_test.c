/* Tests of loop: descriptors, timers, posts and turns. */
#include "shared/loop.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "shared/testing.h"

static void stop_loop(void *data)
{
    loop_stop(data);
}

typedef struct Trace {
    Loop *loop;
    char text[64];
    size_t len;
    int fd;
} Trace;

static void note(Trace *t, char c)
{
    if (t->len < sizeof t->text - 1)
        t->text[t->len++] = c;
}

static void note_a(void *data)
{
    note(data, 'a');
}
static void note_b(void *data)
{
    note(data, 'b');
}
static void note_c(void *data)
{
    note(data, 'c');
}

static void timers_fire_in_order_of_time(void **state)
{
    CLEANUP(loop_free_at) Loop *loop = loop_new();
    Trace t = {.loop = loop};
    LoopTimer *timers[] = {loop_timer_new(loop, note_c, &t), loop_timer_new(loop, note_a, &t),
                           loop_timer_new(loop, note_b, &t), loop_timer_new(loop, stop_loop, loop)};
    (void)state;

    loop_timer_set(timers[0], 9, 0);
    loop_timer_set(timers[1], 1, 0);
    loop_timer_set(timers[2], 50, 0);
    loop_timer_set(timers[2], 5, 0); /* moved forward */
    loop_timer_set(timers[3], 15, 0);
    loop_run(loop);
    assert_string_equal(t.text, "abc");
    for (size_t i = 0; i < ARRAY_LEN(timers); i++)
        loop_timer_free(timers[i]);
}

static void cleared_timers_stay_silent_and_periods_repeat(void **state)
{
    CLEANUP(loop_free_at) Loop *loop = loop_new();
    Trace t = {.loop = loop};
    LoopTimer *often = loop_timer_new(loop, note_a, &t), *never = loop_timer_new(loop, note_b, &t);
    LoopTimer *end = loop_timer_new(loop, stop_loop, loop);
    (void)state;

    loop_timer_set(often, 1, 2);
    loop_timer_set(never, 3, 0);
    loop_timer_clear(never);
    loop_timer_set(end, 40, 0);
    loop_run(loop);
    assert_true(t.len >= 3);
    assert_null(strchr(t.text, 'b'));
    loop_timer_free(often);
    loop_timer_free(never);
    loop_timer_free(end);
}

static void many_timers_keep_their_heap(void **state)
{
    enum { COUNT = 500 };
    CLEANUP(loop_free_at) Loop *loop = loop_new();
    static LoopTimer *timers[COUNT];
    Trace t = {.loop = loop};
    (void)state;

    for (int i = 0; i < COUNT; i++) {
        timers[i] = loop_timer_new(loop, note_a, &t);
        loop_timer_set(timers[i], 10000 + (i * 7919) % 977, 0);
    }
    for (int i = 0; i < COUNT; i += 3)
        loop_timer_clear(timers[i]);
    for (int i = 0; i < COUNT; i += 2)
        loop_timer_set(timers[i], (i * 31) % 7, 0);
    LoopTimer *end = loop_timer_new(loop, stop_loop, loop);
    loop_timer_set(end, 20, 0);
    loop_run(loop);
    assert_int_equal(t.len, 63); /* all 250 of the moved fired, none of the far ones could */
    loop_timer_free(end);
    for (int i = 0; i < COUNT; i++)
        loop_timer_free(timers[i]);
}

static void read_and_note(void *data, uint32_t events)
{
    Trace *t = data;
    char byte = 0;

    if (events & EPOLLIN && read(t->fd, &byte, 1) == 1)
        note(t, byte);
    if (byte == 'z')
        loop_stop(t->loop);
}

static void descriptors_call_their_handlers(void **state)
{
    CLEANUP(loop_free_at) Loop *loop = loop_new();
    Trace t = {.loop = loop};
    int pipe_fds[2];
    (void)state;

    assert_int_equal(pipe(pipe_fds), 0);
    t.fd = pipe_fds[0];
    loop_add_fd(loop, t.fd, EPOLLIN, read_and_note, &t);
    assert_int_equal(write(pipe_fds[1], "xyz", 3), 3); /* level-triggered: three turns */
    loop_run(loop);
    assert_string_equal(t.text, "xyz");
    loop_set_fd(loop, t.fd, 0);
    assert_int_equal(write(pipe_fds[1], "q", 1), 1);
    loop_turn(loop, 0);
    assert_string_equal(t.text, "xyz");
    loop_set_fd(loop, t.fd, EPOLLIN);
    loop_turn(loop, 0);
    assert_string_equal(t.text, "xyzq");
    loop_remove_fd(loop, t.fd);
    loop_set_fd(loop, t.fd, EPOLLIN);
    assert_int_equal(write(pipe_fds[1], "q", 1), 1);
    loop_turn(loop, 0);
    assert_string_equal(t.text, "xyzq");
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

static int pair_fds[2][2];
static void remove_the_other(void *data, uint32_t events)
{
    Trace *t = data;
    (void)events;

    note(t, '1');
    loop_remove_fd(t->loop, pair_fds[0][0]);
    loop_remove_fd(t->loop, pair_fds[1][0]);
}

static void an_event_of_a_removed_descriptor_is_dropped(void **state)
{
    CLEANUP(loop_free_at) Loop *loop = loop_new();
    Trace t = {.loop = loop};
    (void)state;

    for (int i = 0; i < 2; i++) {
        assert_int_equal(pipe(pair_fds[i]), 0);
        loop_add_fd(loop, pair_fds[i][0], EPOLLIN, remove_the_other, &t);
        assert_int_equal(write(pair_fds[i][1], "x", 1), 1);
    }
    loop_turn(loop, 1000); /* both are ready in one turn; the first removes both */
    assert_string_equal(t.text, "1");
    for (int i = 0; i < 2; i++) {
        close(pair_fds[i][0]);
        close(pair_fds[i][1]);
    }
}

enum { POSTERS = 4, POSTS = 5000 };
typedef struct Posts {
    Loop *loop;
    int seen, last[POSTERS];
    bool in_order;
} Posts;
typedef struct Post {
    Posts *all;
    int poster, number;
} Post;
static Post post_items[POSTERS][POSTS];

static void count_post(void *data)
{
    Post *p = data;

    if (p->number != p->all->last[p->poster] + 1)
        p->all->in_order = false;
    p->all->last[p->poster] = p->number;
    if (++p->all->seen == POSTERS * POSTS)
        loop_stop(p->all->loop);
}

static void *post_many(void *data)
{
    Post *first = data;

    for (int i = 0; i < POSTS; i++)
        loop_post(first->all->loop, count_post, &first[i]);
    return NULL;
}

static void posts_from_threads_all_run_in_order(void **state)
{
    CLEANUP(loop_free_at) Loop *loop = loop_new();
    Posts all = {.loop = loop, .in_order = true};
    pthread_t threads[POSTERS];
    (void)state;

    for (int p = 0; p < POSTERS; p++) {
        for (int i = 0; i < POSTS; i++)
            post_items[p][i] = (Post){&all, p, i + 1};
        assert_int_equal(pthread_create(&threads[p], NULL, post_many, post_items[p]), 0);
    }
    loop_run(loop);
    for (int p = 0; p < POSTERS; p++)
        pthread_join(threads[p], NULL);
    assert_int_equal(all.seen, POSTERS * POSTS);
    assert_true(all.in_order);
}

static void post_again(void *data)
{
    Trace *t = data;

    note(t, 'p');
    loop_post(t->loop, note_b, t);
}
static int64_t no_wait(void *data)
{
    (void)data;
    return 0;
}

static void a_turn_ends_with_posts_and_the_hook(void **state)
{
    CLEANUP(loop_free_at) Loop *loop = loop_new();
    Trace t = {.loop = loop};
    (void)state;

    loop_set_turn(loop, note_a, no_wait, &t);
    loop_post(loop, post_again, &t);
    loop_turn(loop, -1); /* the hook's wait of 0 keeps this from blocking */
    assert_string_equal(t.text, "pab");
    assert_false(loop_is_running(loop));
}

static void forgotten_posts_do_not_run(void **state)
{
    CLEANUP(loop_free_at) Loop *loop = loop_new();
    Trace t = {.loop = loop};
    (void)state;

    loop_post(loop, note_a, &t);
    loop_post(loop, note_b, &t);
    loop_unpost(loop, note_a, &t);
    loop_turn(loop, 0);
    assert_string_equal(t.text, "b");
}

static void *stop_from_outside(void *data)
{
    loop_stop(data);
    return NULL;
}

static void stop_wakes_a_sleeping_loop(void **state)
{
    CLEANUP(loop_free_at) Loop *loop = loop_new();
    pthread_t thread;
    (void)state;

    assert_int_equal(pthread_create(&thread, NULL, stop_from_outside, loop), 0);
    loop_run(loop);
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_order_of_time),
        cmocka_unit_test(cleared_timers_stay_silent_and_periods_repeat),
        cmocka_unit_test(many_timers_keep_their_heap),
        cmocka_unit_test(descriptors_call_their_handlers),
        cmocka_unit_test(an_event_of_a_removed_descriptor_is_dropped),
        cmocka_unit_test(posts_from_threads_all_run_in_order),
        cmocka_unit_test(a_turn_ends_with_posts_and_the_hook),
        cmocka_unit_test(forgotten_posts_do_not_run),
        cmocka_unit_test(stop_wakes_a_sleeping_loop),
    };
    return RUN(tests);
}
