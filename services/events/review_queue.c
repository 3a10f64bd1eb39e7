/* review_queue: how entries come into the queue, and out of it by themselves. See review.h. */
#include "atrium/events/v1/announcements.atrium.h"
#include "atrium/events/v1/announcements.pb-c.h"
#include "atrium/events/v1/review.atrium.h"
#include "services/events/store_review.h"
#include "shared/sha256.h"

enum { WARNINGS_MAX_BYTES = 64 * 1024, REJECTION_HOLDS_DAYS = 7 };
#define DAY_US INT64_C(86400000000)

/* ---------------------------------------------------------------------------------------------------- texts */
static void append_warning(StrBuf *out, const Finding *warning)
{
    strbuf_append_cstr(out, "{\"field\":");
    strbuf_append_json(out, slice(warning->field));
    strbuf_append_cstr(out, ",\"code\":");
    strbuf_append_json(out, slice(warning->code));
    strbuf_append_cstr(out, ",\"message\":");
    strbuf_append_json(out, slice(warning->message));
    strbuf_append_char(out, '}');
}

static Slice warnings_json(Arena *mem, const Findings *warnings)
{
    StrBuf out = strbuf_new(mem, WARNINGS_MAX_BYTES);

    strbuf_append_char(&out, '[');
    for (size_t i = 0; i < warnings->count; i++) {
        if (i)
            strbuf_append_char(&out, ',');
        append_warning(&out, &warnings->list[i]);
    }
    strbuf_append_char(&out, ']');
    return strbuf_slice(&out);
}

/* One more at the end of `list`, a JSON array. */
static Slice one_more(Arena *mem, Slice list, const Finding *warning)
{
    StrBuf out = strbuf_new(mem, WARNINGS_MAX_BYTES);

    strbuf_append(&out, slice_take(list, list.len - 1));
    if (list.len > 2)
        strbuf_append_char(&out, ',');
    append_warning(&out, warning);
    strbuf_append_char(&out, ']');
    return out.overflow ? list : strbuf_slice(&out); /* there are plenty already */
}

static int by_code(const void *a, const void *b)
{
    const Finding *left = a, *right = b;
    int order = strcmp(left->code, right->code);

    return order ? order : strcmp(left->field, right->field);
}

/* Of what is wrong, whatever the words: the same again is known by it. */
static Slice fingerprint(Arena *mem, const Findings *warnings)
{
    Finding *sorted = arena_memdup(mem, warnings->list, sizeof(warnings->list));
    uint8_t *digest = arena_alloc(mem, SHA256_BYTES, 1);
    Sha256 sha;

    qsort(sorted, warnings->count, sizeof(*sorted), by_code);
    sha256_init(&sha);
    for (size_t i = 0; i < warnings->count; i++) {
        sha256_update(&sha, slice(sorted[i].code));
        sha256_update(&sha, SLICE_LIT(" "));
        sha256_update(&sha, slice(sorted[i].field));
        sha256_update(&sha, SLICE_LIT("\n"));
    }
    sha256_digest(&sha, digest);
    return slice_of(digest, SHA256_BYTES);
}

static Slice or_else(Slice text, Slice otherwise)
{
    return text.len ? text : otherwise;
}

/* ---------------------------------------------------------------------------------------------------- announced */
static Err announce_opened(const EntityWriter *w, Uuid event, int64_t id)
{
    Events__V1__ReviewOpened body = EVENTS__V1__REVIEW_OPENED__INIT;
    OutboxRow row;

    body.ulid = ulid_text(w->mem, event);
    SET(&body, entry_id, id);
    row = outbox_event(w->mem, w->events->ids, &EVENTS_V1_REVIEW_OPENED_EVENT, body.ulid, &body.base);
    return outbox_insert(w->tx, &row, true);
}

Err review_announce_closed(const EntityWriter *w, Uuid event, int64_t id, const char *status)
{
    Events__V1__ReviewClosed body = EVENTS__V1__REVIEW_CLOSED__INIT;
    OutboxRow row;

    body.ulid = ulid_text(w->mem, event);
    SET(&body, entry_id, id);
    body.status = arena_strdup(w->mem, status);
    row = outbox_event(w->mem, w->events->ids, &EVENTS_V1_REVIEW_CLOSED_EVENT, body.ulid, &body.base);
    return outbox_insert(w->tx, &row, true);
}

/* ---------------------------------------------------------------------------------------------------- opening */
Err review_open(const EntityWriter *w, const ReviewOpening *o, int64_t *out_id)
{
    ReviewTexts texts = {.event = o->event,
                         .source = o->source,
                         .twin = o->twin,
                         .source_event_id = o->source_event_id,
                         .warnings = warnings_json(w->mem, o->warnings),
                         .changes = or_else(o->changes, SLICE_LIT("[]")),
                         .original = or_else(o->original, SLICE_LIT("{}")),
                         .normalized = or_else(o->normalized, SLICE_LIT("{}")),
                         .fingerprint = fingerprint(w->mem, o->warnings),
                         .now_us = w->now_us};
    Slice before;
    int64_t id;

    TRY(events_store_waiting_review(w->tx, w->mem, o->event, &id, &before));
    if (id) {
        TRY(events_store_update_review(w->tx, id, &texts));
    } else {
        TRY(events_store_insert_review(w->tx, &texts, &id));
        TRY(announce_opened(w, o->event, id));
    }
    if (out_id)
        *out_id = id;
    return OK;
}

Err review_suspect(const EntityWriter *w, Uuid event, const Finding *warning, Uuid twin)
{
    Slice warnings;
    int64_t id;

    TRY(events_store_waiting_review(w->tx, w->mem, event, &id, &warnings));
    if (!id) {
        Findings one = {.mem = w->mem, .list = {*warning}, .count = 1};

        return review_open(w, &(ReviewOpening){.event = event, .warnings = &one, .source_event_id = "", .twin = twin},
                           NULL);
    }
    return events_store_add_twin(w->tx, id, one_more(w->mem, warnings, warning), twin);
}

Err review_clear(const EntityWriter *w, Uuid event)
{
    ReviewDecision decision = {.status = "approved",
                               .notes = "put right by a later submission",
                               .reason = "",
                               .now_us = w->now_us,
                               .reviewer_name = w->actor.name};
    Slice warnings;

    TRY(events_store_waiting_review(w->tx, w->mem, event, &decision.id, &warnings));
    if (!decision.id)
        return OK;
    TRY(events_store_decide_review(w->tx, &decision));
    return review_announce_closed(w, event, decision.id, decision.status);
}

/* ---------------------------------------------------------------------------------------------------- rejected */
Err review_rejected_before(const EntityWriter *w, Uuid event, const Findings *warnings, RejectedBefore *out)
{
    return events_store_rejected(w->tx, w->mem, event, fingerprint(w->mem, warnings),
                                 w->now_us - REJECTION_HOLDS_DAYS * DAY_US, out);
}

Err review_refuse(Request *rq, const RejectedBefore *before)
{
    Struct *details = struct_new(rq->mem);

    struct_set_text(rq->mem, details, "reviewed_by", before->reviewer);
    struct_set_text(rq->mem, details, "reviewed_at", utc_text(rq->mem, before->reviewed_us));
    struct_set_text(rq->mem, details, "reason", before->reason);
    request_set_details(rq, details);
    return err_make(&PREVIOUSLY_REJECTED, "rejected before, with the same faults");
}

/* ---------------------------------------------------------------------------------------------------- twins */
Err review_possible_twins(const EntityWriter *w, Uuid event, const Uuid *candidates, size_t count, Uuid *out,
                          size_t *out_count)
{
    return events_store_possible(w->tx, w->mem, event, candidates, count, out, out_count);
}

Err review_not_duplicates(const EntityWriter *w, Uuid a, Uuid b, int64_t said_by)
{
    return events_store_not_duplicates(w->tx, a, b, said_by, w->now_us);
}

Err review_dismiss(const EntityWriter *w, const Uuid *events, size_t count, const char *status, Uuid successor,
                   int64_t **out_ids, size_t *out_count)
{
    ClosedReview *closed;

    TRY(events_store_dismiss(w->tx, w->mem, events, count, status, successor, w->now_us, &closed, out_count));
    *out_ids = ARENA_ARRAY(w->mem, int64_t, *out_count + 1);
    for (size_t i = 0; i < *out_count; i++) {
        (*out_ids)[i] = closed[i].id;
        TRY(review_announce_closed(w, closed[i].event, closed[i].id, status));
    }
    return OK;
}
