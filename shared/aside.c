/* aside: see aside.h. A process and its owner speak over a socket pair that keeps messages apart: one in, one out. */
#include "shared/aside.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sodium.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "shared/clock.h"
#include "shared/memory.h"

enum { SOCKET_FD = 3 /* in the process */ };

typedef struct Process {
    struct Process *next; /* that is free */
    pid_t pid;            /* 0: not started */
    int fd;
} Process;

struct Aside {
    Log *log;
    int64_t patience_ms;
    int process_count;
    Process *processes;
    pthread_mutex_t lock; /* guards the list of the free */
    pthread_cond_t freed;
    Process *free;
};

/* --- starting and ending ----------------------------------------------------------------------------------------- */
/* Gets the CPU when nobody else in its group wants it: whoever wakes up there runs at once. A process cannot leave this
 * again by its own means or its owner's. */
static void stand_back(pid_t pid)
{
    const struct sched_param no_priority = {0};

    (void)sched_setscheduler(pid, SCHED_IDLE, &no_priority); /* lowering is always allowed */
}

static int spawn(int fd, pid_t *out_pid)
{
    static char *const ARGUMENTS[] = {"aside", "aside", NULL}, *const NO_ENVIRONMENT[] = {
                                                                   NULL}; /* secrets stand there */
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    int failed;

    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    failed = posix_spawn_file_actions_adddup2(&files, fd, SOCKET_FD);
    failed = failed ? failed : posix_spawn_file_actions_addclosefrom_np(&files, SOCKET_FD + 1);
    failed = failed ? failed : posix_spawnattr_setsigmask(&attributes, &none);
    failed = failed ? failed : posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    failed = failed ? failed : posix_spawn(out_pid, "/proc/self/exe", &files, &attributes, ARGUMENTS, NO_ENVIRONMENT);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return failed;
}

static Err start(Process *p)
{
    int pair[2], failed;

    if (p->pid)
        return OK;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return err_make(&UNAVAILABLE, "no descriptor for a process aside");
    failed = spawn(pair[1], &p->pid);
    close(pair[1]);
    if (failed) {
        close(pair[0]);
        p->pid = 0;
        return err_make(&UNAVAILABLE, "no process aside: error %d", failed);
    }
    p->fd = pair[0];
    return OK;
}

static void end(Process *p)
{
    if (!p->pid)
        return;
    close(p->fd);
    kill(p->pid, SIGKILL);
    while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    p->pid = 0;
}

Aside *aside_new(const AsideOptions *options)
{
    Aside *aside = xcalloc(1, sizeof *aside);
    pthread_condattr_t attributes;

    aside->log = options->log;
    aside->patience_ms = options->patience_ms;
    aside->process_count = MAX(options->processes, 1);
    aside->processes = xcalloc((size_t)aside->process_count, sizeof *aside->processes);
    pthread_mutex_init(&aside->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&aside->freed, &attributes);
    pthread_condattr_destroy(&attributes);
    for (int i = 0; i < aside->process_count; i++) {
        aside->processes[i].next = aside->free;
        aside->free = &aside->processes[i];
    }
    return aside;
}

void aside_free(Aside *aside)
{
    if (!aside)
        return;
    for (int i = 0; i < aside->process_count; i++)
        end(&aside->processes[i]);
    pthread_cond_destroy(&aside->freed);
    pthread_mutex_destroy(&aside->lock);
    free(aside->processes);
    free(aside);
}

/* --- running ----------------------------------------------------------------------------------------------------- */
static Process *take(Aside *aside, int64_t deadline_ms)
{
    const struct timespec until = {.tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000};
    Process *p;

    pthread_mutex_lock(&aside->lock);
    while (!aside->free)
        if (pthread_cond_timedwait(&aside->freed, &aside->lock, &until) != 0 && !aside->free)
            break;
    p = aside->free;
    if (p)
        aside->free = p->next;
    pthread_mutex_unlock(&aside->lock);
    return p;
}

static void give_back(Aside *aside, Process *p)
{
    pthread_mutex_lock(&aside->lock);
    p->next = aside->free;
    aside->free = p;
    pthread_cond_signal(&aside->freed);
    pthread_mutex_unlock(&aside->lock);
}

/* False: not until then. */
static bool wait_for_answer(const Process *p, int64_t until_ms)
{
    struct pollfd fd = {.fd = p->fd, .events = POLLIN};
    int64_t now_ms;

    while ((now_ms = clock_monotonic_ms(&SYSTEM_CLOCK)) < until_ms)
        if (poll(&fd, 1, (int)(until_ms - now_ms)) > 0)
            return true;
    return false;
}

static Err hand_over(Process *p, Slice in)
{
    TRY(start(p));
    if (send(p->fd, in.ptr, in.len, MSG_NOSIGNAL) != (ssize_t)in.len)
        return err_make(&UNAVAILABLE, "the process aside is gone");
    return OK;
}

static Err exchange(const Aside *aside, Process *p, int64_t deadline_ms, Slice in, uint8_t *answer, size_t *out_len)
{
    int64_t patient_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + aside->patience_ms;
    ssize_t got;

    TRY(start(p));
    if (aside->patience_ms > 0)
        stand_back(p->pid);
    TRY(hand_over(p, in));
    if (aside->patience_ms > 0 && !wait_for_answer(p, MIN(patient_ms, deadline_ms)) && patient_ms < deadline_ms) {
        end(p); /* what it has done so far is little */
        TRY(hand_over(p, in));
    }
    if (!wait_for_answer(p, deadline_ms))
        return err_make(&DEADLINE_EXCEEDED, "no time left to compute");
    got = recv(p->fd, answer, ASIDE_BYTES_MAX, 0);
    if (got <= 0)
        return err_make(&UNAVAILABLE, "the process aside is gone");
    *out_len = (size_t)got;
    return OK;
}

Err aside_run(Aside *aside, int64_t deadline_ms, Slice in, Arena *mem, Slice *out)
{
    uint8_t answer[ASIDE_BYTES_MAX];
    size_t len = 0;
    bool was_there;
    Process *p;
    Err e;

    assert(in.len > 0 && in.len <= ASIDE_BYTES_MAX);
    p = take(aside, deadline_ms);
    if (!p)
        return err_make(&DEADLINE_EXCEEDED, "no time left to compute");
    was_there = p->pid != 0;
    e = exchange(aside, p, deadline_ms, in, answer, &len);
    if (was_there && e.reason == &UNAVAILABLE) { /* killed while it had nothing to do */
        end(p);
        e = exchange(aside, p, deadline_ms, in, answer, &len);
    }
    if (err_failed(e)) {
        LOG_WARN(aside->log, "aside_lost", "pid", (int64_t)p->pid, "error", e.text);
        end(p); /* also what it still computes, which nobody waits for */
    }
    give_back(aside, p);
    if (!err_failed(e)) {
        out->ptr = arena_memdup(mem, answer, len);
        out->len = len;
    }
    sodium_memzero(answer, sizeof(answer));
    return e;
}

/* --- the process ------------------------------------------------------------------------------------------------- */
/* What asks whole groups of processes to stop means its owner, which may have work to finish. */
static void ignore_signals(void)
{
    static const int SIGNALS[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};

    for (size_t i = 0; i < ARRAY_LEN(SIGNALS); i++)
        signal(SIGNALS[i], SIG_IGN);
}

int aside_serve(AsideFunction function)
{
    static uint8_t in[ASIDE_BYTES_MAX], out[ASIDE_BYTES_MAX];
    ssize_t got;

    ignore_signals();
    memory_open();
    while ((got = recv(SOCKET_FD, in, sizeof in, 0)) > 0) {
        size_t len = function((Slice){(const char *)in, (size_t)got}, out);

        sodium_memzero(in, sizeof(in));
        if (len == 0 || send(SOCKET_FD, out, len, 0) != (ssize_t)len)
            return EXIT_FAILURE;
        sodium_memzero(out, sizeof(out));
    }
    return EXIT_SUCCESS;
}
