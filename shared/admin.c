/* admin: see admin.h. libmicrohttpd with its internal poll() thread: the epoll one stalls on exactly 128 ready events
 * (LIMITS section 2), and nobody needs speed here. */
#include "shared/admin.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "atrium/reasons.atrium.h"
#include "shared/clock.h"

enum {
    CHECKS_MAX = 16,
    CHECK_KEPT_MS = 1000, /* probes of several watchers ask the dependencies once */
    CONNECTIONS_MAX = 32,
    CONNECTION_TIMEOUT_S = 10,
    METRICS_MAX_BYTES = 8 * 1024 * 1024,
    PROBE_MAX_BYTES = 2048
};

typedef struct Check {
    const char *name;
    Err (*check)(void *data);
    void *data;
    Err result;
    int64_t checked_ms; /* 0: never */
} Check;

struct Admin {
    struct MHD_Daemon *daemon;
    int listen_fd, port;
    const char *service, *version, *commit, *build_date;
    Metrics *metrics;
    Log *log;
    /* Held while checks run: who takes back `ready` may free what they look at. */
    pthread_mutex_t lock;
    bool ready;
    Check checks[CHECKS_MAX];
    size_t check_count;
};

/* --- addresses --------------------------------------------------------------------------------------------------- */
/* "host:port", ":port" (every address) and "[::1]:port". */
static Err resolve(const char *address, bool passive, struct addrinfo **out)
{
    const char *colon = strrchr(address, ':');
    char host[128] = "";
    size_t len = colon ? (size_t)(colon - address) : 0;
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = passive ? AI_PASSIVE | AI_NUMERICHOST : 0};
    int status;

    if (!colon || !colon[1] || len >= sizeof(host))
        return err_make(&INVALID_ARGUMENT, "\"%s\" is not an address with a port, as 127.0.0.1:18081", address);
    if (len >= 2 && address[0] == '[' && colon[-1] == ']')
        memcpy(host, address + 1, len - 2);
    else
        memcpy(host, address, len);
    /* A listener on every address is asked on the loopback one. */
    if (!passive && (host[0] == '\0' || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0))
        snprintf(host, sizeof(host), "127.0.0.1");
    if (passive && strcmp(host, "localhost") == 0)
        snprintf(host, sizeof(host), "127.0.0.1");
    status = getaddrinfo(host[0] ? host : NULL, colon + 1, &hints, out);
    if (status != 0)
        return err_make(&INVALID_ARGUMENT, "address %s: %s", address, gai_strerror(status));
    return OK;
}

static Err listen_on(const char *address, int *out_fd, int *out_port)
{
    struct addrinfo *list;
    struct sockaddr_storage bound;
    socklen_t bound_len = sizeof(bound);
    char port[16];
    const int on = 1;
    int fd;

    TRY(resolve(address, true, &list));
    fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* only saves a wait after a restart */
    if (fd < 0 || bind(fd, list->ai_addr, list->ai_addrlen) != 0 || listen(fd, 64) != 0) {
        Err e = err_errno(&UNAVAILABLE, address);
        freeaddrinfo(list);
        if (fd >= 0)
            close(fd);
        return e;
    }
    freeaddrinfo(list);
    if (getsockname(fd, (struct sockaddr *)&bound, &bound_len) != 0 ||
        getnameinfo((struct sockaddr *)&bound, bound_len, NULL, 0, port, sizeof(port), NI_NUMERICSERV) != 0)
        snprintf(port, sizeof(port), "0");
    *out_fd = fd;
    *out_port = (int)strtol(port, NULL, 10);
    return OK;
}

/* --- answers ----------------------------------------------------------------------------------------------------- */
static const Err *run_check(Check *check, int64_t now_ms)
{
    if (check->checked_ms == 0 || now_ms - check->checked_ms >= CHECK_KEPT_MS) {
        check->result = check->check(check->data);
        check->checked_ms = now_ms;
    }
    return &check->result;
}

static bool write_ready(Admin *a, StrBuf *body)
{
    int64_t now_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    StrBuf checks = strbuf_new(body->mem, body->max_bytes / 2);
    bool ready;

    pthread_mutex_lock(&a->lock);
    ready = a->ready;
    /* Before and after serving the checks may not be complete, or their objects be gone. */
    for (size_t i = 0; a->ready && i < a->check_count; i++) {
        const Err *e = run_check(&a->checks[i], now_ms);
        ready = ready && !err_failed(*e);
        strbuf_printf(&checks, "%s\"%s\":", i ? "," : "", a->checks[i].name);
        strbuf_append_json(&checks, err_failed(*e) ? slice(e->text) : SLICE_LIT("ok"));
    }
    pthread_mutex_unlock(&a->lock);
    strbuf_printf(body, "{\"status\":\"%s\",\"checks\":{", ready ? "ready" : "not ready");
    strbuf_append(body, strbuf_slice(&checks));
    strbuf_append_cstr(body, "}}\n");
    return ready;
}

static void write_version(const Admin *a, StrBuf *body)
{
    strbuf_append_cstr(body, "{\"service\":");
    strbuf_append_json(body, slice(a->service));
    strbuf_append_cstr(body, ",\"version\":");
    strbuf_append_json(body, slice(a->version));
    strbuf_append_cstr(body, ",\"commit\":");
    strbuf_append_json(body, slice(a->commit));
    strbuf_append_cstr(body, ",\"built\":");
    strbuf_append_json(body, slice(a->build_date));
    strbuf_append_cstr(body, "}\n");
}

static int answer(Admin *a, const char *path, StrBuf *body, const char **content_type)
{
    *content_type = "application/json";
    if (strcmp(path, "/livez") == 0) {
        strbuf_append_cstr(body, "{\"status\":\"alive\"}\n");
        return MHD_HTTP_OK;
    }
    if (strcmp(path, "/readyz") == 0)
        return write_ready(a, body) ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
    if (strcmp(path, "/version") == 0) {
        write_version(a, body);
        return MHD_HTTP_OK;
    }
    if (strcmp(path, "/metrics") == 0) {
        *content_type = "text/plain; version=0.0.4; charset=utf-8";
        metrics_write(a->metrics, body);
        return MHD_HTTP_OK;
    }
    *content_type = "text/plain; charset=utf-8";
    strbuf_append_cstr(body, "There are /livez, /readyz, /metrics and /version here.\n");
    return MHD_HTTP_NOT_FOUND;
}

static enum MHD_Result handle(void *data, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *http_version, const char *upload, size_t *upload_len, void **state)
{
    Admin *a = data;
    CLEANUP(arena_free_at) Arena *mem = NULL;
    const char *content_type = "text/plain; charset=utf-8";
    struct MHD_Response *response;
    enum MHD_Result queued;
    StrBuf body;
    Slice text;
    int status;
    bool allowed = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;

    (void)http_version, (void)upload;
    if (!*state) { /* first call: headers only; answering now would break off requests that have a body */
        *state = a;
        return MHD_YES;
    }
    if (*upload_len > 0) {
        *upload_len = 0;
        return MHD_YES;
    }
    mem = arena_new(16384);
    body = strbuf_new(mem, METRICS_MAX_BYTES);
    status = allowed ? answer(a, path, &body, &content_type) : MHD_HTTP_METHOD_NOT_ALLOWED;
    if (!strbuf_finish(&body, &text)) {
        status = MHD_HTTP_INTERNAL_SERVER_ERROR;
        text = SLICE_LIT("the answer is too large\n");
    }
    response = MHD_create_response_from_buffer(text.len, (void *)(uintptr_t)text.ptr, MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    (void)MHD_add_response_header(response, "Content-Type", content_type); /* fails only without memory */
    (void)MHD_add_response_header(response, "Cache-Control", "no-store");
    if (!allowed)
        (void)MHD_add_response_header(response, "Allow", "GET, HEAD");
    queued = MHD_queue_response(connection, (unsigned)status, response);
    MHD_destroy_response(response);
    return queued;
}

/* --- the listener ------------------------------------------------------------------------------------------------ */
static void free_admin(Admin *a)
{
    pthread_mutex_destroy(&a->lock);
    free(a);
}

Err admin_start(const AdminOptions *options, Admin **out)
{
    Admin *a = xcalloc(1, sizeof(*a));
    Err e;

    a->service = options->service;
    a->version = options->version;
    a->commit = options->commit;
    a->build_date = options->build_date;
    a->metrics = options->metrics;
    a->log = options->log;
    pthread_mutex_init(&a->lock, NULL);
    e = listen_on(options->address, &a->listen_fd, &a->port);
    if (err_failed(e)) {
        free_admin(a);
        return err_wrap(e, "ADMIN_ADDR");
    }
    a->daemon =
        MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, handle, a, MHD_OPTION_LISTEN_SOCKET,
                         a->listen_fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                         MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONNECTION_TIMEOUT_S, MHD_OPTION_END);
    if (!a->daemon) {
        close(a->listen_fd);
        free_admin(a);
        return err_make(&UNAVAILABLE, "ADMIN_ADDR: the listener could not be started on %s", options->address);
    }
    *out = a;
    return OK;
}

void admin_stop(Admin *a)
{
    if (!a)
        return;
    MHD_stop_daemon(a->daemon); /* closes the listening socket, too */
    free_admin(a);
}

int admin_port(const Admin *a)
{
    return a->port;
}

void admin_add_check(Admin *a, const char *name, Err (*check)(void *data), void *data)
{
    assert(a->check_count < CHECKS_MAX && !a->ready);
    a->checks[a->check_count++] = (Check){.name = name, .check = check, .data = data};
}

void admin_ready(Admin *a, bool ready)
{
    pthread_mutex_lock(&a->lock);
    a->ready = ready;
    pthread_mutex_unlock(&a->lock);
}

/* --- the other side: healthcheck --------------------------------------------------------------------------------- */
/* Waits for `events`; false when the time is over. */
static bool wait_fd(int fd, short events, int64_t until_ms)
{
    struct pollfd p = {.fd = fd, .events = events};
    int64_t left_ms = until_ms - clock_monotonic_ms(&SYSTEM_CLOCK);

    return left_ms > 0 && poll(&p, 1, (int)MIN(left_ms, INT32_MAX)) == 1;
}

static Err connect_to(const char *address, int64_t until_ms, int *out_fd)
{
    struct addrinfo *list;
    int fd, error = 0;
    socklen_t len = sizeof(error);
    bool connected;

    TRY(resolve(address, false, &list));
    fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        freeaddrinfo(list);
        return err_errno(&UNAVAILABLE, "socket");
    }
    connected = connect(fd, list->ai_addr, list->ai_addrlen) == 0;
    error = connected ? 0 : errno;
    freeaddrinfo(list);
    if (error == EINPROGRESS)
        error = !wait_fd(fd, POLLOUT, until_ms)                           ? ETIMEDOUT
                : getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 ? errno
                                                                          : error;
    if (error) {
        close(fd);
        return err_make(&UNAVAILABLE, "%s: %s", address, strerror(error));
    }
    *out_fd = fd;
    return OK;
}

Err admin_probe(const char *address, const char *path, int64_t timeout_ms)
{
    int64_t until_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + timeout_ms;
    char text[PROBE_MAX_BYTES];
    const char *body;
    size_t len = 0;
    ssize_t n;
    int fd = -1, request_len;

    TRY(connect_to(address, until_ms, &fd));
    request_len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
    if (send(fd, text, (size_t)request_len, MSG_NOSIGNAL) != request_len) {
        close(fd);
        return err_make(&UNAVAILABLE, "%s: the request could not be sent", address);
    }
    for (n = 1; n > 0 && len < sizeof(text) - 1;) {
        if (!wait_fd(fd, POLLIN, until_ms)) {
            close(fd);
            return err_make(&DEADLINE_EXCEEDED, "%s%s: no answer within %" PRId64 " ms", address, path, timeout_ms);
        }
        n = recv(fd, text + len, sizeof(text) - 1 - len, 0);
        len += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    text[len] = '\0';
    if (strncmp(text, "HTTP/1.1 200", 12) == 0)
        return OK;
    body = strstr(text, "\r\n\r\n");
    return err_make(&UNAVAILABLE, "%s: %.3s %.*s", path, len > 12 ? text + 9 : "000",
                    body ? (int)strcspn(body + 4, "\r\n") : 0, body ? body + 4 : "");
}
