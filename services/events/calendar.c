/* calendar: see calendar.h. */
#include "services/events/calendar.h"

#include <sodium.h>

#include "atrium/events/v1/calendars.service.h"
#include "services/events/ical_write.h"
#include "services/events/members.h"
#include "services/events/negotiate.h"
#include "services/events/reading.h"
#include "services/events/recurrence.h"
#include "services/events/store_list.h"
#include "services/events/store_pages.h"
#include "services/events/urls.h"

enum { ENTRY_BYTES = 1280 /* of a usual entry */ };
enum { KEYWORDS_SHOWN_MAX = 50, ZONES_SHOWN_MAX = 64, DATES_SHOWN_MAX = 1000 };
#define US_PER_S INT64_C(1000000)
#define PAST_US INT64_C(7776000000000) /* of a series: 90 days */
#define PRODID "-//Atrium//Events//EN"

typedef struct Writing {
    IcalWriter w;
    Arena *mem;
    const Events *events;
    const char *host;
} Writing;

/* ---------------------------------------------------------------------------------------------------- one entry */

/* A text member of a card. Cards are ours: what is a string there has no escapes that a URL needs. */
static Slice card_url(Arena *mem, const CalendarRow *r, const char *pointer)
{
    Slice value, url;

    if (!members_at(r->card, slice(pointer), &value) || value.len < 2 || value.ptr[0] != '"')
        return SLICE_LIT("");
    url = slice_of(value.ptr + 1, value.len - 2);
    return slice_find_char(url, '\\') < 0 ? url : slice(url_clean(mem, url));
}

static const char *status_of(const CalendarRow *r)
{
    if (strcmp(r->occurrence_status, "cancelled") == 0 || strcmp(r->lifecycle, "cancelled") == 0)
        return "CANCELLED";
    if (strcmp(r->occurrence_status, "postponed") == 0 || strcmp(r->lifecycle, "postponed") == 0 ||
        strcmp(r->lifecycle, "draft") == 0 || strcmp(r->lifecycle, "pending_review") == 0)
        return "TENTATIVE";
    return "CONFIRMED";
}

static void append_part(StrBuf *out, const char *text)
{
    if (!text[0])
        return;
    if (out->len)
        strbuf_append(out, SLICE_LIT(", "));
    strbuf_append_cstr(out, text);
}

static void write_place(Writing *c, const CalendarRow *r)
{
    StrBuf where = strbuf_new(c->mem, 8192);
    char point[64];

    append_part(&where, r->place);
    append_part(&where, r->street);
    append_part(&where, r->locality);
    append_part(&where, r->region);
    append_part(&where, r->postal_code);
    append_part(&where, r->country);
    ical_text(&c->w, "LOCATION", where.len ? strbuf_slice(&where) : slice(r->virtual_url));
    if (r->located) {
        (void)snprintf(point, sizeof(point), "%.6f;%.6f", r->latitude, r->longitude);
        ical_raw(&c->w, "GEO", slice(point));
    }
    if (r->virtual_url[0])
        ical_with_param(&c->w, "CONFERENCE;VALUE=URI;FEATURE=AUDIO,VIDEO", "LABEL", SLICE_LIT("Online"),
                        slice(r->virtual_url));
}

static void write_organizer(Writing *c, const CalendarRow *r)
{
    if (!r->organizer[0])
        return;
    if (r->organizer_email[0])
        ical_with_param(&c->w, "ORGANIZER", "CN", slice(r->organizer),
                        slice(arena_printf(c->mem, "mailto:%s", r->organizer_email)));
    else
        ical_with_param(&c->w, "ORGANIZER", "CN", slice(r->organizer),
                        slice(r->organizer_url[0] ? r->organizer_url : "invalid:nomail"));
}

static void write_keywords(Writing *c, const CalendarRow *r)
{
    Slice list[KEYWORDS_SHOWN_MAX], rest = slice(r->keywords);
    size_t count = 0;

    while (rest.len && count < KEYWORDS_SHOWN_MAX)
        (void)slice_cut(rest, '\x01', &list[count++], &rest);
    ical_texts(&c->w, "CATEGORIES", list, count);
}

/* What does not depend on when it is. */
static void write_facts(Writing *c, const CalendarRow *r, const char *status)
{
    Slice url = card_url(c->mem, r, "/url"), image = card_url(c->mem, r, "/image");

    ical_text(&c->w, "SUMMARY", slice(r->name));
    ical_text(&c->w, "DESCRIPTION", slice(r->description));
    write_place(c, r);
    ical_raw(&c->w, "URL", url.len ? url : slice(entity_uri(c->mem, c->events, ENTITY_EVENT, r->event_id)));
    ical_raw(&c->w, "STATUS", slice(status));
    write_keywords(c, r);
    write_organizer(c, r);
    ical_raw(&c->w, "IMAGE;VALUE=URI;DISPLAY=BADGE", image);
    ical_raw(&c->w, "SEQUENCE", slice(arena_printf(c->mem, "%" PRId64, r->version - 1)));
    ical_time(&c->w, "CREATED", r->created_us);
    ical_time(&c->w, "LAST-MODIFIED", r->updated_us);
    /* With METHOD it is when this state came about (RFC 5545 3.8.7.2): so that the same data give the same bytes. */
    ical_time(&c->w, "DTSTAMP", r->updated_us);
}

static void write_occurrence(Writing *c, const CalendarRow *r)
{
    ical_raw(&c->w, "BEGIN", SLICE_LIT("VEVENT"));
    ical_raw(&c->w, "UID",
             slice(arena_printf(c->mem, "%s-%s@%s", ulid_text(c->mem, r->event_id), uuid_text(c->mem, r->occurrence_id),
                                c->host)));
    ical_time(&c->w, "DTSTART", r->start_us);
    if (r->end_us)
        ical_time(&c->w, "DTEND", r->end_us);
    else
        ical_raw(&c->w, "DURATION", SLICE_LIT("PT0S"));
    write_facts(c, r, status_of(r));
    ical_raw(&c->w, "END", SLICE_LIT("VEVENT"));
}

/* ---------------------------------------------------------------------------------------------------- a series */

static const char *series_uid(const Writing *c, const CalendarRow *r)
{
    return arena_printf(c->mem, "%s@%s", ulid_text(c->mem, r->event_id), c->host);
}

/* A date takes out what begins on it, and is added with the time of the first one: clients compare times. */
static void write_dates(Writing *c, const char *name, const char *list, const Zone *zone, int64_t start_s)
{
    int64_t wall_s = zone_to_wall(zone, start_s),
            of_day = wall_s - civil_floor_div(wall_s, CIVIL_S_PER_DAY) * CIVIL_S_PER_DAY;
    Slice rest = slice(list), item;

    for (size_t i = 0; rest.len && i < DATES_SHOWN_MAX; i++) {
        RecurrenceTime t;

        (void)slice_cut(rest, ',', &item, &rest);
        if (!recurrence_read_time(item, &t))
            continue;
        if (t.kind == RECURRENCE_DATE)
            t.at_s += of_day;
        ical_wall(&c->w, name, zone, recurrence_time_unix(&t, zone));
    }
}

/* UNTIL has to be in UTC where DTSTART has a zone (RFC 5545 3.3.10), however it was said. */
static const char *rule_text(Arena *mem, const char *text, const Rrule *rule, const Zone *zone)
{
    StrBuf out = strbuf_new(mem, RRULE_TEXT_MAX_BYTES + 64);
    int64_t until_s = rule->until == RRULE_UNTIL_DATE ? rule->until_s + CIVIL_S_PER_DAY - 1 : rule->until_s;
    Slice rest = slice(text), item;
    Slice whole;

    if (rest.len > 6 && slice_eq_nocase(slice_take(rest, 6), SLICE_LIT("RRULE:")))
        rest = slice_skip(rest, 6);
    while (rest.len) {
        (void)slice_cut(rest, ';', &item, &rest);
        item = slice_trim(item);
        if (!item.len)
            continue;
        if (out.len)
            strbuf_append_char(&out, ';');
        if (item.len > 6 && slice_eq_nocase(slice_take(item, 6), SLICE_LIT("UNTIL="))) {
            char time[TIME_TEXT_BYTES];

            (void)time_format((rule->until == RRULE_UNTIL_UTC ? until_s : zone_to_unix(zone, until_s)) * US_PER_S, 0,
                              time);
            strbuf_append(&out, SLICE_LIT("UNTIL="));
            for (const char *p = time; *p; p++)
                if (*p != '-' && *p != ':')
                    strbuf_append_char(&out, *p);
        } else {
            strbuf_append(&out, item);
        }
    }
    return strbuf_finish(&out, &whole) ? whole.ptr : "";
}

static void write_master(Writing *c, const CalendarRow *r, const Zone *zone)
{
    int64_t start_s = r->series_start_us / US_PER_S;
    Rrule rule;

    ical_raw(&c->w, "BEGIN", SLICE_LIT("VEVENT"));
    ical_raw(&c->w, "UID", slice(series_uid(c, r)));
    ical_wall(&c->w, "DTSTART", zone, start_s);
    if (r->series_end_us)
        ical_wall(&c->w, "DTEND", zone, r->series_end_us / US_PER_S);
    else
        ical_raw(&c->w, "DURATION", SLICE_LIT("PT0S"));
    if (r->rrule[0] && !err_failed(rrule_read(slice(r->rrule), &rule)))
        ical_raw(&c->w, "RRULE", slice(rule_text(c->mem, r->rrule, &rule, zone)));
    write_dates(c, "RDATE", r->added, zone, start_s);
    write_dates(c, "EXDATE", r->taken, zone, start_s);
    write_facts(c, r, strcmp(r->lifecycle, "cancelled") == 0 ? "CANCELLED" : "CONFIRMED");
    ical_raw(&c->w, "END", SLICE_LIT("VEVENT"));
}

/* One that differs from what the rule says of it. */
static void write_override(Writing *c, const CalendarRow *r, const Zone *zone)
{
    ical_raw(&c->w, "BEGIN", SLICE_LIT("VEVENT"));
    ical_raw(&c->w, "UID", slice(series_uid(c, r)));
    ical_wall(&c->w, "RECURRENCE-ID", zone, r->recurrence_us / US_PER_S);
    ical_wall(&c->w, "DTSTART", zone, r->start_us / US_PER_S);
    if (r->end_us)
        ical_wall(&c->w, "DTEND", zone, r->end_us / US_PER_S);
    else
        ical_raw(&c->w, "DURATION", SLICE_LIT("PT0S"));
    write_facts(c, r, status_of(r));
    ical_raw(&c->w, "END", SLICE_LIT("VEVENT"));
}

/* ---------------------------------------------------------------------------------------------------- the whole */

static const Zone *series_zone(const Writing *c, const CalendarHead *head, const CalendarRow *r)
{
    return head->rules && !uuid_is_nil(r->series_id) ? zones_find(c->events->zones, slice(r->series_timezone)) : NULL;
}

static bool is_first_of_event(const CalendarRow *rows, size_t at)
{
    for (size_t i = at; i-- > 0;)
        if (memcmp(rows[i].event_id.bytes, rows[at].event_id.bytes, sizeof(rows[at].event_id.bytes)) == 0)
            return false;
    return true;
}

static void write_zones(Writing *c, const CalendarHead *head, const CalendarRow *rows, size_t count)
{
    const Zone *seen[ZONES_SHOWN_MAX];
    size_t seen_count = 0;

    for (size_t i = 0; i < count; i++) {
        const Zone *zone = series_zone(c, head, &rows[i]);
        int64_t from_s = INT64_MAX;
        bool known = !zone;

        for (size_t k = 0; k < seen_count && !known; k++)
            known = seen[k] == zone;
        if (known || seen_count == ZONES_SHOWN_MAX)
            continue;
        seen[seen_count++] = zone;
        for (size_t k = i; k < count; k++)
            if (series_zone(c, head, &rows[k]) == zone)
                from_s = MIN(from_s, rows[k].series_start_us / US_PER_S);
        ical_zone(&c->w, zone, from_s);
    }
}

static Writing begin_writing(StrBuf *out, const Events *events)
{
    return (Writing){.w = ical_writer(out->mem, out),
                     .mem = out->mem,
                     .events = events,
                     .host = slice_cstr(out->mem, url_host(events->settings->base_url))};
}

static void write_beginning(Writing *c, const CalendarHead *head)
{
    ical_raw(&c->w, "BEGIN", SLICE_LIT("VCALENDAR"));
    ical_raw(&c->w, "VERSION", SLICE_LIT("2.0"));
    ical_raw(&c->w, "PRODID", SLICE_LIT(PRODID));
    ical_raw(&c->w, "CALSCALE", SLICE_LIT("GREGORIAN"));
    ical_raw(&c->w, "METHOD", SLICE_LIT("PUBLISH"));
    ical_text(&c->w, "NAME", slice(head->name));
    ical_text(&c->w, "X-WR-CALNAME", slice(head->name));
    ical_raw(&c->w, "REFRESH-INTERVAL;VALUE=DURATION", SLICE_LIT("PT1H"));
    ical_raw(&c->w, "SOURCE;VALUE=URI", slice(head->source));
}

void calendar_write_beginning(StrBuf *out, const Events *events, const CalendarHead *head)
{
    Writing c = begin_writing(out, events);

    write_beginning(&c, head);
}

void calendar_write_entries(StrBuf *out, const Events *events, const CalendarRow *rows, size_t count)
{
    Writing c = begin_writing(out, events);

    for (size_t i = 0; i < count; i++)
        write_occurrence(&c, &rows[i]);
}

void calendar_write_end(StrBuf *out)
{
    strbuf_append_cstr(out, "END:VCALENDAR\r\n");
}

void calendar_write(StrBuf *out, const Events *events, const CalendarHead *head, const CalendarRow *rows, size_t count)
{
    Writing c = begin_writing(out, events);

    write_beginning(&c, head);
    write_zones(&c, head, rows, count);
    for (size_t i = 0; i < count; i++) {
        const Zone *zone = series_zone(&c, head, &rows[i]);

        if (zone && is_first_of_event(rows, i))
            write_master(&c, &rows[i], zone);
        if (zone && rows[i].recurrence_us && rows[i].detached)
            write_override(&c, &rows[i], zone);
        else if (!zone || !rows[i].recurrence_us)
            write_occurrence(&c, &rows[i]);
    }
    calendar_write_end(out);
}

/* ---------------------------------------------------------------------------------------------------- answers */

Err calendar_answer(Request *rq, const CalendarHead *head, const char *file, const CalendarRow *rows, size_t count,
                    Atrium__HttpBody *out)
{
    StrBuf body = strbuf_new(rq->mem, CALENDAR_MAX_BYTES);
    uint8_t hash[16];
    const char *tag;

    (void)strbuf_reserve(&body, MIN(count * ENTRY_BYTES, (size_t)CALENDAR_MAX_BYTES));
    calendar_write(&body, rq->service, head, rows, count);
    crypto_generichash(hash, sizeof(hash), (const uint8_t *)body.ptr, body.len, NULL, 0);
    tag = arena_printf(rq->mem, "\"%s\"", hex_encode(rq->mem, slice_of(hash, sizeof(hash))));
    request_set_header(rq, "ETag", tag);
    request_set_header(rq, "Cache-Control", "public, max-age=0, must-revalidate");
    request_set_header(rq, "Content-Disposition", arena_printf(rq->mem, "attachment; filename=\"%s.ics\"", file));
    if (etag_is_known(rq, tag)) {
        request_set_status(rq, 304);
        return OK;
    }
    return answer_body(&body, format_content_type(FORMAT_CALENDAR), out);
}

Err calendar_of_event(Request *rq, const char *id, bool rules, Atrium__HttpBody *out)
{
    const Events *events = rq->service;
    StrBuf body = strbuf_new(rq->mem, DOC_MAX_BYTES);
    CalendarRow *rows;
    const char *ulid;
    Document d;
    size_t count;

    TRY(document_find(rq, ENTITY_EVENT, id, &d));
    if (d.deleted_us) {
        request_set_status(rq, 410);
        document_write(&body, events, &d, document_context(events, &d), SLICE_LIT(""));
        return answer_body(&body, format_content_type(FORMAT_JSONLD), out);
    }
    TRY(events_store_calendar_of_event(rq, d.id, OCCURRENCES_MAX, &rows, &count));
    ulid = ulid_text(rq->mem, d.id);
    return calendar_answer(
        rq,
        &(CalendarHead){.name = d.name,
                        .source = arena_printf(rq->mem, "%s/api/v1/events/%s/ics", events->settings->base_url, ulid),
                        .rules = rules},
        arena_printf(rq->mem, "event-%s", ulid), rows, count, out);
}

Err calendar_of_series(Request *rq, const char *id, bool rules, Atrium__HttpBody *out)
{
    const Events *events = rq->service;
    CalendarRow *rows;
    SeriesRow series;
    const char *ulid;
    size_t count;
    Uuid series_id;

    TRY(ulid_of_path(rq, id, &series_id));
    TRY(pages_store_series(rq, series_id, &series));
    if (uuid_is_nil(series.id))
        return err_make(&NOT_FOUND, "there is no such series");
    TRY(events_store_calendar_of_series(rq, series_id, clock_unix_us(rq->clock) - PAST_US, CALENDAR_EVENTS_MAX, &rows,
                                        &count));
    ulid = ulid_text(rq->mem, series_id);
    return calendar_answer(
        rq,
        &(CalendarHead){.name = series.name,
                        .source = arena_printf(rq->mem, "%s/api/v1/series/%s/ics", events->settings->base_url, ulid),
                        .rules = rules},
        arena_printf(rq->mem, "series-%s", ulid), rows, count, out);
}

static bool is_true(const char *text)
{
    return text && strcmp(text, "true") == 0;
}

Err events_v1_get_event_calendar(Request *rq, const Events__V1__GetEventCalendarRequest *in, Atrium__HttpBody *out)
{
    return calendar_of_event(rq, in->id, is_true(in->include_rrule), out);
}

Err events_v1_get_series_calendar(Request *rq, const Events__V1__GetEventCalendarRequest *in, Atrium__HttpBody *out)
{
    return calendar_of_series(rq, in->id, is_true(in->include_rrule), out);
}

/* Where the next page is, with the filters of this one. */
static const char *next_link(Request *rq, const char *cursor)
{
    const Events *events = rq->service;
    const char *query = request_header(rq, "query-string");
    StrBuf out = strbuf_new(rq->mem, 16384);
    Slice rest = slice(query), pair, name, value, whole;

    strbuf_printf(&out, "<%s/api/v1/events.ics?", events->settings->base_url);
    while (rest.len) {
        (void)slice_cut(rest, '&', &pair, &rest);
        (void)slice_cut(pair, '=', &name, &value);
        if (!pair.len || slice_eq_cstr(name, "after") || slice_eq_cstr(name, "cursor"))
            continue;
        for (size_t i = 0; i < pair.len; i++) /* it goes into a header, between < and > */
            if (pair.ptr[i] > ' ' && pair.ptr[i] < 0x7f && !strchr("<>\"", pair.ptr[i]))
                strbuf_append_char(&out, pair.ptr[i]);
        strbuf_append_char(&out, '&');
    }
    strbuf_printf(&out, "after=%s>; rel=\"next\"", cursor);
    return strbuf_finish(&out, &whole) ? whole.ptr : NULL;
}

/* Without a limit a long list at once: calendar clients follow no links. */
static Err collect_occurrences(Request *rq, EventFilter *f, Uuid **out, size_t *out_count, const char **out_cursor)
{
    EventList list;

    TRY(events_store_list(rq, f, &list));
    *out = ARENA_ARRAY(rq->mem, Uuid, list.count + 1);
    for (size_t i = 0; i < list.count; i++)
        (*out)[i] = list.rows[i].occurrence_id;
    *out_count = list.count;
    *out_cursor = event_list_cursor(rq->mem, f, &list);
    return OK;
}

Err events_v1_get_calendar(Request *rq, const Events__V1__ListEventsRequest *in, Atrium__HttpBody *out)
{
    const Events *events = rq->service;
    Uuid *ids;
    EventFilter filter;
    CalendarRow *rows;
    const char *cursor, *link;
    size_t count;

    TRY(filter_read(rq, in, &filter));
    filter.expand = filter.bare = true;
    if (!in->limit || !in->limit[0])
        filter.limit = CALENDAR_EVENTS_MAX;
    TRY(collect_occurrences(rq, &filter, &ids, &count, &cursor));
    TRY(events_store_calendar_of(rq, ids, count, &rows, &count));
    link = cursor[0] ? next_link(rq, cursor) : NULL;
    if (link)
        request_set_header(rq, "Link", link);
    return calendar_answer(
        rq,
        &(CalendarHead){.name = "Events",
                        .source = arena_printf(rq->mem, "%s/api/v1/events.ics", events->settings->base_url),
                        .rules = is_true(in->include_rrule)},
        "events", rows, count, out);
}
