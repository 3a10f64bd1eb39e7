/* ingest_find: places, organisers and events that a submission may mean (contracts/events.md 8, layers 2 to 3b). */
#include "services/events/ingest_parts.h"

typedef struct Thresholds {
    double review, merge;
} Thresholds;

Err ingest_find_same(Ingesting *g)
{
    const PlaceInput *place = &g->in->submission->place;
    const OrganizerInput *who = &g->in->submission->organizer;

    return ingest_store_same(g->w->tx, g->w->mem,
                             &(NamesAsked){.place = !place->ulid[0] && place->name[0] ? place->name : NULL,
                                           .locality = place->locality,
                                           .region = place->region,
                                           .organizer = !who->ulid[0] && who->name[0] ? who->name : NULL},
                             &g->same_place, &g->same_organizer);
}

/* Who has the name (`same`), nearly the name (`similar`, for somebody to look at), or nobody. */
static Err find_by_name(Ingesting *g, EntityKind kind, const char *name, const PlaceInput *where, const Candidate *same,
                        Thresholds t, Candidate *out, Candidate *out_similar)
{
    Candidate similar;

    *out_similar = (Candidate){.name = ""};
    *out = *same;
    if (!uuid_is_nil(out->id))
        return OK;
    TRY(ingest_store_similar(g->w->tx, g->w->mem, kind, name, where->locality, where->region, t.review, &similar));
    if (!uuid_is_nil(similar.id))
        *(similar.score >= t.merge ? out : out_similar) = similar;
    return OK;
}

static void warn_of_similar(Ingesting *g, EntityKind kind, const char *field, const char *code,
                            const Candidate *similar)
{
    if (uuid_is_nil(similar->id))
        return;
    findings_add(g->in->warnings, field, code, "there is \"%.200s\" with a similar name", similar->name);
    findings_relate(g->in->warnings, entity_uri(g->w->mem, g->w->events, kind, similar->id), similar->score);
}

/* --- places ------------------------------------------------------------------------------------------------------ */
/* By its URI: it must be there, and be called so. */
static Err take_named_place(Ingesting *g)
{
    const PlaceInput *place = &g->in->submission->place;
    Candidate found;
    Uuid id;

    if (!ulid_parse(slice(place->ulid), &id))
        return err_make(&INTERNAL, "a ULID was read that is none");
    TRY(ingest_store_candidate(g->w->tx, g->w->mem, ENTITY_PLACE, id, place->name, &found));
    if (uuid_is_nil(found.id) || found.gone)
        findings_add(g->in->faults, "location.@id", "not_found", "there is no such place here");
    else if (place->name[0] && !found.named)
        findings_add(g->in->faults, "location.name", "conflict", "the place with this @id is called \"%.200s\"",
                     found.name);
    g->place = found.id;
    return OK;
}

/* What strangers name is as public as the event by which they do: event_save publishes it with that. */
static Lifecycle named_lifecycle(const Ingesting *g)
{
    return g->hold ? LIFECYCLE_PENDING_REVIEW : LIFECYCLE_PUBLISHED;
}

static Err make_place(Ingesting *g)
{
    const Submission *s = g->in->submission;
    PlaceEntity place;

    place_init(g->w->mem, &place);
    place.head.node = submission_place_node(g->w->mem, s);
    place.head.confidence = s->confidence;
    place.head.lifecycle = named_lifecycle(g);
    TRY(place_save(g->w, &place, "first named by an event", NULL));
    g->place = place.head.id;
    return provenance_begin(g->w, g->place,
                            &(Observation){.source = g->source, .confidence = s->confidence, .said = place.head.node});
}

Err ingest_resolve_place(Ingesting *g)
{
    const PlaceInput *place = &g->in->submission->place;
    Candidate found, similar;

    if (place->ulid[0]) {
        TRY(take_named_place(g));
    } else if (place->name[0]) {
        TRY(find_by_name(g, ENTITY_PLACE, place->name, place, &g->same_place,
                         (Thresholds){g->rules->place_review_threshold, g->rules->place_merge_threshold}, &found,
                         &similar));
        warn_of_similar(g, ENTITY_PLACE, "location", "place_possible_duplicate", &similar);
        g->place = found.id;
        g->place_is_new = uuid_is_nil(found.id);
    }
    return OK;
}

Err ingest_check_occurrence_places(Ingesting *g)
{
    const Submission *s = g->in->submission;
    Uuid *ids = ARENA_ARRAY(g->w->mem, Uuid, s->occurrence_count + 1), missing;
    size_t count = 0;

    for (size_t i = 0; i < s->occurrence_count; i++)
        if (s->occurrences[i].place_ulid[0] && ulid_parse(slice(s->occurrences[i].place_ulid), &ids[count]))
            count++;
    if (count == 0)
        return OK;
    TRY(ingest_store_missing_place(g->w->tx, g->w->mem, ids, count, &missing));
    if (!uuid_is_nil(missing))
        findings_add(g->in->faults, "occurrences", "not_found", "there is no place %s here",
                     ulid_text(g->w->mem, missing));
    return OK;
}

/* --- organisers -------------------------------------------------------------------------------------------------- */
static Err make_organizer(Ingesting *g)
{
    const Submission *s = g->in->submission;
    OrganizationEntity organization;

    organization_init(g->w->mem, &organization);
    organization.head.node = submission_organizer_node(g->w->mem, s);
    organization.head.confidence = s->confidence;
    organization.head.lifecycle = named_lifecycle(g);
    TRY(organization_save(g->w, &organization, "first named by an event", NULL));
    g->organizer = organization.head.id;
    return provenance_begin(
        g->w, g->organizer,
        &(Observation){.source = g->source, .confidence = s->confidence, .said = organization.head.node});
}

static Err take_known_organizer(Ingesting *g)
{
    Candidate found;
    Uuid id;

    if (!ulid_parse(slice(g->in->submission->organizer.ulid), &id))
        return err_make(&INTERNAL, "a ULID was read that is none");
    TRY(ingest_store_candidate(g->w->tx, g->w->mem, ENTITY_ORGANIZATION, id, "", &found));
    if (uuid_is_nil(found.id) || found.gone)
        findings_add(g->in->faults, "organizer", "not_found", "there is no such organization here");
    g->organizer = found.id;
    return OK;
}

Err ingest_resolve_organizer(Ingesting *g)
{
    const OrganizerInput *who = &g->in->submission->organizer;
    const PlaceInput nowhere = {.locality = "", .region = ""};
    Candidate found, similar;

    if (who->ulid[0]) {
        TRY(take_known_organizer(g));
    } else if (who->name[0]) {
        TRY(find_by_name(g, ENTITY_ORGANIZATION, who->name, &nowhere, &g->same_organizer,
                         (Thresholds){g->rules->org_review_threshold, g->rules->org_merge_threshold}, &found,
                         &similar));
        warn_of_similar(g, ENTITY_ORGANIZATION, "organizer", "org_possible_duplicate", &similar);
        g->organizer = found.id;
        g->organizer_is_new = uuid_is_nil(found.id);
    }
    return OK;
}

Err ingest_make_named(Ingesting *g, bool known)
{
    g->hold = known || g->in->warnings->count || g->in->submission->wants_review;
    if (g->place_is_new)
        TRY(make_place(g));
    g->hold |= !g->place_is_new; /* a twin may be at a place that is known */
    if (g->organizer_is_new)
        TRY(make_organizer(g));
    if (!uuid_is_nil(g->place))
        g->place_uri = entity_uri(g->w->mem, g->w->events, ENTITY_PLACE, g->place);
    if (!uuid_is_nil(g->organizer))
        g->organizer_uri = entity_uri(g->w->mem, g->w->events, ENTITY_ORGANIZATION, g->organizer);
    return OK;
}

/* --- events ------------------------------------------------------------------------------------------------------ */
/* Without those of which somebody has said that they are not the same. */
static Err keep_possible(Ingesting *g, Uuid event)
{
    Uuid candidates[TWINS_MAX], possible[TWINS_MAX];
    size_t count = 0, kept = 0;

    for (size_t i = 0; i < g->twins.count; i++)
        candidates[i] = g->twins.list[i].id;
    TRY(review_possible_twins(g->w, event, candidates, g->twins.count, possible, &count));
    for (size_t i = 0; i < g->twins.count; i++)
        if (kept < count && memcmp(&possible[kept], &g->twins.list[i].id, sizeof(Uuid)) == 0)
            g->twins.list[kept++] = g->twins.list[i];
    g->twins.count = kept;
    return OK;
}

/* Of what is not public only whoever handed it in hears more than that it is there; who looks after the queue is shown
 * it (review_open). */
static void warn_of_twin(Ingesting *g, const Twin *twin, Findings *warnings)
{
    const EventEntity of = {.submitter_key = twin->submitter_key, .submitter_user = twin->submitter_user};
    bool shown = twin->is_public || submitter_made(&g->in->by, &of);
    const char *name = shown ? arena_printf(g->w->mem, "\"%.200s\"", twin->name) : "an event that is not public";

    if (twin->same_day)
        findings_add(warnings, "name", "potential_duplicate", "%s is at the same place on the same day", name);
    else
        findings_add(warnings, "name", "cross_week_series_companion",
                     "%s is at the same place and time in another week", name);
    if (shown)
        findings_relate(warnings, entity_uri(g->w->mem, g->w->events, ENTITY_EVENT, twin->id), twin->score);
}

/* Where there is no place there are no twins: then no zone is asked of PostgreSQL, which may not know all that we do.
 */
static TwinsAsked twins_asked(const Ingesting *g, Uuid besides)
{
    const Submission *s = g->in->submission;
    const OccurrenceInput *first = &s->occurrences[0];

    return (TwinsAsked){.place = g->place,
                        .besides = besides,
                        .name = s->name,
                        .zone = uuid_is_nil(g->place) ? "UTC" : zone_name(first->zone),
                        .start_us = first->start.unix_us,
                        .threshold = g->rules->twin_threshold};
}

Err ingest_find_by_content(Ingesting *g, KnownEvent *known)
{
    const TwinsAsked asked = twins_asked(g, (Uuid){{0}});

    g->twins_known = true;
    return ingest_store_by_content(g->w->tx, g->w->mem, slice_of(g->hash, sizeof(g->hash)), &asked, known, &g->twins);
}

Err ingest_find_twins(Ingesting *g, Uuid besides, Findings *warnings)
{
    const TwinsAsked asked = twins_asked(g, besides);

    if (uuid_is_nil(g->place) || g->place_is_new)
        return OK;
    if (!g->twins_known || !uuid_is_nil(besides))
        TRY(ingest_store_twins(g->w->tx, g->w->mem, &asked, &g->twins));
    if (g->twins.count && !uuid_is_nil(besides))
        TRY(keep_possible(g, besides));
    for (size_t i = 0; i < g->twins.count; i++)
        warn_of_twin(g, &g->twins.list[i], warnings);
    return OK;
}
