/* ingest: see ingest.h. */
#include "services/events/ingest.h"

#include <sodium.h>

#include "services/events/ingest_parts.h"
#include "shared/db_later.h"

/* --- what could be the same -------------------------------------------------------------------------------------- */
/* Name, venue and instant: the same content whoever sends it (8, layer 1). `venue` is the place that it was resolved
 * to: halls of one name in two cities are two. */
static void hash_content(Arena *mem, const char *name_key, const char *venue, int64_t start_us,
                         uint8_t out[INGEST_HASH_BYTES])
{
    const char *text = arena_printf(mem, "%s\n%s\n%" PRId64, name_key, venue, start_us);

    crypto_hash_sha256(out, (const unsigned char *)text, strlen(text));
}

static int64_t lock_key(Arena *mem, const Events *events, const char *kind, const char *what)
{
    uint8_t hash[crypto_hash_sha256_BYTES];
    /* Advisory locks are the database's, not the schema's. */
    const char *text = arena_printf(mem, "events/%s/%s/%s", events->settings->base_url, kind, what);
    int64_t key;

    crypto_hash_sha256(hash, (const unsigned char *)text, strlen(text));
    memcpy(&key, hash, sizeof(key));
    return key;
}

static Err lock_all(Ingesting *g)
{
    const Submission *s = g->in->submission;
    Arena *mem = g->w->mem;
    const Events *events = g->w->events;
    int64_t keys[4];
    size_t count = 0;

    keys[count++] = lock_key(mem, events, "content",
                             arena_printf(mem, "%s\n%" PRId64, s->name_key, s->occurrences[0].start.unix_us));
    if (s->source.event_id[0])
        keys[count++] = lock_key(mem, events, "source",
                                 arena_printf(mem, "%s\n%s\n%s", g->key.key_id, g->key.host, s->source.event_id));
    if (s->place.name[0] || s->place.ulid[0])
        keys[count++] =
            lock_key(mem, events, "place",
                     s->place.ulid[0] ? s->place.ulid : slice_cstr(mem, text_key(mem, slice(s->place.name))));
    if (s->organizer.name[0])
        keys[count++] = lock_key(mem, events, "organizer", slice_cstr(mem, text_key(mem, slice(s->organizer.name))));
    return ingest_store_lock(g->w->tx, keys, count);
}

bool submitter_made(const Submitter *by, const EventEntity *event)
{
    if (by->key_id[0] || event->submitter_key[0])
        return strcmp(by->key_id, event->submitter_key) == 0;
    return by->user_id && by->user_id == event->submitter_user;
}

static SourceKey source_key(const EntityWriter *w, const Ingest *in)
{
    const SourceInput *source = &in->submission->source;
    const char *host = source->url[0] ? url_origin(w->mem, source->url) : "";

    return (SourceKey){.key_id =
                           in->by.key_id[0] ? in->by.key_id : arena_printf(w->mem, "user:%" PRId64, in->by.user_id),
                       .host = host,
                       .name = source->name[0] ? source->name
                               : host[0]       ? host
                                               : in->by.name,
                       .license = license_is_cc0(source->license) ? CC0_IRI : source->license,
                       .type = in->by.source_type ? in->by.source_type : "api",
                       .trust = in->by.source_trust ? in->by.source_trust : SOURCE_TRUST_DEFAULT,
                       .fresh = uuid_v7(w->events->ids)};
}

/* --- what there is of it ----------------------------------------------------------------------------------------- */
static Err put_source(Ingesting *g, Uuid event)
{
    const Submission *s = g->in->submission;

    return ingest_store_put_source(g->w->tx,
                                   &(SourceRow){.event = event,
                                                .source = g->source,
                                                .source_event_id = s->source.event_id,
                                                .url = s->source.url,
                                                .license = g->key.license,
                                                .payload = s->original,
                                                .confidence = s->confidence,
                                                .submitter_key = g->in->by.key_id,
                                                .submitter_user = g->in->by.user_id},
                                   g->w->now_us);
}

static Err describe(Ingesting *g, const EventEntity *event, IngestOutcome *out)
{
    Arena *mem = g->w->mem;

    out->event = event->head.id;
    out->version = event->head.version;
    out->waits = event->head.lifecycle == LIFECYCLE_PENDING_REVIEW;
    out->name = slice_cstr(mem, node_text(event->head.node, TERM_NAME));
    out->virtual_url = event->virtual_url;
    out->place_name = out->place_uri = "";
    if (uuid_is_nil(event->place_id))
        return db_settle(g->w->tx); /* what of it cannot be stored is this one's failure, and no later one's */
    out->place_uri = entity_uri(mem, g->w->events, ENTITY_PLACE, event->place_id);
    return ingest_store_name(g->w->tx, mem, ENTITY_PLACE, event->place_id, &out->place_name);
}

/* --- a new one --------------------------------------------------------------------------------------------------- */
static Err open_review(Ingesting *g, Uuid event)
{
    const Submission *s = g->in->submission;
    Arena *mem = g->w->mem;
    StrBuf normalized = strbuf_new(mem, NODE_MAX_BYTES);

    node_write_json(&normalized, g->said, &(NodeWriting){.shown = SHOWN_DETAIL});
    TRY(review_open(g->w,
                    &(ReviewOpening){.event = event,
                                     .source = g->source,
                                     .source_event_id = s->source.event_id,
                                     .warnings = g->in->warnings,
                                     .original = s->original,
                                     .normalized = strbuf_slice(&normalized),
                                     .changes = corrections_json(mem, s),
                                     .twin = g->twins.count ? g->twins.list[0].id : (Uuid){{0}}},
                    NULL));
    return OK;
}

/* The older ones stay as public as they are (8.2): whoever looks after them hears of it. */
static Err tell_twins(Ingesting *g, Uuid event)
{
    const char *uri = entity_uri(g->w->mem, g->w->events, ENTITY_EVENT, event);

    for (size_t i = 0; i < g->twins.count; i++)
        if (g->twins.list[i].same_day)
            TRY(review_suspect(g->w, g->twins.list[i].id,
                               &(Finding){.field = "name",
                                          .code = "near_duplicate_of_new_event",
                                          .message = "an event that was submitted later may be the same",
                                          .related = uri,
                                          .score = g->twins.list[i].score},
                               event));
    return OK;
}

static Err create(Ingesting *g, IngestOutcome *out)
{
    const Submission *s = g->in->submission;
    EventEntity event;

    event_init(g->w->mem, &event);
    TRY(ingest_fill_event(g, &event));
    TRY(ingest_find_twins(g, (Uuid){{0}}, g->in->warnings));
    if (g->in->warnings->count || s->wants_review)
        event.head.lifecycle = LIFECYCLE_PENDING_REVIEW;
    event.submitter_key = g->in->by.key_id;
    event.submitter_user = g->in->by.user_id;
    TRY(event_save(g->w, &event, "submitted", NULL));
    TRY(put_source(g, event.head.id));
    TRY(provenance_begin(g->w, event.head.id,
                         &(Observation){.source = g->source, .confidence = s->confidence, .said = g->said}));
    if (event.head.lifecycle == LIFECYCLE_PENDING_REVIEW)
        TRY(open_review(g, event.head.id));
    TRY(tell_twins(g, event.head.id));
    out->result = INGEST_CREATED;
    return describe(g, &event, out);
}

/* --- one that is there ------------------------------------------------------------------------------------------- */
/* A fixed resubmission: nothing is odd any more, and it is published; or something else is, and that is looked at.
 * Nobody's but its maker's: an id that somebody else's source gave to it opens no door. */
static Err review_again(Ingesting *g, EventEntity *event)
{
    if (event->head.lifecycle != LIFECYCLE_PENDING_REVIEW || g->layer != 0 || !submitter_made(&g->in->by, event))
        return OK;
    TRY(ingest_find_twins(g, event->head.id, g->in->warnings));
    if (g->in->warnings->count || g->in->submission->wants_review)
        return open_review(g, event->head.id);
    event->head.lifecycle = ingest_lifecycle(g->in->submission);
    return review_clear(g->w, event->head.id);
}

/* By what stands of it, not by what was said: else it would be found by content that it does not have. */
static void hash_again(Ingesting *g, EventEntity *event)
{
    Arena *mem = g->w->mem;
    const char *venue = event->virtual_url;

    if (event->occurrence_count == 0)
        return;
    if (!uuid_is_nil(event->place_id))
        venue = entity_uri(mem, g->w->events, ENTITY_PLACE, event->place_id);
    hash_content(mem, slice_cstr(mem, text_key(mem, node_text(event->head.node, TERM_NAME))), venue,
                 event->occurrences[0].start_us, g->hash);
    event->dedup_hash = slice_of(g->hash, sizeof(g->hash));
}

static Err hear(Ingesting *g, EventEntity *event, IngestOutcome *out)
{
    const Submission *s = g->in->submission;
    bool leads = false;

    TRY(provenance_hear(g->w, event,
                        &(Observation){.source = g->source, .confidence = s->confidence, .said = g->said}));
    if (g->layer == 0)
        TRY(provenance_leads(g->w, event->head.id, g->source, submitter_made(&g->in->by, event), &leads));
    if (leads)
        TRY(ingest_update_event(g, event));
    TRY(review_again(g, event));
    if (g->layer == 0)
        hash_again(g, event);
    TRY(event_save(g->w, event, "submitted again", &out->updated));
    TRY(put_source(g, event->head.id));
    out->result = INGEST_DUPLICATE;
    out->layer = g->layer;
    return describe(g, event, out);
}

/* What a tombstone does to the submission; `*out_new`: nothing, it is a new event. */
static Err meet_tombstone(Ingesting *g, EventEntity *event, bool *out_new, IngestOutcome *out)
{
    RejectedBefore *before = ARENA_NEW(g->w->mem, RejectedBefore);

    TRY(review_rejected_before(g->w, event->head.id, g->in->warnings, before));
    *out_new = before->rejected && !before->found;
    if (*out_new)
        return OK;
    TRY(describe(g, event, out));
    out->result = before->found ? INGEST_REJECTED_BEFORE : INGEST_GONE;
    out->rejected = before;
    return OK;
}

/* By what it was merged into, if it was. */
static Err load_known(Ingesting *g, Uuid id, EventEntity *out)
{
    TRY(event_load(g->w, id, out));
    for (int hops = 0; hops < INGEST_MERGES_MAX && !uuid_is_nil(out->head.superseded_by); hops++)
        TRY(event_load(g->w, out->head.superseded_by, out));
    return OK;
}

/* Whose tables do not refer to it yet: place and organiser are looked for, and made, first. */
static Err resolve(Ingesting *g, bool known)
{
    Submission *s = g->in->submission;

    TRY(ingest_find_same(g));
    TRY(ingest_resolve_place(g));
    TRY(ingest_resolve_organizer(g));
    TRY(ingest_check_occurrence_places(g));
    if (g->in->faults->count)
        return OK;
    submission_rate(g->rules, s, g->in->warnings);
    TRY(ingest_make_named(g, known));
    g->said = submission_said_node(g->w->mem, s, g->place_uri, g->organizer_uri);
    hash_content(g->w->mem, s->name_key, g->place_uri[0] ? g->place_uri : s->virtual_url,
                 s->occurrences[0].start.unix_us, g->hash);
    return OK;
}

/* Layer 1, for what no source knows by its id. */
static Err find_by_content(Ingesting *g, KnownEvent *known)
{
    g->layer = 1;
    return g->place_is_new ? OK : ingest_find_by_content(g, known);
}

/* One that is known; `*out_new`: nothing is to be known of it. */
static Err meet(Ingesting *g, Uuid id, bool *out_new, IngestOutcome *out)
{
    EventEntity event;

    TRY(load_known(g, id, &event));
    if (event.head.deleted_us && !(g->in->submission->resurrect && g->in->by.admin))
        return meet_tombstone(g, &event, out_new, out);
    if (event.head.deleted_us)
        entity_restore(&event.head);
    return hear(g, &event, out);
}

Err ingest_submission(const EntityWriter *w, const Ingest *in, IngestOutcome *out)
{
    const WritingRules rules = ingest_rules(w->events);
    Ingesting g = {.w = w, .in = in, .rules = &rules, .key = source_key(w, in), .place_uri = "", .organizer_uri = ""};
    KnownEvent known = {.found = false};
    bool is_new = false;

    *out = (IngestOutcome){.result = INGEST_FAULTY, .name = "", .place_name = "", .place_uri = "", .virtual_url = ""};
    TRY(lock_all(&g));
    TRY(ingest_store_source(w->tx, &g.key, in->submission->source.event_id, w->now_us, &g.source, &known));
    TRY(resolve(&g, known.found));
    if (in->faults->count)
        return OK;
    if (!known.found)
        TRY(find_by_content(&g, &known));
    if (known.found)
        TRY(meet(&g, known.id, &is_new, out));
    return known.found && !is_new ? OK : create(&g, out);
}
