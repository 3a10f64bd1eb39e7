/* Fuzz target: documents as they are stored. What is found lies within them, in their order. */
#include "services/events/members.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    Slice json = slice_of(data, len), rest = json, pointer = json, value;
    Member list[MEMBERS_MAX];
    size_t count = members_of(json, list);
    const char *at = json.ptr;

    for (size_t i = 0; i < count; i++) {
        check(list[i].name.ptr > at && list[i].value.ptr > list[i].name.ptr && list[i].value.len > 0);
        at = list[i].value.ptr + list[i].value.len;
        check(at <= json.ptr + json.len);
    }
    if (slice_cut(json, '\n', &pointer, &rest) && members_at(rest, pointer, &value))
        check(value.ptr >= rest.ptr && value.ptr + value.len <= rest.ptr + rest.len);
    return 0;
}
