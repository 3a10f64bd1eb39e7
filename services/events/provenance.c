/* provenance: see provenance.h. */
#include "services/events/provenance.h"

#include "services/events/facts.h"
#include "services/events/members.h"
#include "services/events/store_provenance.h"

const Uuid ADMINISTRATION_SOURCE = {{0, 0, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 1}};

enum { CHOSEN_MAX_BYTES = 8192, FACTS_MAX_BYTES = 2 * NODE_MAX_BYTES };

/* ---------------------------------------------------------------------------------------------------- the rule */
typedef struct Parts {
    Member list[MEMBERS_MAX];
    size_t count;
} Parts;

/* The facts of each saying. */
static Parts *split_all(Arena *mem, const Saying *list, size_t count)
{
    Parts *parts = ARENA_ARRAY(mem, Parts, count);

    for (size_t i = 0; i < count; i++)
        parts[i].count = members_of(list[i].facts, parts[i].list);
    return parts;
}

static StrBuf *new_choices(Arena *mem, size_t count)
{
    StrBuf *chosen = ARENA_ARRAY(mem, StrBuf, count);

    for (size_t i = 0; i < count; i++)
        chosen[i] = strbuf_new(mem, CHOSEN_MAX_BYTES);
    return chosen;
}

static void choose(StrBuf *chosen, Slice name)
{
    strbuf_append(chosen, name);
    strbuf_append_char(chosen, ' ');
}

static void keep_choices(Saying *list, StrBuf *chosen, size_t count)
{
    for (size_t i = 0; i < count; i++)
        list[i].chosen = strbuf_slice(&chosen[i]);
}

/* Is `a` believed rather than `b`, of this member? */
static bool outranks(const Saying *a, const Saying *b, Slice name)
{
    bool a_stands = facts_is_chosen(a->chosen, name), b_stands = facts_is_chosen(b->chosen, name);

    if (a->trust != b->trust)
        return a->trust > b->trust;
    if (a_stands != b_stands)
        return a_stands;
    if (a->confidence != b->confidence) /* never NaN: it is a sum of constants */
        return a->confidence > b->confidence;
    return a->observed_us > b->observed_us;
}

/* Is there somebody who is believed rather than `at`? */
static bool is_outranked(const Saying *list, const Parts *parts, size_t count, size_t at, Slice name)
{
    for (size_t i = 0; i < count; i++)
        if (i != at && members_find(parts[i].list, parts[i].count, name) && outranks(&list[i], &list[at], name))
            return true;
    return false;
}

void provenance_rank(Arena *mem, Saying *list, size_t count, Slice *out_facts)
{
    Parts *parts = split_all(mem, list, count);
    StrBuf *chosen = new_choices(mem, count), facts = strbuf_new(mem, FACTS_MAX_BYTES);

    strbuf_append_char(&facts, '{');
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < parts[i].count; k++) {
            const Member *member = &parts[i].list[k];

            if (!facts_is_one(member->name) || is_outranked(list, parts, count, i, member->name))
                continue;
            choose(&chosen[i], member->name);
            facts_append(&facts, member->name, member->value);
        }
    strbuf_append_char(&facts, '}');
    keep_choices(list, chosen, count);
    *out_facts = strbuf_slice(&facts);
}

/* Whose word stands; `count`: nobody's. */
static size_t who_stands(const Saying *list, size_t count, Slice name)
{
    size_t i = 0;

    while (i < count && !facts_is_chosen(list[i].chosen, name))
        i++;
    return i;
}

static bool wins(const Saying *list, size_t count, size_t said, Slice standing, Slice name)
{
    Member now[MEMBERS_MAX];
    size_t holder = who_stands(list, count, name);

    return !members_find(now, members_of(standing, now), name) || holder == count || holder == said ||
           list[said].trust > list[holder].trust;
}

void provenance_take(Arena *mem, Saying *list, size_t count, size_t said, Slice standing, Slice *out_facts)
{
    Parts parts;
    StrBuf *chosen = new_choices(mem, count), facts = strbuf_new(mem, FACTS_MAX_BYTES), names;

    parts.count = members_of(list[said].facts, parts.list);
    names = strbuf_new(mem, CHOSEN_MAX_BYTES);
    strbuf_append_char(&facts, '{');
    for (size_t k = 0; k < parts.count; k++) {
        const Member *member = &parts.list[k];

        if (!facts_is_one(member->name) || !wins(list, count, said, standing, member->name))
            continue;
        choose(&names, member->name);
        facts_append(&facts, member->name, member->value);
    }
    strbuf_append_char(&facts, '}');
    for (size_t i = 0; i < count; i++) {
        Slice rest = list[i].chosen, one;

        while (i != said && slice_cut(rest, ' ', &one, &rest))
            if (!facts_is_chosen(strbuf_slice(&names), one))
                choose(&chosen[i], one);
    }
    chosen[said] = names;
    keep_choices(list, chosen, count);
    *out_facts = strbuf_slice(&facts);
}

/* ---------------------------------------------------------------------------------------------------- events */
static Slice document(Arena *mem, const Node *node)
{
    StrBuf out = strbuf_new(mem, NODE_MAX_BYTES);

    node_write_json(&out, node, &(NodeWriting){.shown = SHOWN_DETAIL});
    return strbuf_slice(&out);
}

static void append_date(StrBuf *out, const char *name, int64_t unix_us)
{
    if (unix_us)
        strbuf_printf(out, ",\"%s\":\"%s\"", name, utc_text(out->mem, unix_us));
}

static void append_reference(const EntityWriter *w, StrBuf *out, EntityKind kind, const char *type, Uuid id)
{
    strbuf_printf(out, "{\"@type\":\"%s\",\"@id\":", type);
    strbuf_append_json(out, slice(entity_uri(w->mem, w->events, kind, id)));
    strbuf_append_char(out, '}');
}

static void append_location(const EntityWriter *w, StrBuf *out, const EventEntity *event)
{
    bool place = !uuid_is_nil(event->place_id), virtual = event->virtual_url[0];

    if (!place && !virtual)
        return;
    strbuf_append_cstr(out, place && virtual ? ",\"location\":[" : ",\"location\":");
    if (place)
        append_reference(w, out, ENTITY_PLACE, "Place", event->place_id);
    if (place && virtual)
        strbuf_append_char(out, ',');
    if (virtual) {
        strbuf_append_cstr(out, "{\"@type\":\"VirtualLocation\",\"url\":");
        strbuf_append_json(out, slice(event->virtual_url));
        strbuf_append_char(out, '}');
    }
    if (place && virtual)
        strbuf_append_char(out, ']');
}

/* As a source would say it: what is kept in columns beside the node is there, too. */
static Slice standing_of(const EntityWriter *w, const EventEntity *event)
{
    StrBuf out = strbuf_new(w->mem, FACTS_MAX_BYTES);

    node_write_json(&out, event->head.node, &(NodeWriting){.shown = SHOWN_DETAIL});
    strbuf_truncate(&out, out.len - 1); /* the brace */
    append_location(w, &out, event);
    if (!uuid_is_nil(event->organizer_id)) {
        strbuf_append_cstr(&out, ",\"organizer\":");
        append_reference(w, &out, ENTITY_ORGANIZATION, "Organization", event->organizer_id);
    }
    if (event->occurrence_count) {
        append_date(&out, "startDate", event->occurrences[0].start_us);
        append_date(&out, "endDate", event->occurrences[0].end_us);
        append_date(&out, "doorTime", event->occurrences[0].door_us);
    }
    strbuf_append_char(&out, '}');
    return strbuf_slice(&out);
}

static int64_t date_of(const Node *node, TermId term)
{
    int64_t seconds;
    int32_t nanos;

    return time_parse(node_text(node, term), &seconds, &nanos) ? seconds * 1000000 + nanos / 1000 : 0;
}

static void take_dates(EventEntity *event, const Node *facts)
{
    Occurrence *only = event->occurrences;
    int64_t start = date_of(facts, TERM_START_DATE), end = date_of(facts, TERM_END_DATE),
            door = date_of(facts, TERM_DOOR_TIME);

    if (event->occurrence_count != 1 || only->detached)
        return;
    if (start && only->end_us && !end && start != only->start_us)
        only->end_us += start - only->start_us; /* moved, and as long as before */
    if (start)
        only->start_us = start;
    if (end)
        only->end_us = end;
    if (door)
        only->door_us = door;
    if (only->end_us && only->end_us < only->start_us)
        only->end_us = 0; /* of another source than the start is: it does not go with it */
}

static void take_location(const EntityWriter *w, EventEntity *event, const Node *facts)
{
    const Property *location = node_get(facts, TERM_LOCATION);

    if (!location)
        return;
    event->place_id = (Uuid){0};
    event->virtual_url = event->virtual_name = "";
    for (size_t i = 0; i < location->count; i++) {
        const Node *place = location->values[i].node;

        if (place->type->family == FAMILY_VIRTUAL) {
            event->virtual_url = slice_cstr(w->mem, node_text(place, TERM_URL));
            event->virtual_name = slice_cstr(w->mem, node_text(place, TERM_NAME));
        } else {
            (void)entity_of_uri(w->events, ENTITY_PLACE, place->id, &event->place_id);
        }
    }
}

/* Names of other documents' members stand in columns: they leave the node. */
static Err take_facts(const EntityWriter *w, EventEntity *event, Slice facts)
{
    static const TermId BESIDE[] = {TERM_LOCATION, TERM_ORGANIZER, TERM_START_DATE, TERM_END_DATE, TERM_DOOR_TIME};
    Slice typed = facts_overlay(w->mem, SLICE_LIT("{\"@type\":\"Event\"}"), facts);
    Node *believed, *whole;

    if (!node_read(w->mem, typed, &believed) ||
        !node_read(w->mem, facts_overlay(w->mem, document(w->mem, event->head.node), facts), &whole))
        return err_make(&INVALID_ARGUMENT, "what the sources say of it is too much for one document");
    take_dates(event, believed);
    take_location(w, event, believed);
    if (node_node(believed, TERM_ORGANIZER))
        (void)entity_of_uri(w->events, ENTITY_ORGANIZATION, node_node(believed, TERM_ORGANIZER)->id,
                            &event->organizer_id);
    for (size_t i = 0; i < ARRAY_LEN(BESIDE); i++)
        node_clear(whole, BESIDE[i]);
    event->head.node = whole;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- hearing */
static bool same_source(Uuid a, Uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

Err provenance_begin(const EntityWriter *w, Uuid entity, const Observation *o)
{
    Saying saying = {
        .source = o->source, .confidence = o->confidence, .observed_us = w->now_us, .facts = document(w->mem, o->said)};
    Slice facts;

    provenance_take(w->mem, &saying, 1, 0, SLICE_LIT("{}"), &facts);
    return events_store_observe(w->tx, entity, &saying);
}

/* What this source says over what it said; its place in the list, which has room. */
static size_t join_said(const EntityWriter *w, Saying *list, size_t *count, const Observation *o, int trust)
{
    Slice said = document(w->mem, o->said);
    size_t at = 0;

    while (at < *count && !same_source(list[at].source, o->source))
        at++;
    if (at == *count)
        list[(*count)++] = (Saying){.source = o->source, .trust = trust, .facts = said};
    else
        list[at].facts = facts_overlay(w->mem, list[at].facts, said);
    list[at].observed_us = MAX(w->now_us, list[at].observed_us + 1);
    list[at].confidence = o->confidence;
    return at;
}

Err provenance_hear(const EntityWriter *w, EventEntity *event, const Observation *o)
{
    Uuid id = event->head.id;
    Saying *list;
    Slice facts;
    size_t count, at;
    int trust;

    TRY(events_store_sayings(w->tx, w->mem, id, &list, &count));
    TRY(events_store_trust(w->tx, o->source, &trust));
    at = join_said(w, list, &count, o, trust);
    provenance_take(w->mem, list, count, at, standing_of(w, event), &facts);
    TRY(events_store_supersede(w->tx, id, list[at].source, w->now_us));
    TRY(events_store_observe(w->tx, id, &list[at]));
    TRY(events_store_choices(w->tx, w->mem, id, list, count));
    return take_facts(w, event, facts);
}

Err provenance_leads(const EntityWriter *w, Uuid event, Uuid source, bool made_it, bool *out)
{
    Saying *list;
    size_t count;
    int trust;

    TRY(events_store_sayings(w->tx, w->mem, event, &list, &count));
    TRY(events_store_trust(w->tx, source, &trust));
    *out = true;
    for (size_t i = 0; i < count; i++) {
        const Saying *other = &list[i];
        bool passes = made_it && same_source(other->source, ADMINISTRATION_SOURCE);

        if (!passes && !same_source(other->source, source) && other->trust >= trust + made_it)
            *out = false;
    }
    return OK;
}

Err provenance_decide(const EntityWriter *w, EventEntity *event)
{
    Saying *list;
    Slice facts;
    size_t count;

    TRY(events_store_sayings(w->tx, w->mem, event->head.id, &list, &count));
    provenance_rank(w->mem, list, count, &facts);
    TRY(events_store_choices(w->tx, w->mem, event->head.id, list, count));
    return take_facts(w, event, facts);
}

Err provenance_move(const EntityWriter *w, Uuid from, Uuid to)
{
    return events_store_move_sayings(w->tx, from, to, w->now_us);
}
