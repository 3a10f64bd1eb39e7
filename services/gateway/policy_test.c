/* Tests of addresses, profiles and CORS: what is decided from settings and a request's head. */
#include "atrium/options.pb-c.h"
#include "atrium/reasons.atrium.h"
#include "services/gateway/address.h"
#include "services/gateway/cors.h"
#include "services/gateway/profiles.h"
#include "shared/testing.h"

static void networks_contain_their_addresses(void **state)
{
    static const struct {
        const char *networks, *address;
        bool inside;
    } CASES[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.1", false},
        {"10.0.0.0/9", "10.127.0.1", true},
        {"10.0.0.0/9", "10.128.0.1", false},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.8", false},
        {"192.0.2.7/32", "192.0.2.7", true},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "203.0.113.9", true},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"::1", "::1", true},
        {"10.0.0.0/8, ::1 ,192.0.2.0/24", "192.0.2.200", true},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true},
        {"", "127.0.0.1", false},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
        const Networks *networks;
        Address address;

        assert_ok(networks_parse(mem, CASES[i].networks, &networks));
        assert_true(address_parse(slice(CASES[i].address), &address));
        if (networks_contain(networks, &address) != CASES[i].inside)
            fail_msg("%s in %s", CASES[i].address, CASES[i].networks);
    }
}

static void bad_networks_are_named(void **state)
{
    static const char *const BAD[] = {"10.0.0.0/33", "10.0.0/8",    "::/129",     "x",
                                      "10.0.0.0/",   "10.0.0.0/-1", "1.2.3.4/8/8"};
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    const Networks *networks;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_reason(networks_parse(mem, BAD[i], &networks), &INVALID_ARGUMENT);
}

static void forwarded_addresses_are_believed_from_proxies_only(void **state)
{
    static const struct {
        const char *peer, *forwarded, *client;
    } CASES[] = {
        {"192.0.2.1", "203.0.113.9", "192.0.2.1"},
        {"10.0.0.1", "203.0.113.9", "203.0.113.9"},
        {"10.0.0.1", "", "10.0.0.1"},
        {"10.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"}, /* the first may be made up */
        {"10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"},
        {"10.0.0.1", "203.0.113.9,10.0.0.3,10.0.0.2", "203.0.113.9"},
        {"10.0.0.1", "rubbish", "10.0.0.1"},
        {"10.0.0.1", "203.0.113.9, rubbish", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.9", "10.0.0.9"},
        {"10.0.0.1", "[2001:db8::7]", "2001:db8::7"},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    const Networks *trusted;
    (void)state;

    assert_ok(networks_parse(mem, "10.0.0.0/8", &trusted));
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Address peer, client;
        char text[ADDRESS_TEXT_BYTES];

        assert_true(address_parse(slice(CASES[i].peer), &peer));
        client = client_address(trusted, &peer, slice(CASES[i].forwarded));
        address_format(&client, text);
        assert_string_equal(text, CASES[i].client);
    }
}

static void profiles_are_found_by_host_then_port(void **state)
{
    static const struct {
        const char *host;
        int port;
        const char *profile;
    } CASES[] = {
        {"chat.localhost", 8080, "chat-web"},
        {"CHAT.localhost:8080", 8080, "chat-web"},
        {"chat.localhost:4000", 4000, "chat-web"},
        {"other", 4000, "media"},
        {"other:4000", 8080, "all"},
        {"", 8080, "all"},
        {"[::1]:8080", 8080, "rag"},
        {"[::1]", 8080, "rag"},
        {"xchat.localhost", 8080, "all"},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    const Profiles *profiles;
    (void)state;

    assert_ok(profiles_parse(mem, "chat.localhost=chat-web, :4000=media,[::1]=rag", "server", &profiles));
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        assert_string_equal(profiles_find(profiles, slice(CASES[i].host), CASES[i].port)->name, CASES[i].profile);
}

static void bad_hosts_are_refused(void **state)
{
    static const char *const BAD[] = {"chat", "x=nothing", ":0=media", ":99999=media", ":x=media", "=media", "a="};
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    const Profiles *profiles;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_reason(profiles_parse(mem, BAD[i], "server", &profiles), &INVALID_ARGUMENT);
    assert_reason(profiles_parse(mem, "", "client", &profiles), &INVALID_ARGUMENT);
}

static void chat_web_is_what_nothing_is_said_of_where_that_is_wanted(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    const Profiles *profiles;
    (void)state;

    assert_ok(profiles_parse(mem, "media.localhost=media", "web", &profiles));
    assert_string_equal(profiles_find(profiles, SLICE_LIT("other"), 8080)->name, "chat-web");
    assert_string_equal(profiles_find(profiles, SLICE_LIT("media.localhost"), 8080)->name, "media");
}

static void shared_routes_follow_the_profile(void **state)
{
    const Operation login = {.dialect = ATRIUM__DIALECT__RETROCAST, .profile_dialect = true};
    const Operation logins = {.dialect = ATRIUM__DIALECT__ATRIUM, .profile_dialect = true};
    const Operation talker = {.dialect = ATRIUM__DIALECT__YOUTUBETALKER};
    const Operation send = {.dialect = ATRIUM__DIALECT__RETROCAST};
    const Operation media = {.dialect = ATRIUM__DIALECT__MEDIAVAULT};
    const struct {
        const char *profile;
        const Operation *op;
        int dialect;
    } CASES[] = {
        {"all", &login, ATRIUM__DIALECT__RETROCAST},
        {"chat", &login, ATRIUM__DIALECT__RETROCAST},
        {"chat-web", &login, ATRIUM__DIALECT__RETROCAST_WEB},
        {"sessions", &login, ATRIUM__DIALECT__STREAMSPACE},
        {"events", &login, ATRIUM__DIALECT__TOGATHER},
        {"sessions", &talker, ATRIUM__DIALECT__YOUTUBETALKER},
        {"all", &send, ATRIUM__DIALECT__RETROCAST},
        {"chat-web", &send, ATRIUM__DIALECT__RETROCAST_WEB},
        {"chat-web", &media, ATRIUM__DIALECT__MEDIAVAULT},
        {"sessions", &send, ATRIUM__DIALECT__RETROCAST},
        {"all", &logins, ATRIUM__DIALECT__ATRIUM},
        {"media", &logins, ATRIUM__DIALECT__MEDIAVAULT},
        {"chat-web", &logins, ATRIUM__DIALECT__RETROCAST_WEB},
        {"rag", &login, ATRIUM__DIALECT__YOUTUBETALKER},
        {"chat-web", &talker, ATRIUM__DIALECT__YOUTUBETALKER},
        {"chat", &send, ATRIUM__DIALECT__RETROCAST},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        assert_int_equal(profile_dialect(profile_by_name(slice(CASES[i].profile)), CASES[i].op), CASES[i].dialect);
}

static const char *find_header(const HeaderList *h, const char *name)
{
    for (size_t i = 0; i < h->count; i++)
        if (slice_eq_nocase(slice(h->list[i].name), slice(name)))
            return h->list[i].value;
    return NULL;
}

static void origins_get_what_the_contract_says(void **state)
{
    static const struct {
        CorsFlavour flavour;
        const char *origin;
        bool credentials;
        const char *allowed, *may_send; /* Allow-Origin, Allow-Credentials */
    } CASES[] = {
        {CORS_OURS, "http://good.example", true, "http://good.example", "true"},
        {CORS_OURS, "http://bad.example", false, NULL, NULL},
        {CORS_OURS, "http://good.example.bad.example", true, NULL, NULL},
        {CORS_CHAT, "http://bad.example", false, "*", NULL},
        {CORS_CHAT, "http://good.example", false, "*", NULL},
        {CORS_MEDIA, "http://bad.example", false, "http://bad.example", "true"},
        {CORS_MEDIA, "http://bad.example", true, NULL, NULL},
        {CORS_MEDIA, "http://good.example", true, "http://good.example", "true"},
        {CORS_SESSIONS, "http://bad.example", false, NULL, NULL},
        {CORS_SESSIONS, "http://good.example", false, "http://good.example", "true"},
        {CORS_EVENTS, "http://bad.example", false, NULL, NULL},
        {CORS_RAG, "http://good.example", true, "http://good.example", "true"},
        {CORS_RAG, "http://bad.example", true, NULL, NULL},
        {CORS_RAG, NULL, true, NULL, NULL},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
        const Cors *cors = cors_new(mem, "http://good.example", "http://two.example", false);
        const CorsRequest rq = {.origin = CASES[i].origin, .with_credentials = CASES[i].credentials};
        HeaderList out = {.count = 0};
        const char *allowed, *may_send;

        cors_headers(cors, CASES[i].flavour, &rq, mem, &out);
        allowed = find_header(&out, "access-control-allow-origin");
        may_send = find_header(&out, "access-control-allow-credentials");
        assert_string_equal(allowed ? allowed : "", CASES[i].allowed ? CASES[i].allowed : "");
        assert_string_equal(may_send ? may_send : "", CASES[i].may_send ? CASES[i].may_send : "");
        assert_string_equal(find_header(&out, "vary"), "Origin");
    }
}

static void preflights_are_answered_in_the_contracts_manner(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    const Cors *cors = cors_new(mem, "http://good.example", "", false);
    CorsRequest rq = {.origin = "http://good.example", .method = "PUT", .headers = "authorization, x-own"};
    HeaderList out = {.count = 0};
    CorsAnswer answer;
    (void)state;

    answer = cors_preflight(cors, CORS_RAG, &rq, mem, &out);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "OK");
    assert_string_equal(find_header(&out, "access-control-allow-headers"), "authorization, x-own");
    assert_string_equal(find_header(&out, "access-control-max-age"), "600");
    out.count = 0;
    rq.origin = "http://bad.example";
    answer = cors_preflight(cors, CORS_RAG, &rq, mem, &out);
    assert_int_equal(answer.status, 400);
    assert_string_equal(answer.body, "Disallowed CORS origin");
    assert_null(find_header(&out, "access-control-allow-origin"));
    out.count = 0;
    answer = cors_preflight(cors, CORS_MEDIA, &rq, mem, &out); /* it asks for Authorization */
    assert_int_equal(answer.status, 204);
    assert_null(find_header(&out, "access-control-allow-origin"));
    out.count = 0;
    answer = cors_preflight(cors, CORS_CHAT, &rq, mem, &out);
    assert_string_equal(find_header(&out, "access-control-allow-methods"), "GET,POST,PATCH,PUT,DELETE,OPTIONS");
    assert_string_equal(find_header(&out, "vary"),
                        "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
    out.count = 0;
    rq.headers = "x\r\nSet-Cookie: a"; /* is not echoed */
    rq.origin = "http://good.example";
    (void)cors_preflight(cors, CORS_OURS, &rq, mem, &out);
    assert_null(find_header(&out, "access-control-allow-headers"));
}

static void a_star_lets_anyone_in_without_credentials(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    const Cors *cors = cors_new(mem, "*", "", false);
    const CorsRequest rq = {.origin = "http://any.example", .with_credentials = true};
    HeaderList out = {.count = 0};
    (void)state;

    cors_headers(cors, CORS_OURS, &rq, mem, &out);
    assert_string_equal(find_header(&out, "access-control-allow-origin"), "*");
    assert_null(find_header(&out, "access-control-allow-credentials"));
}

static void development_lets_any_origin_in_for_events(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    const Cors *cors = cors_new(mem, "", "", true);
    const CorsRequest rq = {.origin = "http://any.example"};
    HeaderList out = {.count = 0};
    (void)state;

    cors_headers(cors, CORS_EVENTS, &rq, mem, &out);
    assert_string_equal(find_header(&out, "access-control-allow-origin"), "http://any.example");
    out.count = 0;
    cors_headers(cors, CORS_SESSIONS, &rq, mem, &out);
    assert_null(find_header(&out, "access-control-allow-origin"));
}

static void pages_may_open_sockets_where_they_may_use_the_api(void **state)
{
    static const struct {
        CorsFlavour flavour;
        const char *origin;
        bool by_cookie, may;
    } CASES[] = {
        {CORS_OURS, "http://good.example", true, true},  {CORS_OURS, "http://evil.example", false, false},
        {CORS_OURS, "https://own.example", true, true},  {CORS_OURS, "null", false, false},
        {CORS_CHAT, "http://evil.example", false, true}, {CORS_CHAT, "http://evil.example", true, false},
        {CORS_RAG, "http://evil.example", false, false}, {CORS_RAG, "http://GOOD.example", false, true},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    const Cors *cors = cors_new(mem, "http://good.example", "", false);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        assert_int_equal(cors_may_connect(cors, CASES[i].flavour, CASES[i].origin, "own.example", CASES[i].by_cookie),
                         CASES[i].may);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_contain_their_addresses),
        cmocka_unit_test(bad_networks_are_named),
        cmocka_unit_test(forwarded_addresses_are_believed_from_proxies_only),
        cmocka_unit_test(profiles_are_found_by_host_then_port),
        cmocka_unit_test(bad_hosts_are_refused),
        cmocka_unit_test(chat_web_is_what_nothing_is_said_of_where_that_is_wanted),
        cmocka_unit_test(shared_routes_follow_the_profile),
        cmocka_unit_test(origins_get_what_the_contract_says),
        cmocka_unit_test(preflights_are_answered_in_the_contracts_manner),
        cmocka_unit_test(a_star_lets_anyone_in_without_credentials),
        cmocka_unit_test(development_lets_any_origin_in_for_events),
        cmocka_unit_test(pages_may_open_sockets_where_they_may_use_the_api),
    };

    return RUN(tests);
}
