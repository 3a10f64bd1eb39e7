/* bus_testing: for tests on the bus: a bus at TEST_NATS_URL, and a nats-server of
 * the test's own, to stop and start, or with users. */
#pragma once
#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/bus.h"
#include "shared/clock.h"
#include "shared/id.h"
#include "shared/testing.h"

static inline const char *testing_nats_url(void)
{
    const char *url = getenv("TEST_NATS_URL");

    if (!url)
        fail_msg("%s", "TEST_NATS_URL is not set: run through tests/run-units");
    return url;
}

/* A slot of its own for each test program, so that they do not hear one another. */
static inline const char *testing_slot(void)
{
    static char slot[24];

    if (!slot[0])
        snprintf(slot, sizeof slot, "t%d", (int)getpid());
    return slot;
}

static inline Bus *testing_bus(const char *user)
{
    Bus *bus = NULL;

    assert_ok(
        bus_connect(&(BusOptions){.url = testing_nats_url(), .user = user, .slot = testing_slot(), .version = "1.2.3"},
                    5000, &bus));
    return bus;
}

/* Messages that a stream holds now; 0 when there is none. */
static inline uint64_t testing_stream_messages(Bus *bus, const char *stream)
{
    jsStreamInfo *info = NULL;
    jsErrCode code;
    uint64_t count = 0;

    if (js_GetStreamInfo(&info, bus_jetstream(bus), stream, NULL, &code) == NATS_OK)
        count = info->State.Msgs;
    jsStreamInfo_Destroy(info);
    return count;
}

/* --- a server of one's own --------------------------------------------------------------------------------------- */
typedef struct TestingServer {
    pid_t pid;
    int port;
    char url[64], folder[64];
} TestingServer;

static inline bool testing_port_open(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool open = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;

    close(fd);
    return open;
}

/* Again on the same port, after a stop. */
static inline void testing_server_start_again(TestingServer *server)
{
    char config[96];

    snprintf(config, sizeof config, "%s/nats.conf", server->folder);
    server->pid = fork();
    if (server->pid == 0) {
        int null = open("/dev/null", O_WRONLY);

        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        execlp("nats-server", "nats-server", "-c", config, (char *)NULL);
        _exit(127);
    }
    WAIT_UNTIL(testing_port_open(server->port));
}

/* `config` is added to port and host; "jetstream" is the whole of what that needs. */
static inline void testing_server_start(TestingServer *server, const char *config)
{
    char path[96];
    FILE *file;

    snprintf(server->folder, sizeof server->folder, "/tmp/atrium-nats-XXXXXX");
    assert_non_null(mkdtemp(server->folder));
    do
        server->port = 20000 + (int)(random_uint64() % 10000);
    while (testing_port_open(server->port));
    snprintf(server->url, sizeof server->url, "nats://127.0.0.1:%d", server->port);
    snprintf(path, sizeof path, "%s/nats.conf", server->folder);
    file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "listen: 127.0.0.1:%d\n", server->port);
    if (strcmp(config, "jetstream") == 0)
        fprintf(file, "jetstream { store_dir: \"%s/js\" }\n", server->folder);
    else
        fprintf(file, "%s\n", config);
    fclose(file);
    testing_server_start_again(server);
}

static inline void testing_server_stop(TestingServer *server)
{
    if (server->pid > 0) {
        kill(server->pid, SIGKILL);
        waitpid(server->pid, NULL, 0);
    }
    server->pid = 0;
}

static inline int testing_remove(const char *path, const struct stat *about, int kind, struct FTW *walk)
{
    (void)about, (void)kind, (void)walk;
    return remove(path);
}

static inline void testing_server_done(TestingServer *server)
{
    testing_server_stop(server);
    (void)nftw(server->folder, testing_remove, 16, FTW_DEPTH | FTW_PHYS); /* what stays, stays in /tmp */
}
