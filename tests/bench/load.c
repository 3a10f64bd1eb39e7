/* load: what the bench needs beside wrk: requests at a constant rate, a certain number of them, several kinds in turn,
 * connections that stand idle.
 *
 *   load [-k] [-w] [-c CONNECTIONS] [-d SECONDS] [-n REQUESTS] [-r RATE] [-H HEADER] [-b BODY] PORT KIND…
 *   load -i CONNECTIONS [-H HEADER] PORT KIND       each asks once and is kept, until SIGTERM; says "ready" before
 *
 * Kinds take turns; with -k each connection keeps to one. A KIND is [anonymous:]PATH=STATUS: a GET, or a POST when
 * there is a body; anonymous leaves HEADER out. Any other status is a failure. With a rate the loop is open: request k
 * is due at k / RATE, whatever became of those before, and its latency counts from then; so one that waited behind a
 * slow server (or a slow client) is not forgotten. With -w a 503 with Retry-After is obeyed: that connection waits for
 * a second, and it is only counted. Prints one line: requests, failed, refused, seconds, rate, and p50, p99 and max in
 * microseconds. */
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

enum { KINDS = 16, REQUEST_BYTES = 4096, ANSWER_BYTES = 4096, EVENTS = 256, PATIENCE_US = 10000000, REST_US = 1000000 };
/* Latencies of one power of two fall into so many classes: off by 1.6 % at most. */
enum { CLASS_BITS = 6, CLASSES = 1 << CLASS_BITS, POWERS = 40 };

typedef struct Kind {
    char text[REQUEST_BYTES];
    size_t len;
    int status;
} Kind;

typedef struct Conn {
    int fd;
    const Kind *kind;
    int64_t since_us, rests_until_us; /* 0: does not rest */
    size_t have, wanted;              /* of the answer; wanted 0: its length is not known yet */
    char in[ANSWER_BYTES];
    struct Conn *next; /* free ones */
} Conn;

static struct {
    int port, connections, idle;
    bool kept;  /* each connection has one kind, and stays with it */
    bool waits; /* when told to come again */
    double seconds, rate;
    int64_t limit; /* requests; 0: none */
    const char *header, *body;
    Kind kinds[KINDS];
    int kind_count;

    int epoll;
    Conn *conns, *free;
    int64_t start_us, until_us, end_us;
    int64_t sent, done, failed, refused, max_us;
    int resting; /* connections */
    int64_t histogram[POWERS * CLASSES];
} the = {.connections = 1};

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

/* --- latencies --------------------------------------------------------------------------------------------------- */
static int class_of(int64_t us)
{
    int power = us < CLASSES ? 0 : 63 - __builtin_clzll((unsigned long long)us) - CLASS_BITS + 1;

    return power == 0 ? (int)us : power * CLASSES + (int)(us >> (power - 1)) - CLASSES;
}

/* The upper end of a class. */
static int64_t class_us(int number)
{
    int power = number / CLASSES;

    return power == 0 ? number : ((int64_t)(number % CLASSES + CLASSES + 1) << (power - 1)) - 1;
}

static void count_latency(int64_t us)
{
    the.histogram[class_of(us > 0 ? us : 0)]++;
    if (us > the.max_us)
        the.max_us = us;
}

static int64_t percentile(double part)
{
    int64_t left = (int64_t)((double)the.done * part);

    for (int i = 0; i < POWERS * CLASSES; i++) {
        left -= the.histogram[i];
        if (left < 0)
            return class_us(i) < the.max_us ? class_us(i) : the.max_us;
    }
    return the.max_us;
}

/* --- one connection ---------------------------------------------------------------------------------------------- */
static void open_conn(Conn *c)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)the.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
        die("connect");
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)); /* without it only slower */
    if (epoll_ctl(the.epoll, EPOLL_CTL_ADD, c->fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = c}) != 0)
        die("epoll");
}

/* False: the connection is lost. */
static bool ask(Conn *c, const Kind *kind, int64_t since_us)
{
    c->kind = kind;
    c->since_us = since_us;
    c->have = c->wanted = 0;
    return send(c->fd, kind->text, kind->len, MSG_NOSIGNAL) == (ssize_t)kind->len;
}

static void find_length(Conn *c)
{
    const char *end, *length;

    c->in[c->have] = '\0';
    end = strstr(c->in, "\r\n\r\n");
    length = end ? strcasestr(c->in, "\r\nContent-Length:") : NULL;
    if (length)
        c->wanted = (size_t)(end + 4 - c->in) + strtoul(length + sizeof("\r\nContent-Length:") - 1, NULL, 10);
}

/* False: the connection is lost, or its answer is none that we can read (our own are short, with a length). */
static bool receive(Conn *c, int flags)
{
    ssize_t n = recv(c->fd, c->in + c->have, sizeof(c->in) - 1 - c->have, flags);

    if (n < 0 && errno == EAGAIN)
        return true;
    if (n <= 0)
        return false;
    c->have += (size_t)n;
    if (c->wanted == 0)
        find_length(c);
    return c->wanted < sizeof(c->in) && (c->have < sizeof(c->in) - 1 || c->wanted == c->have);
}

static bool is_answered(const Conn *c)
{
    return c->wanted > 0 && c->have >= c->wanted;
}

static bool is_good(const Conn *c)
{
    return strncmp(c->in, "HTTP/1.1 ", 9) == 0 && strtol(c->in + 9, NULL, 10) == c->kind->status;
}

/* --- load -------------------------------------------------------------------------------------------------------- */
static int64_t due_us(void)
{
    return the.rate > 0 ? the.start_us + (int64_t)((double)the.sent * 1e6 / the.rate) : now_us();
}

static bool is_over(void)
{
    return (the.limit && the.sent >= the.limit) || (the.rate == 0 && the.until_us && now_us() >= the.until_us);
}

static bool is_refused(const Conn *c)
{
    return strncmp(c->in, "HTTP/1.1 503", 12) == 0 && strcasestr(c->in, "\r\nRetry-After:");
}

static void rest(Conn *c)
{
    the.refused++;
    the.sent--; /* it will be sent again */
    the.resting++;
    c->kind = NULL;
    c->rests_until_us = now_us() + REST_US;
}

static void wake_rested(void)
{
    for (int i = 0; the.resting && i < the.connections; i++) {
        Conn *c = &the.conns[i];

        if (!c->rests_until_us || c->rests_until_us > now_us())
            continue;
        c->rests_until_us = 0;
        the.resting--;
        c->next = the.free;
        the.free = c;
    }
}

static void finish(Conn *c, bool good)
{
    if (!good && the.failed++ == 0)
        fprintf(stderr, "load: the first failure:\n%s%.*s\n", c->kind->text, (int)c->have, c->in);
    the.end_us = now_us();
    count_latency(the.end_us - c->since_us);
    the.done++;
    c->kind = NULL;
    c->next = the.free;
    the.free = c;
}

static void send_due(void)
{
    while (the.free && !is_over() && due_us() <= now_us()) {
        Conn *c = the.free;
        int64_t turn = the.kept ? c - the.conns : the.sent;

        the.free = c->next;
        if (!ask(c, &the.kinds[turn % the.kind_count], due_us()))
            c->have = 0; /* receive will find it lost, and says so */
        the.sent++;
    }
}

static void on_event(Conn *c)
{
    bool alive = receive(c, MSG_DONTWAIT);

    if (alive && !c->kind) {
        fprintf(stderr, "load: an answer that nobody asked for\n");
        exit(1);
    }
    if (alive && is_answered(c) && the.waits && is_refused(c))
        rest(c);
    else if (alive && is_answered(c))
        finish(c, is_good(c));
    if (alive)
        return;
    close(c->fd);
    open_conn(c);
    if (c->kind)
        finish(c, false);
}

/* Until the next request is due, where one can be sent at all. */
static void wait_some(void)
{
    struct epoll_event events[EVENTS];
    int64_t wait_us = the.free && !is_over() ? due_us() - now_us() : the.resting ? REST_US / 100 : PATIENCE_US;
    struct timespec wait = {.tv_sec = wait_us / 1000000, .tv_nsec = wait_us % 1000000 * 1000};
    int n = wait_us < 0 ? 0 : epoll_pwait2(the.epoll, events, EVENTS, &wait, NULL);

    for (int i = 0; i < n; i++)
        on_event(events[i].data.ptr);
}

static void run(void)
{
    int64_t patience_us;

    for (int i = 0; i < the.connections; i++) {
        open_conn(&the.conns[i]);
        the.conns[i].next = the.free;
        the.free = &the.conns[i];
    }
    the.start_us = the.end_us = now_us();
    if (the.seconds > 0)
        the.until_us = the.start_us + (int64_t)(the.seconds * 1e6);
    if (the.rate > 0)
        the.limit = (int64_t)(the.rate * the.seconds);
    patience_us = the.until_us ? the.until_us + PATIENCE_US : INT64_MAX;
    while ((!is_over() || the.done < the.sent) && now_us() < patience_us) {
        wake_rested();
        send_due();
        wait_some();
    }
    the.failed += the.sent - the.done + (the.rate > 0 ? the.limit - the.sent : 0); /* without an answer; never sent */
}

static void stand_idle(void)
{
    for (int i = 0; i < the.idle; i++) {
        Conn *c = &the.conns[i];

        open_conn(c);
        if (!ask(c, &the.kinds[0], now_us()))
            die("send");
        while (!is_answered(c))
            if (!receive(c, 0))
                die("receive");
        if (!is_good(c))
            die(c->in);
    }
    puts("ready");
    fflush(stdout);
    pause();
}

/* --- arguments --------------------------------------------------------------------------------------------------- */
static bool add_kind(const char *text)
{
    static const char ANONYMOUS[] = "anonymous:";
    bool anonymous = strncmp(text, ANONYMOUS, sizeof(ANONYMOUS) - 1) == 0;
    const char *path = anonymous ? text + sizeof(ANONYMOUS) - 1 : text, *status = strrchr(path, '=');
    bool header = the.header && !anonymous;
    Kind *kind = &the.kinds[the.kind_count++];

    if (!status || the.kind_count > KINDS)
        return false;
    kind->status = (int)strtol(status + 1, NULL, 10);
    kind->len = (size_t)snprintf(kind->text, sizeof(kind->text), "%s %.*s HTTP/1.1\r\nHost: localhost\r\n%s%s",
                                 the.body ? "POST" : "GET", (int)(status - path), path, header ? the.header : "",
                                 header ? "\r\n" : "");
    if (kind->len >= sizeof(kind->text))
        return false;
    if (the.body)
        kind->len += (size_t)snprintf(kind->text + kind->len, sizeof(kind->text) - kind->len,
                                      "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                                      strlen(the.body), the.body);
    else
        kind->len += (size_t)snprintf(kind->text + kind->len, sizeof(kind->text) - kind->len, "\r\n");
    return kind->len < sizeof(kind->text);
}

static bool take_arguments(int argc, char **argv)
{
    int option;

    while ((option = getopt(argc, argv, "c:d:n:r:i:H:b:kw")) != -1)
        switch (option) {
        case 'c':
            the.connections = (int)strtol(optarg, NULL, 10);
            break;
        case 'd':
            the.seconds = strtod(optarg, NULL);
            break;
        case 'n':
            the.limit = strtoll(optarg, NULL, 10);
            break;
        case 'r':
            the.rate = strtod(optarg, NULL);
            break;
        case 'i':
            the.idle = (int)strtol(optarg, NULL, 10);
            break;
        case 'k':
            the.kept = true;
            break;
        case 'w':
            the.waits = true;
            break;
        case 'H':
            the.header = optarg;
            break;
        case 'b':
            the.body = optarg;
            break;
        default:
            return false;
        }
    if (argc - optind < 2 || argc - optind - 1 > KINDS)
        return false;
    the.port = (int)strtol(argv[optind], NULL, 10);
    for (int i = optind + 1; i < argc; i++)
        if (!add_kind(argv[i]))
            return false;
    /* Without an end of one kind or the other it would never stop. */
    return the.connections > 0 && (the.idle > 0 || the.seconds > 0 || (the.limit > 0 && the.rate == 0));
}

int main(int argc, char **argv)
{
    double seconds;

    if (!take_arguments(argc, argv)) {
        fprintf(stderr,
                "usage: load [-k] [-w] [-c CONNECTIONS] [-d SECONDS] [-n REQUESTS] [-r RATE] [-H HEADER] [-b BODY]"
                " [-i IDLE] PORT [anonymous:]PATH=STATUS…\n");
        return 2;
    }
    the.epoll = epoll_create1(EPOLL_CLOEXEC);
    the.conns = calloc((size_t)(the.idle ? the.idle : the.connections), sizeof(Conn));
    if (the.epoll < 0 || !the.conns)
        die("start");
    if (the.idle) {
        stand_idle();
        return 0;
    }
    run();
    seconds = (double)(the.end_us - the.start_us) / 1e6;
    printf("requests=%lld failed=%lld refused=%lld seconds=%.2f rate=%.0f p50=%lld p99=%lld max=%lld\n",
           (long long)the.done, (long long)the.failed, (long long)the.refused, seconds,
           (double)the.done / (seconds > 0 ? seconds : 1), (long long)percentile(0.5), (long long)percentile(0.99),
           (long long)the.max_us);
    free(the.conns);
    return the.failed ? 1 : 0;
}
