#include "services/auth/cookies.h"

#include "shared/testing.h"

static const char *set_cookie_of(const Request *rq)
{
    assert_int_equal(rq->reply.header_count, 1);
    assert_string_equal(rq->reply.headers[0].name, "Set-Cookie");
    return rq->reply.headers[0].value;
}

static void a_cookie_is_for_this_site_and_for_no_script(void **state)
{
    static const struct {
        int64_t max_age_s;
        CookieFlags flags;
        const char *wanted;
    } CASES[] = {
        {600, COOKIE_PLAIN, "auth_token=a.b-c_d=; Path=/; Max-Age=600; HttpOnly; SameSite=Lax"},
        {600, COOKIE_SECURE, "auth_token=a.b-c_d=; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"},
        {-1, COOKIE_PLAIN, "auth_token=a.b-c_d=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Request rq = {.mem = mem};

        cookie_set(&rq, "auth_token", "a.b-c_d=", CASES[i].max_age_s, CASES[i].flags);
        assert_string_equal(set_cookie_of(&rq), CASES[i].wanted);
    }
}

static void a_cleared_cookie_is_empty_and_over(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Request rq = {.mem = mem};
    (void)state;

    cookie_clear(&rq, "__Host-x", COOKIE_SECURE);
    assert_string_equal(set_cookie_of(&rq), "__Host-x=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure");
}

static void cookies_are_found_by_their_whole_name(void **state)
{
    static const struct {
        const char *header, *wanted;
    } CASES[] = {
        {"a=1", "1"},
        {"b=2; a=1", "1"},
        {"b=2;a=1;c=3", "1"},
        {"a=1; a=2", "1"},
        {"a=x=y==", "x=y=="},
        {"  a=1  ; b=2", "1"},
        {"aa=1", ""},
        {"b=a=1", ""},
        {"A=1", ""},
        {"a", ""},
        {"", ""},
        {";;; ;", ""},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        const RequestHeader headers[] = {{"cookie", CASES[i].header}};
        Request rq = {.mem = mem, .headers = headers, .header_count = 1};

        assert_slice_equal(cookie_get(&rq, "a"), slice(CASES[i].wanted));
    }
    assert_slice_equal(cookie_get(&(Request){.mem = mem}, "a"), SLICE_LIT(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cookie_is_for_this_site_and_for_no_script),
        cmocka_unit_test(a_cleared_cookie_is_empty_and_over),
        cmocka_unit_test(cookies_are_found_by_their_whole_name),
    };
    return RUN(tests);
}
