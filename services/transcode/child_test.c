/* Confinement: what a coder that was taken over tries, tried for real by hostile.c; and what must still work. */
#include "services/transcode/child.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "services/transcode/testing.h"

enum { MIB = 1024 * 1024 };

static ChildResult attempt(Bench *b, const Children *children, const char *name, const char *argument)
{
    const char *const args[] = {name, argument, NULL};
    ChildResult result;

    assert_ok(child_run(
        children, b->mem,
        &(ChildSpec){.program = b->hostile, .args = args, .dir = b->dir, .input_fd = -1, .output_max_bytes = 4096},
        &result));
    return result;
}

static void assert_kept(ChildResult r, const char *why)
{
    if (r.end != CHILD_EXITED || r.status != 1 || slice_find(r.errors, slice(why)) < 0)
        fail_msg("end %d, status %d: " SLICE_FMT, (int)r.end, r.status, SLICE_ARG(r.errors));
}

static void what_it_needs_works(void **state)
{
    Bench *b = *state;
    ChildResult r;

    setenv("CANARY", "a secret of the service", 1);
    r = attempt(b, &b->children, "behave", bench_path(b, "mine"));
    if (r.end != CHILD_EXITED || r.status != 0)
        fail_msg("end %d, status %d: " SLICE_FMT, (int)r.end, r.status, SLICE_ARG(r.errors));
}

static void there_is_no_network(void **state)
{
    Bench *b = *state;
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    assert_kept(attempt(b, &b->children, "connect", arena_printf(b->mem, "%d", ntohs(at.sin_port))), "not permitted");
    close(fd);
}

static void other_files_are_out_of_reach(void **state)
{
    Bench *b = *state;

    assert_kept(attempt(b, &b->children, "read", "/etc/passwd"), "Permission denied");
    assert_kept(attempt(b, &b->children, "read", "/proc/self/environ"), "Permission denied");
    assert_kept(attempt(b, &b->children, "read", bench_path(b, "../secret")), "Permission denied");
    assert_kept(attempt(b, &b->children, "write", bench_path(b, "../planted")), "Permission denied");
    assert_kept(attempt(b, &b->children, "descriptors", ""), "Bad file descriptor");
}

static void it_starts_and_touches_no_process(void **state)
{
    Bench *b = *state;
    ChildResult r;

    assert_kept(attempt(b, &b->children, "fork", ""), "not permitted");
    assert_kept(attempt(b, &b->children, "exec", "/bin/sh"), "Permission denied");
    assert_kept(attempt(b, &b->children, "ptrace", ""), "not permitted");
    /* By namespace nobody is there; without one, it is not permitted. */
    r = attempt(b, &b->children, "kill", arena_printf(b->mem, "%d", (int)getpid()));
    assert_int_equal(r.status, 1);
}

static void limits_end_it(void **state)
{
    Bench *b = *state;
    Children tight = b->children;
    struct stat st;
    ChildResult r;

    tight.file_bytes = 4 * MIB;
    assert_int_equal(attempt(b, &tight, "disk", bench_path(b, "big")).end, CHILD_LIMIT);
    assert_int_equal(stat(bench_path(b, "big"), &st), 0);
    assert_true(st.st_size <= 4 * MIB);

    tight.memory_bytes = 256 * MIB;
    assert_int_equal(attempt(b, &tight, "memory", "").end, CHILD_LIMIT);

    tight.cpu_ms = 1000;
    r = attempt(b, &tight, "spin", "");
    assert_int_equal(r.end, CHILD_LIMIT);
    assert_in_range(r.cpu_ms, 500, 5000);

    tight.wall_ms = 300;
    r = attempt(b, &tight, "sleep", "");
    assert_int_equal(r.end, CHILD_LIMIT);
    assert_in_range(r.wall_ms, 300, 5000);
}

static bool at_once(void *data)
{
    (void)data;
    return true;
}

static void it_can_be_cancelled(void **state)
{
    Bench *b = *state;
    ChildResult r;

    assert_ok(child_run(&b->children, b->mem,
                        &(ChildSpec){.program = b->hostile,
                                     .args = (const char *const[]){"sleep", "", NULL},
                                     .dir = b->dir,
                                     .input_fd = -1,
                                     .cancelled = at_once},
                        &r));
    assert_int_equal(r.end, CHILD_CANCELLED);
}

/* Processes whose command line names the program, anywhere on the machine. */
static int count_running(const char *program)
{
    DIR *proc = opendir("/proc");
    int count = 0;

    for (struct dirent *entry; (entry = readdir(proc));) {
        char path[300], line[512];
        FILE *f;
        size_t got;

        snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
        f = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' ? fopen(path, "re") : NULL;
        if (!f)
            continue;
        got = fread(line, 1, sizeof line - 1, f);
        line[got] = 0;
        fclose(f);
        for (size_t i = 0; i < got; i += strlen(line + i) + 1)
            if (strcmp(line + i, program) == 0) {
                count++;
                break;
            }
    }
    closedir(proc);
    return count;
}

static void it_dies_with_the_service(void **state)
{
    Bench *b = *state;
    pid_t service = fork();
    int status;

    if (service == 0) {
        (void)attempt(b, &b->children, "sleep", "");
        _exit(0);
    }
    WAIT_UNTIL(count_running(b->hostile) > 0);
    kill(service, SIGKILL);
    assert_int_equal(waitpid(service, &status, 0), service);
    WAIT_UNTIL(count_running(b->hostile) == 0);
}

static void its_input_is_the_only_file(void **state)
{
    Bench *b = *state;
    int fd = open(bench_path(b, "../secret"), O_RDONLY | O_CLOEXEC);
    ChildResult r;

    assert_ok(child_run(&b->children, b->mem,
                        &(ChildSpec){.program = b->hostile,
                                     .args = (const char *const[]){"read", "/proc/self/fd/3", NULL},
                                     .dir = b->dir,
                                     .input_fd = fd},
                        &r));
    assert_int_equal(r.end, CHILD_EXITED);
    assert_int_equal(r.status, 0);
    assert_ok(child_run(&b->children, b->mem,
                        &(ChildSpec){.program = b->hostile,
                                     .args = (const char *const[]){"write", "/proc/self/fd/3", NULL},
                                     .dir = b->dir,
                                     .input_fd = fd},
                        &r));
    assert_kept(r, "Permission denied");
    close(fd);
}

static void the_machine_says_what_it_has(void **state)
{
    Bench *b = *state;
    Slice words;

    assert_ok(child_check(&b->children, b->mem, &words));
    assert_true(slice_starts_with(words, SLICE_LIT("namespaces=")));
    b->children.confine = "/nonexistent";
    assert_reason(child_check(&b->children, b->mem, &words), &INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(what_it_needs_works),
        BENCH_TEST(there_is_no_network),
        BENCH_TEST(other_files_are_out_of_reach),
        BENCH_TEST(it_starts_and_touches_no_process),
        BENCH_TEST(limits_end_it),
        BENCH_TEST(it_can_be_cancelled),
        BENCH_TEST(it_dies_with_the_service),
        BENCH_TEST(its_input_is_the_only_file),
        BENCH_TEST(the_machine_says_what_it_has),
    };

    return RUN(tests);
}
