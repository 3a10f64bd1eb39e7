/* submission: an event as an agent hands it in (contracts/events.md section 7): read liberally, normalised while it is
 * read, then checked, all faults at once. No state and no input or output: any thread. Everything is borrowed from the
 * arena and from the rules. Texts are never NULL: "" is absent. */
#pragma once
#include "services/events/boundary.h"
#include "services/events/findings.h"
#include "services/events/terms.h"
#include "services/events/urls.h"
#include "services/events/when.h"

enum {
    SUBMISSION_MAX_BYTES = 256 * 1024,
    SUBMISSION_MAX_DEPTH = 64,
    SUBMISSION_KEYWORDS_MAX = 50,
    SUBMISSION_LANGUAGES_MAX = 20,
    SUBMISSION_OFFERS_MAX = 20,
    SUBMISSION_PERFORMERS_MAX = 50,
    SUBMISSION_SAME_AS_MAX = 20,
    SUBMISSION_OCCURRENCES_MAX = 200,
    SUBMISSION_CORRECTIONS_MAX = 16, /* that are told */
    SUBMISSION_DATES_MAX = 500,      /* of a recurrence: exdates, rdates */
    SUBMISSION_TEXT_MAX_CHARS = 500  /* of what is no term: ids of sources, keys of series, rules */
};

/* From settings; constant while serving. */
typedef struct WritingRules {
    Slice base_url; /* scheme and host of our URIs, no slash at the end */
    Zones *zones;
    const Zone *default_zone;
    size_t name_max_chars;
    bool accept_date_only, require_image;
    const Boundary *boundary; /* NULL: none */
    bool refuse_outside;      /* of it; else somebody looks */
    bool label_licenses;      /* LICENSE_POLICY=label: other licences are kept and shown, else refused */
    int max_future_days, ambiguous_future_days;
    double review_confidence; /* below it, somebody looks */
    /* How similar names are, 0 to 1: of events, places, organisations. */
    double twin_threshold, place_review_threshold, place_merge_threshold, org_review_threshold, org_merge_threshold;
} WritingRules;

typedef struct PlaceInput {
    const char *ulid; /* one of ours */
    const char *name, *street, *locality, *region, *postal_code, *country;
    const char *telephone, *url;
    bool has_point;
    double latitude, longitude;
} PlaceInput;

typedef struct OrganizerInput {
    const char *ulid; /* one of ours */
    const char *name, *url, *email, *telephone;
    const char *same_as; /* a URI of somebody else for it */
} OrganizerInput;

typedef struct PerformerInput {
    ClassId type; /* "Person", "MusicGroup" … */
    const char *name, *url;
} PerformerInput;

typedef struct OfferInput {
    bool has_price;
    double price;
    const char *currency, *url, *name;
    const char *availability; /* IRI */
    When valid_from;
} OfferInput;

typedef struct OccurrenceInput {
    When start, end, door;
    const Zone *zone;
    const char *place_ulid, *virtual_url; /* both "": where the event is */
} OccurrenceInput;

typedef struct RecurrenceInput {
    bool given;
    const char *external_key, *series_name, *rrule;
    const Zone *zone; /* NULL: none was given */
    When series_start, series_end;
    const char *const *exdates, *const *rdates; /* as written */
    size_t exdate_count, rdate_count;
} RecurrenceInput;

typedef struct SourceInput {
    const char *url, *event_id, *name;
    const char *license; /* as written */
} SourceInput;

/* What was repaired, for who reviews it. */
typedef struct Correction {
    const char *field, *original, *corrected; /* times in UTC; corrected "": left out */
    const char *reason;                       /* the code of the warning */
} Correction;

typedef struct Submission {
    const char *name, *name_key; /* the second: text_key() of it */
    const char *description;
    const Class *type; /* of the family of events */
    const char *domain;
    const Zone *zone; /* of its own start and end */
    When start, end, door;
    PlaceInput place;
    const char *virtual_url, *virtual_name;
    OrganizerInput organizer;
    PerformerInput performers[SUBMISSION_PERFORMERS_MAX];
    OfferInput offers[SUBMISSION_OFFERS_MAX];
    OccurrenceInput *occurrences; /* at least one, once it is checked without a fault */
    const char *keywords[SUBMISSION_KEYWORDS_MAX], *languages[SUBMISSION_LANGUAGES_MAX],
        *same_as[SUBMISSION_SAME_AS_MAX];
    size_t performer_count, offer_count, occurrence_count, keyword_count, language_count, same_as_count;
    bool occurrences_given;
    const char *image, *url;
    bool has_free, free;
    const char *status;  /* "EventScheduled", "EventCancelled" … as given; "" */
    const char *license; /* as written */
    RecurrenceInput recurrence;
    SourceInput source;
    bool wants_review, skip_multi_session, year_inferred, resurrect;
    Slice original; /* the body */
    Correction corrections[SUBMISSION_CORRECTIONS_MAX];
    size_t correction_count;
    double confidence; /* set by the check */
} Submission;

/* Reads a body. Faults are added for what cannot be read; what is of a wrong type and unimportant is as absent. False:
 * it is no JSON object, and the only fault says so. */
bool submission_read(Arena *mem, const WritingRules *rules, Slice body, Submission *out, Findings *faults) MUST_CHECK;
/* The rules of 7.4, all at once; repairs reversed times, and makes the one occurrence of an event that lists none. */
void submission_check(Arena *mem, const WritingRules *rules, int64_t now_us, Submission *s, Findings *faults,
                      Findings *warnings);
/* What the warnings and what is missing leave of it; sets s->confidence. Once more when warnings came. */
void submission_rate(const WritingRules *rules, Submission *s, Findings *warnings);

/* Canonical JSON of a body: members sorted, no white space. Empty when it is none (submission_read says why). */
Slice submission_canonical(Arena *mem, Slice body);
/* "" and all spellings of CC0 1.0. */
bool license_is_cc0(const char *license);
