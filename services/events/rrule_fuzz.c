/* Fuzz target: recurrence rules, and times as they are written. What a rule gives ascends, is not before the start, and
 * comes to an end. */
#include "services/events/recurrence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Slice text = slice_of(arena_memdup(mem, data, size), size);
    static RruleWalk walk;
    RecurrenceTime time;
    Rrule rule;
    int64_t start_s = 1767727800, last_s = INT64_MIN, at_s;
    int count = 0;

    (void)recurrence_read_time(text, &time);
    if (err_failed(rrule_read(text, &rule)))
        return 0;
    rrule_walk_begin(&walk, &rule, start_s, INT64_MIN / 2, INT64_MAX / 2);
    while (count++ < 500 && rrule_walk_next(&walk, &at_s)) {
        if (at_s <= last_s || at_s < start_s || (rule.count && count > rule.count))
            abort();
        last_s = at_s;
    }
    return 0;
}
