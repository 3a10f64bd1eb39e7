/* filters: see filters.h. */
#include "services/events/filters.h"

#include <math.h>

#include "services/events/entity.h"
#include "shared/civil.h"
#include "shared/routes.h"
#include "shared/zone.h"

enum { CURSOR_MAX_BYTES = 192, NUMBER_MAX_BYTES = 32 };

/* --- small parsers ----------------------------------------------------------------------------------------------- */
static bool digits(Slice text, size_t at, size_t count, int64_t *out)
{
    int64_t value = 0;

    for (size_t i = at; i < at + count; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        value = value * 10 + (text.ptr[i] - '0');
    }
    *out = value;
    return true;
}

bool date_parse(Slice text, int64_t *out_days)
{
    int64_t year, month, day;
    CivilDate date;

    if (text.len != 10 || text.ptr[4] != '-' || text.ptr[7] != '-' || !digits(text, 0, 4, &year) ||
        !digits(text, 5, 2, &month) || !digits(text, 8, 2, &day) || year < 1)
        return false;
    date = (CivilDate){.year = year, .month = (int)month, .day = (int)day};
    if (!civil_date_exists(date))
        return false;
    *out_days = civil_days(date);
    return true;
}

bool filter_number(Slice text, double *out)
{
    char copy[NUMBER_MAX_BYTES + 1], *end;
    double value;

    if (text.len == 0 || text.len > NUMBER_MAX_BYTES)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!strchr("0123456789+-.eE", text.ptr[i])) /* no hexadecimals, no "inf" */
            return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    value = strtod(copy, &end);
    if (*end || !isfinite(value))
        return false;
    *out = value;
    return true;
}

uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * UINT64_C(0x100000001b3);
    return hash;
}

uint64_t hash_text(uint64_t hash, const char *text)
{
    return hash_bytes(hash, text, strlen(text) + 1);
}

Slice like_pattern(Arena *mem, const char *text)
{
    char *pattern = arena_alloc_raw(mem, 2 * strlen(text) + 2, 1), *to = pattern;

    *to++ = '%';
    for (; *text; text++) {
        if (strchr("%_\\", *text))
            *to++ = '\\';
        *to++ = *text;
    }
    *to++ = '%';
    return slice_of(pattern, (size_t)(to - pattern));
}

/* --- cursors ----------------------------------------------------------------------------------------------------- */
char *cursor_write(Arena *mem, int64_t key_us, Uuid id, uint64_t hash)
{
    return base64url_encode(
        mem, slice(arena_printf(mem, "%" PRId64 "000:%s:%016" PRIx64, key_us, ulid_text(mem, id), hash)));
}

char *cursor_write_occurrence(Arena *mem, int64_t key_us, Uuid id, uint64_t hash, Uuid occurrence)
{
    return base64url_encode(mem, slice(arena_printf(mem, "%" PRId64 "000:%s:%016" PRIx64 ":%s", key_us,
                                                    ulid_text(mem, id), hash, uuid_text(mem, occurrence))));
}

Uuid cursor_occurrence(Arena *mem, Slice text)
{
    Uuid id = {{0}};
    Slice plain, part;

    if (!base64_decode(mem, text, &plain))
        return id;
    for (int i = 0; i < 3; i++)
        if (!slice_cut(plain, ':', &part, &plain))
            return id;
    if (!uuid_parse(plain, &id))
        id = (Uuid){{0}};
    return id;
}

bool cursor_read(Arena *mem, Slice text, uint64_t hash, int64_t *out_us, Uuid *out_id)
{
    Slice plain, nanos, ulid, bound, occurrence;
    int64_t ns;

    if (text.len == 0 || text.len > CURSOR_MAX_BYTES || !base64_decode(mem, text, &plain) ||
        !slice_cut(plain, ':', &nanos, &plain))
        return false;
    if (slice_cut(plain, ':', &ulid, &bound)) {
        (void)slice_cut(bound, ':', &bound, &occurrence); /* false: it has none */
        if (!slice_eq_cstr(bound, arena_printf(mem, "%016" PRIx64, hash)))
            return false;
    }
    /* Ours end with "000", which keeps what does not fit nanoseconds: a year of 2300. */
    if (slice_ends_with(nanos, SLICE_LIT("000")) && nanos.len > 3) {
        if (!slice_to_int64(slice_take(nanos, nanos.len - 3), out_us))
            return false;
    } else if (slice_to_int64(nanos, &ns)) {
        *out_us = ns / 1000;
    } else {
        return false;
    }
    if (*out_us < WINDOW_FROM_US || *out_us > WINDOW_TO_US)
        return false;
    return ulid_parse(ulid, out_id);
}

uint64_t filter_fuzzy_hash(uint64_t hash)
{
    return ~hash;
}

/* --- one parameter after the other ------------------------------------------------------------------------------- */
static void wrong(Request *rq, const char *name, const char *rule)
{
    request_add_violation(rq, ATRIUM__PART__QUERY, name, "invalid", "%s", rule);
}

static const char *given(const char *text)
{
    return text ? text : "";
}

bool filter_limit(Request *rq, const char *text, int64_t *out)
{
    *out = PAGE_DEFAULT;
    if (!given(text)[0])
        return true;
    if (slice_to_int64(slice(text), out) && *out >= 1 && *out <= PAGE_MAX)
        return true;
    wrong(rq, "limit", "limit must be 1 to 200");
    return false;
}

static void read_ulid(Request *rq, const char *name, const char *text, Uuid *out)
{
    if (given(text)[0] && !ulid_parse(slice(text), out))
        wrong(rq, name, "must be a ULID");
}

static void read_dates(Request *rq, const Events__V1__ListEventsRequest *in, EventFilter *f)
{
    const Events *events = rq->service;
    const Zone *zone = zones_find(events->zones, slice(events->settings->default_timezone));
    int64_t from, to;
    bool has_from = given(in->start_date)[0], has_to = given(in->end_date)[0];

    f->from_us = WINDOW_FROM_US;
    f->to_us = WINDOW_TO_US;
    if (has_from && !date_parse(slice(in->start_date), &from)) {
        wrong(rq, "startDate", "must be a date, YYYY-MM-DD");
        return;
    }
    if (has_to && !date_parse(slice(in->end_date), &to)) {
        wrong(rq, "endDate", "must be a date, YYYY-MM-DD");
        return;
    }
    if (has_from && has_to && to < from) {
        wrong(rq, "endDate", "must not be before startDate");
        return;
    }
    if (!has_from && !has_to) {
        from = civil_floor_div(zone_to_wall(zone, clock_unix_us(rq->clock) / 1000000), CIVIL_S_PER_DAY);
        has_from = true;
    }
    if (has_from)
        f->from_us = zone_to_unix(zone, from * CIVIL_S_PER_DAY) * 1000000;
    if (has_to)
        f->to_us = zone_to_unix(zone, (to + 1) * CIVIL_S_PER_DAY) * 1000000;
}

static void read_words(Request *rq, const Events__V1__ListEventsRequest *in, EventFilter *f)
{
    const char *state = given(in->state)[0] ? in->state : given(in->lifecycle_state);
    const char *domain = given(in->domain)[0] ? in->domain : given(in->event_domain);
    Lifecycle lifecycle;

    f->state = state;
    f->domain = domain;
    f->q = given(in->q)[0] ? in->q : given(in->search);
    f->locality = given(in->locality);
    f->mode = given(in->mode);
    if (state[0] && !lifecycle_parse(slice(state), &lifecycle))
        wrong(rq, "state", "must be draft, published, postponed, rescheduled, sold_out, cancelled or completed");
    if (domain[0] && !domain_is_known(slice(domain)))
        wrong(rq, "domain", "must be arts, music, culture, sports, community, education or general");
    if (utf8_length(slice(f->q)) > QUERY_MAX_CHARS)
        wrong(rq, "q", "must be at most 200 characters");
    if (utf8_length(slice(f->locality)) > QUERY_MAX_CHARS)
        wrong(rq, "locality", "must be at most 200 characters");
    if (f->mode[0] && strcmp(f->mode, "online") != 0 && strcmp(f->mode, "offline") != 0 &&
        strcmp(f->mode, "mixed") != 0)
        wrong(rq, "mode", "must be online, offline or mixed");
    if (given(in->occurrences)[0] && strcmp(in->occurrences, "expand") != 0)
        wrong(rq, "occurrences", "must be expand");
    f->expand = given(in->occurrences)[0];
}

static void read_keywords(Request *rq, const char *text, EventFilter *f)
{
    Slice rest = slice(text), word;

    while (rest.len) {
        (void)slice_cut(rest, ',', &word, &rest); /* false is the last one */
        word = slice_trim(word);
        if (word.len == 0)
            continue;
        if (f->keyword_count == FILTER_KEYWORDS_MAX) {
            wrong(rq, "keywords", "must be at most 20");
            return;
        }
        f->keywords[f->keyword_count++] = word;
    }
}

static bool read_number(Request *rq, const char *name, const char *text, double least, double most, double *out)
{
    if (filter_number(slice(text), out) && *out >= least && *out <= most)
        return true;
    wrong(rq, name, arena_printf(rq->mem, "must be a number from %g to %g", least, most));
    return false;
}

static void read_point(Request *rq, const Events__V1__ListEventsRequest *in, EventFilter *f)
{
    bool has_lat = given(in->near_lat)[0], has_lon = given(in->near_lon)[0];

    f->radius_km = RADIUS_DEFAULT_KM;
    if (has_lat != has_lon)
        wrong(rq, has_lat ? "near_lon" : "near_lat", "near_lat and near_lon belong together");
    else if (has_lat) {
        bool fine = read_number(rq, "near_lat", in->near_lat, -90, 90, &f->latitude);

        f->near = read_number(rq, "near_lon", in->near_lon, -180, 180, &f->longitude) && fine;
    }
    if (!given(in->radius)[0])
        return;
    if (!has_lat)
        wrong(rq, "radius", "radius is of near_lat and near_lon");
    else if (!filter_number(slice(in->radius), &f->radius_km) || f->radius_km <= 0 || f->radius_km > RADIUS_MAX_KM)
        wrong(rq, "radius", "must be above 0 and at most 100");
}

static void read_bbox(Request *rq, const char *text, EventFilter *f)
{
    double *const sides[] = {&f->west, &f->south, &f->east, &f->north};
    Slice rest = slice(text), number;
    bool fine = true;

    for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
        bool more = slice_cut(rest, ',', &number, &rest);

        fine = fine && more == (i < 3) && filter_number(slice_trim(number), sides[i]);
    }
    f->bbox = fine && fabs(f->west) <= 180 && fabs(f->east) <= 180 && fabs(f->south) <= 90 && fabs(f->north) <= 90 &&
              f->south <= f->north;
    if (!f->bbox)
        wrong(rq, "bbox", "must be west,south,east,north in degrees");
}

static void read_price(Request *rq, const Events__V1__ListEventsRequest *in, EventFilter *f)
{
    f->price_max = NAN;
    if (given(in->price_max)[0])
        (void)read_number(rq, "price_max", in->price_max, 0, 1e9, &f->price_max); /* its violation is kept */
    if (!given(in->free)[0])
        return;
    if (strcmp(in->free, "true") == 0)
        f->price_max = 0;
    else if (strcmp(in->free, "false") != 0)
        wrong(rq, "free", "must be true or false");
}

static void read_since(Request *rq, const char *text, EventFilter *f)
{
    int64_t seconds;
    int32_t nanos;

    if (!text[0])
        return;
    if (time_parse(slice(text), &seconds, &nanos))
        f->since_us = seconds * 1000000 + nanos / 1000;
    else
        wrong(rq, "updated_since", "must be a time of RFC 3339");
}

static void read_facets(Request *rq, const char *text, EventFilter *f)
{
    static const char *const NAMES[] = {"domain", "locality", "keyword", "month", "mode", "price"};
    Slice rest = slice(text), name;

    while (rest.len) {
        size_t i = 0;

        (void)slice_cut(rest, ',', &name, &rest); /* false is the last one */
        while (i < ARRAY_LEN(NAMES) && !slice_eq_cstr(slice_trim(name), NAMES[i]))
            i++;
        if (i == ARRAY_LEN(NAMES)) {
            wrong(rq, "facets", "must be among domain, locality, keyword, month, mode, price");
            return;
        }
        f->facets |= 1U << i;
    }
}

static void read_order(Request *rq, const Events__V1__ListEventsRequest *in, EventFilter *f)
{
    const char *sort = given(in->sort), *context = given(in->context);

    if (strcmp(sort, "relevance") == 0 && f->q[0])
        f->sort = SORT_RELEVANCE;
    else if (strcmp(sort, "distance") == 0 && f->near)
        f->sort = SORT_DISTANCE;
    else if (sort[0] && strcmp(sort, "start") != 0)
        wrong(rq, "sort", "must be start, relevance with q, or distance with near_lat and near_lon");
    if (strcmp(context, "url") == 0)
        f->context = CONTEXT_URL;
    else if (strcmp(context, "document") == 0)
        f->context = CONTEXT_DOCUMENT;
    else if (context[0] && strcmp(context, "inline") != 0)
        wrong(rq, "context", "must be inline, url or document");
    f->schedule_iris = strcmp(given(in->schedule), "iri") == 0;
    if (given(in->schedule)[0] && !f->schedule_iris)
        wrong(rq, "schedule", "must be iri");
}

/* --- names of parameters ----------------------------------------------------------------------------------------- */
/* Those that there are, and those that are other names of one. */
static const QueryName NAMES[] = {
    {"startDate", NULL},
    {"endDate", NULL},
    {"venueId", NULL},
    {"organizerId", NULL},
    {"state", NULL},
    {"domain", NULL},
    {"q", NULL},
    {"keywords", NULL},
    {"city", NULL},
    {"region", NULL},
    {"locality", NULL},
    {"limit", NULL},
    {"after", NULL},
    {"context", NULL},
    {"near_lat", NULL},
    {"near_lon", NULL},
    {"radius", NULL},
    {"bbox", NULL},
    {"price_max", NULL},
    {"free", NULL},
    {"mode", NULL},
    {"occurrences", NULL},
    {"updated_since", NULL},
    {"sort", NULL},
    {"facets", NULL},
    {"include_rrule", NULL}, /* of calendars, by the same filters */
    {"schedule", NULL},
    {"start_date", "startDate"},
    {"end_date", "endDate"},
    {"venue_id", "venueId"},
    {"organizer_id", "organizerId"},
    {"lifecycle_state", "state"},
    {"event_domain", "domain"},
    {"search", "q"},
    {"cursor", "after"},
};

static void check_name(Request *rq, Slice name, const QueryName *names, size_t count, Warnings *out)
{
    const char *warning = NULL;
    size_t i = 0;

    while (i < count && !slice_eq_cstr(name, names[i].name))
        i++;
    if (i == count)
        warning = arena_printf(rq->mem, "unknown parameter \"%.*s\" is ignored", SLICE_ARG(slice_take(name, 64)));
    else if (names[i].alias_of)
        warning = arena_printf(rq->mem, "parameter \"%s\" is an old name of \"%s\"", names[i].name, names[i].alias_of);
    if (warning && out->count < FILTER_WARNINGS_MAX)
        out->list[out->count++] = warning;
}

void query_check_names(Request *rq, const QueryName *names, size_t count, Warnings *out)
{
    Slice rest = slice(request_header(rq, "query-string")), pair, name, value;

    while (rest.len) {
        (void)slice_cut(rest, '&', &pair, &rest);  /* false is the last one */
        (void)slice_cut(pair, '=', &name, &value); /* false: a name alone */
        if (name.len && percent_decode(rq->mem, name, true, &name) && utf8_valid(name))
            check_name(rq, name, names, count, out);
    }
}

/* --- the whole --------------------------------------------------------------------------------------------------- */
/* Of what was asked, not of what it means today: a walk goes on past midnight. */
static uint64_t hash_of(const Events__V1__ListEventsRequest *in, const EventFilter *f)
{
    const double numbers[] = {
        f->near ? f->latitude : 0, f->near ? f->longitude : 0, f->near ? f->radius_km : 0, f->bbox ? f->west : 0,
        f->bbox ? f->south : 0,    f->bbox ? f->east : 0,      f->bbox ? f->north : 0,     f->price_max};
    const char *const texts[] = {given(in->start_date),
                                 given(in->end_date),
                                 f->state,
                                 f->domain,
                                 f->q,
                                 given(in->keywords),
                                 f->locality,
                                 f->mode,
                                 given(in->updated_since)};
    uint64_t hash = HASH_START;

    hash = hash_bytes(hash, numbers, sizeof(numbers));
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        hash = hash_text(hash, texts[i]);
    hash = hash_bytes(hash, f->venue_id.bytes, sizeof(f->venue_id.bytes));
    hash = hash_bytes(hash, f->organizer_id.bytes, sizeof(f->organizer_id.bytes));
    return hash_bytes(hash, &(int[]){(int)f->sort, f->expand, f->near, f->bbox}, 4 * sizeof(int));
}

Err filter_read(Request *rq, const Events__V1__ListEventsRequest *in, EventFilter *out)
{
    const char *after = given(in->after)[0] ? in->after : given(in->cursor);
    const Events *events = rq->service;
    EventFilter f = {.sees_all = caller_sees_all(rq), .shows_all = strcmp(events->settings->visibility, "all") == 0};

    read_dates(rq, in, &f);
    read_ulid(rq, "venueId", in->venue_id, &f.venue_id);
    read_ulid(rq, "organizerId", in->organizer_id, &f.organizer_id);
    read_words(rq, in, &f);
    read_keywords(rq, given(in->keywords), &f);
    read_point(rq, in, &f);
    if (given(in->bbox)[0])
        read_bbox(rq, in->bbox, &f);
    read_price(rq, in, &f);
    read_since(rq, given(in->updated_since), &f);
    read_facets(rq, given(in->facets), &f);
    read_order(rq, in, &f);
    (void)filter_limit(rq, in->limit, &f.limit); /* its violation is kept */
    query_check_names(rq, NAMES, ARRAY_LEN(NAMES), &f.warnings);
    f.hash = hash_of(in, &f);
    if (after[0]) {
        f.has_cursor = cursor_read(rq->mem, slice(after), f.hash, &f.cursor_us, &f.cursor_id);
        f.fuzzy = !f.has_cursor && f.q[0] &&
                  cursor_read(rq->mem, slice(after), filter_fuzzy_hash(f.hash), &f.cursor_us, &f.cursor_id);
        f.has_cursor |= f.fuzzy;
        if (f.has_cursor)
            f.cursor_occurrence = cursor_occurrence(rq->mem, slice(after));
        else
            wrong(rq, "after", "is no cursor of this list");
    }
    if (request_has_violations(rq))
        return err_make(&INVALID_ARGUMENT, "the query is not valid");
    *out = f;
    return OK;
}
