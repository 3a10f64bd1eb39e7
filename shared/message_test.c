#include "shared/message.h"

#include "atrium/bus.pb-c.h"
#include "atrium/options.pb-c.h"
#include "atrium/reasons.atrium.h"
#include "shared/strbuf.h"
#include "shared/testing.h"

#define STATUS (&atrium__status__descriptor)

static void what_was_packed_comes_back(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Atrium__Status *status = MESSAGE_NEW(mem, Atrium__Status, atrium__status__init);
    Atrium__Violation *violations[2];
    ProtobufCMessage *back;
    Atrium__Status *got;
    (void)state;

    status->reason = "auth.v1.USERNAME_TAKEN";
    status->text = "gr\xC3\xBC\xC3\x9F";
    SET(status, retry_after_s, 7);
    for (size_t i = 0; i < ARRAY_LEN(violations); i++) {
        violations[i] = MESSAGE_NEW(mem, Atrium__Violation, atrium__violation__init);
        violations[i]->field = i ? "email" : "username";
        SET(violations[i], part, ATRIUM__PART__QUERY);
    }
    status->violations = violations;
    status->n_violations = ARRAY_LEN(violations);

    assert_ok(message_unpack(mem, STATUS, message_pack(mem, &status->base), &back));
    got = (Atrium__Status *)back;
    assert_string_equal(got->reason, status->reason);
    assert_string_equal(got->text, status->text);
    assert_true(got->has_retry_after_s);
    assert_int_equal(got->retry_after_s, 7);
    assert_int_equal(got->n_violations, 2);
    assert_string_equal(got->violations[1]->field, "email");
    assert_int_equal(got->violations[1]->part, ATRIUM__PART__QUERY);
}

static void no_bytes_are_an_empty_message(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    ProtobufCMessage *out;
    Atrium__Status *status;
    (void)state;

    assert_ok(message_unpack(mem, STATUS, (Slice){0}, &out));
    status = (Atrium__Status *)out;
    assert_null(status->reason);
    assert_false(status->has_retry_after_s);
    assert_int_equal(message_pack(mem, out).len, 0);
}

static void a_new_message_has_its_defaults(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    const Atrium__RpcRules *rules = (Atrium__RpcRules *)message_new(mem, &atrium__rpc_rules__descriptor);
    (void)state;

    assert_int_equal(rules->status, 200);
    assert_false(rules->has_status);
    assert_string_equal(rules->lane, "fast");
}

static void what_is_no_message_is_refused(void **state)
{
    static const struct {
        const char *what;
        Slice wire;
        const Reason *reason; /* NULL: it is one */
    } CASES[] = {
        {"an unknown varint", SLICE_LIT("\xF8\x07\x01"), NULL},
        {"an unknown text that is not UTF-8", SLICE_LIT("\xFA\x07\x01\xFF"), NULL},
        {"an unknown fixed32",
         SLICE_LIT("\xFD\x07"
                   "abcd"),
         NULL},
        {"an unknown fixed64",
         SLICE_LIT("\xF9\x07"
                   "abcdefgh"),
         NULL},
        {"text", SLICE_LIT("\x0A\x02ok"), NULL},
        {"text that is not UTF-8", SLICE_LIT("\x0A\x02\xC3("), &INVALID_BODY},
        {"a surrogate", SLICE_LIT("\x0A\x03\xED\xA0\x80"), &INVALID_BODY},
        {"an overlong form", SLICE_LIT("\x0A\x02\xC0\xAF"), &INVALID_BODY},
        {"a NUL within text",
         SLICE_LIT("\x0A\x03"
                   "a\0b"),
         &INVALID_BODY},
        {"bad text within a violation", SLICE_LIT("\x1A\x03\x0A\x01\xFF"), &INVALID_BODY},
        {"a length beyond the end", SLICE_LIT("\x0A\x05hi"), &INVALID_BODY},
        {"a length of 2^63", SLICE_LIT("\x0A\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), &INVALID_BODY},
        {"a tag cut short", SLICE_LIT("\x8A"), &INVALID_BODY},
        {"a varint without end", SLICE_LIT("\x20\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"), &INVALID_BODY},
        {"a varint cut short", SLICE_LIT("\x20\x80"), &INVALID_BODY},
        {"a fixed32 cut short", SLICE_LIT("\xFD\x07xy"), &INVALID_BODY},
        {"a fixed64 cut short", SLICE_LIT("\xF9\x07xyz"), &INVALID_BODY},
        {"field number 0", SLICE_LIT("\x02\x00"), &INVALID_BODY},
        {"a group", SLICE_LIT("\xFB\x07\xFC\x07"), &INVALID_BODY},
        {"wire type 7", SLICE_LIT("\x0F\x00"), &INVALID_BODY},
        {"a number where text belongs", SLICE_LIT("\x08\x01"), &INVALID_BODY},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        ProtobufCMessage *out = NULL;
        /* A copy of its very size, so that a read past it is seen. */
        char *copy = memcpy(xmalloc(CASES[i].wire.len), CASES[i].wire.ptr, CASES[i].wire.len);
        Err e = message_unpack(mem, STATUS, slice_of(copy, CASES[i].wire.len), &out);
        free(copy);
        if (e.reason != CASES[i].reason)
            fail_msg("%s: %s", CASES[i].what, e.reason ? e.reason->key : "taken");
        if (e.reason)
            assert_null(out);
    }
}

/* Lists within lists: a Value holds a ListValue (field 6), which holds a Value (field 1). The outermost Value holds
 * `levels` messages, one in another. */
static Slice nested_lists(Arena *mem, int levels)
{
    enum { LIST_VALUE_TAG = 6 << 3 | 2, VALUES_TAG = 1 << 3 | 2, ROOM = 256 * 1024 };
    char *end = (char *)arena_alloc(mem, ROOM, 1) + ROOM, *at = end;

    for (int i = levels; i > 0; i--) { /* from the inside out */
        uint8_t length[10];
        size_t len = 0, rest = (size_t)(end - at);
        for (; rest >= 0x80; rest >>= 7)
            length[len++] = (uint8_t)(rest | 0x80);
        length[len++] = (uint8_t)rest;
        at -= len;
        memcpy(at, length, len);
        *--at = i % 2 ? LIST_VALUE_TAG : VALUES_TAG;
    }
    return slice_of(at, (size_t)(end - at));
}

static void nesting_is_bounded(void **state)
{
    static const struct {
        int levels;
        const Reason *reason;
    } CASES[] = {{1, NULL},
                 {MESSAGE_MAX_DEPTH - 1, NULL},
                 {MESSAGE_MAX_DEPTH, NULL},
                 {MESSAGE_MAX_DEPTH + 1, &INVALID_BODY},
                 {20000, &INVALID_BODY}}; /* protobuf-c alone would overflow the stack */
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        CLEANUP(arena_free_at) Arena *mem = arena_new(64 * 1024);
        Slice wire = nested_lists(mem, CASES[i].levels);
        ProtobufCMessage *out;
        Err e = message_unpack(mem, &google__protobuf__value__descriptor, wire, &out);
        if (e.reason != CASES[i].reason)
            fail_msg("%d levels: %s", CASES[i].levels, e.reason ? e.text : "taken");
    }
}

static void every_beginning_of_a_message_is_survived(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Atrium__Status *status = MESSAGE_NEW(mem, Atrium__Status, atrium__status__init);
    Atrium__Violation *violation = MESSAGE_NEW(mem, Atrium__Violation, atrium__violation__init);
    Slice wire;
    (void)state;

    status->reason = "INTERNAL";
    status->violations = &violation;
    status->n_violations = 1;
    violation->field = "profile.email";
    SET(violation, offset, 1u << 31);
    SET(status, retry_after_s, 300);
    wire = message_pack(mem, &status->base);
    for (size_t len = 0; len <= wire.len; len++) {
        char *copy = memcpy(xmalloc(len), wire.ptr, len);
        ProtobufCMessage *out;
        Err e = message_unpack(mem, STATUS, slice_of(copy, len), &out);
        assert_true(!e.reason || e.reason == &INVALID_BODY);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_packed_comes_back),
        cmocka_unit_test(no_bytes_are_an_empty_message),
        cmocka_unit_test(a_new_message_has_its_defaults),
        cmocka_unit_test(what_is_no_message_is_refused),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(every_beginning_of_a_message_is_survived),
    };
    return RUN(tests);
}
