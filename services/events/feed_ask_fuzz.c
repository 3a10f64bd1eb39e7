/* Whatever comes as cursor or time: it is read or refused, and what is read is written the same. */
#include <assert.h>

#include "services/events/feed_ask.h"
#include "shared/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Events__V1__ChangesRequest in = EVENTS__V1__CHANGES_REQUEST__INIT;
    int64_t again;
    FeedAsk ask;

    in.since = slice_cstr(mem, slice_of(data, size));
    if (err_failed(feed_ask_read(mem, &in, &ask)) || ask.by_time || !ask.given)
        return 0;
    assert(ask.position >= 0);
    assert(feed_cursor_read(mem, slice(feed_cursor(mem, ask.position)), &again) && again == ask.position);
    return 0;
}
