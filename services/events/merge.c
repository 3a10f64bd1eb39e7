/* merge: see merge.h. */
#include "services/events/merge.h"

#include "services/events/admin_events.h"
#include "services/events/audit.h"
#include "services/events/facts.h"
#include "services/events/members.h"
#include "services/events/rerender.h"
#include "services/events/store_admin.h"

static bool same(Uuid a, Uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

/* ---------------------------------------------------------------------------------------------------- events */
static void replace(Uuid *at, Uuid from, Uuid to)
{
    if (same(*at, from))
        *at = to;
}

Err merge_repoint_event(const EntityWriter *w, Uuid id, EntityKind kind, Uuid from, Uuid to)
{
    EventEntity event;

    TRY(event_load(w, id, &event));
    if (kind == ENTITY_ORGANIZATION)
        replace(&event.organizer_id, from, to);
    else
        replace(&event.place_id, from, to);
    for (size_t k = 0; kind == ENTITY_PLACE && k < event.occurrence_count; k++)
        replace(&event.occurrences[k].place_id, from, to);
    return event_save(w, &event, kind == ENTITY_PLACE ? "place merged" : "organiser merged", NULL);
}

/* Events that name `from`, a tombstone soon, are of `to` from now on: REPOINT_MAX of them. */
static Err repoint(const EntityWriter *w, EntityKind kind, Uuid from, Uuid to)
{
    Uuid *events;
    size_t count;

    TRY(events_store_users_of(w->tx, w->mem, kind, from, REPOINT_MAX, &events, &count));
    for (size_t i = 0; i < count; i++)
        TRY(merge_repoint_event(w, events[i], kind, from, to));
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- filling */
/* What the one lacks, the other gives; of the address line by line. */
static Err fill(Arena *mem, EntityHead *primary, const EntityHead *duplicate)
{
    Slice ours = node_text_of(mem, primary->node), theirs = node_text_of(mem, duplicate->node), a, b, merged;
    Node *node;

    merged = facts_overlay(mem, theirs, ours);
    if (members_at(ours, SLICE_LIT("/address"), &a) && members_at(theirs, SLICE_LIT("/address"), &b)) {
        StrBuf address = strbuf_new(mem, NODE_MAX_BYTES);

        strbuf_append_cstr(&address, "{\"address\":");
        strbuf_append(&address, facts_overlay(mem, b, a));
        strbuf_append_char(&address, '}');
        merged = facts_overlay(mem, merged, strbuf_slice(&address));
    }
    if (!node_read(mem, merged, &node))
        return err_make(&INTERNAL, "two documents do not make one");
    primary->node = node;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- merging */
static Err check_pair(const EntityHead *primary, const EntityHead *duplicate, Merged *out)
{
    *out = (Merged){.canonical = primary->id,
                    .already = duplicate->deleted_us && same(duplicate->superseded_by, primary->id)};
    if (out->already)
        return OK;
    if (primary->deleted_us)
        return err_make(&GONE, "the primary is not there any more");
    return duplicate->deleted_us ? err_make(&GONE, "the duplicate is not there any more") : OK;
}

static Err refuse_same(Uuid primary, Uuid duplicate)
{
    return same(primary, duplicate) ? err_make(&INVALID_ARGUMENT, "primary_id and duplicate_id are the same") : OK;
}

/* An order for locks. */
static bool comes_first(Uuid a, Uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) < 0;
}

/* Public events may name what goes. */
static void keep_public(EntityHead *keeps, const EntityHead *goes)
{
    if (lifecycle_is_public(goes->lifecycle))
        keeps->lifecycle = LIFECYCLE_PUBLISHED;
}

Err merge_places(const EntityWriter *w, Uuid primary, Uuid duplicate, Merged *out)
{
    PlaceEntity keeps, goes;

    TRY(refuse_same(primary, duplicate));
    TRY(events_store_check_there(w->tx, ENTITY_PLACE, primary));
    TRY(events_store_check_there(w->tx, ENTITY_PLACE, duplicate));
    TRY(repoint(w, ENTITY_PLACE, duplicate, primary)); /* events are locked first, by everybody */
    TRY(comes_first(primary, duplicate) ? place_load(w, primary, &keeps) : place_load(w, duplicate, &goes));
    TRY(comes_first(primary, duplicate) ? place_load(w, duplicate, &goes) : place_load(w, primary, &keeps));
    TRY(check_pair(&keeps.head, &goes.head, out));
    if (out->already)
        return OK;
    TRY(fill(w->mem, &keeps.head, &goes.head));
    keep_public(&keeps.head, &goes.head);
    if (!keeps.timezone[0])
        keeps.timezone = goes.timezone;
    TRY(place_save(w, &keeps, "place.merged", NULL));
    TRY(repoint(w, ENTITY_PLACE, duplicate, primary)); /* what came meanwhile */
    TRY(events_store_forward(w->tx, ENTITY_PLACE, duplicate, primary, w->now_us));
    entity_delete(w, &goes.head, "merged", primary);
    return place_save(w, &goes, "place.merged", NULL);
}

Err merge_organizations(const EntityWriter *w, Uuid primary, Uuid duplicate, Merged *out)
{
    OrganizationEntity keeps, goes;

    TRY(refuse_same(primary, duplicate));
    TRY(events_store_check_there(w->tx, ENTITY_ORGANIZATION, primary));
    TRY(events_store_check_there(w->tx, ENTITY_ORGANIZATION, duplicate));
    TRY(repoint(w, ENTITY_ORGANIZATION, duplicate, primary)); /* events are locked first, by everybody */
    TRY(comes_first(primary, duplicate) ? organization_load(w, primary, &keeps)
                                        : organization_load(w, duplicate, &goes));
    TRY(comes_first(primary, duplicate) ? organization_load(w, duplicate, &goes)
                                        : organization_load(w, primary, &keeps));
    TRY(check_pair(&keeps.head, &goes.head, out));
    if (out->already)
        return OK;
    TRY(fill(w->mem, &keeps.head, &goes.head));
    keep_public(&keeps.head, &goes.head);
    TRY(organization_save(w, &keeps, "organization.merged", NULL));
    TRY(repoint(w, ENTITY_ORGANIZATION, duplicate, primary)); /* what came meanwhile */
    TRY(events_store_forward(w->tx, ENTITY_ORGANIZATION, duplicate, primary, w->now_us));
    entity_delete(w, &goes.head, "merged", primary);
    return organization_save(w, &goes, "organization.merged", NULL);
}

/* ---------------------------------------------------------------------------------------------------- handlers */
static void read_id(Request *rq, const char *field, const char *text, Uuid *out)
{
    if (!text || !ulid_parse(slice(text), out))
        request_add_violation(rq, ATRIUM__PART__BODY, field, "ulid", "26 letters and digits of a ULID");
}

static Err answer_merge(Request *rq, EntityKind kind, const Events__V1__MergeRequest *in, Events__V1__MergeReply *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Uuid primary = {{0}}, duplicate = {{0}};
    EntityWriter w;
    Merged merged;

    read_id(rq, "primary_id", in->primary_id, &primary);
    read_id(rq, "duplicate_id", in->duplicate_id, &duplicate);
    if (request_has_violations(rq))
        return err_make(&INVALID_ARGUMENT, "primary_id and duplicate_id: ULIDs");
    TRY(db_tx_begin(rq, &tx));
    w = entity_writer(rq, &tx);
    TRY(kind == ENTITY_PLACE ? merge_places(&w, primary, duplicate, &merged)
                             : merge_organizations(&w, primary, duplicate, &merged));
    if (!merged.already)
        TRY(audit_note(rq, &tx,
                       &(AuditNote){.action = kind == ENTITY_PLACE ? "place.merged" : "organization.merged",
                                    .kind = kind,
                                    .target = duplicate}));
    TRY(db_tx_commit(&tx));
    rerender_at_once(rq, merged.canonical);
    entity_settled(rq->service);
    out->status = arena_strdup(rq->mem, "merged");
    out->canonical_id = uuid_text(rq->mem, merged.canonical);
    out->canonical_ulid = ulid_text(rq->mem, merged.canonical);
    SET(out, already_merged, merged.already);
    return OK;
}

Err events_v1_merge_places(Request *rq, const Events__V1__MergeRequest *in, Events__V1__MergeReply *out)
{
    return answer_merge(rq, ENTITY_PLACE, in, out);
}

Err events_v1_merge_organizations(Request *rq, const Events__V1__MergeRequest *in, Events__V1__MergeReply *out)
{
    return answer_merge(rq, ENTITY_ORGANIZATION, in, out);
}
