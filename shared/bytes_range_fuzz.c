/* Fuzz target: ranges, conditions and dates of requests, and names of files. Six header values, each ended by a line
 * end, and a size in front. */
#include "shared/bytes.h"
#include "shared/bytes_range.h"

static const char *next_value(Arena *mem, Slice *rest)
{
    Slice line;

    if (rest->len == 0)
        return NULL;
    (void)slice_cut(*rest, '\n', &line, rest); /* without one, all of it is the last */
    return line.len ? slice_cstr(mem, line) : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Slice rest = slice_of(data, size);
    RangeEntity entity = {.has_size = true, .etag = "v1", .modified_ms = 784111777000};
    RangeRequest request = {.is_get = true};
    RangeAnswer a;

    if (size < 4)
        return 0;
    entity.size = data[0] == 255 ? UINT64_MAX >> 1 : data[0];
    rest = slice_skip(rest, 1);
    (void)bytes_disposition(mem, true, rest);
    request.range = next_value(mem, &rest);
    request.if_range = next_value(mem, &rest);
    request.if_match = next_value(mem, &rest);
    request.if_none_match = next_value(mem, &rest);
    request.if_modified_since = next_value(mem, &rest);
    request.if_unmodified_since = next_value(mem, &rest);
    a = range_decide(&request, &entity);
    if (a.status == 206 && (a.length == 0 || a.offset >= entity.size || a.length > entity.size - a.offset))
        abort();
    if (a.status == 200 && (a.offset != 0 || a.length != entity.size))
        abort();
    if (a.status != 200 && a.status != 206 && a.status != 304 && a.status != 412 && a.status != 416)
        abort();
    return 0;
}
