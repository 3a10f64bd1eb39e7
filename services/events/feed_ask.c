/* feed_ask: see feed_ask.h. */
#include "services/events/feed_ask.h"

#include "atrium/reasons.atrium.h"
#include "services/events/events.h"

enum { CURSOR_MAX_BYTES = 64 };

char *feed_cursor(Arena *mem, int64_t sequence)
{
    return base64url_encode(mem, slice(arena_printf(mem, "seq_%" PRId64, sequence)));
}

bool feed_cursor_read(Arena *mem, Slice cursor, int64_t *out)
{
    Slice text;

    return cursor.len <= CURSOR_MAX_BYTES && base64_decode(mem, cursor, &text) &&
           slice_starts_with(text, SLICE_LIT("seq_")) && slice_to_int64(slice_skip(text, 4), out) && *out >= 0;
}

static Err read_filter(const Events__V1__ChangesRequest *in, FeedFilter *out)
{
    static const char *const ACTIONS[] = {"create", "update", "delete"};
    static const char *const ENTITIES[] = {"event", "place", "organization", "all"};
    const char *action = in->action ? in->action : "", *entity = in->entity && *in->entity ? in->entity : "event";

    if (*action && !word_is_among(action, ACTIONS, ARRAY_LEN(ACTIONS)))
        return err_make(&INVALID_ARGUMENT, "action: create, update or delete");
    if (!word_is_among(entity, ENTITIES, ARRAY_LEN(ENTITIES)))
        return err_make(&INVALID_ARGUMENT, "entity: event, place, organization or all");
    *out = (FeedFilter){
        .action = action, .entity = strcmp(entity, "all") == 0 ? "" : entity, .snapshots = in->include_snapshot};
    return OK;
}

static Err read_since(Arena *mem, const char *since, FeedAsk *out)
{
    int32_t nanos;
    int64_t unix_s;

    out->given = true;
    if (feed_cursor_read(mem, slice(since), &out->position))
        return OK;
    if (!time_parse(slice(since), &unix_s, &nanos))
        return err_make(&INVALID_ARGUMENT, "since: a cursor of this feed, or a time with its offset (RFC 3339)");
    out->by_time = true;
    out->since_us = unix_s * 1000000 + nanos / 1000;
    return OK;
}

Err feed_ask_read(Arena *mem, const Events__V1__ChangesRequest *in, FeedAsk *out)
{
    const char *since = in->since && *in->since ? in->since : in->after;

    *out = (FeedAsk){.limit = in->has_limit ? in->limit : FEED_LIMIT_DEFAULT,
                     .legacy_end = in->legacy_end && strcmp(in->legacy_end, "1") == 0};
    if (out->limit < 1 || out->limit > FEED_LIMIT_MAX)
        return err_make(&INVALID_ARGUMENT, "limit: 1 to %d", FEED_LIMIT_MAX);
    TRY(read_filter(in, &out->filter));
    return since && *since ? read_since(mem, since, out) : OK;
}
