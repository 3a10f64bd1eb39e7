/* Signatures, secrets and addresses of webhooks, and what the database does with their messages. */
#include "shared/webhook.h"

#include "atrium/reasons.atrium.h"
#include "shared/testing.h"

#define KEY_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_B "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff"

/* The example that libraries of Standard Webhooks test themselves with. */
static void a_message_is_signed_as_others_verify_it(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    Slice secret;
    (void)state;

    assert_true(webhook_secret_bytes(mem, SLICE_LIT("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), &secret));
    assert_string_equal(webhook_sign(mem, secret, SLICE_LIT("msg_p5jXN8AQM9LWM0D4loKWxJek"), 1614265330,
                                     SLICE_LIT("{\"test\": 2432232314}")),
                        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

static void secrets_are_random_and_have_one_form(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    char a[WEBHOOK_SECRET_TEXT_BYTES], b[WEBHOOK_SECRET_TEXT_BYTES];
    Slice bytes;
    (void)state;

    webhook_new_secret(a);
    webhook_new_secret(b);
    assert_string_not_equal(a, b);
    assert_true(webhook_secret_bytes(mem, slice(a), &bytes));
    assert_int_equal(bytes.len, WEBHOOK_SECRET_BYTES);
    assert_false(webhook_secret_bytes(mem, SLICE_LIT("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), &bytes));
    assert_false(webhook_secret_bytes(mem, SLICE_LIT("whsec_"), &bytes));
    assert_false(webhook_secret_bytes(mem, SLICE_LIT("whsec_!"), &bytes));
}

static void keys_are_digits_or_none(void **state)
{
    WebhookKeys *keys;
    (void)state;

    assert_ok(webhook_keys_new("", &keys));
    assert_null(keys);
    assert_ok(webhook_keys_new(KEY_A ", " KEY_B, &keys));
    webhook_keys_free(keys);
    assert_reason(webhook_keys_check("secret"), &INVALID_ARGUMENT);
    assert_reason(webhook_keys_check(KEY_A ","), &INVALID_ARGUMENT);
}

static void addresses_of_our_own_are_refused(void **state)
{
    static const struct {
        const char *url;
        bool good;
    } ROWS[] = {
        {"https://example.org/hook?a=b", true},
        {"http://93.184.216.34:8080/", true},
        {"http://127.0.0.1:9000/", true}, /* allowed */
        {"http://localhost:9000/", true}, /* the same */
        {"http://127.0.0.1:9001/", false},
        {"http://localhost/", false},
        {"http://0x7f.1/", false},
        {"http://2130706433/", false},
        {"http://10.1.2.3/", false},
        {"http://169.254.169.254/latest/meta-data", false},
        {"http://[::1]/", false},
        {"http://[::ffff:127.0.0.1]/", false},
        {"https://user:secret@example.org/", false},
        {"https://example.org/#part", false},
        {"ftp://example.org/", false},
        {"file:///etc/passwd", false},
        {"example.org", false},
        {"", false},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    char *endless = arena_alloc(mem, WEBHOOK_URL_MAX_BYTES + 20, 1);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        Err e = webhook_check_url(mem, ROWS[i].url, "10.0.0.1:80, 127.0.0.1:9000");

        if (ROWS[i].good != !err_failed(e))
            fail_msg("%s: %s", ROWS[i].url, e.text);
    }
    memset(endless, 'a', WEBHOOK_URL_MAX_BYTES + 10);
    memcpy(endless, "https://a.b/", 12);
    assert_reason(webhook_check_url(mem, endless, ""), &INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_signed_as_others_verify_it),
        cmocka_unit_test(secrets_are_random_and_have_one_form),
        cmocka_unit_test(keys_are_digits_or_none),
        cmocka_unit_test(addresses_of_our_own_are_refused),
    };

    return RUN(tests);
}
