/* places: lists of places and organisations (contract 6.3), and counts (6.4). */
#include "services/events/store_places.h"

#include "atrium/events/v1/events.service.h"
#include "services/events/lists.h"
#include "services/events/negotiate.h"
#include "services/events/reading.h"

enum { LIST_MAX_BYTES = 8 * 1024 * 1024, STATS_MAX_AGE_S = 300 };

static const QueryName NAMES[] = {{"q", NULL},        {"city", NULL},    {"limit", NULL},      {"after", NULL},
                                  {"sort", NULL},     {"order", NULL},   {"near_lat", NULL},   {"near_lon", NULL},
                                  {"radius", NULL},   {"context", NULL}, {"near_place", NULL}, {"countrycodes", NULL},
                                  {"cursor", "after"}};

typedef struct EntityQuery {
    EntityFilter filter;
    uint64_t hash;
    ContextForm context;
    bool geocoded;
    NamedPoint point;
    Warnings warnings;
} EntityQuery;

/* --- what is asked for ------------------------------------------------------------------------------------------- */
static const char *given(const char *text)
{
    return text ? text : "";
}

static void wrong(Request *rq, const char *name, const char *rule)
{
    request_add_violation(rq, ATRIUM__PART__QUERY, name, "invalid", "%s", rule);
}

static void read_order(Request *rq, const Events__V1__ListEntitiesRequest *in, EntityQuery *q)
{
    const char *sort = given(in->sort), *order = given(in->order), *context = given(in->context);

    if (strcmp(sort, "name") == 0)
        q->filter.sort = ENTITY_BY_NAME;
    else if (sort[0] && strcmp(sort, "created_at") != 0)
        wrong(rq, "sort", "must be name or created_at");
    if (strcmp(order, "desc") == 0)
        q->filter.descending = true;
    else if (order[0] && strcmp(order, "asc") != 0)
        wrong(rq, "order", "must be asc or desc");
    if (strcmp(context, "url") == 0)
        q->context = CONTEXT_URL;
    else if (strcmp(context, "document") == 0)
        q->context = CONTEXT_DOCUMENT;
    else if (context[0] && strcmp(context, "inline") != 0)
        wrong(rq, "context", "must be inline, url or document");
}

static void read_degrees(Request *rq, const char *name, const char *text, double most, double *out)
{
    if (!filter_number(slice(text), out) || *out < -most || *out > most)
        wrong(rq, name, arena_printf(rq->mem, "must be a number from %g to %g", -most, most));
}

static void read_point(Request *rq, const Events__V1__ListEntitiesRequest *in, EntityQuery *q)
{
    bool has_lat = given(in->near_lat)[0], has_lon = given(in->near_lon)[0], named = given(in->near_place)[0];

    q->filter.radius_km = RADIUS_DEFAULT_KM;
    if (has_lat != has_lon)
        wrong(rq, has_lat ? "near_lon" : "near_lat", "near_lat and near_lon belong together");
    if (named && has_lat)
        wrong(rq, "near_place", "near_place and near_lat exclude each other");
    if (has_lat && has_lon) {
        read_degrees(rq, "near_lat", in->near_lat, 90, &q->filter.latitude);
        read_degrees(rq, "near_lon", in->near_lon, 180, &q->filter.longitude);
    }
    if (given(in->radius)[0] && (!filter_number(slice(in->radius), &q->filter.radius_km) || q->filter.radius_km <= 0 ||
                                 q->filter.radius_km > RADIUS_MAX_KM))
        wrong(rq, "radius", "must be above 0 and at most 100");
    if (has_lat || named)
        q->filter.sort = ENTITY_BY_DISTANCE;
}

/* Of what the cursor is bound to. */
static uint64_t hash_of(const Events__V1__ListEntitiesRequest *in, const EntityFilter *f)
{
    const char *const texts[] = {entity_word(f->kind),
                                 f->q,
                                 f->city,
                                 given(in->sort),
                                 given(in->order),
                                 given(in->near_lat),
                                 given(in->near_lon),
                                 given(in->radius),
                                 given(in->near_place),
                                 given(in->countrycodes)};
    uint64_t hash = HASH_START;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        hash = hash_text(hash, texts[i]);
    return hash;
}

/* There is no geocoder: a town is where our places in it are. */
static Err find_point(Request *rq, const char *name, const char *countries, EntityQuery *q)
{
    bool found;

    if (!given(name)[0])
        return OK;
    TRY(events_store_point_of(rq, name, countries, &found, &q->point));
    if (!found)
        return err_make(&GEOCODING_FAILED, "nothing is known of a place of that name");
    q->geocoded = true;
    q->filter.latitude = q->point.latitude;
    q->filter.longitude = q->point.longitude;
    return OK;
}

static Err read_query(Request *rq, EntityKind kind, const Events__V1__ListEntitiesRequest *in, EntityQuery *q)
{
    const char *after = given(in->after);

    *q =
        (EntityQuery){.filter = {.kind = kind, .q = given(in->q), .city = given(in->city), .sort = ENTITY_BY_CREATION}};
    if (utf8_length(slice(q->filter.q)) > QUERY_MAX_CHARS)
        wrong(rq, "q", "must be at most 200 characters");
    if (utf8_length(slice(q->filter.city)) > QUERY_MAX_CHARS)
        wrong(rq, "city", "must be at most 200 characters");
    read_order(rq, in, q);
    if (kind == ENTITY_PLACE)
        read_point(rq, in, q);
    (void)filter_limit(rq, in->limit, &q->filter.limit); /* its violation is kept */
    query_check_names(rq, NAMES, ARRAY_LEN(NAMES), &q->warnings);
    q->hash = hash_of(in, &q->filter);
    q->filter.has_cursor =
        after[0] && cursor_read(rq->mem, slice(after), q->hash, &q->filter.cursor_key, &q->filter.cursor_id);
    if (after[0] && !q->filter.has_cursor)
        wrong(rq, "after", "is no cursor of this list");
    if (request_has_violations(rq))
        return err_make(&INVALID_ARGUMENT, "the query is not valid");
    return find_point(rq, in->near_place, in->countrycodes, q);
}

/* --- the answer -------------------------------------------------------------------------------------------------- */
static uint64_t hash_rows(const EntityQuery *q, const EntityListRow *rows, size_t count)
{
    uint64_t hash = list_mix(list_mix(q->hash, (uint64_t)q->filter.limit), (uint64_t)q->context);

    for (size_t i = 0; i < count; i++) {
        uint64_t low;

        memcpy(&low, rows[i].id.bytes + 8, sizeof(low));
        hash = list_mix(list_mix(list_mix(hash, low), (uint64_t)rows[i].updated_us), (uint64_t)rows[i].rendered);
    }
    return list_mix(hash, q->warnings.count);
}

static void write_item(StrBuf *out, const EntityQuery *q, const EntityListRow *row, Slice context)
{
    strbuf_append_char(out, '{');
    strbuf_append(out, context);
    if (context.len)
        strbuf_append_char(out, ',');
    strbuf_append(out, slice_of(row->doc.ptr + 1, row->doc.len - 2)); /* within its braces */
    if (q->filter.sort == ENTITY_BY_DISTANCE)
        strbuf_printf(out, ",\"sel:distanceKm\":%.3f", (double)row->distance_m / 1000);
    strbuf_append_char(out, '}');
}

static void write_geocoding(StrBuf *out, const EntityQuery *q, const char *query)
{
    if (!q->geocoded)
        return;
    strbuf_append_cstr(out, ",\"geocoding\":{\"query\":");
    strbuf_append_json(out, slice(query));
    strbuf_printf(out, ",\"latitude\":%.7g,\"longitude\":%.7g,\"display_name\":", q->point.latitude,
                  q->point.longitude);
    strbuf_append_json(out, slice(q->point.name));
    strbuf_append_cstr(out, ",\"cached\":false}");
}

static char *next_cursor(Arena *mem, const EntityQuery *q, const EntityListRow *last)
{
    return cursor_write(mem, q->filter.sort == ENTITY_BY_DISTANCE ? last->distance_m : last->created_us, last->id,
                        q->hash);
}

static Err answer_list(Request *rq, EntityKind kind, const Events__V1__ListEntitiesRequest *in, Atrium__HttpBody *out)
{
    const Contexts *contexts = ((const Events *)rq->service)->contexts;
    Slice inlined = contexts->inlined[kind == ENTITY_PLACE ? CONTEXT_PLACE : CONTEXT_ORGANIZATION], item = inlined;
    Format format = negotiate_api(request_header(rq, "accept"), &(Format){FORMAT_JSONLD}, 1);
    StrBuf body = strbuf_new(rq->mem, LIST_MAX_BYTES);
    EntityListRow *rows;
    EntityQuery q;
    size_t count, shown;

    TRY(read_query(rq, kind, in, &q));
    TRY(events_store_entities(rq, &q.filter, &rows, &count));
    shown = MIN(count, (size_t)q.filter.limit);
    if (list_is_known(rq, hash_rows(&q, rows, count), "json"))
        return OK;
    strbuf_append_char(&body, '{');
    if (q.context != CONTEXT_INLINE)
        item = q.context == CONTEXT_URL ? contexts->by_url : SLICE_LIT("");
    if (q.context == CONTEXT_DOCUMENT) {
        strbuf_append(&body, inlined);
        strbuf_append_char(&body, ',');
    }
    strbuf_append_cstr(&body, "\"items\":[");
    for (size_t i = 0; i < shown; i++) {
        if (i)
            strbuf_append_char(&body, ',');
        write_item(&body, &q, &rows[i], item);
    }
    strbuf_append_cstr(&body, "],\"next_cursor\":");
    strbuf_append_json(&body, slice(count > shown ? next_cursor(rq->mem, &q, &rows[shown - 1]) : ""));
    write_geocoding(&body, &q, in->near_place);
    list_write_warnings(&body, &q.warnings);
    strbuf_append_char(&body, '}');
    return answer_body(&body, format_content_type(format), out);
}

/* --- handlers ---------------------------------------------------------------------------------------------------- */
Err events_v1_list_places(Request *rq, const Events__V1__ListEntitiesRequest *in, Atrium__HttpBody *out)
{
    return answer_list(rq, ENTITY_PLACE, in, out);
}

Err events_v1_list_organizations(Request *rq, const Events__V1__ListEntitiesRequest *in, Atrium__HttpBody *out)
{
    return answer_list(rq, ENTITY_ORGANIZATION, in, out);
}

Err events_v1_get_stats(Request *rq, const Events__V1__GetStatsRequest *in, Events__V1__Stats *out)
{
    const Events *events = rq->service;
    int64_t now_us = clock_unix_us(rq->clock);
    Stats stats;

    (void)in;
    TRY(events_store_stats(rq, now_us, &stats));
    out->status = (char *)(uintptr_t) "ok";
    out->version = (char *)(uintptr_t)events->build.version;
    out->git_commit = (char *)(uintptr_t)events->build.commit;
    out->slot = (char *)(uintptr_t)events->build.slot;
    SET(out, uptime_seconds, (now_us - events->build.started_us) / 1000000);
    SET(out, total_events, stats.events);
    SET(out, total_places, stats.places);
    SET(out, total_organizations, stats.organizations);
    SET(out, total_sources, stats.sources);
    SET(out, published_events, stats.published);
    SET(out, pending_events, stats.pending);
    SET(out, events_created_last_7_days, stats.created_7_days);
    SET(out, events_created_last_30_days, stats.created_30_days);
    SET(out, upcoming_events, stats.upcoming);
    SET(out, past_events, stats.past);
    if (stats.oldest_us) {
        out->oldest_event_date = utc_text(rq->mem, stats.oldest_us);
        out->newest_event_date = utc_text(rq->mem, stats.newest_us);
    }
    out->timestamp = utc_text(rq->mem, now_us);
    request_set_header(rq, "Cache-Control", arena_printf(rq->mem, "public, max-age=%d", STATS_MAX_AGE_S));
    return OK;
}
