/* What users may have us speak to. */
#include "shared/public_url.h"

#include "atrium/reasons.atrium.h"
#include "shared/testing.h"

static void names_and_public_addresses_are_fine_and_our_own_network_is_not(void **state)
{
    static const char *const GOOD[] = {"https://example.org/calendar.ics?x=1", "http://8.8.8.8/",
                                       "https://[2606:4700::1111]/", "http://127.0.0.1:9000/"};
    static const char *const BAD[] = {"http://127.0.0.1/",
                                      "http://0x7f.1/",
                                      "http://2130706433/",
                                      "http://localhost:81/",
                                      "http://LocalHost./",
                                      "http://a.localhost/",
                                      "http://[::1]/",
                                      "http://[::ffff:10.0.0.1]/",
                                      "http://10.1.2.3/",
                                      "http://169.254.169.254/latest",
                                      "ftp://example.org/",
                                      "file:///etc/passwd",
                                      "http://a:b@example.org/",
                                      "http://example.org/#x",
                                      "//example.org",
                                      "",
                                      "http://"};
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++)
        assert_ok(public_url_check(mem, GOOD[i], 100, "127.0.0.1:9000"));
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        Err e = public_url_check(mem, BAD[i], 100, "127.0.0.1:9000");

        if (e.reason != &INVALID_ARGUMENT || strncmp(e.text, "url: ", 5) != 0)
            fail_msg("%s was let through", BAD[i]);
    }
    assert_reason(public_url_check(mem, "https://example.org/long", 10, ""), &INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_public_addresses_are_fine_and_our_own_network_is_not),
    };

    return RUN(tests);
}
