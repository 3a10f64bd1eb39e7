/* ingest_rules: settings as the rules of reading and comparing. */
#include "services/events/ingest.h"

static bool read_share(const char *text, double *out)
{
    char *end;

    *out = strtod(text, &end);
    return end != text && !*end && *out >= 0 && *out <= 1;
}

static double share(const char *text)
{
    double value;

    return read_share(text, &value) ? value : 1; /* checked at the start */
}

WritingRules ingest_rules(const Events *events)
{
    const EventsSettings *s = events->settings;

    return (WritingRules){.base_url = slice(s->base_url),
                          .zones = events->zones,
                          .default_zone = zones_find(events->zones, slice(s->default_timezone)),
                          .name_max_chars = (size_t)s->name_max_chars,
                          .boundary = events->boundary,
                          .refuse_outside = strcmp(s->boundary_mode, "reject") == 0,
                          .accept_date_only = s->accept_date_only,
                          .require_image = s->require_image,
                          .label_licenses = strcmp(s->license_policy, "label") == 0,
                          .max_future_days = (int)s->max_future_days,
                          .ambiguous_future_days = (int)s->ambiguous_future_days,
                          .review_confidence = share(s->review_confidence),
                          .twin_threshold = share(s->twin_threshold),
                          .place_review_threshold = share(s->place_review_threshold),
                          .place_merge_threshold = share(s->place_merge_threshold),
                          .org_review_threshold = share(s->org_review_threshold),
                          .org_merge_threshold = share(s->org_merge_threshold)};
}

Err ingest_settings_check(const EventsSettings *s)
{
    const struct {
        const char *name, *value;
    } shares[] = {{"DEDUP_NEAR_DUPLICATE_THRESHOLD", s->twin_threshold},
                  {"DEDUP_PLACE_REVIEW_THRESHOLD", s->place_review_threshold},
                  {"DEDUP_PLACE_AUTO_MERGE_THRESHOLD", s->place_merge_threshold},
                  {"DEDUP_ORG_REVIEW_THRESHOLD", s->org_review_threshold},
                  {"DEDUP_ORG_AUTO_MERGE_THRESHOLD", s->org_merge_threshold},
                  {"VALIDATION_REVIEW_CONFIDENCE_THRESHOLD", s->review_confidence}};
    double value;

    for (size_t i = 0; i < ARRAY_LEN(shares); i++)
        if (!read_share(shares[i].value, &value))
            return err_make(&INVALID_ARGUMENT, "%s: a number from 0 to 1", shares[i].name);
    if (strcmp(s->license_policy, "refuse") != 0 && strcmp(s->license_policy, "label") != 0)
        return err_make(&INVALID_ARGUMENT, "LICENSE_POLICY: refuse or label");
    if (strcmp(s->idempotency_replay, "conflict") != 0 && strcmp(s->idempotency_replay, "original") != 0)
        return err_make(&INVALID_ARGUMENT, "IDEMPOTENCY_REPLAY: conflict or original");
    if (strcmp(s->boundary_mode, "off") != 0 && strcmp(s->boundary_mode, "review") != 0 &&
        strcmp(s->boundary_mode, "reject") != 0)
        return err_make(&INVALID_ARGUMENT, "GEOGRAPHIC_BOUNDARY_MODE: off, review or reject");
    return OK;
}

Err ingest_boundary(const EventsSettings *s, Arena *mem, Boundary **out)
{
    *out = NULL;
    if (strcmp(s->boundary_mode, "off") == 0 || !s->boundary_file[0])
        return OK;
    return boundary_load(mem, s->boundary_file, out);
}
