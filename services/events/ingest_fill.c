/* ingest_fill: from a submission to an event's struct (entity.h). */
#include <math.h>

#include "services/events/ingest_parts.h"
#include "services/events/store_series.h"

/* --- occurrences ------------------------------------------------------------------------------------------------- */
static int64_t time_us(const When *when)
{
    return when->present ? when->unix_us : 0;
}

static Occurrence occurrence_of(Ingesting *g, const OccurrenceInput *in)
{
    Occurrence out = {.start_us = in->start.unix_us,
                      .end_us = time_us(&in->end),
                      .door_us = time_us(&in->door),
                      .timezone = arena_strdup(g->w->mem, zone_name(in->zone)),
                      .virtual_url = in->virtual_url,
                      .ticket_url = "",
                      .price_min = NAN,
                      .price_max = NAN,
                      .price_currency = "",
                      .availability = ""};

    if (in->place_ulid[0])
        (void)ulid_parse(slice(in->place_ulid), &out.place_id); /* it was read as one */
    return out;
}

static void fill_occurrences(Ingesting *g, EventEntity *event)
{
    const Submission *s = g->in->submission;

    event->occurrences = ARENA_ARRAY(g->w->mem, Occurrence, s->occurrence_count + 1);
    event->occurrence_count = s->occurrence_count;
    for (size_t i = 0; i < s->occurrence_count; i++)
        event->occurrences[i] = occurrence_of(g, &s->occurrences[i]);
}

static const Occurrence *at_start(const EventEntity *event, int64_t start_us)
{
    for (size_t i = 0; i < event->occurrence_count; i++)
        if (event->occurrences[i].start_us == start_us)
            return &event->occurrences[i];
    return NULL;
}

/* Edited by itself, wherever it is by now. */
static bool is_edited(const EventEntity *event, int64_t start_us)
{
    for (size_t i = 0; i < event->occurrence_count; i++) {
        const Occurrence *o = &event->occurrences[i];

        if (o->detached && (o->start_us == start_us || o->said_us == start_us || o->recurrence_us == start_us))
            return true;
    }
    return false;
}

static bool is_among(const int64_t *list, size_t count, int64_t start_us)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == start_us)
            return true;
    return false;
}

static int by_start(const void *a, const void *b)
{
    const Occurrence *x = a, *y = b;

    return x->start_us < y->start_us ? -1 : x->start_us > y->start_us;
}

/* The list that its source gives now. Those at a time that was there keep their identity; what was edited by itself
 * stays, and what was taken out by hand does not come back. */
static Err replace_occurrences(Ingesting *g, EventEntity *event)
{
    const Submission *s = g->in->submission;
    Occurrence *list = ARENA_ARRAY(g->w->mem, Occurrence, s->occurrence_count + event->occurrence_count + 1);
    size_t count = 0, taken_count;
    int64_t *taken;

    TRY(events_store_taken_occurrences(g->w->tx, g->w->mem, event->head.id, &taken, &taken_count));
    for (size_t i = 0; i < event->occurrence_count; i++)
        if (event->occurrences[i].detached)
            list[count++] = event->occurrences[i];
    for (size_t i = 0; i < s->occurrence_count; i++) {
        int64_t start_us = s->occurrences[i].start.unix_us;
        const Occurrence *old = at_start(event, start_us);

        if (is_edited(event, start_us) || is_among(taken, taken_count, start_us))
            continue;
        list[count] = occurrence_of(g, &s->occurrences[i]);
        if (old)
            list[count].id = old->id;
        count++;
    }
    if (count == 0)
        return OK; /* an event keeps one */
    qsort(list, count, sizeof(*list), by_start);
    event->occurrences = list;
    event->occurrence_count = count;
    return OK;
}

/* --- licences ---------------------------------------------------------------------------------------------------- */
/* "CC BY-SA 4.0" and "cc-by-sa" as the address that the licence has. */
static const char *license_address(Arena *mem, const char *text)
{
    static const char *const KINDS[] = {"by-nc-nd", "by-nc-sa", "by-nc", "by-nd", "by-sa", "by"};
    const char *url = strstr(text, "://") ? url_clean(mem, slice(text)) : NULL;
    Slice key = text_key(mem, slice(text));

    if (url)
        return url;
    if (!slice_starts_with(key, SLICE_LIT("cc ")))
        return "";
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++)
        if (slice_starts_with(slice_skip(key, 3), text_key(mem, slice(KINDS[i]))))
            return arena_printf(mem, "https://creativecommons.org/licenses/%s/4.0/", KINDS[i]);
    return "";
}

static void fill_license(Ingesting *g, EventEntity *event)
{
    const char *license = g->in->submission->source.license;
    Slice key = text_key(g->w->mem, slice(license));

    event->license_url = CC0_IRI;
    event->license_status = "cc0";
    if (license_is_cc0(license))
        return;
    event->license_url = license_address(g->w->mem, license);
    event->license_status =
        slice_find(key, SLICE_LIT("proprietary")) >= 0 || slice_find(key, SLICE_LIT("all rights reserved")) >= 0
            ? "proprietary"
            : "unknown";
}

/* --- series ------------------------------------------------------------------------------------------------------ */
/* Its name for the series: the source's, or what else tells it from its other ones. */
static const char *series_key(const Submission *s)
{
    return s->recurrence.external_key[0] ? s->recurrence.external_key
           : s->source.event_id[0]       ? s->source.event_id
                                         : s->name_key;
}

/* A series that begins elsewhere begins with events as long as this one. */
static int64_t moved(const When *when, int64_t by_us)
{
    return when->present ? when->unix_us + by_us : 0;
}

static Err apply_series(Ingesting *g, EventEntity *event)
{
    const Submission *s = g->in->submission;
    const RecurrenceInput *r = &s->recurrence;
    int64_t by_us = r->series_start.present ? r->series_start.unix_us - s->start.unix_us : 0;

    if (!r->given || (!r->rrule[0] && r->rdate_count == 0))
        return OK;
    return series_apply(g->w, g->source,
                        &(SeriesRule){.external_key = series_key(s),
                                      .name = r->series_name[0] ? r->series_name : s->name,
                                      .rrule = r->rrule,
                                      .added = r->rdates,
                                      .added_count = r->rdate_count,
                                      .taken = r->exdates,
                                      .taken_count = r->exdate_count,
                                      .zone = s->zone,
                                      .start_us = moved(&s->start, by_us),
                                      .end_us = moved(&s->end, by_us),
                                      .door_us = moved(&s->door, by_us)},
                        event);
}

/* --- the event --------------------------------------------------------------------------------------------------- */
Lifecycle ingest_lifecycle(const Submission *s)
{
    if (strcmp(s->status, "EventCancelled") == 0)
        return LIFECYCLE_CANCELLED;
    if (strcmp(s->status, "EventPostponed") == 0)
        return LIFECYCLE_POSTPONED;
    if (strcmp(s->status, "EventRescheduled") == 0)
        return LIFECYCLE_RESCHEDULED;
    return LIFECYCLE_PUBLISHED;
}

Err ingest_fill_event(Ingesting *g, EventEntity *event)
{
    const Submission *s = g->in->submission;

    event->head.node = submission_event_node(g->w->mem, s);
    event->head.confidence = s->confidence;
    event->head.lifecycle = ingest_lifecycle(s);
    event->domain = s->domain;
    event->place_id = g->place;
    event->organizer_id = g->organizer;
    event->virtual_url = s->virtual_url;
    event->virtual_name = s->virtual_name;
    event->dedup_hash = slice_of(g->hash, sizeof(g->hash));
    fill_occurrences(g, event);
    fill_license(g, event);
    return apply_series(g, event);
}

Err ingest_update_event(Ingesting *g, EventEntity *event)
{
    const Submission *s = g->in->submission;

    if (s->occurrences_given || event->occurrence_count == 0)
        TRY(replace_occurrences(g, event));
    if (s->status[0] && !event->status_edited && lifecycle_is_public(event->head.lifecycle))
        event->head.lifecycle = ingest_lifecycle(s);
    if (!event->domain_edited)
        event->domain = s->domain;
    return apply_series(g, event);
}

Slice corrections_json(Arena *mem, const Submission *s)
{
    StrBuf out = strbuf_new(mem, SUBMISSION_CORRECTIONS_MAX * 1024);

    if (s->correction_count == 0)
        return SLICE_LIT("");
    for (size_t i = 0; i < s->correction_count; i++) {
        const Correction *c = &s->corrections[i];

        strbuf_append_cstr(&out, i ? ",{\"field\":" : "[{\"field\":");
        strbuf_append_json(&out, slice(c->field));
        strbuf_append_cstr(&out, ",\"original\":");
        strbuf_append_json(&out, slice(c->original));
        strbuf_append_cstr(&out, ",\"corrected\":");
        strbuf_append_json(&out, slice(c->corrected));
        strbuf_append_cstr(&out, ",\"reason\":");
        strbuf_append_json(&out, slice(c->reason));
        strbuf_append_char(&out, '}');
    }
    strbuf_append_char(&out, ']');
    return strbuf_slice(&out);
}
