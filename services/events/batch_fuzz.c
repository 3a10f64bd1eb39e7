/* Fuzz target: lists of submissions, cut into elements. Of a list that is JSON, as many as jansson counts, each of
 * which is JSON; of anything else, nothing outside of it. */
#include <jansson.h>

#include "services/events/batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 12);
    Slice list = slice_of(arena_memdup(mem, data, len), len), *out;
    json_t *parsed = json_loadb(list.ptr, list.len, JSON_ALLOW_NUL, NULL);
    size_t count = 0;
    bool single;
    bool good = batch_split(mem, list, BATCH_MAX_ITEMS, &out, &count);

    check(count <= BATCH_MAX_ITEMS);
    for (size_t i = 0; i < count; i++)
        check(out[i].ptr >= list.ptr && out[i].ptr + out[i].len <= list.ptr + list.len);
    if (json_is_array(parsed)) {
        check(good == (json_array_size(parsed) <= BATCH_MAX_ITEMS));
        check(!good || count == json_array_size(parsed));
        for (size_t i = 0; good && i < count; i++) {
            json_t *element = json_loadb(out[i].ptr, out[i].len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

            check(element != NULL && json_equal(element, json_array_get(parsed, i)));
            json_decref(element);
        }
    }
    json_decref(parsed);
    if (batch_values(mem, list, BATCH_MAX_ITEMS, &out, &count, &single)) {
        check(count <= BATCH_MAX_ITEMS);
        for (size_t i = 0; i < count; i++)
            check(out[i].ptr >= list.ptr && out[i].ptr + out[i].len <= list.ptr + list.len);
    }
    return 0;
}
