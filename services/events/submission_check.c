/* submission_check: the rules of 7.4. Faults refuse; warnings have somebody look. */
#include "services/events/recurrence.h"
#include "services/events/submission.h"
#include "services/events/text.h"

#define HOUR_US INT64_C(3600000000)
#define DAY_US (24 * HOUR_US)

enum {
    REVERSED_HOUR_MAX = 4, /* an end at night, of an evening: its date was not moved on */
    REVERSED_LENGTH_HOURS = 7,
    SESSION_MAX_HOURS = 168
};

/* --- times ------------------------------------------------------------------------------------------------------- */
static void correct(Arena *mem, Submission *s, const char *field, int64_t original_us, const When *now)
{
    if (s->correction_count < SUBMISSION_CORRECTIONS_MAX)
        s->corrections[s->correction_count++] = (Correction){
            .field = field,
            .original = when_text(mem, original_us),
            .corrected = now->present ? when_text(mem, now->unix_us) : "",
            .reason = now->present ? "reversed_dates_timezone_likely" : "reversed_dates_corrected_needs_review"};
}

static void check_end(Submission *s, Findings *warnings, const char *field, const When *start, When *end)
{
    int64_t written_us = end->unix_us, moved_us = written_us + DAY_US;

    if (!start->present || !end->present || end->unix_us > start->unix_us)
        return;
    if (end->unix_us == start->unix_us) {
        findings_add(warnings, field, "zero_duration_occurrence", "it ends when it starts");
    } else if (end->hour <= REVERSED_HOUR_MAX && !end->all_day && moved_us >= start->unix_us &&
               moved_us - start->unix_us < REVERSED_LENGTH_HOURS * HOUR_US) {
        end->unix_us = moved_us;
        findings_add(warnings, field, "reversed_dates_timezone_likely",
                     "the end was before the start; it is taken for the night after");
        correct(warnings->mem, s, field, written_us, end);
    } else {
        *end = (When){.present = false};
        findings_add(warnings, field, "reversed_dates_corrected_needs_review",
                     "the end was before the start and is left out");
        correct(warnings->mem, s, field, written_us, end);
    }
}

static int by_start(const void *a, const void *b)
{
    const OccurrenceInput *x = a, *y = b;

    if (x->start.unix_us != y->start.unix_us)
        return x->start.unix_us < y->start.unix_us ? -1 : 1;
    return x->end.unix_us < y->end.unix_us ? -1 : x->end.unix_us > y->end.unix_us;
}

static bool same_time(const OccurrenceInput *a, const OccurrenceInput *b)
{
    return a->start.unix_us == b->start.unix_us && a->end.present == b->end.present && a->end.unix_us == b->end.unix_us;
}

/* In order of time, and each once. */
static void sort_occurrences(Submission *s)
{
    size_t kept = 0;

    qsort(s->occurrences, s->occurrence_count, sizeof(*s->occurrences), by_start);
    for (size_t i = 0; i < s->occurrence_count; i++)
        if (kept == 0 || !same_time(&s->occurrences[kept - 1], &s->occurrences[i]))
            s->occurrences[kept++] = s->occurrences[i];
    s->occurrence_count = kept;
}

static void check_occurrences(Arena *mem, Submission *s, bool has_where, Findings *faults, Findings *warnings)
{
    for (size_t i = 0; i < s->occurrence_count; i++) {
        OccurrenceInput *o = &s->occurrences[i];
        const char *at = arena_printf(mem, "occurrences.%zu", i);

        if (!o->start.present)
            findings_add(faults, arena_printf(mem, "%s.startDate", at), "missing", "an occurrence needs a start");
        if (o->place_ulid[0] && o->virtual_url[0])
            findings_add(faults, at, "conflict", "either venueId or virtualUrl, not both");
        if (!has_where && !o->place_ulid[0] && !o->virtual_url[0])
            findings_add(faults, at, "missing",
                         "an occurrence needs venueId or virtualUrl when the event has no place");
        check_end(s, warnings, arena_printf(mem, "%s.endDate", at), &o->start, &o->end);
    }
}

static void check_times(Arena *mem, Submission *s, bool has_where, Findings *faults, Findings *warnings)
{
    bool unread = findings_have(faults, "invalid_time");

    if (!s->start.present && !unread)
        findings_add(faults, "startDate", "missing", "a start is needed");
    check_end(s, warnings, "endDate", &s->start, &s->end);
    check_occurrences(mem, s, has_where, faults, warnings);
    if (faults->count)
        return;
    if (!s->occurrences_given)
        s->occurrences[s->occurrence_count++] = (OccurrenceInput){
            .start = s->start, .end = s->end, .door = s->door, .zone = s->zone, .place_ulid = "", .virtual_url = ""};
    sort_occurrences(s);
}

static void check_dates(Arena *mem, Findings *faults, const char *field, const char *const *dates, size_t count)
{
    RecurrenceTime time;

    for (size_t i = 0; i < count; i++)
        if (!recurrence_read_time(slice(dates[i]), &time))
            findings_add(faults, arena_printf(mem, "%s.%zu", field, i), "invalid_time", "must be a date or a time");
}

static void check_recurrence(Arena *mem, const RecurrenceInput *r, Findings *faults)
{
    Rrule rule;
    Err e = r->rrule[0] ? rrule_read(slice(r->rrule), &rule) : OK;

    if (err_failed(e))
        findings_add(faults, "recurrence.rrule", "invalid_rule", "%s", e.text);
    check_dates(mem, faults, "recurrence.exdates", r->exdates, r->exdate_count);
    check_dates(mem, faults, "recurrence.rdates", r->rdates, r->rdate_count);
}

/* --- addresses and licences -------------------------------------------------------------------------------------- */
static void check_host(Findings *faults, const char *field, const char *url)
{
    if (url[0] && host_is_below(url_host(url), SLICE_LIT("example.com")))
        findings_add(faults, field, "placeholder_url", "example.com is nobody's address");
}

static void check_licenses(const WritingRules *rules, const Submission *s, Findings *faults)
{
    if (!license_is_cc0(s->license))
        findings_add(faults, "license", "license_not_cc0", "only CC0 1.0 is taken");
    if (!rules->label_licenses && !license_is_cc0(s->source.license))
        findings_add(faults, "source.license", "license_not_cc0", "only sources under CC0 1.0 are taken");
}

static void check_boundary(Arena *mem, const WritingRules *rules, const Submission *s, Findings *faults,
                           Findings *warnings)
{
    const PlaceInput *place = &s->place;

    if (!rules->boundary ||
        (place->has_point ? boundary_has_point(rules->boundary, place->latitude, place->longitude)
                          : !place->locality[0] || boundary_has_locality(mem, rules->boundary, place->locality)))
        return;
    findings_add(rules->refuse_outside ? faults : warnings, place->has_point ? "location.geo" : "location.address",
                 "outside_geo_boundary", "this is outside of what this node is for");
}

/* --- what somebody should look at -------------------------------------------------------------------------------- */
static void warn_of_time(const WritingRules *rules, int64_t now_us, const Submission *s, Findings *warnings)
{
    int64_t ahead_us = s->start.unix_us - now_us;

    if (ahead_us > rules->max_future_days * DAY_US)
        findings_add(warnings, "startDate", "too_far_future", "starts in more than %d days", rules->max_future_days);
    if (s->year_inferred && ahead_us > rules->ambiguous_future_days * DAY_US)
        findings_add(warnings, "startDate", "ambiguous_year_far_future",
                     "the year was inferred, and the start is more than %d days away", rules->ambiguous_future_days);
    if (!s->skip_multi_session && s->end.present && s->end.unix_us - s->start.unix_us > SESSION_MAX_HOURS * HOUR_US)
        findings_add(warnings, "endDate", "multi_session_likely", "lasts more than %d hours", SESSION_MAX_HOURS);
    else if (!s->skip_multi_session && !s->occurrences_given && !s->recurrence.given &&
             text_key_is_course(slice(s->name_key)))
        findings_add(warnings, "name", "multi_session_likely", "the name is that of several sessions");
}

static void warn_of_gaps(const WritingRules *rules, const Submission *s, Findings *warnings)
{
    if (!s->description[0])
        findings_add(warnings, "description", "missing_description", "there is no description");
    if (rules->require_image && !s->image[0])
        findings_add(warnings, "image", "missing_image", "there is no image");
}

void submission_rate(const WritingRules *rules, Submission *s, Findings *warnings)
{
    double confidence = 0.9;

    if (!s->description[0])
        confidence -= 0.2;
    if (rules->require_image && !s->image[0])
        confidence -= 0.2;
    if (findings_have(warnings, "too_far_future"))
        confidence -= 0.2;
    if (s->year_inferred)
        confidence -= 0.15;
    if (findings_have(warnings, "reversed_dates_timezone_likely") ||
        findings_have(warnings, "reversed_dates_corrected_needs_review"))
        confidence -= 0.1;
    s->confidence = MAX(confidence, 0);
    if (s->confidence < rules->review_confidence - 1e-9 && !findings_have(warnings, "low_confidence"))
        findings_add(warnings, "", "low_confidence", "confidence is %.2f, below %.2f", s->confidence,
                     rules->review_confidence);
}

void submission_check(Arena *mem, const WritingRules *rules, int64_t now_us, Submission *s, Findings *faults,
                      Findings *warnings)
{
    bool has_place = s->place.ulid[0] || s->place.name[0], has_where = has_place || s->virtual_url[0];

    if (!s->name[0])
        findings_add(faults, "name", "missing", "a name is needed");
    if (!has_where && !findings_have(faults, "not_ours") && !s->occurrences_given)
        findings_add(faults, "location", "missing", "a location with a name or a virtualLocation with a url is needed");
    check_host(faults, "url", s->url);
    check_host(faults, "image", s->image);
    check_licenses(rules, s, faults);
    check_boundary(mem, rules, s, faults, warnings);
    check_recurrence(mem, &s->recurrence, faults);
    check_times(mem, s, has_where, faults, warnings);
    if (faults->count)
        return;
    warn_of_time(rules, now_us, s, warnings);
    warn_of_gaps(rules, s, warnings);
    submission_rate(rules, s, warnings);
}
