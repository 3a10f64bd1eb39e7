/* child: see the header. */
#include "services/transcode/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "services/transcode/confine.h"
#include "shared/clock.h"
#include "shared/strbuf.h"

enum { TICK_MS = 200, READ_BYTES = 65536, DESCRIPTORS_MAX = 256, CONFINE_ARGS_MAX = 32, CHECK_MS = 10000 };

typedef struct Running {
    const ChildSpec *spec;
    Arena *mem;
    pid_t pid;
    int pid_fd, out_fd, err_fd; /* -1 once closed */
    StrBuf output;
    char line[CHILD_LINE_MAX_BYTES];
    size_t line_len;
    char tail[CHILD_ERROR_TAIL_BYTES];
    size_t tail_len;
    uint64_t error_lines;
    bool too_much;
} Running;

static int64_t now_ms(void)
{
    return clock_monotonic_ms(&SYSTEM_CLOCK);
}

/* --- starting ---------------------------------------------------------------------------------------------------- */
static void add(const char **argv, size_t *count, const char *text)
{
    assert(*count < CHILD_ARGS_MAX + CONFINE_ARGS_MAX);
    argv[(*count)++] = text;
}

static void add_number(Arena *mem, const char **argv, size_t *count, const char *name, int64_t value)
{
    if (value <= 0)
        return;
    add(argv, count, name);
    add(argv, count, arena_printf(mem, "%" PRId64, value));
}

static const char **make_argv(const Children *c, Arena *mem, const ChildSpec *spec)
{
    const char **argv = ARENA_ARRAY(mem, const char *, CHILD_ARGS_MAX + CONFINE_ARGS_MAX + 1);
    size_t count = 0;

    add(argv, &count, c->confine);
    add_number(mem, argv, &count, "--parent", getpid());
    add(argv, &count, "--dir");
    add(argv, &count, spec->dir);
    if (spec->input_fd >= 0)
        add_number(mem, argv, &count, "--input-fd", CONFINE_INPUT_FD);
    if (spec->read_path) {
        add(argv, &count, "--read");
        add(argv, &count, spec->read_path);
    }
    add_number(mem, argv, &count, "--nice", spec->nice);
    add_number(mem, argv, &count, "--cpu-s", (c->cpu_ms + 999) / 1000);
    add_number(mem, argv, &count, "--memory-bytes", c->memory_bytes);
    add_number(mem, argv, &count, "--file-bytes", c->file_bytes);
    add_number(mem, argv, &count, "--files", DESCRIPTORS_MAX);
    if (c->weak)
        add(argv, &count, "--weak");
    add(argv, &count, "--");
    add(argv, &count, spec->program);
    for (size_t i = 0; spec->args[i]; i++)
        add(argv, &count, spec->args[i]);
    return argv;
}

/* A group of its own, to be killed as one; signals as a new program expects them, whatever this thread has blocked. */
static int spawn(const char **argv, int out_fd, int err_fd, int input_fd, pid_t *out)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    int failed;

    sigfillset(&all);
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    failed = posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
    failed = failed ? failed : posix_spawn_file_actions_adddup2(&actions, err_fd, STDERR_FILENO);
    if (!failed && input_fd >= 0)
        failed = posix_spawn_file_actions_adddup2(&actions, input_fd, CONFINE_INPUT_FD);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    if (!failed)
        failed = posix_spawn(out, argv[0], &actions, &attributes, (char **)argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

static void close_pair(int pair[2])
{
    for (int i = 0; i < 2; i++)
        if (pair[i] >= 0)
            close(pair[i]);
}

/* The program of confinement reads nothing of our environment but what it needs to load; the child gets none of it. */
static Err start(const Children *c, Running *r)
{
    const char **argv = make_argv(c, r->mem, r->spec);
    int out[2] = {-1, -1}, err[2] = {-1, -1}, failed;

    if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) {
        Err e = err_errno(&UNAVAILABLE, "pipes of a child");
        close_pair(out);
        return e;
    }
    failed = spawn(argv, out[1], err[1], r->spec->input_fd, &r->pid);
    close(out[1]);
    close(err[1]);
    if (failed) {
        close(out[0]);
        close(err[0]);
        errno = failed;
        return err_errno(failed == ENOENT || failed == EACCES ? &INTERNAL : &UNAVAILABLE, c->confine);
    }
    r->out_fd = out[0];
    r->err_fd = err[0];
    r->pid_fd = pidfd_open(r->pid, 0);
    return OK;
}

/* --- its output -------------------------------------------------------------------------------------------------- */
static void take_lines(Running *r, Slice piece)
{
    for (size_t i = 0; i < piece.len; i++) {
        if (piece.ptr[i] == '\n') {
            r->spec->line(r->spec->data, slice_of(r->line, r->line_len));
            r->line_len = 0;
        } else if (r->line_len < sizeof r->line) {
            r->line[r->line_len++] = piece.ptr[i];
        }
    }
}

static void take_output(Running *r, Slice piece)
{
    if (r->spec->line) {
        take_lines(r, piece);
        return;
    }
    if (r->spec->piece) {
        r->spec->piece(r->spec->data, piece);
        return;
    }
    strbuf_append(&r->output, piece);
    r->too_much |= r->output.overflow;
}

static void take_errors(Running *r, Slice piece)
{
    size_t keep;

    for (size_t i = 0; i < piece.len; i++)
        r->error_lines += piece.ptr[i] == '\n';
    if (piece.len >= sizeof r->tail)
        piece = slice_skip(piece, piece.len - sizeof r->tail);
    keep = MIN(r->tail_len, sizeof r->tail - piece.len);
    memmove(r->tail, r->tail + r->tail_len - keep, keep);
    memcpy(r->tail + keep, piece.ptr, piece.len);
    r->tail_len = keep + piece.len;
}

static void drain(Running *r, int *fd, void (*take)(Running *r, Slice piece))
{
    char buffer[READ_BYTES];
    ssize_t got = read(*fd, buffer, sizeof buffer);

    if (got > 0) {
        take(r, slice_of(buffer, (size_t)got));
    } else if (got == 0 || errno != EINTR) {
        close(*fd);
        *fd = -1;
    }
}

/* One wait, at most a tick long. True when the child has ended. */
static bool attend(Running *r)
{
    struct pollfd fds[3] = {
        {.fd = r->out_fd, .events = POLLIN}, {.fd = r->err_fd, .events = POLLIN}, {.fd = r->pid_fd, .events = POLLIN}};

    if (poll(fds, 3, TICK_MS) <= 0)
        return false;
    if (r->out_fd >= 0 && fds[0].revents)
        drain(r, &r->out_fd, take_output);
    if (r->err_fd >= 0 && fds[1].revents)
        drain(r, &r->err_fd, take_errors);
    /* What it wrote last is read first: both are closed by then, unless something that escaped holds them. */
    return fds[2].revents && !fds[0].revents && !fds[1].revents;
}

/* --- its end ----------------------------------------------------------------------------------------------------- */
/* Numbers of confine.c, which has them from wait(2). */
static ChildEnd judge(int status, int *out_status)
{
    int signal_number = WIFSIGNALED(status)         ? WTERMSIG(status)
                        : WEXITSTATUS(status) > 128 ? WEXITSTATUS(status) - 128
                                                    : 0;

    *out_status = signal_number ? signal_number : WEXITSTATUS(status);
    if (signal_number == SIGXCPU || signal_number == SIGXFSZ)
        return CHILD_LIMIT;
    return signal_number ? CHILD_KILLED : CHILD_EXITED;
}

static void kill_all(const Running *r)
{
    kill(-r->pid, SIGKILL);
    kill(r->pid, SIGKILL); /* should it be so young that it has no group yet */
}

static bool over_limit(Slice errors)
{
    return slice_find(errors, SLICE_LIT("Cannot allocate memory")) >= 0 ||
           slice_find(errors, SLICE_LIT("File too large")) >= 0;
}

static void finish(Running *r, ChildResult *out)
{
    struct rusage usage;
    int status = 0;

    while (wait4(r->pid, &status, 0, &usage) < 0 && errno == EINTR)
        ;
    if (out->end == CHILD_EXITED)
        out->end = judge(status, &out->status);
    out->cpu_ms = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
                  (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
    while (r->out_fd >= 0 && out->end == CHILD_EXITED)
        drain(r, &r->out_fd, take_output);
    while (r->err_fd >= 0 && out->end == CHILD_EXITED)
        drain(r, &r->err_fd, take_errors);
    if (r->too_much)
        out->end = CHILD_TOO_MUCH;
    out->errors = slice_of(arena_memdup(r->mem, r->tail, r->tail_len), r->tail_len);
    out->error_lines = r->error_lines;
    if (out->end == CHILD_EXITED && out->status != 0 && over_limit(out->errors))
        out->end = CHILD_LIMIT;
    if (!r->spec->line && !r->spec->piece && !r->too_much && !strbuf_finish(&r->output, &out->output))
        out->end = CHILD_TOO_MUCH;
}

static void close_all(Running *r)
{
    int fds[] = {r->out_fd, r->err_fd, r->pid_fd};

    close_pair(fds);
    if (fds[2] >= 0)
        close(fds[2]);
}

Err child_run(const Children *children, Arena *mem, const ChildSpec *spec, ChildResult *out)
{
    Running *r = ARENA_NEW(mem, Running);
    ChildResult result = {.end = CHILD_EXITED};
    int64_t began_ms = now_ms(),
            wall_ms = spec->wall_ms > 0 ? MIN(spec->wall_ms, children->wall_ms) : children->wall_ms;

    *r = (Running){.spec = spec, .mem = mem, .pid_fd = -1, .out_fd = -1, .err_fd = -1};
    r->output = strbuf_new(mem, spec->output_max_bytes + 1);
    TRY(start(children, r));
    while (result.end == CHILD_EXITED && !attend(r)) {
        if (r->too_much)
            result.end = CHILD_TOO_MUCH;
        else if (now_ms() - began_ms > wall_ms)
            result.end = CHILD_LIMIT;
        else if (spec->cancelled && spec->cancelled(spec->data))
            result.end = CHILD_CANCELLED;
    }
    kill_all(r);
    finish(r, &result);
    close_all(r);
    result.wall_ms = now_ms() - began_ms;
    if (result.end == CHILD_EXITED && result.status == CONFINE_FAILED)
        return err_make(&INTERNAL, SLICE_FMT, SLICE_ARG(slice_take(slice_trim(result.errors), 100)));
    if (children->ended)
        children->ended(children->data, spec, &result);
    *out = result;
    return OK;
}

Err child_check(const Children *children, Arena *mem, Slice *out)
{
    const char *argv[] = {children->confine, "--check", NULL};
    const ChildSpec spec = {.output_max_bytes = 256};
    Running r = {.spec = &spec, .mem = mem, .pid_fd = -1, .out_fd = -1, .err_fd = -1};
    int pair[2], failed, status;
    int64_t until_ms = now_ms() + CHECK_MS;

    r.output = strbuf_new(mem, spec.output_max_bytes);
    if (pipe2(pair, O_CLOEXEC) != 0)
        return err_errno(&UNAVAILABLE, "pipe");
    failed = spawn(argv, pair[1], STDERR_FILENO, -1, &r.pid);
    close(pair[1]);
    r.out_fd = pair[0];
    if (failed) {
        close(pair[0]);
        errno = failed;
        return err_errno(&INTERNAL, children->confine);
    }
    while (r.out_fd >= 0 && now_ms() < until_ms)
        (void)attend(&r);
    kill_all(&r);
    while (waitpid(r.pid, &status, 0) < 0 && errno == EINTR)
        ;
    close_all(&r);
    if (!strbuf_finish(&r.output, out) || out->len == 0)
        return err_make(&INTERNAL, "transcode-confine does not say what it can do");
    *out = slice_trim(*out);
    return OK;
}
