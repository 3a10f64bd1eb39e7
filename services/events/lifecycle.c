/* lifecycle: closed sets of words: those of entity.h, and what is among one. */
#include "services/events/entity.h"

bool word_is_among(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

static const struct {
    const char *word;
    bool is_public;
} LIFECYCLES[] = {
    [LIFECYCLE_DRAFT] = {"draft", false},
    [LIFECYCLE_PENDING_REVIEW] = {"pending_review", false},
    [LIFECYCLE_PUBLISHED] = {"published", true},
    [LIFECYCLE_POSTPONED] = {"postponed", true},
    [LIFECYCLE_RESCHEDULED] = {"rescheduled", true},
    [LIFECYCLE_SOLD_OUT] = {"sold_out", true},
    [LIFECYCLE_CANCELLED] = {"cancelled", true},
    [LIFECYCLE_COMPLETED] = {"completed", true},
};

const char *lifecycle_word(Lifecycle lifecycle)
{
    return LIFECYCLES[lifecycle].word;
}

bool lifecycle_parse(Slice word, Lifecycle *out)
{
    for (size_t i = 0; i < ARRAY_LEN(LIFECYCLES); i++)
        if (slice_eq_cstr(word, LIFECYCLES[i].word)) {
            *out = (Lifecycle)i;
            return true;
        }
    return false;
}

bool lifecycle_is_public(Lifecycle lifecycle)
{
    return LIFECYCLES[lifecycle].is_public;
}

bool domain_is_known(Slice word)
{
    static const char *const DOMAINS[] = {"arts", "music", "culture", "sports", "community", "education", "general"};

    for (size_t i = 0; i < ARRAY_LEN(DOMAINS); i++)
        if (slice_eq_cstr(word, DOMAINS[i]))
            return true;
    return false;
}

static const char *const STATUSES[] = {[OCCURRENCE_SCHEDULED] = "scheduled",
                                       [OCCURRENCE_CANCELLED] = "cancelled",
                                       [OCCURRENCE_POSTPONED] = "postponed",
                                       [OCCURRENCE_RESCHEDULED] = "rescheduled"};

const char *occurrence_status_word(OccurrenceStatus status)
{
    return STATUSES[status];
}

bool occurrence_status_parse(Slice word, OccurrenceStatus *out)
{
    for (size_t i = 0; i < ARRAY_LEN(STATUSES); i++)
        if (slice_eq_cstr(word, STATUSES[i])) {
            *out = (OccurrenceStatus)i;
            return true;
        }
    return false;
}
