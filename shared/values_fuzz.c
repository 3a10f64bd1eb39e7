/* Fuzz target: the small values that stand in headers, paths and fields: times, base64, hex, ids, numbers, UTF-8. What
 * is read must be written, and what is written must be read as the same. */
#include "shared/clock.h"
#include "shared/config.h"
#include "shared/id.h"
#include "shared/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void try_time(Slice text)
{
    char written[TIME_TEXT_BYTES];
    int64_t unix_s, again_s;
    int32_t nanos, again_nanos;

    if (!time_parse(text, &unix_s, &nanos))
        return;
    check(nanos >= 0 && nanos < 1000000000);
    /* An offset may lead out of the years that can be written. */
    if (time_format_ns(unix_s, nanos, -1, written) == 0)
        return;
    check(time_parse(slice(written), &again_s, &again_nanos) && again_s == unix_s && again_nanos == nanos);
}

static void try_bytes(Arena *mem, Slice text)
{
    Slice bytes, again;

    if (base64_decode(mem, text, &bytes)) {
        check(base64_decode(mem, slice(base64_encode(mem, bytes)), &again) && slice_eq(bytes, again));
        check(base64_decode(mem, slice(base64url_encode(mem, bytes)), &again) && slice_eq(bytes, again));
    }
    if (hex_decode(mem, text, &bytes))
        check(slice_eq_nocase(slice(hex_encode(mem, bytes)), text));
    check(base64_decode(mem, slice(base64url_encode(mem, text)), &again) && slice_eq(text, again));
}

static void try_ids(Slice text)
{
    char written[UUID_TEXT_BYTES];
    uint8_t ulid[16], ulid_again[16];
    TraceContext trace, trace_again;
    Uuid uuid, again;
    int64_t user_id;

    if (uuid_parse(text, &uuid)) {
        uuid_format(uuid, written);
        check(uuid_parse(slice(written), &again) && memcmp(&uuid, &again, sizeof(uuid)) == 0);
        if (uuid_to_user_id(uuid, &user_id)) {
            again = uuid_from_user_id(user_id);
            check(memcmp(&uuid, &again, sizeof(uuid)) == 0);
        }
    }
    if (id_ulid_parse(text, ulid)) {
        id_ulid_format(ulid, written);
        check(id_ulid_parse(slice(written), ulid_again) && memcmp(ulid, ulid_again, sizeof(ulid)) == 0);
    }
    if (trace_parse(text, &trace)) {
        char header[TRACEPARENT_BYTES];

        trace_format(&trace, header);
        check(trace_parse(slice(header), &trace_again) && strcmp(trace.trace_id, trace_again.trace_id) == 0 &&
              strcmp(trace.span_id, trace_again.span_id) == 0 && trace.sampled == trace_again.sampled);
    }
}

static void try_numbers(Slice text)
{
    char written[24];
    int64_t number, again;
    uint64_t positive, positive_again;

    if (slice_to_int64(text, &number)) {
        snprintf(written, sizeof(written), "%" PRId64, number);
        check(slice_to_int64(slice(written), &again) && again == number);
    }
    if (slice_to_uint64(text, &positive)) {
        snprintf(written, sizeof(written), "%" PRIu64, positive);
        check(slice_to_uint64(slice(written), &positive_again) && positive_again == positive);
    }
}

static void try_utf8(Slice text)
{
    Slice rest = text;
    size_t letters = 0, step;

    while (rest.len && (step = utf8_first(rest)) > 0) {
        rest = slice_skip(rest, step);
        letters++;
    }
    check(utf8_valid(text) == (rest.len == 0));
    if (rest.len == 0) {
        check(utf8_length(text) == letters);
        for (size_t max = 0; max < 8; max++)
            check(utf8_valid(utf8_take(text, max)) && utf8_take(text, max).len <= max);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 12);
    /* Of its own, so that a step beyond the end is seen. */
    Slice text = slice_of(arena_memdup(mem, data, len), len), list = text, item;

    try_time(text);
    try_bytes(mem, text);
    try_ids(text);
    try_numbers(text);
    try_utf8(text);
    while (config_list_next(&list, &item))
        check(item.len > 0);
    return 0;
}
