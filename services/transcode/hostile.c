/* hostile: what a coder does that was taken over, for the tests of confinement: one attempt by its name. Exits 0 when
 * it got what it wanted, 1 with the error on standard error when it was kept from it. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/base.h"

static int denied(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    return 1;
}

static int connect_out(const char *argument)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtol(argument, NULL, 10))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0 ? 0 : denied("connect");
}

static int read_outside(const char *argument)
{
    char byte;
    int fd = open(argument, O_RDONLY | O_CLOEXEC);

    return fd >= 0 && read(fd, &byte, 1) >= 0 ? 0 : denied(argument);
}

static int write_outside(const char *argument)
{
    int fd = open(argument, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    return fd >= 0 ? 0 : denied(argument);
}

static int fork_once(const char *argument)
{
    pid_t pid = fork();
    (void)argument;

    if (pid == 0)
        for (;;)
            pause();
    return pid > 0 ? 0 : denied("fork");
}

static int run_other(const char *argument)
{
    execl(argument, argument, (char *)NULL);
    return denied(argument);
}

/* Until there is no more. */
static int fill_file(const char *argument)
{
    static char block[1 << 20];
    int fd = open(argument, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return denied(argument);
    while (write(fd, block, sizeof block) > 0)
        ;
    return denied("write");
}

static int fill_memory(const char *argument)
{
    (void)argument;
    for (int i = 0; i < 1 << 20; i++) {
        char *block = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED)
            return denied("memory");
        block[0] = 1;
    }
    return 0;
}

static int spin(const char *argument)
{
    volatile unsigned turns = 1;
    (void)argument;

    while (turns)
        turns |= 1;
    return 0;
}

/* Deaf to what asks it to end. */
static int sleep_for_ever(const char *argument)
{
    (void)argument;
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    while (pause() < 0)
        ;
    return 0;
}

static int trace_parent(const char *argument)
{
    (void)argument;
    return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == 0 ? 0 : denied("ptrace");
}

static int signal_other(const char *argument)
{
    return kill((pid_t)strtol(argument, NULL, 10), SIGTERM) == 0 ? 0 : denied("kill");
}

/* More than the first three descriptors. */
static int count_descriptors(const char *argument)
{
    (void)argument;
    for (int fd = 3; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            return 0;
    errno = EBADF;
    return denied("descriptors");
}

static void *wait_a_little(void *data)
{
    return data;
}

/* What must work: threads, and the folder. Else the others prove nothing. */
static int behave(const char *argument)
{
    pthread_t thread;
    int fd = open(argument, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || write(fd, "fine", 4) != 4)
        return denied(argument);
    if (pthread_create(&thread, NULL, wait_a_little, NULL) != 0 || pthread_join(thread, NULL) != 0)
        return denied("thread");
    return getenv("HOME") && !getenv("CANARY") ? 0 : denied("environment");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*attempt)(const char *argument);
    } ATTEMPTS[] = {{"connect", connect_out}, {"read", read_outside}, {"write", write_outside},
                    {"fork", fork_once},      {"exec", run_other},    {"disk", fill_file},
                    {"memory", fill_memory},  {"spin", spin},         {"sleep", sleep_for_ever},
                    {"ptrace", trace_parent}, {"kill", signal_other}, {"descriptors", count_descriptors},
                    {"behave", behave}};

    for (size_t i = 0; argc == 3 && i < ARRAY_LEN(ATTEMPTS); i++)
        if (strcmp(argv[1], ATTEMPTS[i].name) == 0)
            return ATTEMPTS[i].attempt(argv[2]);
    return 2;
}
