/* entity_feed: see entity_feed.h. */
#include "services/events/entity_feed.h"

#include "services/events/feed.h"

#define REASON_HIDDEN "unpublished" /* of what is there, and no longer for everybody */

static const FeedEntity KINDS[] = {
    [ENTITY_EVENT] = FEED_EVENT, [ENTITY_PLACE] = FEED_PLACE, [ENTITY_ORGANIZATION] = FEED_ORGANIZATION};

/* The one that is not over, else the last: what the document shows as its time at this moment. */
static const Occurrence *occurrence_at(const EventEntity *event, int64_t now_us)
{
    for (size_t i = 0; i < event->occurrence_count; i++) {
        const Occurrence *o = &event->occurrences[i];

        if (MAX(o->start_us, o->end_us) >= now_us)
            return o;
    }
    return event->occurrence_count ? &event->occurrences[event->occurrence_count - 1] : NULL;
}

static void append_time(StrBuf *out, Arena *mem, const char *name, int64_t unix_us)
{
    if (unix_us)
        strbuf_printf(out, "\"%s\":\"%s\",", name, utc_text(mem, unix_us));
}

/* The stored document with what it leaves out: which context it is in, and when it is. */
static Slice snapshot_of(const EntityWriter *w, const EntitySaved *s)
{
    const Occurrence *o = s->event ? occurrence_at(s->event, w->now_us) : NULL;
    StrBuf out = strbuf_new(w->mem, (size_t)DOC_MAX_BYTES + 65536);
    Slice text;

    strbuf_append_char(&out, '{');
    strbuf_append(&out, w->events->contexts->by_url);
    strbuf_append_char(&out, ',');
    if (o) {
        append_time(&out, w->mem, "startDate", o->start_us);
        append_time(&out, w->mem, "endDate", o->end_us);
        append_time(&out, w->mem, "doorTime", o->door_us);
    }
    strbuf_append(&out, slice_skip(s->doc, 1)); /* it is an object, and not empty */
    return strbuf_finish(&out, &text) ? text : s->doc;
}

static Slice tombstone_of(const EntityWriter *w, const EntitySaved *s)
{
    const EntityHead *h = s->head;
    const Node *node =
        entity_tombstone(w->mem, w->events, s->kind, h->id, slice_cstr(w->mem, node_text(s->full, TERM_NAME)),
                         h->deleted_us ? h->deleted_us : w->now_us, h->deleted_us ? h->deletion_reason : REASON_HIDDEN,
                         h->superseded_by);
    StrBuf out = strbuf_new(w->mem, DOC_MAX_BYTES);

    node_write_json(&out, node, &(NodeWriting){.shown = SHOWN_TOMBSTONE, .context = w->events->contexts->by_url});
    return strbuf_slice(&out);
}

/* Of an event its first place's. */
static void locate(const EntitySaved *s, FeedChange *out)
{
    const Node *at = s->kind == ENTITY_EVENT ? node_node(s->full, TERM_LOCATION) : s->full;
    const Node *geo = at ? node_node(at, TERM_GEO) : NULL;

    out->located = geo && node_get(geo, TERM_LATITUDE) && node_get(geo, TERM_LONGITUDE);
    if (!out->located)
        return;
    out->latitude = node_number(geo, TERM_LATITUDE);
    out->longitude = node_number(geo, TERM_LONGITUDE);
}

static void take_event(Arena *mem, const EntitySaved *s, FeedChange *out)
{
    const Property *keywords = node_get(s->full, TERM_KEYWORDS);
    Slice *list = ARENA_ARRAY(mem, Slice, keywords ? keywords->count + 1 : 1);

    out->license_url = s->event->license_url;
    out->license_status = s->event->license_status;
    out->source_us = s->event->source_us;
    out->domain = s->event->domain;
    out->keywords = list;
    for (size_t i = 0; keywords && i < keywords->count; i++)
        list[out->keyword_count++] = keywords->values[i].text;
}

static bool is_public(const EntitySaved *s)
{
    return lifecycle_is_public(s->head->lifecycle) && !s->head->deleted_us && !(s->event && s->event->takedown_us);
}

Err entity_tell_feed(const EntityWriter *w, const EntitySaved *s)
{
    const EntityHead *h = s->head;
    FeedChange change = {.entity = KINDS[s->kind],
                         .id = h->id,
                         .version = h->version,
                         .at_us = h->updated_us,
                         .was_public = s->was_public,
                         .is_public = is_public(s),
                         .pointers = s->pointers,
                         .pointer_count = s->pointer_count,
                         .deletion_reason = h->deleted_us ? h->deletion_reason : REASON_HIDDEN,
                         .superseded_by = h->superseded_by,
                         .license_url = CC0_IRI,
                         .license_status = "cc0",
                         .federation_uri = h->federation_uri};

    if (!change.was_public && !change.is_public)
        return OK;
    if (s->event)
        take_event(w->mem, s, &change);
    locate(s, &change);
    change.snapshot = change.is_public ? snapshot_of(w, s) : tombstone_of(w, s);
    return feed_record(w->tx, w->mem, w->events->ids, &change);
}
