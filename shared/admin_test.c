/* Tests of shared/admin.c: what probes and operators get. */
#include "shared/admin.h"

#include <netdb.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "shared/testing.h"

typedef struct Fixture {
    Metrics *metrics;
    Admin *admin;
    char address[32];
} Fixture;

static int set_up(void **state)
{
    Fixture *f = xcalloc(1, sizeof(*f));

    f->metrics = metrics_new();
    assert_ok(admin_start(&(AdminOptions){.address = "127.0.0.1:0",
                                          .service = "demo",
                                          .version = "1.2.3",
                                          .commit = "abc",
                                          .build_date = "today",
                                          .metrics = f->metrics},
                          &f->admin));
    snprintf(f->address, sizeof(f->address), "127.0.0.1:%d", admin_port(f->admin));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    Fixture *f = *state;

    admin_stop(f->admin);
    metrics_free(f->metrics);
    free(f);
    return 0;
}

/* The whole answer to `request`, as text. */
static void ask(const Fixture *f, const char *request, char *out, size_t out_bytes)
{
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    struct addrinfo *list;
    size_t len = 0;
    ssize_t n;
    int fd;

    assert_int_equal(getaddrinfo("127.0.0.1", strchr(f->address, ':') + 1, &hints, &list), 0);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, list->ai_addr, list->ai_addrlen), 0);
    freeaddrinfo(list);
    assert_int_equal(send(fd, request, strlen(request), 0), (ssize_t)strlen(request));
    while (len < out_bytes - 1 && (n = recv(fd, out + len, out_bytes - 1 - len, 0)) > 0)
        len += (size_t)n;
    out[len] = '\0';
    close(fd);
}

static void get(const Fixture *f, const char *path, char *out, size_t out_bytes)
{
    char request[256];

    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
    ask(f, request, out, out_bytes);
}

#define assert_has(text, part)                                                                                         \
    do {                                                                                                               \
        if (!strstr((text), (part)))                                                                                   \
            fail_msg("no \"%s\" in:\n%s", (part), (text));                                                             \
    } while (0)

static void each_path_answers(void **state)
{
    static const struct {
        const char *request, *status, *part;
    } cases[] = {
        {"GET /livez HTTP/1.1", "200", "{\"status\":\"alive\"}"},
        {"GET /livez?x=1 HTTP/1.1", "200", "alive"},
        {"GET /version HTTP/1.1", "200",
         "{\"service\":\"demo\",\"version\":\"1.2.3\",\"commit\":\"abc\",\"built\":\"today\"}"},
        {"GET /metrics HTTP/1.1", "200", "atrium_test_things_total 3"},
        {"GET /metrics HTTP/1.1", "200", "Content-Type: text/plain; version=0.0.4"},
        {"GET /elsewhere HTTP/1.1", "404", "There are /livez"},
        {"POST /livez HTTP/1.1\r\nContent-Length: 3", "405", "Allow: GET, HEAD"},
        {"DELETE /livez HTTP/1.1", "405", "Allow: GET, HEAD"},
    };
    const Fixture *f = *state;
    char request[256], answer[8192], status[16];

    counter_add(metrics_counter(f->metrics, "atrium_test_things_total", "Things.", ""), 3);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bool body = strstr(cases[i].request, "Content-Length") != NULL;
        snprintf(request, sizeof(request), "%s\r\nHost: x\r\nConnection: close\r\n\r\n%s", cases[i].request,
                 body ? "abc" : "");
        snprintf(status, sizeof(status), "HTTP/1.1 %s", cases[i].status);
        ask(f, request, answer, sizeof(answer));
        assert_has(answer, status);
        assert_has(answer, cases[i].part);
    }
}

static void head_has_no_body(void **state)
{
    char answer[1024];

    ask(*state, "HEAD /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", answer, sizeof(answer));
    assert_has(answer, "HTTP/1.1 200");
    assert_null(strstr(answer, "alive"));
}

typedef struct Need {
    atomic_int asked;
    atomic_bool met;
} Need;

static Err check_need(void *data)
{
    Need *need = data;

    atomic_fetch_add(&need->asked, 1);
    return atomic_load(&need->met) ? OK : err_make(&UNAVAILABLE, "it is \"away\"");
}

static void readiness_follows_the_word_and_the_needs(void **state)
{
    Fixture *f = *state;
    Need fine = {.met = true}, missing = {.met = false};
    char answer[1024];

    get(f, "/readyz", answer, sizeof(answer));
    assert_has(answer, "HTTP/1.1 503");
    admin_add_check(f->admin, "fine", check_need, &fine);
    admin_add_check(f->admin, "missing", check_need, &missing);
    get(f, "/readyz", answer, sizeof(answer));
    assert_int_equal(atomic_load(&fine.asked), 0); /* not before serving */
    admin_ready(f->admin, true);
    get(f, "/readyz", answer, sizeof(answer));
    assert_has(answer, "HTTP/1.1 503");
    assert_has(answer, "{\"status\":\"not ready\",\"checks\":{\"fine\":\"ok\",\"missing\":\"it is \\\"away\\\"\"}}");
    /* Needs that are not met do not make the process dead. */
    get(f, "/livez", answer, sizeof(answer));
    assert_has(answer, "HTTP/1.1 200");
    atomic_store(&missing.met, true);
    WAIT_UNTIL((get(f, "/readyz", answer, sizeof(answer)), strstr(answer, "\"status\":\"ready\"")));
    assert_has(answer, "HTTP/1.1 200");
    admin_ready(f->admin, false);
    get(f, "/readyz", answer, sizeof(answer));
    assert_has(answer, "HTTP/1.1 503");
}

static void many_probes_ask_a_need_once(void **state)
{
    Fixture *f = *state;
    Need need = {.met = true};
    char answer[1024];

    admin_add_check(f->admin, "need", check_need, &need);
    admin_ready(f->admin, true);
    for (int i = 0; i < 20; i++)
        get(f, "/readyz", answer, sizeof(answer));
    assert_in_range(atomic_load(&need.asked), 1, 3);
}

static void probe_tells_ready_from_not_ready(void **state)
{
    Fixture *f = *state;
    Err e = admin_probe(f->address, "/readyz", 2000);

    assert_ptr_equal(e.reason, &UNAVAILABLE);
    assert_has(e.text, "503");
    admin_ready(f->admin, true);
    assert_ok(admin_probe(f->address, "/readyz", 2000));
    assert_reason(admin_probe("127.0.0.1:1", "/readyz", 2000), &UNAVAILABLE);
    assert_reason(admin_probe("nonsense", "/readyz", 2000), &INVALID_ARGUMENT);
}

static void addresses_that_cannot_be_used_are_named(void **state)
{
    static const char *const addresses[] = {
        "", "127.0.0.1", "127.0.0.1:", "256.0.0.1:80", "127.0.0.1:notaport", "name.invalid:80"};
    AdminOptions options = {.service = "demo"};
    Admin *admin;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        options.address = addresses[i];
        assert_has(admin_start(&options, &admin).text, "ADMIN_ADDR");
    }
}

static void a_port_in_use_is_an_error(void **state)
{
    const Fixture *f = *state;
    Admin *admin;
    Err e = admin_start(&(AdminOptions){.address = f->address, .service = "demo"}, &admin);

    assert_ptr_equal(e.reason, &UNAVAILABLE);
    assert_has(e.text, "in use");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_path_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(head_has_no_body, set_up, tear_down),
        cmocka_unit_test_setup_teardown(readiness_follows_the_word_and_the_needs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_probes_ask_a_need_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(probe_tells_ready_from_not_ready, set_up, tear_down),
        cmocka_unit_test(addresses_that_cannot_be_used_are_named),
        cmocka_unit_test_setup_teardown(a_port_in_use_is_an_error, set_up, tear_down),
    };
    return RUN(tests);
}
