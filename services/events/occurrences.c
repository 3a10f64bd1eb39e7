/* occurrences: an event's occurrences one by one, for administration (contract 10.1); also several of a series at once
 * (B20). */
#include <ctype.h>
#include <math.h>

#include "atrium/events/v1/calendars.service.h"
#include "services/events/admin_events.h"
#include "services/events/audit.h"
#include "services/events/codes.h"
#include "services/events/store_admin.h"
#include "services/events/store_series.h"
#include "services/events/urls.h"
#include "services/events/when.h"

#define PRICE_MAX 1e9

typedef Events__V1__OccurrenceRequest OccurrenceRequest;

/* ---------------------------------------------------------------------------------------------------- what is given */

/* What of an occurrence a request changes; members not given stay. */
typedef struct Change {
    const OccurrenceRequest *in;
    When start, end, door;
    const Zone *zone;
    Uuid place;
    const char *virtual_url, *ticket_url, *currency, *availability;
    bool has_status;
    OccurrenceStatus status;
} Change;

static bool is_cleared(const OccurrenceRequest *in, const char *field)
{
    for (size_t i = 0; in->cleared && i < in->cleared->n_paths; i++)
        if (strcmp(in->cleared->paths[i], field) == 0)
            return true;
    return false;
}

static void read_time(Request *rq, const char *field, const char *text, When *out)
{
    if (text && !when_read(slice(text), NULL, out))
        request_add_violation(rq, ATRIUM__PART__BODY, field, "date-time", "a time with its offset (RFC 3339)");
}

static const char *read_url(Request *rq, const char *field, const char *text)
{
    const char *url = text && text[0] ? url_clean(rq->mem, slice(text)) : text;

    if (text && !url)
        request_add_violation(rq, ATRIUM__PART__BODY, field, "url", "an http(s) address");
    return url;
}

static void read_price(Request *rq, const char *field, bool given, double price)
{
    if (given && !(price >= 0 && price <= PRICE_MAX))
        request_add_violation(rq, ATRIUM__PART__BODY, field, "range", "0 to 1000000000");
}

/* "InStock", or its IRI. */
static const char *read_availability(Request *rq, const char *text)
{
    static const char *const WORDS[] = {
        "InStock",    "SoldOut",      "PreOrder",    "PreSale",    "LimitedAvailability",
        "OutOfStock", "Discontinued", "InStoreOnly", "OnlineOnly", "BackOrder"};
    Slice word = slice(text);

    if (!text || !text[0])
        return text;
    for (ptrdiff_t at; (at = slice_find_char(word, '/')) >= 0;)
        word = slice_skip(word, (size_t)at + 1);
    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
        if (slice_eq_nocase(word, slice(WORDS[i])))
            return arena_printf(rq->mem, "https://schema.org/%s", WORDS[i]);
    request_add_violation(rq, ATRIUM__PART__BODY, "availability", "enum", "an ItemAvailability of schema.org");
    return NULL;
}

static void read_words(Request *rq, const OccurrenceRequest *in, Change *c)
{
    const Events *events = rq->service;

    if (in->timezone && !(c->zone = zones_find(events->zones, slice(in->timezone))))
        request_add_violation(rq, ATRIUM__PART__BODY, "timezone", "enum", "an IANA time zone");
    if (in->venue_ulid && in->venue_ulid[0] && !ulid_parse(slice(in->venue_ulid), &c->place))
        request_add_violation(rq, ATRIUM__PART__BODY, "venue_ulid", "ulid", "a ULID");
    if (in->price_currency && in->price_currency[0] &&
        !(c->currency = code_currency(rq->mem, slice(in->price_currency))))
        request_add_violation(rq, ATRIUM__PART__BODY, "price_currency", "currency", "three letters");
    if (in->status && !(c->has_status = occurrence_status_parse(slice(in->status), &c->status)))
        request_add_violation(rq, ATRIUM__PART__BODY, "status", "enum",
                              "scheduled, cancelled, postponed or rescheduled");
}

/* All faults at once. */
static Err read_change(Request *rq, const OccurrenceRequest *in, bool is_new, Change *c)
{
    *c = (Change){.in = in};
    if (is_new && !in->start_time)
        request_add_violation(rq, ATRIUM__PART__BODY, "start_time", "missing", "when it begins");
    if (is_new && !in->timezone)
        request_add_violation(rq, ATRIUM__PART__BODY, "timezone", "missing", "an IANA time zone");
    read_time(rq, "start_time", in->start_time, &c->start);
    read_time(rq, "end_time", in->end_time, &c->end);
    read_time(rq, "door_time", in->door_time, &c->door);
    c->virtual_url = read_url(rq, "virtual_url", in->virtual_url);
    c->ticket_url = read_url(rq, "ticket_url", in->ticket_url);
    c->availability = read_availability(rq, in->availability);
    read_price(rq, "price_min", in->has_price_min, in->price_min);
    read_price(rq, "price_max", in->has_price_max, in->price_max);
    read_words(rq, in, c);
    return request_has_violations(rq) ? err_make(&INVALID_ARGUMENT, "the occurrence cannot be so") : OK;
}

/* A text that is given, that is taken away, or that stays. */
static void change_text(const Change *c, const char *field, const char *given, const char **text)
{
    if (given)
        *text = given;
    else if (is_cleared(c->in, field))
        *text = "";
}

static void change_price(const Change *c, const char *field, bool given, double price, double *to)
{
    if (given)
        *to = price;
    else if (is_cleared(c->in, field))
        *to = NAN;
}

/* All but the times. */
static void change_facts(const Change *c, Occurrence *o)
{
    if (!uuid_is_nil(c->place) || is_cleared(c->in, "venue_ulid"))
        o->place_id = c->place;
    change_text(c, "virtual_url", c->virtual_url, &o->virtual_url);
    change_text(c, "ticket_url", c->ticket_url, &o->ticket_url);
    change_text(c, "price_currency", c->currency, &o->price_currency);
    change_text(c, "availability", c->availability, &o->availability);
    change_price(c, "price_min", c->in->has_price_min, c->in->price_min, &o->price_min);
    change_price(c, "price_max", c->in->has_price_max, c->in->price_max, &o->price_max);
}

static void change_times(const Change *c, Occurrence *o)
{
    int64_t before_us = o->start_us;

    if (c->start.present)
        o->start_us = c->start.unix_us;
    if (c->end.present || is_cleared(c->in, "end_time"))
        o->end_us = c->end.unix_us;
    if (c->door.present || is_cleared(c->in, "door_time"))
        o->door_us = c->door.unix_us;
    if (c->zone)
        o->timezone = zone_name(c->zone);
    if (c->has_status)
        o->status = c->status;
    if (o->status != OCCURRENCE_RESCHEDULED)
        o->previous_start_us = 0;
    else if (before_us && before_us != o->start_us)
        o->previous_start_us = before_us;
}

/* ---------------------------------------------------------------------------------------------------- rules */

static int64_t end_of(const Occurrence *o)
{
    return MAX(o->end_us, o->start_us + 1); /* one without an end takes its moment */
}

static Err check_times(const EventEntity *event, const Occurrence *o)
{
    if (o->end_us && o->end_us < o->start_us)
        return err_make(&INVALID_ARGUMENT, "end_time: not before the start");
    if (!isnan(o->price_min) && !isnan(o->price_max) && o->price_max < o->price_min)
        return err_make(&INVALID_ARGUMENT, "price_max: not below price_min");
    if (o->status == OCCURRENCE_CANCELLED)
        return OK;
    for (size_t i = 0; i < event->occurrence_count; i++) {
        const Occurrence *other = &event->occurrences[i];

        if (other != o && other->status != OCCURRENCE_CANCELLED && o->start_us < end_of(other) &&
            other->start_us < end_of(o))
            return err_make(&OCCURRENCE_OVERLAP, "another occurrence of the event takes place then");
    }
    return OK;
}

static Err check_place(const EntityWriter *w, const Change *c)
{
    bool there;

    if (uuid_is_nil(c->place))
        return OK;
    TRY(events_store_place_is_there(w->tx, c->place, &there));
    return there ? OK : err_make(&UNPROCESSABLE, "venue_ulid: there is no such place");
}

static Occurrence *find(EventEntity *event, const char *id)
{
    Uuid wanted;

    if (!id || !uuid_parse(slice(id), &wanted))
        return NULL;
    for (size_t i = 0; i < event->occurrence_count; i++)
        if (memcmp(event->occurrences[i].id.bytes, wanted.bytes, sizeof(wanted.bytes)) == 0)
            return &event->occurrences[i];
    return NULL;
}

/* ---------------------------------------------------------------------------------------------------- answers */

static char *time_or_absent(Arena *mem, int64_t us)
{
    return us ? utc_text(mem, us) : NULL;
}

static char *text_or_none(const char *text)
{
    return text[0] ? (char *)text : NULL;
}

static void answer(Request *rq, const EventEntity *event, const Occurrence *o, Events__V1__OccurrenceReply *out)
{
    Uuid place = !uuid_is_nil(o->place_id) ? o->place_id : o->virtual_url[0] ? (Uuid){{0}} : event->place_id;

    out->id = uuid_text(rq->mem, o->id);
    out->event_ulid = ulid_text(rq->mem, event->head.id);
    out->start_time = time_or_absent(rq->mem, o->start_us);
    out->end_time = time_or_absent(rq->mem, o->end_us);
    out->timezone = (char *)o->timezone;
    out->door_time = time_or_absent(rq->mem, o->door_us);
    if (!uuid_is_nil(place)) {
        out->venue_id = uuid_text(rq->mem, place);
        out->venue_ulid = ulid_text(rq->mem, place);
    }
    out->virtual_url = text_or_none(o->virtual_url);
    out->ticket_url = text_or_none(o->ticket_url);
    if (!isnan(o->price_min))
        SET(out, price_min, o->price_min);
    if (!isnan(o->price_max))
        SET(out, price_max, o->price_max);
    out->price_currency = text_or_none(o->price_currency);
    out->availability = text_or_none(o->availability);
    out->status = (char *)occurrence_status_word(o->status);
    out->previous_start_time = time_or_absent(rq->mem, o->previous_start_us);
    SET(out, version, event->head.version);
}

static Err finish(Request *rq, EventEdit *edit, const char *action)
{
    Events__V1__ShortEvent event = EVENTS__V1__SHORT_EVENT__INIT;

    return edit_finish(rq, edit, action, &event);
}

/* Saving puts them in order: this one is found again by what it is. */
static const Occurrence *find_saved(const EventEntity *event, const Occurrence *wanted)
{
    for (size_t i = 0; i < event->occurrence_count; i++)
        if (event->occurrences[i].start_us == wanted->start_us && event->occurrences[i].end_us == wanted->end_us &&
            (uuid_is_nil(wanted->id) || memcmp(event->occurrences[i].id.bytes, wanted->id.bytes, 16) == 0))
            return &event->occurrences[i];
    return wanted;
}

/* ---------------------------------------------------------------------------------------------------- handlers */

Err events_v1_create_occurrence(Request *rq, const OccurrenceRequest *in, Events__V1__OccurrenceReply *out)
{
    CLEANUP(edit_done) EventEdit edit = {0};
    EventEntity *event = &edit.event;
    Occurrence *list, made;
    Change change;

    TRY(read_change(rq, in, true, &change));
    TRY(edit_begin(rq, in->id, false, 0, &edit));
    TRY(check_place(&edit.writer, &change));
    if (event->occurrence_count >= OCCURRENCES_MAX)
        return err_make(&UNPROCESSABLE, "an event has %d occurrences at most", OCCURRENCES_MAX);
    list = ARENA_ARRAY(rq->mem, Occurrence, event->occurrence_count + 1);
    if (event->occurrence_count)
        memcpy(list, event->occurrences, event->occurrence_count * sizeof(*list));
    event->occurrences = list;
    made = (Occurrence){.timezone = "",
                        .virtual_url = "",
                        .ticket_url = "",
                        .price_min = NAN,
                        .price_max = NAN,
                        .price_currency = "",
                        .availability = "",
                        .detached = true};
    change_facts(&change, &made);
    change_times(&change, &made);
    list[event->occurrence_count++] = made;
    TRY(check_times(event, &list[event->occurrence_count - 1]));
    TRY(finish(rq, &edit, "occurrence.created"));
    answer(rq, event, find_saved(event, &made), out);
    return OK;
}

/* Of the same series, not edited by themselves, from this one on or from now on: place, prices, addresses, status. When
 * they are says the rule. */
static Err change_others(const EntityWriter *w, const Change *c, EventEntity *event, Occurrence *o)
{
    bool following = strcmp(c->in->scope, "following") == 0;
    int64_t from_us = following ? o->start_us : w->now_us;

    if (!following && strcmp(c->in->scope, "all") != 0)
        return err_make(&INVALID_ARGUMENT, "scope: this, following or all");
    if (!o->recurrence_us)
        return err_make(&UNPROCESSABLE, "scope: no series made this occurrence");
    if (c->start.present || c->end.present || c->door.present || c->zone)
        return err_make(&UNPROCESSABLE, "scope: when a series is says its rule; submit the series with another one");
    for (size_t i = 0; i < event->occurrence_count; i++) {
        Occurrence *other = &event->occurrences[i];

        if (!other->recurrence_us || other->start_us < from_us || (other->detached && other != o))
            continue;
        change_facts(c, other);
        if (c->has_status)
            other->status = c->status;
    }
    return OK;
}

Err events_v1_update_occurrence(Request *rq, const OccurrenceRequest *in, Events__V1__OccurrenceReply *out)
{
    CLEANUP(edit_done) EventEdit edit = {0};
    Occurrence *o, changed;
    Change change;
    int64_t before_us;

    TRY(read_change(rq, in, false, &change));
    TRY(edit_begin(rq, in->id, false, 0, &edit));
    o = find(&edit.event, in->occurrence_id);
    if (!o)
        return err_make(&NOT_FOUND, "the event has no such occurrence");
    before_us = o->start_us;
    TRY(check_place(&edit.writer, &change));
    if (in->scope && strcmp(in->scope, "this") != 0)
        TRY(change_others(&edit.writer, &change, &edit.event, o));
    else {
        change_facts(&change, o);
        change_times(&change, o);
        occurrence_set_edited(o, before_us);
        TRY(check_times(&edit.event, o));
    }
    changed = *o;
    TRY(finish(rq, &edit, "occurrence.updated"));
    answer(rq, &edit.event, find_saved(&edit.event, &changed), out);
    return OK;
}

Err events_v1_delete_occurrence(Request *rq, const Events__V1__DeleteOccurrenceRequest *in,
                                Events__V1__OccurrenceGone *out)
{
    CLEANUP(edit_done) EventEdit edit = {0};
    EventEntity *event = &edit.event;
    size_t at;
    Occurrence *o;

    (void)out;
    TRY(edit_begin(rq, in->id, false, 0, &edit));
    o = find(event, in->occurrence_id);
    if (!o)
        return err_make(&NOT_FOUND, "the event has no such occurrence");
    if (event->occurrence_count == 1)
        return err_make(&LAST_OCCURRENCE, "it is the event's last one");
    if (o->recurrence_us && !uuid_is_nil(event->series_id))
        TRY(events_store_take_from_series(&edit.tx, event->series_id, o->recurrence_us));
    TRY(events_store_take_occurrence(&edit.tx, event->head.id, occurrence_said_us(o)));
    at = (size_t)(o - event->occurrences);
    memmove(o, o + 1, (event->occurrence_count - at - 1) * sizeof(*o));
    event->occurrence_count--;
    return finish(rq, &edit, "occurrence.deleted");
}
