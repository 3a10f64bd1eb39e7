/* store_list: see store_list.h.
 *
 * A filter has some twenty parts, of which a request uses two or three. One statement with all of them ("$1 IS NULL OR
 * …") gets plans that read everything, or is planned anew each time, which costs as much as running it. So the text is
 * put together of the parts that are used, from constants, values as $n as ever. Two things keep its plan: the limit is
 * a constant in it, or the planner would not know that a page is short; and values are (SELECT $n), because with the
 * value of a bare $n its estimate is so much better than without that it plans each time. Texts that were put together
 * are kept (Shapes). There are more shapes than are worth keeping; beyond SHAPES_MAX a filter gets the text with all
 * parts.
 *
 * A page by start is read in the order of an index, and reading ends with the page. For that the planner must not think
 * that pages of the disk are dear (random_page_cost in db.c): else it reads and sorts all of a town. */
#include "services/events/store_list.h"

#include <math.h>
#include <pthread.h>

#include "services/events/rendered.h"

enum { ARGS_MAX = 64, SHAPES_MAX = 256, TEXT_MAX_BYTES = 16384, OFFSET_MAX = 10000 };

/* --- shapes ------------------------------------------------------------------------------------------------------ */
struct Shapes {
    pthread_mutex_t lock;
    size_t count;
    char *texts[2 * SHAPES_MAX]; /* by hash; texts with all parts have the room beyond SHAPES_MAX */
};

Shapes *shapes_new(void)
{
    Shapes *shapes = xcalloc(1, sizeof(*shapes));

    pthread_mutex_init(&shapes->lock, NULL);
    return shapes;
}

void shapes_free(Shapes *shapes)
{
    if (!shapes)
        return;
    for (size_t i = 0; i < ARRAY_LEN(shapes->texts); i++)
        free(shapes->texts[i]);
    pthread_mutex_destroy(&shapes->lock);
    free(shapes);
}

/* NULL: there is no room for another one. */
static const char *keep_shape(Shapes *shapes, Slice text, size_t most)
{
    size_t at = hash_bytes(HASH_START, text.ptr, text.len) % ARRAY_LEN(shapes->texts);
    char *kept;

    pthread_mutex_lock(&shapes->lock);
    while (shapes->texts[at] && !slice_eq_cstr(text, shapes->texts[at]))
        at = (at + 1) % ARRAY_LEN(shapes->texts);
    if (!shapes->texts[at] && shapes->count < most) {
        shapes->texts[at] = xmalloc(text.len + 1);
        memcpy(shapes->texts[at], text.ptr, text.len);
        shapes->texts[at][text.len] = '\0';
        shapes->count++;
    }
    kept = shapes->texts[at];
    pthread_mutex_unlock(&shapes->lock);
    return kept;
}

/* --- a statement in the making ----------------------------------------------------------------------------------- */
/* Arguments that a text may name more than once. */
typedef enum Slot {
    SLOT_VENUE,
    SLOT_LOCALITY,
    SLOT_NEAR,
    SLOT_BBOX,
    SLOT_PRICE,
    SLOT_LATITUDE,
    SLOT_LONGITUDE,
    SLOT_RADIUS,
    SLOT_CIRCLE_BOX,                     /* eight numbers from here */
    SLOT_BBOX_BOX = SLOT_CIRCLE_BOX + 8, /* the same */
    SLOT_USES = SLOT_BBOX_BOX + 8,       /* whether a part is used, by its own slot */
    SLOT_COUNT = SLOT_USES + SLOT_PRICE + 1
} Slot;

typedef struct Query {
    StrBuf text;
    DbValue args[ARGS_MAX];
    size_t count;
    int slots[SLOT_COUNT]; /* 0: not among the arguments yet */
    bool whole;            /* with all parts, used or not */
    unsigned facet;        /* whose own part is left out; 0: none */
    bool fuzzy;
    const EventFilter *f;
} Query;

static int arg(Query *q, DbValue value)
{
    assert(q->count < ARGS_MAX);
    q->args[q->count++] = value;
    return (int)q->count;
}

static int shared_arg(Query *q, Slot slot, DbValue value)
{
    if (!q->slots[slot])
        q->slots[slot] = arg(q, value);
    return q->slots[slot];
}

/* Begins " AND (…"; false: the part is left out. */
static bool begin_part(Query *q, bool used)
{
    if (!used && !q->whole)
        return false;
    strbuf_append_cstr(&q->text, " AND (");
    if (q->whole)
        strbuf_printf(&q->text, "NOT $%d OR ", arg(q, db_bool(used)));
    return true;
}

/* The same of what may be asked of two rows. */
static bool begin_shared_part(Query *q, Slot slot, bool used)
{
    if (!used && !q->whole)
        return false;
    strbuf_append_cstr(&q->text, " AND (");
    if (q->whole)
        strbuf_printf(&q->text, "NOT $%d OR ", shared_arg(q, SLOT_USES + slot, db_bool(used)));
    return true;
}

static void end_part(Query *q)
{
    strbuf_append_char(&q->text, ')');
}

/* --- the parts of an occurrence ---------------------------------------------------------------------------------- */
#define EARTH_KM "6371.0088"
/* Great circle between a row's place and the filter's point. */
static void write_distance(Query *q, const char *row)
{
    int latitude = shared_arg(q, SLOT_LATITUDE, db_double(q->f->latitude));
    int longitude = shared_arg(q, SLOT_LONGITUDE, db_double(q->f->longitude));

    strbuf_printf(&q->text,
                  "2 * " EARTH_KM " * asin(least(1, sqrt(power(sin(radians(%1$s.latitude - $%2$d::float8) / 2), 2)"
                  " + cos(radians($%2$d::float8)) * cos(radians(%1$s.latitude))"
                  " * power(sin(radians(%1$s.longitude - $%3$d::float8) / 2), 2))))",
                  row, latitude, longitude);
}

/* A box that the index of places serves; across the antimeridian it is two. */
static void write_box(Query *q, Slot slot, const char *row, double west, double south, double east, double north)
{
    bool one = west <= east;
    const double boxes[2][4] = {{west, south, one ? east : 180, north}, {one ? west : -180, south, east, north}};

    strbuf_printf(&q->text, "%1$s.latitude IS NOT NULL AND %1$s.longitude IS NOT NULL AND (", row);
    for (int i = 0; i < (one && !q->whole ? 1 : 2); i++) {
        int at[4];

        for (int k = 0; k < 4; k++)
            at[k] = shared_arg(q, slot + (Slot)(4 * i + k), db_double(boxes[i][k]));
        strbuf_printf(&q->text,
                      "%spoint(%s.longitude, %s.latitude) <@ box(point($%d::float8, $%d::float8),"
                      " point($%d::float8, $%d::float8))",
                      i ? " OR " : "", row, row, at[0], at[1], at[2], at[3]);
    }
    strbuf_append_char(&q->text, ')');
}

/* Of a circle, by degrees; at the poles all around. */
static void write_circle(Query *q, const char *row)
{
    const EventFilter *f = q->f;
    double high = f->near ? f->radius_km / 111.0 : 0; /* a degree is 111.2 km */
    double narrow = cos(fmin(fabs(f->latitude) + high, 90) * 3.14159265358979 / 180);
    double wide = narrow * 180 <= high ? 180 : high / narrow, west = f->longitude - wide, east = f->longitude + wide;

    if (wide >= 180)
        west = -180, east = 180;
    else if (west < -180)
        west += 360;
    else if (east > 180)
        east -= 360;
    write_box(q, SLOT_CIRCLE_BOX, row, west, fmax(f->latitude - high, -90), east, fmin(f->latitude + high, 90));
    strbuf_append_cstr(&q->text, " AND ");
    write_distance(q, row);
    strbuf_printf(&q->text, " <= $%d::float8", shared_arg(q, SLOT_RADIUS, db_double(f->radius_km)));
}

/* What can be so of one occurrence of an event and not of another. `row` is "o", or "b" of one before it. */
static void write_occurrence_parts(Query *q, const char *row)
{
    const EventFilter *f = q->f;

    if (begin_shared_part(q, SLOT_VENUE, !uuid_is_nil(f->venue_id))) {
        strbuf_printf(&q->text, "%s.place_id = (SELECT $%d::uuid)", row,
                      shared_arg(q, SLOT_VENUE, db_uuid(f->venue_id)));
        end_part(q);
    }
    if (begin_shared_part(q, SLOT_LOCALITY, f->locality[0] && q->facet != FACET_LOCALITY)) {
        strbuf_printf(&q->text, "%s.locality = (SELECT fold($%d::text))", row,
                      shared_arg(q, SLOT_LOCALITY, db_text(slice(f->locality))));
        end_part(q);
    }
    if (begin_shared_part(q, SLOT_NEAR, f->near)) {
        write_circle(q, row);
        end_part(q);
    }
    if (begin_shared_part(q, SLOT_BBOX, f->bbox)) {
        write_box(q, SLOT_BBOX_BOX, row, f->west, f->south, f->east, f->north);
        end_part(q);
    }
    if (begin_shared_part(q, SLOT_PRICE, !isnan(f->price_max) && q->facet != FACET_PRICE)) {
        strbuf_printf(&q->text, "%s.asked_price <= $%d::float8", row,
                      shared_arg(q, SLOT_PRICE, db_double(isnan(f->price_max) ? 0 : f->price_max)));
        end_part(q);
    }
}

static bool has_occurrence_parts(const EventFilter *f)
{
    return !uuid_is_nil(f->venue_id) || f->locality[0] || f->near || f->bbox || !isnan(f->price_max);
}

/* --- the parts of an event --------------------------------------------------------------------------------------- */
static void write_visibility(Query *q)
{
    const EventFilter *f = q->f;
    Lifecycle lifecycle;
    bool hidden = f->state[0] && lifecycle_parse(slice(f->state), &lifecycle) && !lifecycle_is_public(lifecycle);

    if (f->shows_all || (hidden && f->sees_all))
        strbuf_append_cstr(&q->text, "e.deleted_at IS NULL AND e.takedown_at IS NULL");
    else
        strbuf_append_cstr(&q->text, hidden ? "false" : "o.listed");
    if (f->state[0])
        strbuf_printf(&q->text, " AND o.lifecycle = (SELECT $%d::text)", arg(q, db_text(slice(f->state))));
}

static void write_words(Query *q)
{
    const EventFilter *f = q->f;
    Arena *mem = q->text.mem;

    if (!begin_part(q, f->q[0]))
        return;
    if (q->fuzzy) {
        strbuf_printf(&q->text, "e.id IN (SELECT id FROM similar_events($%d::text))", arg(q, db_text(slice(f->q))));
    } else {
        strbuf_printf(&q->text, "e.haystack LIKE (SELECT fold($%d::text))", arg(q, db_text(like_pattern(mem, f->q))));
        strbuf_printf(&q->text, " OR e.words @@ (SELECT websearch_to_tsquery('simple', fold($%d::text)))",
                      arg(q, db_text(slice(f->q))));
    }
    end_part(q);
}

static void write_event_parts(Query *q)
{
    const EventFilter *f = q->f;

    if (begin_part(q, !uuid_is_nil(f->organizer_id))) {
        strbuf_printf(&q->text, "o.organizer_id = (SELECT $%d::uuid)", arg(q, db_uuid(f->organizer_id)));
        end_part(q);
    }
    if (begin_part(q, f->domain[0] && q->facet != FACET_DOMAIN)) {
        strbuf_printf(&q->text, "o.domain = (SELECT $%d::text)", arg(q, db_text(slice(f->domain))));
        end_part(q);
    }
    if (begin_part(q, f->mode[0] && q->facet != FACET_MODE)) {
        strbuf_printf(&q->text, "o.mode = (SELECT $%d::text)", arg(q, db_text(slice(f->mode))));
        end_part(q);
    }
    if (begin_part(q, f->keyword_count && q->facet != FACET_KEYWORD)) {
        strbuf_printf(&q->text, "o.keywords && ARRAY(SELECT lower(k) FROM unnest($%d::text[]) k)",
                      arg(q, db_text_array(f->keywords, f->keyword_count)));
        end_part(q);
    }
    if (begin_part(q, f->since_us != 0)) {
        strbuf_printf(&q->text, "e.updated_at >= $%d", arg(q, db_time_us(f->since_us)));
        end_part(q);
    }
    write_words(q);
}

/* One row per event, its earliest occurrence that matches: none before it does. Where nothing is asked that differs
 * between occurrences, that is the one whose predecessor lies before the window. */
static void write_earliest(Query *q, int from)
{
    if (q->f->expand || q->facet)
        return;
    strbuf_printf(&q->text, " AND (o.earlier_at < (SELECT $%d)", from);
    if (has_occurrence_parts(q->f) || q->whole) {
        strbuf_append_cstr(&q->text, " OR (");
        if (q->whole)
            strbuf_printf(&q->text, "$%d AND ", arg(q, db_bool(has_occurrence_parts(q->f))));
        strbuf_printf(&q->text,
                      "NOT EXISTS (SELECT 1 FROM occurrence b WHERE b.event_id = o.event_id"
                      " AND b.start_at >= (SELECT $%d) AND (b.start_at, b.id) < (o.start_at, o.id)",
                      from);
        write_occurrence_parts(q, "b");
        strbuf_append_cstr(&q->text, "))");
    }
    strbuf_append_char(&q->text, ')');
}

/* What lists filter by is copied into the occurrence, but for these. */
static bool looks_at_events(const Query *q)
{
    const EventFilter *f = q->f;

    return q->whole || f->q[0] || f->since_us || f->shows_all || (f->sees_all && f->state[0]) ||
           f->sort == SORT_RELEVANCE || (!q->facet && !f->bare);
}

static void write_where(Query *q)
{
    int from = arg(q, db_time_us(q->f->from_us));

    strbuf_append_cstr(&q->text, " FROM occurrence o");
    if (looks_at_events(q))
        strbuf_append_cstr(&q->text, " JOIN event e ON e.id = o.event_id");
    strbuf_append_cstr(&q->text, " WHERE ");
    write_visibility(q);
    strbuf_printf(&q->text, " AND o.start_at >= (SELECT $%d)", from);
    if (q->f->to_us != WINDOW_TO_US || q->whole)
        strbuf_printf(&q->text, " AND o.start_at < (SELECT $%d)", arg(q, db_time_us(q->f->to_us)));
    write_occurrence_parts(q, "o");
    write_event_parts(q);
    write_earliest(q, from);
}

/* --- a page ------------------------------------------------------------------------------------------------------ */
/* So that there are few shapes: the next of these. */
static int64_t page_room(int64_t limit)
{
    static const int64_t ROOMS[] = {11, 51, 101, PAGE_MAX + 1, LIST_MAX + 1};
    size_t i = 0;

    while (ROOMS[i] < limit + 1)
        i++;
    return ROOMS[i];
}

static void write_score(Query *q)
{
    int words = arg(q, db_text(slice(q->f->q)));

    if (q->fuzzy)
        strbuf_printf(&q->text, "public.word_similarity((SELECT fold($%d::text)), e.name_norm)", words);
    else
        strbuf_printf(&q->text,
                      "ts_rank_cd(e.words, (SELECT websearch_to_tsquery('simple', fold($%d::text))))"
                      " + CASE WHEN e.name_norm LIKE (SELECT '%%' || name_norm($%d::text) || '%%') THEN 1 ELSE 0 END",
                      words, words);
}

/* An event may have two occurrences at a start, which are told apart where each is a row. */
static void write_behind(Query *q)
{
    static const Uuid LAST = {{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};
    const EventFilter *f = q->f;
    int start = arg(q, db_time_us(f->has_cursor ? f->cursor_us : WINDOW_FROM_US)), id = arg(q, db_uuid(f->cursor_id));

    if (f->expand)
        strbuf_printf(&q->text, " AND (o.start_at, o.event_id, o.id) > ((SELECT $%d), (SELECT $%d), (SELECT $%d))",
                      start, id, arg(q, db_uuid(uuid_is_nil(f->cursor_occurrence) ? LAST : f->cursor_occurrence)));
    else
        strbuf_printf(&q->text, " AND (o.start_at, o.event_id) > ((SELECT $%d), (SELECT $%d))", start, id);
}

static void write_order(Query *q)
{
    const EventFilter *f = q->f;

    if (f->sort == SORT_START) {
        if (f->has_cursor || q->whole)
            write_behind(q);
        strbuf_printf(&q->text, " ORDER BY o.start_at, o.event_id%s LIMIT %" PRId64, f->expand ? ", o.id" : "",
                      page_room(f->limit));
        return;
    }
    strbuf_append_cstr(&q->text, " ORDER BY ");
    if (f->sort == SORT_RELEVANCE) {
        write_score(q);
        strbuf_append_cstr(&q->text, " DESC");
    } else {
        strbuf_append_cstr(&q->text, "5"); /* the distance */
    }
    strbuf_printf(&q->text, ", o.start_at, o.event_id%s OFFSET $%d LIMIT %" PRId64, f->expand ? ", o.id" : "",
                  arg(q, db_int64(f->has_cursor ? f->cursor_us : 0)), page_room(f->limit));
}

static void write_page(Query *q)
{
    const EventFilter *f = q->f;

    strbuf_append_cstr(&q->text, "SELECT o.event_id, o.id, o.start_at, o.end_at, ");
    if (f->near)
        write_distance(q, "o");
    else
        strbuf_append_cstr(&q->text, "NULL::float8");
    strbuf_append_cstr(&q->text, ", o.latitude, o.longitude, o.timezone");
    if (!f->bare)
        strbuf_append_cstr(&q->text, ", e.updated_at, e.rendered");
    write_where(q);
    write_order(q);
}

/* A text that stays, and its arguments. */
static const char *put_together(Request *rq, const EventFilter *f, unsigned facet, bool fuzzy, void (*write)(Query *),
                                Query *q)
{
    const Events *events = rq->service;
    const char *kept = NULL;

    for (int whole = 0; whole < 2 && !kept; whole++) {
        Slice text;

        *q = (Query){
            .text = strbuf_new(rq->mem, TEXT_MAX_BYTES), .whole = whole, .facet = facet, .fuzzy = fuzzy, .f = f};
        write(q);
        if (strbuf_finish(&q->text, &text))
            kept = keep_shape(events->shapes, text, whole ? 2 * SHAPES_MAX - 1 : SHAPES_MAX);
    }
    return kept;
}

static Slice copied(Arena *mem, Slice text)
{
    return slice_of(arena_memdup(mem, text.ptr, text.len), text.len);
}

static void read_row(Arena *mem, const DbRows *rows, int i, bool bare, ListRow *out)
{
    *out = (ListRow){
        .event_id = db_get_uuid(rows, i, 0),
        .occurrence_id = db_get_uuid(rows, i, 1),
        .start_us = db_get_time_us(rows, i, 2),
        .end_us = db_get_time_us(rows, i, 3),
        .distance_km = db_is_null(rows, i, 4) ? NAN : db_get_double(rows, i, 4),
        .located = !db_is_null(rows, i, 5) && !db_is_null(rows, i, 6),
        .latitude = db_get_double(rows, i, 5),
        .longitude = db_get_double(rows, i, 6),
        .timezone = db_get_cstr(mem, rows, i, 7),
    };
    if (bare)
        return;
    out->updated_us = db_get_time_us(rows, i, 8);
    out->rendered = db_get_int64(rows, i, 9);
}

/* --- cards ------------------------------------------------------------------------------------------------------- */
/* An array that is a value: nothing is estimated by it, and the plan stays. */
static const char CARDS[] =
    "SELECT k.n, e.rendered, e.updated_at, e.card, e.lifecycle NOT IN ('draft', 'pending_review')"
    " AND e.deleted_at IS NULL AND e.takedown_at IS NULL"
    " FROM unnest((SELECT $1::text[]::uuid[])) WITH ORDINALITY AS k (id, n) JOIN event e ON e.id = k.id";

static Err read_cards(Request *rq, const CardSlot *const *missing, size_t count)
{
    const Events *events = rq->service;
    CLEANUP(db_rows_done) DbRows rows = {0};
    Slice *ids = ARENA_ARRAY(rq->mem, Slice, count);
    bool sees_all = caller_sees_all(rq);

    for (size_t i = 0; i < count; i++)
        ids[i] = slice(uuid_text(rq->mem, missing[i]->event_id));
    TRY(db_read(rq, CARDS, DB_ARGS(db_text_array(ids, count)), &rows));
    for (int i = 0; i < rows.count; i++) {
        const CardSlot *slot = missing[db_get_int64(&rows, i, 0) - 1];

        if (!sees_all && !db_get_bool(&rows, i, 4) && db_get_int64(&rows, i, 1) != *slot->rendered) {
            *slot->card = SLICE_LIT(""); /* it was another text that the caller may see; one of any number was found */
            continue;
        }
        *slot->rendered = db_get_int64(&rows, i, 1);
        if (slot->updated_us)
            *slot->updated_us = db_get_time_us(&rows, i, 2);
        *slot->card = copied(rq->mem, db_get_text(&rows, i, 3));
        rendered_keep(events->rendered, RENDERED_CARD, slot->event_id, *slot->rendered, *slot->card);
    }
    return OK;
}

Err events_store_cards(Request *rq, const CardSlot *slots, size_t count)
{
    const Events *events = rq->service;
    const CardSlot **missing = ARENA_ARRAY(rq->mem, const CardSlot *, count + 1);
    size_t missing_count = 0;

    for (size_t i = 0; i < count; i++)
        if (rendered_find(events->rendered, rq->mem, RENDERED_CARD, slots[i].event_id, slots[i].card) !=
            *slots[i].rendered)
            missing[missing_count++] = &slots[i];
    return missing_count ? read_cards(rq, missing, missing_count) : OK;
}

static Err fill_cards(Request *rq, EventList *list)
{
    CardSlot *slots = ARENA_ARRAY(rq->mem, CardSlot, list->count + 1);
    size_t shown = 0;

    for (size_t i = 0; i < list->count; i++) {
        ListRow *row = &list->rows[i];

        slots[i] = (CardSlot){row->event_id, &row->rendered, &row->updated_us, &row->card};
    }
    TRY(events_store_cards(rq, slots, list->count));
    for (size_t i = 0; i < list->count; i++)
        if (list->rows[i].card.len)
            list->rows[shown++] = list->rows[i];
    list->count = shown;
    return OK;
}

static Err read_page(Request *rq, const EventFilter *f, bool fuzzy, EventList *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Query q;
    const char *sql = put_together(rq, f, 0, fuzzy, write_page, &q);

    if (!sql)
        return err_make(&UNAVAILABLE, "too many kinds of lists");
    TRY(db_read(rq, sql, (DbArgs){q.args, q.count}, &rows));
    out->count = (size_t)MIN((int64_t)rows.count, f->limit);
    out->more = rows.count > f->limit;
    out->fuzzy = fuzzy;
    out->rows = ARENA_ARRAY(rq->mem, ListRow, out->count + 1);
    for (size_t i = 0; i < out->count; i++)
        read_row(rq->mem, &rows, (int)i, f->bare, &out->rows[i]);
    return f->bare ? OK : fill_cards(rq, out);
}

Err events_store_list(Request *rq, const EventFilter *f, EventList *out)
{
    TRY(read_page(rq, f, f->fuzzy, out));
    /* Nothing has the words: perhaps they are misspelt. Not where it was said exactly what is wanted and what is not.
     */
    return f->q[0] && !strpbrk(f->q, "\"-") && !f->has_cursor && out->count == 0 ? read_page(rq, f, true, out) : OK;
}

char *event_list_cursor(Arena *mem, const EventFilter *f, const EventList *list)
{
    uint64_t hash = list->fuzzy ? filter_fuzzy_hash(f->hash) : f->hash;
    const ListRow *last = list->count ? &list->rows[list->count - 1] : NULL;
    int64_t before = f->has_cursor ? f->cursor_us : 0;

    if (!list->more || !last)
        return arena_strdup(mem, "");
    if (f->sort == SORT_START && f->expand)
        return cursor_write_occurrence(mem, last->start_us, last->event_id, hash, last->occurrence_id);
    if (f->sort == SORT_START)
        return cursor_write(mem, last->start_us, last->event_id, hash);
    before += (int64_t)list->count;
    return before > OFFSET_MAX ? arena_strdup(mem, "") : cursor_write(mem, before, last->event_id, hash);
}

/* --- facets ------------------------------------------------------------------------------------------------------ */
static void write_facet(Query *q)
{
    static const struct {
        unsigned facet;
        const char *value;
    } VALUES[] = {
        {FACET_DOMAIN, "o.domain"},
        {FACET_LOCALITY, "o.locality"},
        {FACET_KEYWORD, "unnest(o.keywords)"},
        {FACET_MONTH, "to_char(o.start_at AT TIME ZONE o.timezone, 'YYYY-MM')"},
        {FACET_MODE, "o.mode"},
        {FACET_PRICE, "CASE WHEN o.asked_price = 0 THEN 'free' WHEN o.asked_price <= 20 THEN '0-20'"
                      " WHEN o.asked_price <= 50 THEN '20-50' WHEN o.asked_price <= 100 THEN '50-100'"
                      " WHEN o.asked_price > 100 THEN '100-' END"},
    };
    size_t i = 0;

    while (VALUES[i].facet != q->facet)
        i++;
    strbuf_printf(&q->text, "SELECT value, count(DISTINCT event_id) FROM (SELECT o.event_id, %s AS value",
                  VALUES[i].value);
    write_where(q);
    strbuf_printf(&q->text, ") x WHERE value <> '' GROUP BY value ORDER BY 2 DESC, 1 LIMIT %d", FACET_VALUES_MAX);
}

Err events_store_facet(Request *rq, const EventFilter *f, unsigned facet, FacetCount **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    FacetCount *list;
    Query q;
    const char *sql = put_together(rq, f, facet, false, write_facet, &q);

    if (!sql)
        return err_make(&UNAVAILABLE, "too many kinds of lists");
    TRY(db_read(rq, sql, (DbArgs){q.args, q.count}, &rows));
    list = ARENA_ARRAY(rq->mem, FacetCount, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        list[i] = (FacetCount){.value = db_get_cstr(rq->mem, &rows, i, 0), .count = db_get_int64(&rows, i, 1)};
    *out = list;
    *out_count = (size_t)rows.count;
    return OK;
}
