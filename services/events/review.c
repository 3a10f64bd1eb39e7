/* review: what somebody decides about submissions that wait (contract 9). */
#include <jansson.h>
#include <math.h>

#include "atrium/events/v1/review.service.h"
#include "services/events/admin_events.h"
#include "services/events/audit.h"
#include "services/events/json_struct.h"
#include "services/events/node.h"
#include "services/events/provenance.h"
#include "services/events/store_admin.h"
#include "services/events/store_review.h"
#include "services/events/text.h"

enum { NOTES_MAX_CHARS = 2000, WARNINGS_MAX = 100, CHANGES_MAX = 100 };

/* ---------------------------------------------------------------------------------------------------- answers */
static char *member_text(Arena *mem, const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? arena_strdup(mem, text) : NULL;
}

static void answer_warnings(Arena *mem, Slice json, Events__V1__Review *out)
{
    json_t *list = json_loadb(json.ptr, json.len, 0, NULL);
    size_t count = MIN(json_array_size(list), (size_t)WARNINGS_MAX);

    out->warnings = ARENA_ARRAY(mem, Events__V1__ReviewWarning *, count + 1);
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_array_get(list, i);
        Events__V1__ReviewWarning *w = MESSAGE_NEW(mem, Events__V1__ReviewWarning, events__v1__review_warning__init);

        w->field = member_text(mem, one, "field");
        w->code = member_text(mem, one, "code");
        w->message = member_text(mem, one, "message");
        out->warnings[out->n_warnings++] = w;
    }
    json_decref(list);
}

static void answer_changes(Arena *mem, Slice json, Events__V1__Review *out)
{
    json_t *list = json_loadb(json.ptr, json.len, 0, NULL);
    size_t count = MIN(json_array_size(list), (size_t)CHANGES_MAX);

    out->changes = ARENA_ARRAY(mem, Events__V1__ReviewChange *, count + 1);
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_array_get(list, i);
        Events__V1__ReviewChange *c = MESSAGE_NEW(mem, Events__V1__ReviewChange, events__v1__review_change__init);

        c->field = member_text(mem, one, "field");
        c->original = member_text(mem, one, "original");
        c->corrected = member_text(mem, one, "corrected");
        c->reason = member_text(mem, one, "reason");
        out->changes[out->n_changes++] = c;
    }
    json_decref(list);
}

static void answer_review(Arena *mem, const ReviewRow *row, Events__V1__Review *out)
{
    SET(out, id, row->id);
    out->event_id = ulid_text(mem, row->event_id);
    out->source_id = uuid_is_nil(row->source_id) ? NULL : uuid_text(mem, row->source_id);
    out->status = arena_strdup(mem, row->status);
    answer_warnings(mem, row->warnings, out);
    out->created_at = timestamp_of(mem, row->created_us);
    out->reviewed_by = text_or_absent(mem, row->reviewer);
    out->reviewed_at = timestamp_of(mem, row->reviewed_us);
    out->rejection_reason = text_or_absent(mem, row->reason);
    out->duplicate_of_event_ulid = uuid_is_nil(row->duplicate_of) ? NULL : ulid_text(mem, row->duplicate_of);
    out->event_name = arena_strdup(mem, row->event_name);
    out->event_start_time = timestamp_of(mem, row->event_start_us);
    out->event_end_time = timestamp_of(mem, row->event_end_us);
    SET(out, occurrence_count, row->occurrence_count);
    SET(out, version, row->event_version);
}

static Err answer_occurrences(Request *rq, DbTx *tx, Uuid event, Events__V1__Review *out)
{
    ReviewOccurrenceRow *rows;
    size_t count;

    TRY(events_store_review_occurrences(rq, tx, event, &rows, &count));
    out->occurrences = ARENA_ARRAY(rq->mem, Events__V1__ReviewOccurrence *, count + 1);
    for (size_t i = 0; i < count; i++) {
        Events__V1__ReviewOccurrence *o =
            MESSAGE_NEW(rq->mem, Events__V1__ReviewOccurrence, events__v1__review_occurrence__init);

        o->id = uuid_text(rq->mem, rows[i].id);
        o->start_time = timestamp_of(rq->mem, rows[i].start_us);
        o->end_time = timestamp_of(rq->mem, rows[i].end_us);
        o->timezone = arena_strdup(rq->mem, rows[i].timezone);
        o->venue_ulid = uuid_is_nil(rows[i].place_id) ? NULL : ulid_text(rq->mem, rows[i].place_id);
        o->virtual_url = text_or_absent(rq->mem, rows[i].virtual_url);
        out->occurrences[out->n_occurrences++] = o;
    }
    return OK;
}

static Err answer_twins(Request *rq, DbTx *tx, int64_t id, Events__V1__Review *out)
{
    TwinRow *rows;
    size_t count;

    TRY(events_store_twins(rq, tx, id, &rows, &count));
    out->related_events = ARENA_ARRAY(rq->mem, Events__V1__RelatedEvent *, count + 1);
    for (size_t i = 0; i < count; i++) {
        Events__V1__RelatedEvent *e = MESSAGE_NEW(rq->mem, Events__V1__RelatedEvent, events__v1__related_event__init);

        e->event_id = ulid_text(rq->mem, rows[i].id);
        e->name = arena_strdup(rq->mem, rows[i].name);
        e->lifecycle_state = arena_strdup(rq->mem, rows[i].lifecycle);
        e->start_time = timestamp_of(rq->mem, rows[i].start_us);
        out->related_events[out->n_related_events++] = e;
    }
    return OK;
}

static Err answer_whole(Request *rq, DbTx *tx, const ReviewRow *row, Events__V1__Review *out)
{
    answer_review(rq->mem, row, out);
    out->original = json_struct(rq->mem, row->original);
    out->normalized = json_struct(rq->mem, row->normalized);
    answer_changes(rq->mem, row->changes, out);
    out->review_notes = text_or_absent(rq->mem, row->notes);
    TRY(answer_occurrences(rq, tx, row->event_id, out));
    return answer_twins(rq, tx, row->id, out);
}

/* ---------------------------------------------------------------------------------------------------- reading */
static bool status_is_known(const char *status)
{
    static const char *const STATUSES[] = {"pending", "approved", "rejected", "merged", "dismissed"};

    return word_is_among(status, STATUSES, ARRAY_LEN(STATUSES));
}

static Err refuse_query(Request *rq, const char *field, const char *kind, const char *text)
{
    request_add_violation(rq, ATRIUM__PART__QUERY, field, kind, "%s", text);
    return err_make(&INVALID_ARGUMENT, "%s: %s", field, text);
}

Err events_v1_list_reviews(Request *rq, const Events__V1__ListReviewsRequest *in, Events__V1__ListReviewsReply *out)
{
    const char *status = in->status && in->status[0] ? in->status : "pending";
    int64_t limit = in->has_limit && in->limit >= 1 && in->limit <= REVIEW_PAGE_MAX ? in->limit : REVIEW_PAGE_DEFAULT;
    int64_t after = 0, total;
    ReviewRow *rows;
    size_t count;

    if (!status_is_known(status))
        return refuse_query(rq, "status", "enum", "pending, approved, rejected, merged or dismissed");
    if (in->cursor && in->cursor[0] && (!slice_to_int64(slice(in->cursor), &after) || after < 0))
        return refuse_query(rq, "cursor", "cursor", "not a cursor of this list");
    TRY(events_store_reviews(rq, status, after, limit + 1, &rows, &count, &total));
    out->n_items = MIN(count, (size_t)limit);
    out->items = ARENA_ARRAY(rq->mem, Events__V1__Review *, out->n_items + 1);
    for (size_t i = 0; i < out->n_items; i++) {
        out->items[i] = MESSAGE_NEW(rq->mem, Events__V1__Review, events__v1__review__init);
        answer_review(rq->mem, &rows[i], out->items[i]);
    }
    out->next_cursor =
        count > out->n_items ? arena_printf(rq->mem, "%" PRId64, rows[out->n_items - 1].id) : arena_strdup(rq->mem, "");
    SET(out, total, total);
    return OK;
}

Err events_v1_get_review(Request *rq, const Events__V1__GetReviewRequest *in, Events__V1__Review *out)
{
    ReviewRow row;

    TRY(events_store_review(rq, NULL, in->id, &row));
    if (!row.id)
        return err_make(&NOT_FOUND, "there is no such entry");
    return answer_whole(rq, NULL, &row, out);
}

/* ---------------------------------------------------------------------------------------------------- deciding */
typedef struct Decision {
    DbTx tx;
    EntityWriter writer;
    ReviewRow row;
    EventEntity event;
    int64_t version; /* of the event before */
} Decision;

static void decision_done(Decision *d)
{
    db_tx_done(&d->tx);
}

/* Was there nothing left to decide, since the event was deleted by itself? */
static bool is_moot(const Decision *d)
{
    return d->event.head.deleted_us && uuid_is_nil(d->event.head.superseded_by) &&
           strcmp(d->row.status, "rejected") != 0;
}

/* The event's lock is taken before the entry's, as by whoever opens one. */
static Err begin(Request *rq, int64_t id, bool has_version, int64_t version, Decision *d)
{
    TRY(events_store_review(rq, NULL, id, &d->row));
    if (!d->row.id)
        return err_make(&NOT_FOUND, "there is no such entry");
    TRY(db_tx_begin(rq, &d->tx));
    d->writer = entity_writer(rq, &d->tx);
    TRY(event_load(&d->writer, d->row.event_id, &d->event));
    TRY(events_store_review(rq, &d->tx, id, &d->row));
    if (is_moot(d))
        return err_make(&EVENT_DELETED, "the event is deleted");
    if (strcmp(d->row.status, "pending") != 0)
        return err_make(&CONFLICT, "the entry is %s already", d->row.status);
    d->version = d->event.head.version;
    return version_check(rq, has_version, version, d->version);
}

static const char *reviewer_of(Request *rq)
{
    return rq->caller.username && rq->caller.username[0] ? rq->caller.username
                                                         : arena_printf(rq->mem, "%" PRId64, rq->caller.user_id);
}

/* Entries that wait for nothing but this event. */
static Err settle_twins(Decision *d, const ReviewDecision *decision)
{
    ClosedReview *closed;
    size_t count;

    TRY(events_store_settle_twins(&d->tx, d->writer.mem, d->event.head.id, decision, &closed, &count));
    for (size_t i = 0; i < count; i++)
        TRY(review_announce_closed(&d->writer, closed[i].event, closed[i].id, decision->status));
    return OK;
}

/* Writes event and entry, commits, and answers. Of what is rejected nobody else is a twin any more. */
static Err finish(Request *rq, Decision *d, const char *status, const char *notes, const char *reason,
                  Events__V1__Review *out)
{
    const Events *events = rq->service;
    ReviewDecision decision = {.id = d->row.id,
                               .status = status,
                               .notes = notes ? notes : "",
                               .reason = reason,
                               .now_us = d->writer.now_us,
                               .reviewer_id = rq->caller.user_id,
                               .reviewer_name = reviewer_of(rq)};

    TRY(event_save(&d->writer, &d->event, arena_printf(rq->mem, "review: %s", status), NULL));
    TRY(events_store_decide_review(&d->tx, &decision));
    TRY(review_announce_closed(&d->writer, d->event.head.id, d->row.id, status));
    if (d->event.head.deleted_us) {
        decision.status = "dismissed";
        decision.reason = "";
        TRY(settle_twins(d, &decision));
    }
    TRY(audit_note(rq, &d->tx,
                   &(AuditNote){.action = arena_printf(rq->mem, "review.%s", status),
                                .kind = ENTITY_EVENT,
                                .target = d->event.head.id}));
    TRY(events_store_review(rq, &d->tx, d->row.id, &d->row));
    TRY(answer_whole(rq, &d->tx, &d->row, out));
    TRY(db_tx_commit(&d->tx));
    entity_settled(events);
    return OK;
}

static Err check_text(Request *rq, const char *field, const char *text, size_t max_chars)
{
    check_length(rq, field, text, max_chars);
    return request_has_violations(rq) ? err_make(&INVALID_ARGUMENT, "%s: at most %zu characters", field, max_chars)
                                      : OK;
}

static void publish(Decision *d)
{
    if (!lifecycle_is_public(d->event.head.lifecycle))
        d->event.head.lifecycle = LIFECYCLE_PUBLISHED;
}

static Err record_not_duplicates(Request *rq, Decision *d)
{
    TwinRow *twins;
    size_t count;

    TRY(events_store_twins(rq, &d->tx, d->row.id, &twins, &count));
    for (size_t i = 0; i < count; i++)
        TRY(review_not_duplicates(&d->writer, d->event.head.id, twins[i].id, rq->caller.user_id));
    return settle_twins(d, &(ReviewDecision){.status = "approved",
                                             .notes = "not the same",
                                             .reason = "",
                                             .now_us = d->writer.now_us,
                                             .reviewer_id = rq->caller.user_id,
                                             .reviewer_name = reviewer_of(rq)});
}

static Err check_publishable(const Decision *d)
{
    return d->event.occurrence_count ? OK
                                     : err_make(&UNPROCESSABLE, "an event without an occurrence cannot be published");
}

Err events_v1_approve_review(Request *rq, const Events__V1__ApproveReviewRequest *in, Events__V1__Review *out)
{
    CLEANUP(decision_done) Decision d = {0};

    TRY(check_text(rq, "notes", in->notes, NOTES_MAX_CHARS));
    TRY(begin(rq, in->id, in->has_version, in->version, &d));
    TRY(check_publishable(&d));
    publish(&d);
    if (in->record_not_duplicates)
        TRY(record_not_duplicates(rq, &d));
    return finish(rq, &d, "approved", in->notes, "", out);
}

Err events_v1_reject_review(Request *rq, const Events__V1__RejectReviewRequest *in, Events__V1__Review *out)
{
    CLEANUP(decision_done) Decision d = {0};
    Slice reason = slice_trim(slice(in->reason));

    if (reason.len == 0) {
        request_add_violation(rq, ATRIUM__PART__BODY, "reason", "missing", "say why");
        return err_make(&INVALID_ARGUMENT, "reason: say why");
    }
    TRY(check_text(rq, "reason", in->reason, REASON_MAX_CHARS));
    TRY(begin(rq, in->id, in->has_version, in->version, &d));
    entity_delete(&d.writer, &d.event.head, slice_cstr(rq->mem, reason), (Uuid){{0}});
    return finish(rq, &d, "rejected", NULL, slice_cstr(rq->mem, reason), out);
}

/* ---------------------------------------------------------------------------------------------------- fixing */
typedef struct Correction {
    int64_t start_us, end_us; /* 0: as it is */
    Uuid place_id;            /* nil: as it is */
    const char *name, *url;   /* NULL: as it is */
} Correction;

static bool has_text(const char *text)
{
    return text && text[0];
}

static void read_date(Request *rq, const char *text, const char *field, int64_t *out)
{
    int64_t seconds;
    int32_t nanos;

    if (!has_text(text))
        return;
    if (time_parse(slice(text), &seconds, &nanos))
        *out = seconds * 1000000 + nanos / 1000;
    else
        request_add_violation(rq, ATRIUM__PART__BODY, field, "datetime_parsing", "RFC 3339 with an offset");
}

static bool is_web_url(const char *url)
{
    Slice text = slice(url);

    return text.len <= URL_MAX_BYTES &&
           (slice_starts_with(text, SLICE_LIT("https://")) || slice_starts_with(text, SLICE_LIT("http://")));
}

/* All faults at once. */
static Err read_corrections(Request *rq, const Events__V1__ReviewCorrections *in, Correction *out)
{
    const Events *events = rq->service;

    *out = (Correction){.start_us = 0};
    if (!in || (!has_text(in->start_date) && !has_text(in->end_date) && !has_text(in->name) &&
                !has_text(in->location) && !has_text(in->url))) {
        request_add_violation(rq, ATRIUM__PART__BODY, "corrections", "missing",
                              "at least one of startDate, endDate, name, location, url");
        return err_make(&INVALID_ARGUMENT, "corrections: at least one");
    }
    out->name = has_text(in->name) ? slice_cstr(rq->mem, text_clean(rq->mem, slice(in->name), TEXT_LINE)) : NULL;
    read_date(rq, in->start_date, "corrections.startDate", &out->start_us);
    read_date(rq, in->end_date, "corrections.endDate", &out->end_us);
    if (out->name && utf8_length(slice(out->name)) - 1 >= NAME_MAX_CHARS)
        request_add_violation(rq, ATRIUM__PART__BODY, "corrections.name", "too_long", "1 to %d characters",
                              NAME_MAX_CHARS);
    if (has_text(in->location) && !ulid_parse(slice(in->location), &out->place_id) &&
        !entity_of_uri(events, ENTITY_PLACE, slice(in->location), &out->place_id))
        request_add_violation(rq, ATRIUM__PART__BODY, "corrections.location", "place", "a place of ours");
    if (has_text(in->url) && !is_web_url(in->url))
        request_add_violation(rq, ATRIUM__PART__BODY, "corrections.url", "url", "http:// or https://");
    if (request_has_violations(rq))
        return err_make(&INVALID_ARGUMENT, "the corrections cannot be used");
    out->url = has_text(in->url) ? in->url : NULL;
    return OK;
}

/* A start alone may end up behind the end, and the other way round: then both are needed. */
static Err check_dates(Request *rq, const EventEntity *event, const Correction *c)
{
    const Occurrence *first = event->occurrences;
    int64_t start = c->start_us ? c->start_us : event->occurrence_count ? first->start_us : 0;
    int64_t end = c->end_us ? c->end_us : event->occurrence_count ? first->end_us : 0;
    bool start_missing = !start, reversed = end && end < start;

    if (!start_missing && !reversed)
        return OK;
    if (start_missing || !c->start_us)
        request_add_violation(rq, ATRIUM__PART__BODY, "corrections.startDate", "missing",
                              "needed: the end is before the start");
    if (reversed && !c->end_us)
        request_add_violation(rq, ATRIUM__PART__BODY, "corrections.endDate", "missing",
                              "needed: the end is before the start");
    if (!request_has_violations(rq))
        request_add_violation(rq, ATRIUM__PART__BODY, "corrections.endDate", "reversed", "before startDate");
    return err_make(&INVALID_ARGUMENT, "startDate and endDate: both, in this order");
}

/* What is corrected is said by administration: the source may send the old facts again. */
static const Node *said_of(Request *rq, const Correction *c)
{
    const Events *events = rq->service;
    Node *said = node_new(rq->mem, CLASS_EVENT, SLICE_LIT(""));

    if (c->start_us)
        node_add_text(rq->mem, said, TERM_START_DATE, slice(utc_text(rq->mem, c->start_us)));
    if (c->end_us)
        node_add_text(rq->mem, said, TERM_END_DATE, slice(utc_text(rq->mem, c->end_us)));
    if (c->name)
        node_add_text(rq->mem, said, TERM_NAME, slice(c->name));
    if (c->url)
        node_add_text(rq->mem, said, TERM_URL, slice(c->url));
    if (!uuid_is_nil(c->place_id))
        node_add_node(rq->mem, said, TERM_LOCATION,
                      node_new(rq->mem, CLASS_PLACE, slice(entity_uri(rq->mem, events, ENTITY_PLACE, c->place_id))));
    return said;
}

/* provenance_hear changes the dates of an event with one occurrence; of several it is the first that is corrected, and
 * one without any gets one. */
static Err correct_dates(Request *rq, Decision *d, const Correction *c)
{
    const Events *events = rq->service;
    EventEntity *event = &d->event;
    int64_t before_us;

    if (event->occurrence_count == 0) {
        event->occurrences = ARENA_NEW(rq->mem, Occurrence);
        event->occurrences[0] = (Occurrence){.timezone = events->settings->default_timezone,
                                             .virtual_url = "",
                                             .ticket_url = "",
                                             .price_min = NAN,
                                             .price_max = NAN,
                                             .price_currency = "",
                                             .availability = ""};
        event->occurrence_count = 1;
    }
    before_us = event->occurrences[0].start_us;
    if (c->start_us)
        event->occurrences[0].start_us = c->start_us;
    if (c->end_us)
        event->occurrences[0].end_us = c->end_us;
    if (c->start_us || c->end_us)
        occurrence_set_edited(&event->occurrences[0], before_us);
    return OK;
}

static Err check_place(Decision *d, const Correction *c)
{
    bool there;

    if (uuid_is_nil(c->place_id))
        return OK;
    TRY(events_store_place_is_there(&d->tx, c->place_id, &there));
    return there ? OK : err_make(&INVALID_ARGUMENT, "corrections.location: no place of ours");
}

Err events_v1_fix_review(Request *rq, const Events__V1__FixReviewRequest *in, Events__V1__Review *out)
{
    CLEANUP(decision_done) Decision d = {0};
    Correction correction;

    TRY(check_text(rq, "notes", in->notes, NOTES_MAX_CHARS));
    TRY(read_corrections(rq, in->corrections, &correction));
    TRY(begin(rq, in->id, in->has_version, in->version, &d));
    TRY(check_dates(rq, &d.event, &correction));
    TRY(check_place(&d, &correction));
    TRY(correct_dates(rq, &d, &correction));
    TRY(provenance_hear(
        &d.writer, &d.event,
        &(Observation){.source = ADMINISTRATION_SOURCE, .confidence = 1, .said = said_of(rq, &correction)}));
    publish(&d);
    return finish(rq, &d, "approved", in->notes, "", out);
}
