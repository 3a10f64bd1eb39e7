/* submissions: events that agents hand in, one at a time (contracts/events.md 7). */
#include "services/events/submissions.h"
#include "atrium/events/v1/submissions.service.h"
#include "services/events/ingest.h"
#include "services/events/negotiate.h"
#include "services/events/reading.h"
#include "services/events/replay.h"
#include "services/events/review.h"

enum { REPLY_MAX_BYTES = 256 * 1024 };

/* --- replies ----------------------------------------------------------------------------------------------------- */
static void member(StrBuf *out, const char *name, const char *value)
{
    strbuf_printf(out, ",\"%s\":", name);
    strbuf_append_json(out, slice(value));
}

void write_warnings(StrBuf *out, const Findings *warnings)
{
    strbuf_append_char(out, '[');
    for (size_t i = 0; i < warnings->count; i++) {
        const Finding *f = &warnings->list[i];

        strbuf_append_cstr(out, i ? ",{\"field\":" : "{\"field\":");
        strbuf_append_json(out, slice(f->field));
        member(out, "code", f->code);
        member(out, "message", f->message);
        if (f->related) {
            member(out, "related", f->related);
            strbuf_printf(out, ",\"score\":%.3f", f->score);
        }
        strbuf_append_char(out, '}');
    }
    strbuf_append_char(out, ']');
}

static void write_location(StrBuf *out, const IngestOutcome *o)
{
    bool place = o->place_name[0] != 0, virtual = o->virtual_url[0] != 0;

    if (!place && !virtual)
        return;
    strbuf_append_cstr(out, ",\"location\":");
    if (place && virtual)
        strbuf_append_char(out, '[');
    if (place) {
        strbuf_append_cstr(out, "{\"@type\":\"Place\"");
        member(out, "@id", o->place_uri);
        member(out, "name", o->place_name);
        strbuf_append_char(out, '}');
    }
    if (virtual) {
        strbuf_append_cstr(out, place ? ",{\"@type\":\"VirtualLocation\"" : "{\"@type\":\"VirtualLocation\"");
        member(out, "url", o->virtual_url);
        strbuf_append_char(out, '}');
    }
    if (place && virtual)
        strbuf_append_char(out, ']');
}

static const char *outcome_uri(Request *rq, const IngestOutcome *o)
{
    return entity_uri(rq->mem, rq->service, ENTITY_EVENT, o->event);
}

/* The short form of an event (7.5). Of what was there before: by which layer it was found. */
static void write_outcome(Request *rq, const Submission *s, const IngestOutcome *o, const Findings *warnings,
                          StrBuf *out)
{
    const Events *events = rq->service;
    bool created = o->result == INGEST_CREATED;

    strbuf_append_char(out, '{');
    strbuf_append(out, events->contexts->inlined[CONTEXT_EVENT_CARD]);
    strbuf_append_cstr(out, ",\"@type\":\"Event\"");
    if (o->version)
        member(out, "@id", outcome_uri(rq, o));
    member(out, "name", o->name[0] ? o->name : s->name);
    write_location(out, o);
    if (created && o->waits)
        member(out, "lifecycle_state", "pending_review");
    if (created && warnings->count) {
        strbuf_append_cstr(out, ",\"warnings\":");
        write_warnings(out, warnings);
    }
    if (!created) {
        strbuf_printf(out, ",\"sel:duplicate\":{\"layer\":%d,\"score\":1,\"fields\":%s}", o->layer,
                      o->layer == 0 ? "[\"source.url\",\"source.eventId\"]" : "[\"name\",\"location\",\"startDate\"]");
        if (o->updated)
            strbuf_append_cstr(out, ",\"sel:updated\":true");
    }
}

static const char *content_type(Request *rq)
{
    return format_content_type(negotiate_api(request_header(rq, "accept"), (const Format[]){FORMAT_JSONLD}, 1));
}

static int outcome_status(const IngestOutcome *o)
{
    return o->result == INGEST_DUPLICATE ? 409 : o->waits ? 202 : 201;
}

static Err answer(Request *rq, const Submission *s, const IngestOutcome *o, const Findings *warnings,
                  Atrium__HttpBody *out)
{
    StrBuf body = strbuf_new(rq->mem, REPLY_MAX_BYTES);

    write_outcome(rq, s, o, warnings, &body);
    strbuf_append_cstr(&body, "}\n");
    request_set_status(rq, outcome_status(o));
    request_set_header(rq, "Vary", "Accept");
    if (o->result == INGEST_CREATED)
        request_set_header(rq, "Location", outcome_uri(rq, o));
    request_set_header(rq, "ETag", etag_make(rq->mem, o->version, "", "json"));
    return answer_body(&body, content_type(rq), out);
}

/* --- refusals ---------------------------------------------------------------------------------------------------- */
Err refuse_faults(Request *rq, const Findings *faults)
{
    for (size_t i = 0; i < faults->count; i++)
        request_add_violation(rq, ATRIUM__PART__BODY, faults->list[i].field, faults->list[i].code, "%s",
                              faults->list[i].message);
    return err_make(&INVALID_ARGUMENT, "%s%s%.90s", faults->list[0].field, faults->list[0].field[0] ? ": " : "",
                    faults->list[0].message);
}

/* What a tombstone has to say. */
static Err refuse_gone(Request *rq, const IngestOutcome *o)
{
    Struct *details = struct_new(rq->mem);

    if (o->result == INGEST_REJECTED_BEFORE)
        return review_refuse(rq, o->rejected);
    struct_set_text(rq->mem, details, "tombstone", outcome_uri(rq, o));
    request_set_details(rq, details);
    return err_make(&TOMBSTONED, "this event was deleted");
}

static bool outcome_refuses(const IngestOutcome *o)
{
    return o->result == INGEST_GONE || o->result == INGEST_REJECTED_BEFORE;
}

/* --- reading ----------------------------------------------------------------------------------------------------- */
Submitter submitter_of(const Request *rq)
{
    return (Submitter){.key_id = rq->caller.api_key ? rq->caller.login_id : "",
                       .user_id = rq->caller.user_id,
                       .name = "agent", /* sources are public, and people are not */
                       .admin = caller_may(&rq->caller, "events.edit")};
}

static Slice body_of(const Events__V1__SubmitEventRequest *in)
{
    return in->body && in->body->has_data ? slice_of(in->body->data.data, in->body->data.len) : SLICE_LIT("");
}

/* Read and checked; false where there are faults. */
static bool take(Request *rq, const Events__V1__SubmitEventRequest *in, Submission *s, Findings *faults,
                 Findings *warnings)
{
    const WritingRules rules = ingest_rules(rq->service);

    faults->mem = warnings->mem = rq->mem;
    if (submission_read(rq->mem, &rules, body_of(in), s, faults))
        submission_check(rq->mem, &rules, clock_unix_us(rq->clock), s, faults, warnings);
    return faults->count == 0;
}

/* --- dry runs ---------------------------------------------------------------------------------------------------- */
static Err answer_dry_run(Request *rq, const Submission *s, const IngestOutcome *o, const Findings *warnings,
                          Atrium__HttpBody *out)
{
    IngestOutcome shown = *o;
    StrBuf body = strbuf_new(rq->mem, REPLY_MAX_BYTES);

    if (o->result == INGEST_CREATED)
        shown.version = 0; /* its @id will be another one */
    write_outcome(rq, s, &shown, warnings, &body);
    strbuf_printf(&body, ",\"sel:dryRun\":true,\"sel:status\":%d}\n", outcome_status(o));
    request_set_status(rq, 200);
    return answer_body(&body, content_type(rq), out);
}

/* --- POST /api/v1/events ----------------------------------------------------------------------------------------- */
static Err submit(Request *rq, DbTx *tx, Ingest *in, Slice body, bool dry_run, Atrium__HttpBody *out)
{
    const EntityWriter w = entity_writer(rq, tx);
    IngestOutcome outcome;
    bool answered = false;
    Replay replay;

    TRY(replay_begin(rq, tx, "SubmitEvent", submission_canonical(rq->mem, body), &replay, &answered, out));
    if (answered)
        return OK;
    TRY(ingest_submission(&w, in, &outcome));
    if (in->faults->count)
        return refuse_faults(rq, in->faults);
    if (outcome_refuses(&outcome))
        return refuse_gone(rq, &outcome);
    if (dry_run)
        return answer_dry_run(rq, in->submission, &outcome, in->warnings, out);
    TRY(answer(rq, in->submission, &outcome, in->warnings, out));
    TRY(replay_store(rq, tx, &replay, outcome_status(&outcome), out));
    TRY(db_tx_commit(tx));
    entity_settled(rq->service);
    return OK;
}

Err events_v1_submit_event(Request *rq, const Events__V1__SubmitEventRequest *in, Atrium__HttpBody *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Submission *s = ARENA_NEW(rq->mem, Submission);
    Findings *faults = ARENA_NEW(rq->mem, Findings), *warnings = ARENA_NEW(rq->mem, Findings);

    if (!take(rq, in, s, faults, warnings))
        return refuse_faults(rq, faults);
    TRY(db_tx_begin(rq, &tx));
    return submit(rq, &tx, &(Ingest){.submission = s, .by = submitter_of(rq), .warnings = warnings, .faults = faults},
                  body_of(in), in->dry_run, out);
}

/* --- POST /api/v1/validate --------------------------------------------------------------------------------------- */
static void write_result(StrBuf *out, const Finding *f, const char *severity)
{
    strbuf_append_cstr(out, "{\"@type\":\"ValidationResult\",\"resultSeverity\":");
    strbuf_append_json(out, slice(severity));
    strbuf_append_cstr(out, ",\"resultPath\":\"/");
    for (const char *c = f->field; *c; c++)
        strbuf_append_char(out, *c == '.' ? '/' : *c);
    strbuf_append_char(out, '"');
    member(out, "code", f->code);
    member(out, "resultMessage", f->message);
    strbuf_append_char(out, '}');
}

Err events_v1_validate_event(Request *rq, const Events__V1__SubmitEventRequest *in, Atrium__HttpBody *out)
{
    static const char HEAD[] =
        "{\"@context\":{\"@vocab\":\"http://www.w3.org/ns/shacl#\",\"resultSeverity\":{\"@type\":"
        "\"@vocab\"},\"code\":\"" SEL_IRI "code\"},\"@type\":\"ValidationReport\",\"conforms\":";
    Submission *s = ARENA_NEW(rq->mem, Submission);
    Findings *faults = ARENA_NEW(rq->mem, Findings), *warnings = ARENA_NEW(rq->mem, Findings);
    bool conforms = take(rq, in, s, faults, warnings);
    StrBuf body = strbuf_new(rq->mem, REPLY_MAX_BYTES);

    strbuf_append_cstr(&body, HEAD);
    strbuf_append_cstr(&body, conforms ? "true,\"result\":[" : "false,\"result\":[");
    for (size_t i = 0; i < faults->count; i++) {
        strbuf_append_cstr(&body, i ? "," : "");
        write_result(&body, &faults->list[i], "Violation");
    }
    for (size_t i = 0; i < warnings->count; i++) {
        strbuf_append_cstr(&body, i || faults->count ? "," : "");
        write_result(&body, &warnings->list[i], "Warning");
    }
    strbuf_append_cstr(&body, "]}\n");
    return answer_body(&body, format_content_type(FORMAT_JSONLD), out);
}
