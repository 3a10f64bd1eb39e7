/* confine: runs one program so that it can do nothing but read its input, compute, and write into its folder.
 *
 *   transcode-confine --parent PID --dir DIR [--input-fd N] [--read PATH]… [limits] [--weak] -- PROGRAM ARG…
 *   transcode-confine --check
 *
 * In three layers, each of which holds alone: namespaces (no network, no other process in sight, no privilege),
 * Landlock (no file but those named, no program but this one) and seccomp (no socket, no process, nothing of
 * administration). Where the kernel or a container grants no namespaces the other two remain. Without a bar to the
 * network, or without one to files, it runs nothing unless --weak says so.
 *
 * It stays in front of the program: the program dies with it, and it dies with the thread that started it. Its own
 * exit status is the program's, 128 + n for signal n, CONFINE_FAILED where it could not even begin. A program of its
 * own, because all this must happen in a process with one thread, and before anything else is loaded. */
#include "services/transcode/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/base.h"

enum {
    READ_MAX = 8,
    NOBODY = 65534,
    IOPRIO_WHO_PROCESS_ = 1,
    IOPRIO_IDLE = 3 << 13,
    KEPT_FD = CONFINE_INPUT_FD,
    THREADS_MAX = 512
};

typedef struct Options {
    const char *dir, *read[READ_MAX], *program;
    char **argv;
    size_t read_count;
    long parent, input_fd, nice;
    unsigned long long cpu_s, memory_bytes, file_bytes, files;
    bool weak, check;
} Options;

static _Noreturn void fail(const char *what)
{
    dprintf(STDERR_FILENO, "confine: %s: %s\n", what, strerror(errno));
    _exit(CONFINE_FAILED);
}

static _Noreturn void refuse(const char *why)
{
    dprintf(STDERR_FILENO, "confine: %s\n", why);
    _exit(CONFINE_FAILED);
}

/* --- arguments --------------------------------------------------------------------------------------------------- */
static unsigned long long number(const char *text)
{
    char *end;
    unsigned long long value;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno || end == text || *end)
        refuse("an option is no number");
    return value;
}

static void take_option(Options *o, const char *name, const char *value)
{
    if (strcmp(name, "--dir") == 0)
        o->dir = value;
    else if (strcmp(name, "--read") == 0 && o->read_count < READ_MAX)
        o->read[o->read_count++] = value;
    else if (strcmp(name, "--parent") == 0)
        o->parent = (long)number(value);
    else if (strcmp(name, "--input-fd") == 0)
        o->input_fd = (long)number(value);
    else if (strcmp(name, "--nice") == 0)
        o->nice = (long)number(value);
    else if (strcmp(name, "--cpu-s") == 0)
        o->cpu_s = number(value);
    else if (strcmp(name, "--memory-bytes") == 0)
        o->memory_bytes = number(value);
    else if (strcmp(name, "--file-bytes") == 0)
        o->file_bytes = number(value);
    else if (strcmp(name, "--files") == 0)
        o->files = number(value);
    else
        refuse("an option that nobody knows");
}

static Options read_options(int argc, char **argv)
{
    Options o = {.input_fd = -1};
    int i = 1;

    for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--weak") == 0)
            o.weak = true;
        else if (strcmp(argv[i], "--check") == 0)
            o.check = true;
        else if (i + 1 < argc)
            take_option(&o, argv[i], argv[i + 1]), i++;
        else
            refuse("an option without its value");
    }
    if (!o.check && (i + 1 >= argc || !o.dir || o.parent <= 0))
        refuse("--parent, --dir and a program are needed");
    if (!o.check) {
        o.argv = argv + i + 1;
        o.program = o.argv[0];
    }
    return o;
}

/* --- namespaces -------------------------------------------------------------------------------------------------- */
static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done;

    if (fd < 0)
        return false;
    done = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return done;
}

/* Nobody inside, ourselves outside: files that we own can be written, and there is no privilege to gain. */
static bool enter_namespaces(void)
{
    char map[64];
    const unsigned uid = geteuid(), gid = getegid();

    if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS) != 0)
        return false;
    snprintf(map, sizeof map, "%d %u 1\n", NOBODY, uid);
    if (!write_file("/proc/self/uid_map", map) || !write_file("/proc/self/setgroups", "deny"))
        fail("uid_map");
    snprintf(map, sizeof map, "%d %u 1\n", NOBODY, gid);
    if (!write_file("/proc/self/gid_map", map))
        fail("gid_map");
    return true;
}

/* --- Landlock ---------------------------------------------------------------------------------------------------- */
/* Of kernels later than the headers of Debian 12. */
#define FS_REFER (UINT64_C(1) << 13)
#define FS_TRUNCATE (UINT64_C(1) << 14)
#define FS_IOCTL_DEV (UINT64_C(1) << 15)
#define NET_TCP UINT64_C(3)   /* bind, connect */
#define SCOPE_ALL UINT64_C(3) /* abstract sockets, signals */
#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_RUN (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE)
#define FS_WORK                                                                                                        \
    (FS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |        \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | FS_TRUNCATE)
#define FS_FILE                                                                                                        \
    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE)

typedef struct Ruleset {
    uint64_t fs, net, scoped;
} Ruleset;

static long landlock_version(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
}

static Ruleset all_that_is_known(long version)
{
    Ruleset r = {.fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};

    if (version >= 2)
        r.fs |= FS_REFER;
    if (version >= 3)
        r.fs |= FS_TRUNCATE;
    if (version >= 4)
        r.net = NET_TCP;
    if (version >= 5)
        r.fs |= FS_IOCTL_DEV;
    if (version >= 6)
        r.scoped = SCOPE_ALL;
    return r;
}

static void allow_fd(int ruleset, const Ruleset *known, int fd, uint64_t access)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = access & known->fs, .parent_fd = fd};
    struct stat st;

    if (fstat(fd, &st) != 0)
        fail("stat what may be read");
    if (!S_ISDIR(st.st_mode))
        rule.allowed_access &= FS_FILE;
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
        fail("landlock rule");
}

/* What is not there cannot be used. */
static void allow(int ruleset, const Ruleset *known, const char *path, uint64_t access)
{
    int fd = open(path, O_PATH | O_CLOEXEC);

    if (fd < 0)
        return;
    allow_fd(ruleset, known, fd, access);
    close(fd);
}

static bool enter_landlock(const Options *o)
{
    static const char *const LIBRARIES[] = {
        "/usr/lib",         "/lib",       "/lib64",         "/usr/lib64",          "/usr/local/lib", "/usr/share",
        "/etc/ld.so.cache", "/etc/fonts", "/etc/localtime", "/sys/devices/system", "/dev/urandom"};
    static const char *const LOADERS[] = {"/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"};
    long version = landlock_version();
    Ruleset known;
    int ruleset;

    if (version < 1)
        return false;
    known = all_that_is_known(version);
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &known,
                           version >= 6   ? sizeof known
                           : version >= 4 ? sizeof(uint64_t) * 2
                                          : sizeof(uint64_t),
                           0);
    if (ruleset < 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(LIBRARIES); i++)
        allow(ruleset, &known, LIBRARIES[i], FS_READ);
    for (size_t i = 0; i < ARRAY_LEN(LOADERS); i++)
        allow(ruleset, &known, LOADERS[i], FS_RUN);
    allow(ruleset, &known, "/dev/null", LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE);
    allow(ruleset, &known, o->program, FS_RUN);
    allow(ruleset, &known, o->dir, FS_WORK);
    for (size_t i = 0; i < o->read_count; i++)
        allow(ruleset, &known, o->read[i], FS_READ);
    if (o->input_fd >= 0)
        allow_fd(ruleset, &known, KEPT_FD, LANDLOCK_ACCESS_FS_READ_FILE);
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        fail("landlock");
    close(ruleset);
    return true;
}

/* --- seccomp ----------------------------------------------------------------------------------------------------- */
static bool enter_seccomp(void)
{
    /* Threads are all that a coder needs of the kernel beside memory and files. */
    static const char *const DENIED[] = {"socket",
                                         "socketpair",
                                         "connect",
                                         "bind",
                                         "listen",
                                         "accept",
                                         "accept4",
                                         "fork",
                                         "vfork",
                                         "ptrace",
                                         "process_vm_readv",
                                         "process_vm_writev",
                                         "process_madvise",
                                         "pidfd_open",
                                         "pidfd_getfd",
                                         "pidfd_send_signal",
                                         "kcmp",
                                         "mount",
                                         "umount2",
                                         "move_mount",
                                         "open_tree",
                                         "fsopen",
                                         "fsconfig",
                                         "fsmount",
                                         "mount_setattr",
                                         "pivot_root",
                                         "chroot",
                                         "unshare",
                                         "setns",
                                         "bpf",
                                         "perf_event_open",
                                         "userfaultfd",
                                         "io_uring_setup",
                                         "io_uring_enter",
                                         "io_uring_register",
                                         "keyctl",
                                         "add_key",
                                         "request_key",
                                         "kexec_load",
                                         "kexec_file_load",
                                         "init_module",
                                         "finit_module",
                                         "delete_module",
                                         "open_by_handle_at",
                                         "name_to_handle_at",
                                         "setsid",
                                         "setpgid",
                                         "setuid",
                                         "setgid",
                                         "setresuid",
                                         "setresgid",
                                         "setgroups",
                                         "syslog",
                                         "reboot",
                                         "swapon",
                                         "swapoff",
                                         "acct",
                                         "quotactl",
                                         "settimeofday",
                                         "clock_settime",
                                         "clock_adjtime",
                                         "adjtimex",
                                         "sethostname",
                                         "setdomainname",
                                         "personality",
                                         "modify_ldt",
                                         "iopl",
                                         "ioperm",
                                         "mknod",
                                         "mknodat",
                                         "symlink",
                                         "symlinkat",
                                         "link",
                                         "linkat",
                                         "memfd_secret",
                                         "execveat",
                                         "shmget",
                                         "msgget",
                                         "semget",
                                         "mq_open",
                                         "fanotify_init",
                                         "inotify_init1",
                                         "vhangup",
                                         "setxattr",
                                         "lsetxattr",
                                         "fsetxattr"};
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int failed = filter ? 0 : -1;

    for (size_t i = 0; i < ARRAY_LEN(DENIED) && !failed; i++) {
        int call = seccomp_syscall_resolve_name(DENIED[i]);
        if (call >= 0) /* else this machine has no such call */
            failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0);
    }
    /* Its flags are out of sight: the C library falls back to clone. */
    if (!failed)
        failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (!failed)
        failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    if (!failed)
        failed = seccomp_load(filter);
    seccomp_release(filter);
    return !failed;
}

/* --- the program ------------------------------------------------------------------------------------------------- */
static void limit(int what, unsigned long long value)
{
    const struct rlimit both = {value, value};

    if (value && setrlimit(what, &both) != 0)
        fail("limit");
}

static void set_limits(const Options *o, bool namespaces)
{
    const struct rlimit none = {0, 0};

    limit(RLIMIT_AS, o->memory_bytes);
    limit(RLIMIT_FSIZE, o->file_bytes);
    limit(RLIMIT_NOFILE, o->files);
    if (namespaces) /* else everything of this user counts */
        limit(RLIMIT_NPROC, THREADS_MAX);
    if (o->cpu_s) {
        /* SIGXCPU first, which tells what happened. */
        const struct rlimit cpu = {o->cpu_s, o->cpu_s + 2};
        if (setrlimit(RLIMIT_CPU, &cpu) != 0)
            fail("limit");
    }
    if (setrlimit(RLIMIT_CORE, &none) != 0)
        fail("limit");
    if (o->nice && (setpriority(PRIO_PROCESS, 0, (int)o->nice) != 0 ||
                    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS_, 0, IOPRIO_IDLE) != 0))
        fail("priority");
}

static void arrange_descriptors(const Options *o)
{
    int null = open("/dev/null", O_RDONLY);

    if (null < 0 || dup2(null, STDIN_FILENO) < 0)
        fail("/dev/null");
    if (o->input_fd >= 0 && o->input_fd != KEPT_FD && dup2((int)o->input_fd, KEPT_FD) < 0)
        fail("the input");
    if (syscall(SYS_close_range, o->input_fd >= 0 ? KEPT_FD + 1 : KEPT_FD, ~0U, 0) != 0)
        fail("close");
}

static _Noreturn void run(const Options *o, bool namespaces)
{
    char home[4096 + 8], temp[4096 + 8];
    char *environment[] = {
        home, temp, (char[]){"PATH=/usr/bin"}, (char[]){"LC_ALL=C.UTF-8"}, (char[]){"VIPS_CONCURRENCY=2"}, NULL};
    bool files, calls;

    if (snprintf(home, sizeof home, "HOME=%s", o->dir) >= (int)sizeof home)
        refuse("the folder's name is too long");
    snprintf(temp, sizeof temp, "TMPDIR=%s", o->dir);
    arrange_descriptors(o);
    if (chdir(o->dir) != 0)
        fail(o->dir);
    umask(077);
    set_limits(o, namespaces);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        fail("no_new_privs");
    files = enter_landlock(o);
    calls = enter_seccomp();
    if (!o->weak && !files)
        refuse("the kernel keeps no program from files (Landlock)");
    if (!o->weak && !calls && !namespaces)
        refuse("there is no way to keep a program from the network");
    execve(o->program, o->argv, environment);
    fail(o->program);
}

/* --- in front of it ---------------------------------------------------------------------------------------------- */
/* Dies with its parent, also when that died before this was said. */
static void die_with_parent(long parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        fail("die with the parent");
    if (parent && getppid() != parent)
        _exit(CONFINE_FAILED);
}

/* Its status as ours. */
static _Noreturn void follow(pid_t child)
{
    int status;

    for (;;) {
        pid_t ended = waitpid(-1, &status, 0);

        if (ended < 0 && errno != EINTR)
            fail("wait");
        if (ended == child)
            _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }
}

static pid_t fork_or_fail(void)
{
    pid_t pid = fork();

    if (pid < 0)
        fail("fork");
    return pid;
}

static _Noreturn void check(void)
{
    long version = landlock_version();
    pid_t child = fork_or_fail();
    int status = 1;

    if (child == 0)
        _exit(enter_namespaces() ? 0 : 1);
    if (waitpid(child, &status, 0) != child)
        fail("wait");
    child = fork_or_fail();
    if (child == 0)
        _exit(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && enter_seccomp() ? 0 : 1);
    printf("namespaces=%s landlock=%ld ", status == 0 ? "yes" : "no", MAX(version, 0));
    if (waitpid(child, &status, 0) != child)
        fail("wait");
    printf("seccomp=%s\n", status == 0 ? "yes" : "no");
    fflush(stdout);
    _exit(0);
}

int main(int argc, char **argv)
{
    const Options o = read_options(argc, argv);
    bool namespaces;
    pid_t child;

    if (o.check)
        check();
    die_with_parent(o.parent);
    namespaces = enter_namespaces();
    die_with_parent(0); /* entering has cleared it */
    if (getppid() != o.parent)
        _exit(CONFINE_FAILED);
    child = fork_or_fail();
    if (child > 0)
        follow(child);
    die_with_parent(0);
    if (namespaces) {
        /* The first process of the namespace: when it ends, so does all in it. Signals from inside do not reach it, so
         * it must not be the program itself. */
        child = fork_or_fail();
        if (child > 0)
            follow(child);
        die_with_parent(0);
    }
    run(&o, namespaces);
}
