/* consolidate: one canonical event out of several (contract 12), all or nothing. */
#include "services/events/admin_events.h"
#include "services/events/audit.h"
#include "services/events/ingest.h"
#include "services/events/provenance.h"
#include "services/events/review.h"
#include "services/events/store_admin.h"

enum { RETIRED_MAX = 50 };

typedef struct Consolidation {
    DbTx tx;
    EntityWriter writer;
    Uuid canonical; /* nil until it is made */
    Uuid retired[RETIRED_MAX];
    EventEntity *events; /* by id; the canonical one among them */
    size_t retired_count, event_count;
    Findings *warnings;
    IngestOutcome outcome;
} Consolidation;

static void consolidation_done(Consolidation *c)
{
    db_tx_done(&c->tx);
}

static bool same(Uuid a, Uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

/* ---------------------------------------------------------------------------------------------------- checking */
static Err refuse(Request *rq, const char *field, const char *kind, const char *text)
{
    request_add_violation(rq, ATRIUM__PART__BODY, field, kind, "%s", text);
    return err_make(&INVALID_ARGUMENT, "%s: %s", field, text);
}

static bool is_retired(const Consolidation *c, Uuid id)
{
    for (size_t i = 0; i < c->retired_count; i++)
        if (same(c->retired[i], id))
            return true;
    return false;
}

static Err read_request(Request *rq, const Events__V1__ConsolidateEventsRequest *in, Consolidation *c)
{
    bool given = in->event_ulid && in->event_ulid[0];
    Uuid id;

    if (in->n_retire == 0)
        return refuse(rq, "retire", "missing", "at least one event");
    if (in->n_retire > RETIRED_MAX)
        return refuse(rq, "retire", "too_long", "50 events at most");
    if (given == (in->event != NULL))
        return refuse(rq, "event", "value_error", "either event or event_ulid");
    for (size_t i = 0; i < in->n_retire; i++) {
        if (!ulid_parse(slice(in->retire[i]), &id))
            return refuse(rq, "retire", "ulid", "ULIDs of events");
        if (!is_retired(c, id))
            c->retired[c->retired_count++] = id;
    }
    if (given && !ulid_parse(slice(in->event_ulid), &c->canonical))
        return refuse(rq, "event_ulid", "ulid", "the ULID of an event");
    return given && is_retired(c, c->canonical)
               ? refuse(rq, "retire", "value_error", "the canonical event cannot be retired")
               : OK;
}

static int by_id(const void *a, const void *b)
{
    return memcmp(((const Uuid *)a)->bytes, ((const Uuid *)b)->bytes, sizeof(((const Uuid *)a)->bytes));
}

/* In the order of ids, as all lock them. */
static Err load_all(Consolidation *c)
{
    Uuid ids[RETIRED_MAX + 1];
    size_t count = c->retired_count;

    memcpy(ids, c->retired, count * sizeof(*ids));
    if (!uuid_is_nil(c->canonical))
        ids[count++] = c->canonical;
    qsort(ids, count, sizeof(*ids), by_id);
    c->events = ARENA_ARRAY(c->writer.mem, EventEntity, RETIRED_MAX + 1);
    for (; c->event_count < count; c->event_count++) {
        TRY(event_load(&c->writer, ids[c->event_count], &c->events[c->event_count]));
        if (c->events[c->event_count].head.deleted_us)
            return err_make(&UNPROCESSABLE, "%s is deleted already", ulid_text(c->writer.mem, ids[c->event_count]));
    }
    return OK;
}

static EventEntity *find_event(Consolidation *c, Uuid id)
{
    for (size_t i = 0; i < c->event_count; i++)
        if (same(c->events[i].head.id, id))
            return &c->events[i];
    return NULL;
}

/* ---------------------------------------------------------------------------------------------------- the canonical */
static Err tell_faults(Request *rq, const Findings *faults)
{
    for (size_t i = 0; i < faults->count; i++)
        request_add_violation(
            rq, ATRIUM__PART__BODY,
            arena_printf(rq->mem, "event%s%s", faults->list[i].field[0] ? "." : "", faults->list[i].field),
            faults->list[i].code, "%s", faults->list[i].message);
    return err_make(&INVALID_ARGUMENT, "the event cannot be made");
}

/* That it may be the same as what is retired for it is no warning; nor does it wait for that alone. */
static void forget_retired_twins(Consolidation *c)
{
    Findings *w = c->warnings;
    size_t kept = 0;

    for (size_t i = 0; i < w->count; i++) {
        Uuid twin;

        if (!w->list[i].related || !entity_of_uri(c->writer.events, ENTITY_EVENT, slice(w->list[i].related), &twin) ||
            !is_retired(c, twin))
            w->list[kept++] = w->list[i];
    }
    if (kept < w->count && kept == 0)
        c->outcome.waits = false;
    w->count = kept;
}

/* By the same way as every other submission. */
static Err make_canonical(Request *rq, Consolidation *c, const Struct *event)
{
    const Events *events = rq->service;
    WritingRules rules = ingest_rules(events);
    Slice body = struct_to_json(rq->mem, event);
    Submission *submission = ARENA_NEW(rq->mem, Submission);
    Findings faults = {.mem = rq->mem};

    if (body.len == 0)
        return refuse(rq, "event", "too_long", "too large");
    c->warnings = ARENA_NEW(rq->mem, Findings);
    c->warnings->mem = rq->mem;
    if (submission_read(rq->mem, &rules, body, submission, &faults))
        submission_check(rq->mem, &rules, c->writer.now_us, submission, &faults, c->warnings);
    if (faults.count)
        return tell_faults(rq, &faults);
    TRY(ingest_submission(&c->writer,
                          &(Ingest){.submission = submission,
                                    .by = {.key_id = "",
                                           .user_id = rq->caller.user_id,
                                           .name = "administration",
                                           .source_type = "manual",
                                           .admin = true},
                                    .warnings = c->warnings,
                                    .faults = &faults},
                          &c->outcome));
    if (c->outcome.result == INGEST_FAULTY)
        return tell_faults(rq, &faults);
    if (c->outcome.result == INGEST_GONE || c->outcome.result == INGEST_REJECTED_BEFORE)
        return err_make(&UNPROCESSABLE, "such an event was there, and is deleted");
    c->canonical = c->outcome.event;
    forget_retired_twins(c);
    return is_retired(c, c->canonical)
               ? refuse(rq, "event", "value_error", "it is one of those to be retired: name it as event_ulid")
               : OK;
}

/* ---------------------------------------------------------------------------------------------------- occurrences */
static bool intersect(const Occurrence *a, const Occurrence *b)
{
    int64_t a_end = MAX(a->end_us, a->start_us + 1), b_end = MAX(b->end_us, b->start_us + 1);

    return a->start_us < b_end && b->start_us < a_end;
}

static Err take_occurrences(const EntityWriter *w, EventEntity *to, const EventEntity *from)
{
    size_t count = to->occurrence_count;
    Occurrence *list = ARENA_ARRAY(w->mem, Occurrence, count + from->occurrence_count + 1);

    if (count + from->occurrence_count > OCCURRENCES_MAX)
        return err_make(&UNPROCESSABLE, "more than %d occurrences", OCCURRENCES_MAX);
    memcpy(list, to->occurrences, count * sizeof(*list));
    for (size_t i = 0; i < from->occurrence_count; i++) {
        Occurrence o = from->occurrences[i];

        for (size_t k = 0; k < count; k++)
            if (intersect(&list[k], &o))
                return err_make(&OCCURRENCE_OVERLAP, "occurrences of the two events intersect");
        o.id = (Uuid){{0}};
        o.detached = true;                                  /* no source of the canonical one lists it */
        if (uuid_is_nil(o.place_id) && !o.virtual_url[0]) { /* where its event was */
            o.place_id = from->place_id;
            o.virtual_url = uuid_is_nil(from->place_id) ? from->virtual_url : "";
        }
        list[count++] = o;
    }
    to->occurrences = list;
    to->occurrence_count = count;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- retiring */
static void keep_address(const EntityWriter *w, EventEntity *canonical, const char *uri)
{
    const Property *known = node_get(canonical->head.node, TERM_SAME_AS);

    for (size_t i = 0; known && i < known->count; i++)
        if (slice_eq_cstr(known->values[i].text, uri))
            return;
    if (uri[0])
        node_add_text(w->mem, canonical->head.node, TERM_SAME_AS, slice(uri));
}

/* The canonical one answers for it from now on: to its sources, and under its foreign address. */
static Err retire(Request *rq, Consolidation *c, EventEntity *canonical, Uuid id)
{
    EventEntity *event = find_event(c, id);
    Slice before = node_text_of(rq->mem, event->head.node);

    keep_address(&c->writer, canonical, event->head.federation_uri);
    TRY(provenance_move(&c->writer, id, canonical->head.id));
    TRY(events_store_move_sources(&c->tx, id, canonical->head.id));
    entity_delete(&c->writer, &event->head, "consolidated", canonical->head.id);
    TRY(event_save(&c->writer, event, "consolidated", NULL));
    return audit_note(
        rq, &c->tx, &(AuditNote){.action = "event.consolidated", .kind = ENTITY_EVENT, .target = id, .before = before});
}

static Err run(Request *rq, const Events__V1__ConsolidateEventsRequest *in, Consolidation *c, EventEntity *canonical)
{
    for (size_t i = 0; in->transfer_occurrences && i < c->retired_count; i++)
        TRY(take_occurrences(&c->writer, canonical, find_event(c, c->retired[i])));
    for (size_t i = 0; i < c->retired_count; i++)
        TRY(retire(rq, c, canonical, c->retired[i]));
    if (!lifecycle_is_public(canonical->head.lifecycle) && !c->outcome.waits)
        canonical->head.lifecycle = LIFECYCLE_PUBLISHED;
    TRY(event_check_public(canonical));
    return event_save(&c->writer, canonical, "consolidated", NULL);
}

/* ---------------------------------------------------------------------------------------------------- answering */
static void answer(Request *rq, const Consolidation *c, const EventEntity *canonical,
                   Events__V1__ConsolidateEventsReply *out)
{
    out->event = MESSAGE_NEW(rq->mem, Events__V1__ShortEvent, events__v1__short_event__init);
    answer_short_event(rq, canonical, out->event);
    out->lifecycle_state = arena_strdup(rq->mem, lifecycle_word(canonical->head.lifecycle));
    SET(out, is_duplicate, c->warnings && c->outcome.result == INGEST_DUPLICATE);
    SET(out, is_merged, c->warnings && c->outcome.result == INGEST_DUPLICATE && c->outcome.updated);
    SET(out, needs_review, c->outcome.waits);
    out->warnings = ARENA_ARRAY(rq->mem, Struct *, FINDINGS_MAX);
    for (size_t i = 0; c->warnings && i < c->warnings->count; i++) {
        Struct *warning = struct_new(rq->mem);

        struct_set_text(rq->mem, warning, "field", c->warnings->list[i].field);
        struct_set_text(rq->mem, warning, "code", c->warnings->list[i].code);
        struct_set_text(rq->mem, warning, "message", c->warnings->list[i].message);
        out->warnings[out->n_warnings++] = warning;
    }
    out->retired = ARENA_ARRAY(rq->mem, char *, c->retired_count);
    for (size_t i = 0; i < c->retired_count; i++)
        out->retired[out->n_retired++] = ulid_text(rq->mem, c->retired[i]);
}

/* Entries of the retired ones; that of the canonical one, too, which is decided by this. */
static Err dismiss(Consolidation *c, Events__V1__ConsolidateEventsReply *out)
{
    Uuid ids[RETIRED_MAX + 1];
    size_t count = c->retired_count;

    memcpy(ids, c->retired, count * sizeof(*ids));
    if (!c->outcome.waits)
        ids[count++] = c->canonical;
    return review_dismiss(&c->writer, ids, count, "dismissed", c->canonical, &out->review_entries_dismissed,
                          &out->n_review_entries_dismissed);
}

Err events_v1_consolidate_events(Request *rq, const Events__V1__ConsolidateEventsRequest *in,
                                 Events__V1__ConsolidateEventsReply *out)
{
    CLEANUP(consolidation_done) Consolidation c = {.retired_count = 0};
    EventEntity *canonical;

    TRY(read_request(rq, in, &c));
    TRY(db_tx_begin(rq, &c.tx));
    c.writer = entity_writer(rq, &c.tx);
    if (in->event)
        TRY(make_canonical(rq, &c, in->event)); /* takes its locks before those of events, as by everybody */
    TRY(load_all(&c));
    canonical = find_event(&c, c.canonical);
    TRY(run(rq, in, &c, canonical));
    TRY(dismiss(&c, out));
    TRY(db_tx_commit(&c.tx));
    entity_settled(rq->service);
    answer(rq, &c, canonical, out);
    return OK;
}
