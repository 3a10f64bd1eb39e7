/* Tests of tickets. */
#include "shared/ticket.h"

#include "atrium/reasons.atrium.h"
#include "shared/testing.h"

static int64_t now_us;

static int64_t read_now(void *context)
{
    (void)context;
    return now_us;
}

static const Clock CLOCK = {.unix_us = read_now, .monotonic_us = read_now};

#define KEY_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define KEY_B "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"

static TicketKeys *keys_of(const char *list)
{
    TicketKeys *keys = NULL;

    assert_ok(ticket_keys_new(list, &keys));
    return keys;
}

static char *sign(Arena *mem, const TicketKeys *keys, Ticket ticket)
{
    char *text = NULL;

    assert_ok(ticket_sign(keys, mem, &ticket, &text));
    return text;
}

static void a_ticket_says_what_it_was_made_with(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    CLEANUP(ticket_keys_free_at) TicketKeys *keys = keys_of(KEY_A);
    static const char DIGEST[] = "0123456789abcdef0123456789abcdef";
    char *text = sign(mem, keys,
                      (Ticket){.kind = "put",
                               .user_id = 7,
                               .login_id = "login",
                               .resource = "upload/1",
                               .expires_ms = 1000,
                               .generation = 3,
                               .id = "n",
                               .single_use = true,
                               .content_type = "video/mp4",
                               .has_length = true,
                               .length = 0,
                               .sha256 = slice(DIGEST),
                               .filename = "day.mp4"});
    Ticket t;
    (void)state;

    now_us = 999999;
    assert_ok(ticket_verify(keys, &CLOCK, mem, slice(text), "put", &t));
    assert_string_equal(t.kind, "put");
    assert_int_equal(t.user_id, 7);
    assert_string_equal(t.login_id, "login");
    assert_string_equal(t.resource, "upload/1");
    assert_int_equal(t.generation, 3);
    assert_string_equal(t.id, "n");
    assert_true(t.single_use && t.has_length && t.length == 0);
    assert_string_equal(t.content_type, "video/mp4");
    assert_slice_equal(t.sha256, slice(DIGEST));
    assert_string_equal(t.filename, "day.mp4");
    assert_int_equal(strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), strlen(text));
    text = sign(mem, keys, (Ticket){.kind = "get", .expires_ms = 2000});
    assert_ok(ticket_verify(keys, &CLOCK, mem, slice(text), NULL, &t));
    assert_string_equal(t.resource, "");
    assert_false(t.single_use || t.has_length || t.sha256.len);
}

static void a_ticket_ends_and_is_for_one_thing(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    CLEANUP(ticket_keys_free_at) TicketKeys *keys = keys_of(KEY_A);
    char *text = sign(mem, keys, (Ticket){.kind = "get", .expires_ms = 1000});
    Ticket t;
    (void)state;

    now_us = 999999;
    assert_ok(ticket_verify(keys, &CLOCK, mem, slice(text), "get", &t));
    assert_reason(ticket_verify(keys, &CLOCK, mem, slice(text), "put", &t), &PERMISSION_DENIED);
    now_us = 1000000;
    assert_reason(ticket_verify(keys, &CLOCK, mem, slice(text), "get", &t), &PERMISSION_DENIED);
}

static void whatever_is_changed_is_refused(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    CLEANUP(ticket_keys_free_at) TicketKeys *keys = keys_of(KEY_A), *others = ticket_keys_random();
    char *text = sign(mem, keys, (Ticket){.kind = "get", .resource = "x", .expires_ms = 1000});
    size_t len = strlen(text);
    Ticket t;
    (void)state;

    now_us = 1;
    for (size_t i = 0; i < len; i++) {
        char *changed = arena_strdup(mem, text);

        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        assert_reason(ticket_verify(keys, &CLOCK, mem, slice(changed), "get", &t), &PERMISSION_DENIED);
        assert_reason(ticket_verify(keys, &CLOCK, mem, slice_of(text, i), "get", &t), &PERMISSION_DENIED);
    }
    /* Other texts for the same bytes. */
    assert_reason(ticket_verify(keys, &CLOCK, mem, slice(arena_printf(mem, "%s=", text)), "get", &t),
                  &PERMISSION_DENIED);
    assert_reason(ticket_verify(others, &CLOCK, mem, slice(text), "get", &t), &PERMISSION_DENIED);
}

static void keys_can_be_changed(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    CLEANUP(ticket_keys_free_at)
    TicketKeys *old = keys_of(KEY_A), *both = keys_of(KEY_B ", " KEY_A), *new = keys_of(KEY_B);
    char *by_old = sign(mem, old, (Ticket){.kind = "get", .expires_ms = 1000});
    char *by_both = sign(mem, both, (Ticket){.kind = "get", .expires_ms = 1000});
    Ticket t;
    (void)state;

    now_us = 1;
    assert_ok(ticket_verify(both, &CLOCK, mem, slice(by_old), "get", &t));
    assert_ok(ticket_verify(both, &CLOCK, mem, slice(by_both), "get", &t));
    assert_ok(ticket_verify(new, &CLOCK, mem, slice(by_both), "get", &t));
    assert_reason(ticket_verify(new, &CLOCK, mem, slice(by_old), "get", &t), &PERMISSION_DENIED);
}

static void wrong_keys_are_told_without_repeating_them(void **state)
{
    static const char *const LISTS[] = {"",
                                        ",",
                                        "abc",
                                        KEY_A "a",
                                        KEY_A "," KEY_A ",",
                                        "z" KEY_A,
                                        KEY_A "," KEY_A "," KEY_A "," KEY_A "," KEY_A "," KEY_A "," KEY_A "," KEY_A
                                              "," KEY_A};
    TicketKeys *keys = NULL;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(LISTS); i++) {
        Err e = ticket_keys_new(LISTS[i], &keys);

        if (i == 4) { /* a comma at the end is nobody's harm */
            assert_ok(e);
            ticket_keys_free(keys);
            continue;
        }
        assert_reason(e, &INVALID_ARGUMENT);
        assert_null(strstr(e.text, "aaaa"));
    }
}

static void what_makes_no_sense_is_not_signed(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    CLEANUP(ticket_keys_free_at) TicketKeys *keys = keys_of(KEY_A);
    char *text, *large = arena_alloc(mem, TICKET_MAX_BYTES + 1, 1);
    (void)state;

    memset(large, 'a', TICKET_MAX_BYTES);
    assert_reason(ticket_sign(keys, mem, &(Ticket){.expires_ms = 1}, &text), &INVALID_ARGUMENT);
    assert_reason(ticket_sign(keys, mem, &(Ticket){.kind = "a b", .expires_ms = 1}, &text), &INVALID_ARGUMENT);
    assert_reason(ticket_sign(keys, mem, &(Ticket){.kind = "get"}, &text), &INVALID_ARGUMENT);
    assert_reason(ticket_sign(keys, mem, &(Ticket){.kind = "get", .expires_ms = 1, .resource = large}, &text),
                  &INVALID_ARGUMENT);
    assert_reason(ticket_sign(keys, mem, &(Ticket){.kind = "get", .expires_ms = 1, .sha256 = SLICE_LIT("x")}, &text),
                  &INVALID_ARGUMENT);
}

static void links_are_put_together(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    assert_string_equal(ticket_url(mem, "https://a.example/", "/media/file/", "T", "/d\xC3\xA4y 1?.mp4"),
                        "https://a.example/media/file/T/d%C3%A4y%201%3F.mp4");
    assert_string_equal(ticket_url(mem, "https://a.example", "/x/", "T", ""), "https://a.example/x/T");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ticket_says_what_it_was_made_with),
        cmocka_unit_test(a_ticket_ends_and_is_for_one_thing),
        cmocka_unit_test(whatever_is_changed_is_refused),
        cmocka_unit_test(keys_can_be_changed),
        cmocka_unit_test(wrong_keys_are_told_without_repeating_them),
        cmocka_unit_test(what_makes_no_sense_is_not_signed),
        cmocka_unit_test(links_are_put_together),
    };

    return RUN(tests);
}
