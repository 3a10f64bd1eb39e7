/* ical_import: calendars read in (contract 11.2, B22): fetched from a guarded address or handed in, each UID a
 * submission through ingest.h, what was there last time and is not any more cancelled. The same calendar again changes
 * nothing. */
#include <ctype.h>

#include "atrium/events/v1/calendars.service.h"
#include "services/events/ical_events.h"
#include "services/events/ingest.h"
#include "services/events/store_import.h"
#include "services/events/store_series.h"
#include "services/events/submissions.h"
#include "shared/http_client.h"
#include "shared/public_url.h"
#include "shared/sha256.h"

enum {
    FETCH_TIMEOUT_MS = 20000,
    REDIRECTS_MAX = 3,
    NAME_MAX_BYTES = 100, /* of an upload */
    ENTRIES_SHOWN_MAX = 1000,
    ARENA_BYTES = 65536
};

typedef Events__V1__ImportCalendarRequest ImportRequest;
typedef Events__V1__ImportCalendarReply ImportReply;
typedef Events__V1__ImportedEntry ImportEntry;

typedef struct Import {
    Request *rq;
    const Events *events;
    const ImportRequest *in;
    Submitter by;
    const char *owner, *name; /* which calendar it is */
    Slice text;
    const char *etag; /* "" none */
    bool not_modified;
    ImportedCalendar calendar;
    CalendarKnown row;
    EntryKnown *known; /* by uid */
    size_t known_count;
    bool *seen; /* of `known` */
    ImportReply *out;
} Import;

/* ---------------------------------------------------------------------------------------------------- getting it */

static Err fetch(Import *m)
{
    Arena *mem = m->rq->mem;
    const EventsSettings *settings = m->events->settings;
    CLEANUP(http_client_free_at)
    HttpClient *http = http_client_new(&(HttpClientOptions){.user_agent = "Atrium-Calendars/1",
                                                            .public_only = true,
                                                            .allowed = settings->ics_allowed,
                                                            .max_redirects = REDIRECTS_MAX,
                                                            .log = m->rq->log});
    HttpHeader headers[2] = {{"Accept", "text/calendar"}, {"If-None-Match", m->row.etag}};
    HttpReply reply;
    Err e = http_call(http, mem,
                      &(HttpCall){.url = m->in->url,
                                  .headers = headers,
                                  .header_count = m->row.etag[0] ? 2 : 1,
                                  .timeout_ms = FETCH_TIMEOUT_MS,
                                  .max_reply_bytes = (size_t)settings->ics_max_body_bytes},
                      &reply);

    /* Whatever is behind the address: nothing but this is told of it. */
    if (e.reason == &PAYLOAD_TOO_LARGE)
        return err_make(&UNPROCESSABLE, "url: the calendar is too large");
    if (err_failed(e))
        return err_make(&UNPROCESSABLE, "url: the calendar could not be fetched");
    m->not_modified = reply.status == 304;
    if (reply.status != 200 && !m->not_modified)
        return err_make(&UNPROCESSABLE, "url: it answered %d", reply.status);
    m->text = reply.body;
    m->etag = http_reply_header(&reply, "etag");
    if (!m->etag)
        m->etag = "";
    return OK;
}

static bool name_fits(const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("-_.", name[i]))
            return false;
    return len > 0 && len <= NAME_MAX_BYTES;
}

static Err check(Import *m)
{
    const ImportRequest *in = m->in;
    bool by_url = in->url && in->url[0], given = in->calendar && in->calendar[0];

    if (by_url == given)
        return err_make(&INVALID_ARGUMENT, "url or calendar: one of them");
    if (by_url)
        TRY(public_url_check(m->rq->mem, in->url, URL_MAX_BYTES, m->events->settings->ics_allowed));
    else if (!in->name || !name_fits(in->name))
        return err_make(&INVALID_ARGUMENT, "name: 1 to %d letters, digits, hyphens, dots", NAME_MAX_BYTES);
    else if (strlen(in->calendar) > (size_t)m->events->settings->ics_max_body_bytes)
        return err_make(&INVALID_ARGUMENT, "calendar: too large");
    m->name = by_url ? in->url : in->name;
    m->owner = m->by.key_id[0] ? m->by.key_id : arena_printf(m->rq->mem, "user:%" PRId64, m->by.user_id);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- the report */

static ImportEntry *report(Import *m, const char *uid, const char *name, const char *result, Uuid event)
{
    ImportEntry *entry = ARENA_NEW(m->rq->mem, ImportEntry);

    events__v1__imported_entry__init(entry);
    entry->uid = (char *)uid;
    entry->name = (char *)name;
    entry->result = (char *)result;
    if (!uuid_is_nil(event))
        entry->event = entity_uri(m->rq->mem, m->events, ENTITY_EVENT, event);
    if (m->out->n_entries < ENTRIES_SHOWN_MAX)
        m->out->entries[m->out->n_entries++] = entry;
    return entry;
}

static void count(int64_t *counter, protobuf_c_boolean *has)
{
    (*counter)++;
    *has = true;
}

/* ---------------------------------------------------------------------------------------------------- one event */

typedef struct One {
    EntityWriter w;
    const ImportedEvent *in;
    IngestOutcome outcome;
    const char *error; /* NULL: it went well */
    bool changed;
} One;

static Occurrence *find_instance(EventEntity *event, int64_t recurrence_us)
{
    for (size_t i = 0; i < event->occurrence_count; i++)
        if (event->occurrences[i].recurrence_us == recurrence_us)
            return &event->occurrences[i];
    return NULL;
}

/* Further ahead than the series has occurrences: made now, so that it is there as it will be. */
static Occurrence *add_instance(Arena *mem, EventEntity *event, int64_t recurrence_us)
{
    Occurrence *list;

    if (!event->occurrence_count || event->occurrence_count >= OCCURRENCES_MAX)
        return NULL;
    list = ARENA_ARRAY(mem, Occurrence, event->occurrence_count + 1);
    memcpy(list, event->occurrences, event->occurrence_count * sizeof(*list));
    list[event->occurrence_count] = list[0];
    list[event->occurrence_count].id = (Uuid){{0}};
    list[event->occurrence_count].recurrence_us = recurrence_us;
    list[event->occurrence_count].said_us = 0;
    event->occurrences = list;
    return &list[event->occurrence_count++];
}

static void apply_override(const EntityWriter *w, EventEntity *event, const ImportedOverride *o)
{
    Occurrence *at = find_instance(event, o->recurrence_us);

    if (!at && o->start_us > w->now_us)
        at = add_instance(w->mem, event, o->recurrence_us);
    if (!at || at->said_us)
        return; /* it is over, and was before we knew the series; or somebody edited it */
    at->detached = true;
    at->start_us = o->start_us;
    at->end_us = o->end_us;
    at->door_us = 0;
    at->status = o->cancelled                      ? OCCURRENCE_CANCELLED
                 : o->start_us != o->recurrence_us ? OCCURRENCE_RESCHEDULED
                                                   : OCCURRENCE_SCHEDULED;
    at->previous_start_us = at->status == OCCURRENCE_RESCHEDULED ? o->recurrence_us : 0;
}

/* Those that were taken out by hand stay out. */
static Err apply_overrides(const EntityWriter *w, EventEntity *event, const ImportedEvent *in)
{
    int64_t *taken;
    size_t count;

    TRY(events_store_taken_occurrences(w->tx, w->mem, event->head.id, &taken, &count));
    for (size_t i = 0; i < in->override_count; i++) {
        size_t k = 0;

        while (k < count && taken[k] != in->overrides[i].recurrence_us)
            k++;
        if (k == count)
            apply_override(w, event, &in->overrides[i]);
    }
    return OK;
}

/* What submissions have no words for: instances of a series, and that all of it is cancelled, or is not any more. */
static Err apply_rest(const Import *m, One *one, bool was_ours)
{
    EventEntity event;
    bool cancelled = one->in->cancelled, changed;

    if (!one->in->override_count && !cancelled && !was_ours)
        return OK;
    TRY(event_load(&one->w, one->outcome.event, &event));
    if (event.head.deleted_us || !submitter_made(&m->by, &event))
        return OK; /* or it is somebody else's, and was found by its content */
    if (one->in->override_count && !uuid_is_nil(event.series_id))
        TRY(apply_overrides(&one->w, &event, one->in));
    if (cancelled && !event.status_edited && lifecycle_is_public(event.head.lifecycle))
        event.head.lifecycle = LIFECYCLE_CANCELLED;
    else if (!cancelled && was_ours && !event.status_edited && event.head.lifecycle == LIFECYCLE_CANCELLED)
        event.head.lifecycle = LIFECYCLE_PUBLISHED;
    TRY(event_save(&one->w, &event, "from its calendar", &changed));
    one->changed |= changed;
    return OK;
}

/* Read, checked and handed on; `one->error` tells what its calendar got wrong. */
static Err hand_in(Import *m, One *one)
{
    const WritingRules rules = ingest_rules(m->events);
    Arena *mem = one->w.mem;
    Submission *s = ARENA_NEW(mem, Submission);
    Findings *faults = ARENA_NEW(mem, Findings), *warnings = ARENA_NEW(mem, Findings);

    faults->mem = warnings->mem = mem;
    if (submission_read(mem, &rules, one->in->body, s, faults))
        submission_check(mem, &rules, one->w.now_us, s, faults, warnings);
    if (!faults->count && !m->in->dry_run)
        TRY(ingest_submission(&one->w, &(Ingest){.submission = s, .by = m->by, .warnings = warnings, .faults = faults},
                              &one->outcome));
    if (faults->count)
        one->error = arena_printf(m->rq->mem, "%s: %s", faults->list[0].field, faults->list[0].message);
    else if (one->outcome.result == INGEST_GONE || one->outcome.result == INGEST_REJECTED_BEFORE)
        one->error = "it was here, and was deleted";
    return OK;
}

static const char *hash_of(Arena *mem, const ImportedEvent *e)
{
    char *hex = arena_alloc(mem, SHA256_HEX_BYTES, 1);
    Sha256 hash;

    sha256_init(&hash);
    sha256_update(&hash, e->body);
    for (size_t i = 0; i < e->override_count; i++) {
        const ImportedOverride *o = &e->overrides[i];

        sha256_update(&hash, slice(arena_printf(mem, "|%" PRId64 " %" PRId64 " %" PRId64 " %d", o->recurrence_us,
                                                o->start_us, o->end_us, o->cancelled)));
    }
    sha256_update(&hash, e->cancelled ? SLICE_LIT("|cancelled") : SLICE_LIT("|"));
    sha256_hex(&hash, hex);
    return hex;
}

static EntryKnown *find_known(Import *m, Slice uid)
{
    size_t low = 0, high = m->known_count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(m->known[middle].uid, slice_cstr(m->rq->mem, uid));

        if (order == 0)
            return &m->known[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static Err take_in(Import *m, const ImportedEvent *e, const EntryKnown *known, const char *hash, One *one)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(ARENA_BYTES);
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = *m->rq;

    rq.mem = mem;
    *one = (One){.in = e};
    TRY(db_tx_begin(&rq, &tx));
    one->w = entity_writer(&rq, &tx);
    TRY(hand_in(m, one));
    if (one->error || m->in->dry_run)
        return OK; /* rolled back */
    TRY(apply_rest(m, one, known != NULL));
    TRY(import_store_entry(&tx, m->row.id, e->uid, one->outcome.event, hash, m->row.reading));
    return db_tx_commit(&tx);
}

static Err import_one(Import *m, const ImportedEvent *e)
{
    Arena *mem = m->rq->mem;
    EntryKnown *known = find_known(m, e->uid);
    const char *hash = hash_of(mem, e), *result = "failed", *error = e->error;
    One one = {0};
    ImportEntry *entry;

    if (known)
        m->seen[known - m->known] = true;
    if (!error && known && !known->gone && strcmp(known->hash, hash) == 0) {
        result = "unchanged";
        one.outcome.event = known->event;
    } else if (!error) {
        TRY(take_in(m, e, known, hash, &one));
        error = one.error;
        if (!error)
            result = m->in->dry_run                         ? known ? "updated" : "created"
                     : one.outcome.result == INGEST_CREATED ? "created"
                                                            : "updated";
    }
    switch (result[0]) {
    case 'c':
        count(&m->out->created, &m->out->has_created);
        break;
    case 'f':
        count(&m->out->failed, &m->out->has_failed);
        break;
    default:
        if (result[1] == 'p')
            count(&m->out->updated, &m->out->has_updated);
        else
            count(&m->out->unchanged, &m->out->has_unchanged);
    }
    entry = report(m, slice_cstr(mem, e->uid), slice_cstr(mem, e->name), result, one.outcome.event);
    entry->error = (char *)error;
    entry->warnings = (char **)ARENA_ARRAY(mem, char *, ICAL_WARNINGS_MAX);
    for (size_t i = 0; i < e->warning_count; i++)
        entry->warnings[entry->n_warnings++] = arena_strdup(mem, e->warnings[i]);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- what is missing
 */

/* Calendars forget what is over: that is no cancellation. */
static bool is_over(const EventEntity *event, int64_t now_us)
{
    for (size_t i = 0; i < event->occurrence_count; i++)
        if (MAX(event->occurrences[i].end_us, event->occurrences[i].start_us) >= now_us)
            return false;
    return true;
}

static Err cancel_one(Import *m, const EntryKnown *known)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(ARENA_BYTES);
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = *m->rq;
    EventEntity event;
    EntityWriter w;
    bool cancels;

    rq.mem = mem;
    TRY(db_tx_begin(&rq, &tx));
    w = entity_writer(&rq, &tx);
    TRY(event_load(&w, known->event, &event));
    cancels = submitter_made(&m->by, &event) && !event.head.deleted_us && !event.status_edited &&
              lifecycle_is_public(event.head.lifecycle) && event.head.lifecycle != LIFECYCLE_CANCELLED &&
              !is_over(&event, w.now_us);
    if (cancels) {
        count(&m->out->cancelled, &m->out->has_cancelled);
        report(m, known->uid, arena_strdup(m->rq->mem, slice_cstr(mem, node_text(event.head.node, TERM_NAME))),
               "cancelled", known->event);
    }
    if (m->in->dry_run)
        return OK;
    if (cancels) {
        event.head.lifecycle = LIFECYCLE_CANCELLED;
        TRY(event_save(&w, &event, "its calendar has it no more", NULL));
    }
    TRY(import_store_gone(&tx, m->row.id, known->uid));
    return db_tx_commit(&tx);
}

/* ---------------------------------------------------------------------------------------------------- all of it */

static Err begin(Import *m)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    if (!uuid_is_nil(m->row.id))
        TRY(import_store_entries(m->rq, m->row.id, &m->known, &m->known_count));
    m->seen = ARENA_ARRAY(m->rq->mem, bool, m->known_count + 1);
    if (m->in->dry_run)
        return OK;
    TRY(db_tx_begin(m->rq, &tx));
    TRY(import_store_begin(&tx, uuid_v7(m->events->ids), m->owner, m->name, clock_unix_us(m->rq->clock), &m->row));
    return db_tx_commit(&tx);
}

static Err finish(Import *m)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    if (m->in->dry_run)
        return OK;
    entity_settled(m->events);
    if (m->out->failed) /* what failed is tried again next time */
        return OK;
    TRY(db_tx_begin(m->rq, &tx));
    TRY(import_store_finish(&tx, m->row.id, m->etag));
    return db_tx_commit(&tx);
}

static Err read_calendar(Import *m)
{
    Arena *mem = m->rq->mem;
    const ImportRequest *in = m->in;
    IcalFile file = ical_read(mem, m->text);
    const char *zone = in->timezone && in->timezone[0] ? in->timezone : m->events->settings->default_timezone;
    ImportRules rules = {
        .zones = m->events->zones,
        .default_zone = zones_find(m->events->zones, slice(zone)),
        .source_url = in->url && in->url[0]
                          ? in->url
                          : arena_printf(mem, "%s/calendars/%s", m->events->settings->base_url, in->name),
        .source_name = m->name,
        .license = in->license ? in->license : "",
    };

    if (!rules.default_zone)
        return err_make(&INVALID_ARGUMENT, "timezone: an IANA time zone");
    m->calendar = ical_events(mem, &file, &rules);
    if (!m->calendar.is_calendar)
        return err_make(&UNPROCESSABLE, "there is no calendar in it");
    m->out->warnings = (char **)ARENA_ARRAY(mem, char *, 2);
    if (!m->calendar.whole)
        m->out->warnings[m->out->n_warnings++] = arena_strdup(mem, "it is too large: a part of it was left out");
    if (file.dropped)
        m->out->warnings[m->out->n_warnings++] =
            arena_printf(mem, "%zu lines could not be read and were left out", file.dropped);
    return OK;
}

Err events_v1_import_calendar(Request *rq, const ImportRequest *in, ImportReply *out)
{
    Import m = {.rq = rq, .events = rq->service, .in = in, .by = submitter_of(rq), .out = out, .etag = ""};

    m.by.source_type = "ical";
    TRY(check(&m));
    TRY(import_store_calendar(rq, m.owner, m.name, &m.row));
    m.text = slice(in->calendar);
    if (in->url && in->url[0])
        TRY(fetch(&m));
    if (m.not_modified) {
        SET(out, not_modified, true);
        return OK;
    }
    TRY(read_calendar(&m));
    TRY(begin(&m));
    out->entries = ARENA_ARRAY(rq->mem, ImportEntry *, ENTRIES_SHOWN_MAX);
    SET(out, total, (int64_t)m.calendar.count);
    for (size_t i = 0; i < m.calendar.count; i++)
        TRY(import_one(&m, &m.calendar.events[i]));
    /* Of a calendar that was not read to its end nobody knows what is missing. */
    for (size_t i = 0; i < m.known_count && m.calendar.whole; i++)
        if (!m.seen[i] && !m.known[i].gone)
            TRY(cancel_one(&m, &m.known[i]));
    return finish(&m);
}
