/* Folders of work: of one process each, gone with it. */
#include "services/transcode/workshop.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/testing.h"

enum { AT_ONCE = 16 };

typedef struct Home {
    char dir[64];
} Home;

static int make_home(void **state)
{
    Home *home = calloc(1, sizeof(*home));

    snprintf(home->dir, sizeof(home->dir), "/tmp/atrium-workshop.XXXXXX");
    *state = home;
    return mkdtemp(home->dir) ? 0 : -1;
}

static int drop_home(void **state)
{
    Home *home = *state;
    bool empty = rmdir(home->dir) == 0;

    (void)workshop_remove(home->dir);
    free(home);
    return empty ? 0 : -1; /* nothing is left, whatever the test did */
}

static void put(const char *dir, const char *name)
{
    char path[300];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static bool is_there(const Home *home, const char *name)
{
    char path[300];

    snprintf(path, sizeof(path), "%s/%s", home->dir, name);
    return access(path, F_OK) == 0;
}

static void what_a_dead_process_left_is_removed(void **state)
{
    Home *home = *state;
    char dead[300], held[300];
    Workshop *w;
    int lock;

    snprintf(dead, sizeof(dead), "%s/work-dead", home->dir);
    snprintf(held, sizeof(held), "%s/work-held", home->dir);
    assert_int_equal(mkdir(dead, 0700), 0);
    assert_int_equal(mkdir(held, 0700), 0);
    put(dead, "half.mp4");
    put(held, "half.mp4");
    lock = open(held, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), 0);
    assert_ok(workshop_open(home->dir, NULL, &w));
    assert_false(is_there(home, "work-dead"));
    assert_true(is_there(home, "work-held"));
    put(workshop_dir(w), "half.mp4");
    workshop_close(w);
    close(lock);
    assert_ok(workshop_open(home->dir, NULL, &w));
    assert_false(is_there(home, "work-held"));
    workshop_close(w);
}

static void *open_one(void *data)
{
    Workshop *w = NULL;
    Err e = workshop_open(((const Home *)data)->dir, NULL, &w);

    return err_failed(e) || access(workshop_dir(w), W_OK) != 0 ? NULL : w;
}

static void those_that_begin_together_leave_each_other_alone(void **state)
{
    Home *home = *state;
    pthread_t threads[AT_ONCE];
    Workshop *w[AT_ONCE];
    void *result;

    for (int i = 0; i < AT_ONCE; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_one, home), 0);
    for (int i = 0; i < AT_ONCE; i++) {
        pthread_join(threads[i], &result);
        w[i] = result;
        assert_non_null(w[i]);
    }
    for (int i = 0; i < AT_ONCE; i++) {
        assert_int_equal(access(workshop_dir(w[i]), W_OK), 0);
        workshop_close(w[i]);
    }
}

static void a_folder_that_cannot_be_leaves_nothing(void **state)
{
    Home *home = *state;
    char nowhere[300];
    Workshop *w;

    snprintf(nowhere, sizeof(nowhere), "%s/no/such", home->dir);
    assert_true(err_failed(workshop_open(nowhere, NULL, &w)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_a_dead_process_left_is_removed, make_home, drop_home),
        cmocka_unit_test_setup_teardown(those_that_begin_together_leave_each_other_alone, make_home, drop_home),
        cmocka_unit_test_setup_teardown(a_folder_that_cannot_be_leaves_nothing, make_home, drop_home),
    };

    return RUN(tests);
}
