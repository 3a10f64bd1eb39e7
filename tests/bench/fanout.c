/* fanout: many WebSockets that follow one topic of the echo service (tests/realtime), and one who says things on it.
 *
 *   fanout rate PORT SOCKETS DISPATCHES     as fast as all take it; prints events a second
 *   fanout latency PORT SOCKETS DISPATCHES  50 a second; prints p50, p99 and max, in microseconds, from sending what is
 *                                           said (POST /echo/say) to the last socket's having it
 *   fanout idle PORT SOCKETS                says "ready", and stands until its input ends
 *
 * Frames are counted by their heads; a text of 300 letters makes them about as long as a chat message. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum {
    TEXT_BYTES = 300,
    BURST = 32,
    AHEAD = 128,
    PAUSE_US = 20000,
    PATIENCE_US = 20000000,
    IN_BYTES = 65536,
    EVENTS = 256
};

typedef struct Ear {
    int fd;
    uint64_t frames; /* whole ones, without the first: READY */
    uint64_t skip;   /* of a payload that is still to come */
    unsigned char head[10];
    size_t head_len;
    bool ready;
} Ear;

static struct sockaddr_in address = {.sin_family = AF_INET};
static Ear *ears;
static int ear_count, poller, mouth = -1;
static uint64_t heard; /* frames of all */
static int64_t *sent_us, *last_us;
static uint64_t *counts; /* by dispatch, of latency */
static char in[IN_BYTES];

static void die(const char *why)
{
    fprintf(stderr, "fanout: %s: %s\n", why, strerror(errno));
    exit(1);
}

static int64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int connect_to(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

static void say_all(int fd, const char *text, size_t len)
{
    while (len) {
        ssize_t n = write(fd, text, len);

        if (n <= 0)
            die("write");
        text += n;
        len -= (size_t)n;
    }
}

/* The answer's head, up to the empty line; what follows stays in the socket. */
static void read_head(int fd, const char *expected)
{
    char head[4096];
    size_t len = 0;

    while (len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0)
        if (len == sizeof(head) - 1 || read(fd, head + len++, 1) != 1)
            die("handshake");
    head[len] = '\0';
    if (!strstr(head, expected)) {
        fputs(head, stderr);
        die("not taken");
    }
}

static void open_ear(Ear *ear)
{
    char request[512];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = ear};
    int len = snprintf(request, sizeof(request),
                       "GET /echo?topics=t HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");

    ear->fd = connect_to();
    say_all(ear->fd, request, (size_t)len);
    read_head(ear->fd, " 101 ");
    epoll_ctl(poller, EPOLL_CTL_ADD, ear->fd, &event);
}

/* --- frames
 * ------------------------------------------------------------------------------------------------------------- */
static size_t head_bytes(const Ear *ear)
{
    if (ear->head_len < 2)
        return 2;
    return (ear->head[1] & 127) == 126 ? 4 : (ear->head[1] & 127) == 127 ? 10 : 2;
}

static void count_frame(Ear *ear)
{
    if ((ear->head[0] & 15) == 8) {
        fprintf(stderr, "fanout: closed by the edge after %llu frames\n", (unsigned long long)ear->frames);
        exit(1);
    }
    if ((ear->head[0] & 15) != 1)
        return;
    if (!ear->ready) {
        ear->ready = true;
        return;
    }
    if (counts && ++counts[ear->frames] == (uint64_t)ear_count)
        last_us[ear->frames] = now_us();
    ear->frames++;
    heard++;
}

static void take(Ear *ear, const char *at, size_t len)
{
    while (len) {
        uint64_t size;

        if (ear->skip) {
            size_t n = len < ear->skip ? len : (size_t)ear->skip;

            ear->skip -= n;
            at += n;
            len -= n;
            if (ear->skip == 0)
                count_frame(ear);
            continue;
        }
        ear->head[ear->head_len++] = (unsigned char)*at++;
        len--;
        if (ear->head_len < head_bytes(ear))
            continue;
        size = ear->head[1] & 127;
        if (size == 126)
            size = (uint64_t)ear->head[2] << 8 | ear->head[3];
        ear->head_len = 0;
        ear->skip = size;
        if (size == 0)
            count_frame(ear);
    }
}

/* Waits for `wait_ms` at most, and takes what is there. */
static void listen_for(int wait_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(poller, events, EVENTS, wait_ms);

    for (int i = 0; i < n; i++) {
        Ear *ear = events[i].data.ptr;
        ssize_t len = read(ear ? ear->fd : mouth, in, sizeof(in));

        if (len <= 0)
            die("the edge went away");
        if (ear)
            take(ear, in, (size_t)len);
    }
}

static bool all_ready(void)
{
    for (int i = 0; i < ear_count; i++)
        if (!ears[i].ready)
            return false;
    return true;
}

static void open_ears(const char *port, const char *count)
{
    address.sin_port = htons((uint16_t)atoi(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ear_count = atoi(count);
    ears = calloc((size_t)ear_count, sizeof(Ear));
    poller = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < ear_count; i++)
        open_ear(&ears[i]);
    for (int64_t until_us = now_us() + PATIENCE_US; !all_ready();) {
        listen_for(100);
        if (now_us() > until_us)
            die("not all sockets became ready");
    }
}

/* --- what is said
 * ----------------------------------------------------------------------------------------------------- */
static void open_mouth(void)
{
    struct epoll_event event = {.events = EPOLLIN};

    mouth = connect_to();
    epoll_ctl(poller, EPOLL_CTL_ADD, mouth, &event);
}

/* The answers are read, and nobody looks at them: what counts is what comes out at the other side. */
static void say(int times)
{
    char body[TEXT_BYTES + 64], request[sizeof(body) + 256], text[TEXT_BYTES + 1];
    int len;

    memset(text, 'x', TEXT_BYTES);
    text[TEXT_BYTES] = '\0';
    len = snprintf(body, sizeof(body), "{\"topic\":\"t\",\"times\":%d,\"text\":\"%s\"}", times, text);
    len =
        snprintf(request, sizeof(request),
                 "POST /echo/say HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                 len, body);
    say_all(mouth, request, (size_t)len);
}

static void measure_rate(uint64_t dispatches)
{
    uint64_t said = 0, all = dispatches * (uint64_t)ear_count;
    int64_t begun_us = now_us(), until_us = begun_us + 10 * (int64_t)PATIENCE_US;

    while (heard < all) {
        while (said < dispatches && (said + BURST) * (uint64_t)ear_count <= heard + AHEAD * (uint64_t)ear_count) {
            say(BURST);
            said += BURST;
        }
        listen_for(1000);
        if (now_us() > until_us)
            die("not all came");
    }
    printf("%.0f\n", (double)all * 1e6 / (double)(now_us() - begun_us));
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void measure_latency(uint64_t dispatches)
{
    int64_t begun_us = now_us(), until_us = begun_us + (int64_t)dispatches * PAUSE_US + PATIENCE_US;

    sent_us = calloc(dispatches, sizeof(*sent_us));
    last_us = calloc(dispatches, sizeof(*last_us));
    counts = calloc(dispatches, sizeof(*counts));
    for (uint64_t said = 0; heard < dispatches * (uint64_t)ear_count;) {
        int64_t due_us = begun_us + (int64_t)said * PAUSE_US, now = now_us();

        if (said < dispatches && now >= due_us) {
            sent_us[said++] = due_us; /* not from when we came to it */
            say(1);
            continue;
        }
        listen_for(said < dispatches ? (int)((due_us - now) / 1000) : 1000);
        if (now > until_us)
            die("not all came");
    }
    for (uint64_t i = 0; i < dispatches; i++)
        last_us[i] -= sent_us[i];
    qsort(last_us, dispatches, sizeof(*last_us), compare);
    printf("%lld %lld %lld\n", (long long)last_us[dispatches / 2], (long long)last_us[dispatches * 99 / 100],
           (long long)last_us[dispatches - 1]);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    open_ears(argv[2], argv[3]);
    if (strcmp(argv[1], "idle") == 0) {
        puts("ready");
        fflush(stdout);
        return getchar() == EOF ? 0 : 1;
    }
    if (argc < 5)
        return 2;
    open_mouth();
    if (strcmp(argv[1], "rate") == 0)
        measure_rate((uint64_t)atoi(argv[4]) / BURST * BURST);
    else
        measure_latency((uint64_t)atoi(argv[4]));
    return 0;
}
