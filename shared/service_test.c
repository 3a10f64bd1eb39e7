/* Tests of shared/service.c: a whole service in a child process: arguments, settings, life and end. */
#include "shared/service.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/testing.h"

enum { OUTPUT_BYTES = 262144, PATIENCE_MS = 20000 };

typedef struct DemoSettings {
    int64_t size;
} DemoSettings;

static const Setting DEMO_SETTINGS[] = {
    {"DB_POOL_SIZE", CONFIG_INT, offsetof(DemoSettings, size), "7", 1, 64, 0, "How large the demonstration is."}};

static Err check_demo(const CommonSettings *common, const void *settings)
{
    const DemoSettings *s = settings;

    (void)common;
    return s->size == 13 ? err_make(&INVALID_ARGUMENT, "DB_POOL_SIZE: 13 brings bad luck") : OK;
}

/* What happens is written to standard output, where the test reads it. */
static void tell(const char *what)
{
    dprintf(STDOUT_FILENO, "demo: %s\n", what);
}

static Err open_demo(Service *service, void **out_context)
{
    assert(service->ids && service->bus && service->cache && service->client && !service->db && !service->outbox);
    tell("open");
    *out_context = (void *)(uintptr_t)service;
    return OK;
}

static Err started_demo(Service *service, void *context)
{
    assert(context == service);
    tell("started");
    return OK;
}

static void stopping_demo(void *context)
{
    (void)context;
    tell("stopping");
}

static void close_demo(void *context)
{
    (void)context;
    tell("close");
}

static void reload_demo(void *context)
{
    (void)context;
    tell("reload");
}

static Err run_demo(Service *service, void *context)
{
    struct pollfd fds[] = {{.fd = service_stop_fd(service), .events = POLLIN},
                           {.fd = service_reload_fd(service), .events = POLLIN}};
    uint64_t count;

    (void)context;
    tell("run");
    while (!service_stopping(service)) {
        (void)poll(fds, 2, -1);
        if (read(fds[1].fd, &count, sizeof(count)) > 0)
            tell("reload");
    }
    return OK;
}

static Err fail_demo(Service *service, void **out_context)
{
    (void)service, (void)out_context;
    return err_make(&INTERNAL, "it cannot be opened");
}

#define DEMO                                                                                                           \
    .name = "demo", .summary = "shows how services live.", .settings = DEMO_SETTINGS,                                  \
    .setting_count = ARRAY_LEN(DEMO_SETTINGS), .settings_bytes = sizeof(DemoSettings), .check = check_demo,            \
    .open = open_demo, .started = started_demo, .stopping = stopping_demo, .close = close_demo
static const ServiceDefinition PLAIN = {DEMO, .reload = reload_demo};
static const ServiceDefinition WITH_RUN = {DEMO, .run = run_demo};
static const ServiceDefinition FAILING = {.name = "demo",
                                          .summary = "fails.",
                                          .settings = DEMO_SETTINGS,
                                          .setting_count = 1,
                                          .settings_bytes = sizeof(DemoSettings),
                                          .open = fail_demo};
static const ServiceDefinition WITH_DATABASE = {.name = "demo",
                                                .summary = "needs a database.",
                                                .settings = DEMO_SETTINGS,
                                                .setting_count = 1,
                                                .settings_bytes = sizeof(DemoSettings),
                                                .uses_database = true};

/* --- with a data plane ------------------------------------------------------------------------------------------- */
#define TICKET_KEY "abababababababababababababababababababababababababababababababab"

/* The stream that ended logins are told in; a platform has it from `atrium bus setup`. */
static Err open_bytes_demo(Service *service, void **out_context)
{
    const char *subjects[] = {"evt.auth.>"};
    jsStreamConfig stream;

    assert(service->tickets && strcmp(service->bytes_url, "https://people.example") == 0);
    jsStreamConfig_Init(&stream);
    stream.Name = "EVT_AUTH";
    stream.Subjects = subjects;
    stream.SubjectsLen = 1;
    *out_context = (void *)(uintptr_t)service;
    return bus_ensure_stream(service->bus, &stream);
}

static Err begin_put(BytesExchange *x)
{
    const Service *service = bytes_request(x)->service;

    tell(service->tickets ? "put" : "put without tickets");
    return OK;
}

static Err end_put(BytesExchange *x)
{
    return bytes_answer(x, 200, "text/plain", bytes_body(x));
}

static const BytesHandler PUT = {.begin = begin_put, .end = end_put};
static const BytesRow BYTES_ROWS[] = {{"PUT", "/put", "demo.v1.Put", RPC_ANYONE, "", 0, &PUT}};
static const BytesService BYTES = {"atrium.demo.v1.DemoService", "demo", BYTES_ROWS, ARRAY_LEN(BYTES_ROWS)};
static const BytesService *const BYTES_SERVICES[] = {&BYTES};
static const ServiceDefinition WITH_BYTES = {.name = "demo",
                                             .summary = "has a data plane.",
                                             .settings = DEMO_SETTINGS,
                                             .setting_count = 1,
                                             .settings_bytes = sizeof(DemoSettings),
                                             .bytes = BYTES_SERVICES,
                                             .bytes_count = 1,
                                             .open = open_bytes_demo,
                                             .close = close_demo};

/* --- a child that is a service ----------------------------------------------------------------------------------- */
typedef struct Child {
    pid_t pid;
    int out;
    char text[OUTPUT_BYTES];
    size_t len;
} Child;

/* `environment` is a list of NAME, value …, NULL. */
static Child *begin(const ServiceDefinition *definition, const char *const *arguments, const char *const *environment)
{
    Child *child = xcalloc(1, sizeof(*child));
    char *argv[8] = {(char *)(uintptr_t) "demo"};
    int argc = 1, pipe_fds[2];

    for (; arguments && arguments[argc - 1]; argc++)
        argv[argc] = (char *)(uintptr_t)arguments[argc - 1];
    assert_int_equal(pipe(pipe_fds), 0);
    fflush(NULL);
    child->pid = fork();
    assert_true(child->pid >= 0);
    if (child->pid == 0) {
        int code;
        dup2(pipe_fds[1], STDOUT_FILENO);
        dup2(pipe_fds[1], STDERR_FILENO);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        for (int i = 0; environment && environment[i]; i += 2)
            setenv(environment[i], environment[i + 1], 1);
        code = service_main(definition, argc, argv);
        fflush(NULL);
        _exit(code);
    }
    close(pipe_fds[1]);
    child->out = pipe_fds[0];
    return child;
}

/* Reads until the output holds `part` or ends; NULL reads to the end. */
static bool read_until(Child *child, const char *part)
{
    struct pollfd fd = {.fd = child->out, .events = POLLIN};
    int64_t until_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + PATIENCE_MS;

    while (!part || !strstr(child->text, part)) {
        ssize_t n;
        if (clock_monotonic_ms(&SYSTEM_CLOCK) > until_ms || child->len >= OUTPUT_BYTES - 1) {
            kill(child->pid, SIGKILL);
            fail_msg("no %s within %d ms in:\n%s", part ? part : "end", PATIENCE_MS, child->text);
        }
        if (poll(&fd, 1, 100) <= 0)
            continue;
        n = read(child->out, child->text + child->len, OUTPUT_BYTES - 1 - child->len);
        if (n <= 0)
            break;
        child->len += (size_t)n;
    }
    return !part || strstr(child->text, part);
}

#define assert_tells(child, part)                                                                                      \
    do {                                                                                                               \
        if (!read_until((child), (part)))                                                                              \
            fail_msg("no \"%s\" in:\n%s", (part), (child)->text);                                                      \
    } while (0)

/* The exit code; frees the child. `out_text` may be NULL. */
static int end(Child *child, char *out_text, size_t text_bytes)
{
    int status;

    read_until(child, NULL);
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    if (!WIFEXITED(status))
        fail_msg("ended by signal %d:\n%s", WTERMSIG(status), child->text);
    if (out_text)
        snprintf(out_text, text_bytes, "%s", child->text);
    close(child->out);
    free(child);
    return WEXITSTATUS(status);
}

static const char *nats_url(void)
{
    const char *url = getenv("TEST_NATS_URL");

    if (!url)
        fail_msg("TEST_NATS_URL is not set; run by tests/run-units");
    return url;
}

/* --- arguments and settings ------------------------------------------------------------------------------------------
 */
static void arguments_are_obeyed_or_refused(void **state)
{
    static const struct {
        const char *arguments[4];
        int code;
        const char *part;
    } cases[] = {
        {{"--version"}, 0, "demo v"},
        {{"--version"}, 0, "(commit: "},
        {{"--help"}, 0, "shows how services live."},
        {{"--help"}, 0, "How large the demonstration is."},
        {{"--help"}, 0, "NATS_URL"},
        {{"config", "check"}, 0, "are fine"},
        {{"config", "dump"}, 0, "DB_POOL_SIZE = 7"},
        {{"config"}, 2, "--help"},
        {{"config", "burn"}, 2, "--help"},
        {{"walk"}, 2, "--help"},
        {{"run", "away"}, 2, "--help"},
        {{"healthcheck"}, 2, "port 0"},
    };
    char text[65536];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(end(begin(&PLAIN, cases[i].arguments, NULL), text, sizeof(text)), cases[i].code);
        if (!strstr(text, cases[i].part))
            fail_msg("case %zu: no \"%s\" in:\n%s", i, cases[i].part, text);
    }
}

static void wrong_settings_stop_the_start_with_their_name(void **state)
{
    static const char *const cases[][2] = {
        {"LOG_LEVEL", "loud"},
        {"LOG_FORMAT", "xml"},
        {"ATRIUM_SLOT", "red"},
        {"DB_POOL_SIZE", "many"},
        {"DB_POOL_SIZE", "13"},
        {"SHUTDOWN_TIMEOUT", "soon"},
        {"NATS_URL_FILE", "/no/such/file"},
        {"NATS_URL", "nats://127.0.0.1:4222, http://127.0.0.1:8222"},
        {"GATEWAY_PUBLIC_KEY", "zz"},
        {"OTEL_TRACES_SAMPLER_ARG", "2"},
        {"OTEL_TRACES_SAMPLER_ARG", "x"},
    };
    static const char *const check[] = {"config", "check", NULL}, *const run[] = {"run", NULL};
    char text[8192];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *const environment[] = {cases[i][0], cases[i][1], NULL};
        for (int k = 0; k < 2; k++) {
            assert_int_equal(end(begin(&PLAIN, k ? run : check, environment), text, sizeof(text)), 2);
            if (!strstr(text, cases[i][0]))
                fail_msg("%s=%s: its name is not in: %s", cases[i][0], cases[i][1], text);
        }
    }
}

static void a_service_with_a_database_must_be_told_which(void **state)
{
    static const char *const check[] = {"config", "check", NULL};
    char text[8192];

    (void)state;
    assert_int_equal(end(begin(&WITH_DATABASE, check, NULL), text, sizeof(text)), 2);
    assert_non_null(strstr(text, "DATABASE_URL"));
}

/* --- life ------------------------------------------------------------------------------------------------------------
 */
static void it_serves_reloads_and_drains_in_order(void **state)
{
    static const int signals[] = {SIGTERM, SIGINT};
    const char *const environment[] = {"NATS_URL", nats_url(), "LOG_FORMAT", "json", NULL};
    char text[OUTPUT_BYTES];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        static const char *const order[] = {"\"starting\"", "demo: open",     "demo: started", "\"serving\"",
                                            "demo: reload", "demo: stopping", "demo: close",   "\"stopped\""};
        Child *child = begin(&PLAIN, NULL, environment);
        const char *at = text;

        assert_tells(child, "\"serving\"");
        kill(child->pid, SIGHUP);
        assert_tells(child, "demo: reload");
        kill(child->pid, signals[i]);
        assert_int_equal(end(child, text, sizeof(text)), 0);
        for (size_t k = 0; k < ARRAY_LEN(order); k++) {
            at = strstr(at, order[k]);
            if (!at)
                fail_msg("%s is not there, or not in its place:\n%s", order[k], text);
        }
    }
}

static void a_loop_of_its_own_serves_instead(void **state)
{
    const char *const environment[] = {"NATS_URL", nats_url(), NULL};
    Child *child = begin(&WITH_RUN, NULL, environment);

    (void)state;
    assert_tells(child, "demo: run");
    kill(child->pid, SIGHUP);
    assert_tells(child, "demo: reload");
    kill(child->pid, SIGTERM);
    assert_int_equal(end(child, NULL, 0), 0);
}

static void healthcheck_asks_the_running_one(void **state)
{
    static const char *const healthcheck[] = {"healthcheck", NULL};
    char address[32];
    const char *const environment[] = {"NATS_URL", nats_url(), "LOG_FORMAT", "json", NULL};
    Child *child = begin(&PLAIN, NULL, environment);
    const char *port;

    (void)state;
    assert_tells(child, "\"serving\"");
    assert_tells(child, "admin_port\":");
    port = strstr(child->text, "admin_port\":") + strlen("admin_port\":");
    snprintf(address, sizeof(address), "127.0.0.1:%d", (int)strtol(port, NULL, 10));
    {
        const char *const asking[] = {"ADMIN_ADDR", address, NULL};
        assert_int_equal(end(begin(&PLAIN, healthcheck, asking), NULL, 0), 0);
        kill(child->pid, SIGTERM);
        assert_int_equal(end(child, NULL, 0), 0);
        assert_int_equal(end(begin(&PLAIN, healthcheck, asking), NULL, 0), 1);
    }
}

static void without_a_bus_it_waits_and_still_stops(void **state)
{
    static const char *const environment[] = {"NATS_URL", "nats://127.0.0.1:1", "LOG_FORMAT", "json", NULL};
    Child *child = begin(&PLAIN, NULL, environment);

    (void)state;
    assert_tells(child, "\"waiting\"");
    kill(child->pid, SIGTERM);
    assert_int_equal(end(child, NULL, 0), 0);
}

static void without_a_database_it_waits_and_still_stops(void **state)
{
    const char *const environment[] = {
        "NATS_URL", nats_url(), "DATABASE_URL", "postgresql://x@127.0.0.1:1/x", "LOG_FORMAT", "json", NULL};
    Child *child = begin(&WITH_DATABASE, NULL, environment);

    (void)state;
    assert_tells(child, "\"waiting\"");
    kill(child->pid, SIGTERM);
    assert_int_equal(end(child, NULL, 0), 0);
}

static void what_cannot_be_opened_ends_the_start(void **state)
{
    const char *const environment[] = {"NATS_URL", nats_url(), NULL};
    char text[OUTPUT_BYTES];

    (void)state;
    assert_int_equal(end(begin(&FAILING, NULL, environment), text, sizeof(text)), 1);
    assert_non_null(strstr(text, "it cannot be opened"));
}

static int number_after(const Child *child, const char *part)
{
    return (int)strtol(strstr(child->text, part) + strlen(part), NULL, 10);
}

static int dial(int port)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void a_data_plane_lives_with_its_service(void **state)
{
    const char *const environment[] = {"NATS_URL",
                                       nats_url(),
                                       "PUBLIC_URL",
                                       "https://people.example",
                                       "BYTES_TICKET_KEY",
                                       TICKET_KEY,
                                       "BYTES_ADDR",
                                       "127.0.0.1:0",
                                       "LOG_FORMAT",
                                       "json",
                                       "SHUTDOWN_TIMEOUT",
                                       "20s",
                                       NULL};
    Child *child = begin(&WITH_BYTES, NULL, environment);
    char answer[4096] = "", address[32], text[OUTPUT_BYTES];
    Err ready = err_make(&UNAVAILABLE, "not asked yet");
    int fd;

    (void)state;
    assert_tells(child, "\"serving\"");
    assert_tells(child, "\"tail_current\"");
    snprintf(address, sizeof(address), "127.0.0.1:%d", number_after(child, "admin_port\":"));
    for (int i = 0; i < PATIENCE_MS / 100 && err_failed(ready); i++) {
        ready = admin_probe(address, "/readyz", 1000);
        poll(NULL, 0, err_failed(ready) ? 100 : 0);
    }
    assert_ok(ready);
    fd = dial(number_after(child, "bytes_port\":"));
    say(fd, "PUT /put HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nhalf");
    assert_tells(child, "demo: put");
    kill(child->pid, SIGTERM);
    assert_tells(child, "\"stop_requested\"");
    say(fd, "done");
    assert_true(recv(fd, answer, sizeof(answer) - 1, MSG_WAITALL) > 0);
    assert_int_equal(strncmp(answer, "HTTP/1.1 200", 12), 0);
    assert_non_null(strstr(answer, "halfdone"));
    close(fd);
    assert_int_equal(end(child, text, sizeof(text)), 0);
    assert_non_null(strstr(text, "demo: close"));
}

static void a_data_plane_has_settings(void **state)
{
    static const char *const check[] = {"config", "check", NULL}, *const dump[] = {"config", "dump", NULL};
    const char *const environment[] = {"BYTES_TICKET_KEY", TICKET_KEY, NULL};
    const char *const wrong[] = {"BYTES_TICKET_KEY", "z" TICKET_KEY, NULL};
    char text[65536];

    (void)state;
    assert_int_equal(end(begin(&WITH_BYTES, check, NULL), text, sizeof(text)), 2);
    assert_non_null(strstr(text, "BYTES_TICKET_KEY"));
    assert_int_equal(end(begin(&WITH_BYTES, check, wrong), text, sizeof(text)), 2);
    assert_null(strstr(text, TICKET_KEY));
    assert_int_equal(end(begin(&WITH_BYTES, check, environment), text, sizeof(text)), 0);
    assert_int_equal(end(begin(&WITH_BYTES, dump, environment), text, sizeof(text)), 0);
    assert_non_null(strstr(text, "BYTES_ADDR = 127.0.0.1:0"));
    assert_null(strstr(text, TICKET_KEY));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_are_obeyed_or_refused),
        cmocka_unit_test(wrong_settings_stop_the_start_with_their_name),
        cmocka_unit_test(a_service_with_a_database_must_be_told_which),
        cmocka_unit_test(it_serves_reloads_and_drains_in_order),
        cmocka_unit_test(a_loop_of_its_own_serves_instead),
        cmocka_unit_test(healthcheck_asks_the_running_one),
        cmocka_unit_test(without_a_bus_it_waits_and_still_stops),
        cmocka_unit_test(without_a_database_it_waits_and_still_stops),
        cmocka_unit_test(what_cannot_be_opened_ends_the_start),
        cmocka_unit_test(a_data_plane_lives_with_its_service),
        cmocka_unit_test(a_data_plane_has_settings),
    };
    return RUN(tests);
}
