/* Fuzz target: what lists are asked for by texts of any kind: cursors, dates, numbers, patterns. */
#include "services/events/filters.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Slice text = slice_of(data, len), pattern;
    int64_t key_us, again_us, days;
    Uuid id, again, occurrence;
    double number;

    if (cursor_read(mem, text, 7, &key_us, &id)) {
        check(cursor_read(mem, slice(cursor_write(mem, key_us, id, 7)), 7, &again_us, &again));
        check(again_us == key_us && memcmp(again.bytes, id.bytes, sizeof(id.bytes)) == 0);
        check(!cursor_read(mem, slice(cursor_write(mem, key_us, id, 8)), 7, &again_us, &again));
        occurrence = cursor_occurrence(mem, text);
        text = slice(cursor_write_occurrence(mem, key_us, id, 7, occurrence));
        check(cursor_read(mem, text, 7, &again_us, &again) && again_us == key_us);
        again = cursor_occurrence(mem, text);
        check(memcmp(again.bytes, occurrence.bytes, sizeof(again.bytes)) == 0);
    }
    if (date_parse(text, &days))
        check(days >= -719162 && days <= 2932896); /* the years 1 to 9999 */
    if (filter_number(text, &number))
        check(isfinite(number));
    pattern = like_pattern(mem, slice_cstr(mem, text));
    check(pattern.len >= 2 && pattern.ptr[0] == '%' && pattern.ptr[pattern.len - 1] == '%');
    return 0;
}
