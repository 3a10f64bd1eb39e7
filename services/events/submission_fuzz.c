/* Fuzz target: bodies of submissions. What is taken without a fault has what an event needs, within its bounds, and its
 * texts are clean; every finding says where. */
#include "services/events/submission.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_findings(const Findings *f)
{
    check(f->count <= FINDINGS_MAX);
    for (size_t i = 0; i < f->count; i++)
        check(f->list[i].field && f->list[i].code[0] && utf8_valid(slice(f->list[i].message)));
}

static void check_taken(const Submission *s)
{
    check(s->name[0] && utf8_length(slice(s->name)) <= 500 && utf8_valid(slice(s->description)));
    check(s->start.present && s->occurrence_count >= 1);
    check(s->place.name[0] || s->place.ulid[0] || s->virtual_url[0] || s->occurrences_given);
    for (size_t i = 0; i < s->occurrence_count; i++) {
        const OccurrenceInput *o = &s->occurrences[i];

        check(o->start.present && o->zone && !(o->place_ulid[0] && o->virtual_url[0]));
        check(!o->end.present || o->end.unix_us >= o->start.unix_us);
        check(i == 0 || s->occurrences[i - 1].start.unix_us <= o->start.unix_us);
    }
    for (size_t i = 0; i < s->offer_count; i++)
        check(!s->offers[i].has_price || (s->offers[i].price >= 0 && s->offers[i].price <= 1e9));
    check(s->confidence >= 0 && s->confidence <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static WritingRules rules = {.base_url = {"https://sel.test", 16},
                                 .name_max_chars = 500,
                                 .accept_date_only = true,
                                 .max_future_days = 730,
                                 .ambiguous_future_days = 60,
                                 .review_confidence = 0.6};
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 14);
    Slice body = slice_of(arena_memdup(mem, data, len), len);
    Findings faults = {.mem = mem}, warnings = {.mem = mem};
    Submission s;
    bool read;

    if (!rules.zones) {
        rules.zones = zones_new(NULL);
        rules.default_zone = zones_find(rules.zones, SLICE_LIT("America/Toronto"));
    }
    read = submission_read(mem, &rules, body, &s, &faults);
    if (read)
        submission_check(mem, &rules, INT64_C(1782900000000000), &s, &faults, &warnings);
    else
        check(faults.count == 1);
    check_findings(&faults);
    check_findings(&warnings);
    if (faults.count == 0)
        check_taken(&s);
    (void)submission_canonical(mem, body);
    return 0;
}
