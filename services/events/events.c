/* events: see events.h. */
#include "services/events/events.h"
static const struct {
    const char *word, *collection;
} KINDS[] = {[ENTITY_EVENT] = {"event", "events"},
             [ENTITY_PLACE] = {"place", "places"},
             [ENTITY_ORGANIZATION] = {"organization", "organizations"}};

const char *entity_word(EntityKind kind)
{
    return KINDS[kind].word;
}

const char *entity_collection(EntityKind kind)
{
    return KINDS[kind].collection;
}

char *entity_uri(Arena *mem, const Events *events, EntityKind kind, Uuid id)
{
    char ulid[ULID_TEXT_BYTES];

    id_ulid_format(id.bytes, ulid);
    return arena_printf(mem, "%s/%s/%s", events->settings->base_url, KINDS[kind].collection, ulid);
}

static bool skip_text(Slice *rest, const char *text)
{
    if (!slice_starts_with(*rest, slice(text)))
        return false;
    *rest = slice_skip(*rest, strlen(text));
    return true;
}

bool entity_of_uri(const Events *events, EntityKind kind, Slice uri, Uuid *out)
{
    return skip_text(&uri, events->settings->base_url) && skip_text(&uri, "/") &&
           skip_text(&uri, KINDS[kind].collection) && skip_text(&uri, "/") && ulid_parse(uri, out);
}

char *ulid_text(Arena *mem, Uuid id)
{
    char *text = arena_alloc(mem, ULID_TEXT_BYTES, 1);

    id_ulid_format(id.bytes, text);
    return text;
}

bool ulid_parse(Slice text, Uuid *out)
{
    return id_ulid_parse(text, out->bytes);
}

Uuid ulid_next(IdSource *ids)
{
    char text[ULID_TEXT_BYTES];
    Uuid id;

    id_ulid(ids, text);
    (void)ulid_parse(slice(text), &id); /* it is one */
    return id;
}

Err ulid_of_path(Request *rq, const char *text, Uuid *out)
{
    if (text && ulid_parse(slice(text), out))
        return OK;
    request_add_violation(rq, ATRIUM__PART__PATH, "id", "ulid", "26 letters and digits of a ULID");
    return err_make(&INVALID_ID, "the id is no ULID");
}

bool caller_sees_all(const Request *rq)
{
    const Events *events = rq->service;

    return strcmp(events->settings->visibility, "all") == 0 || caller_may(&rq->caller, "events.admin.read");
}

char *utc_text(Arena *mem, int64_t unix_us)
{
    char *text = arena_alloc(mem, TIME_TEXT_BYTES, 1);

    time_format(unix_us, -1, text);
    return text;
}
