/* store_entity: see store_entity.h. */
#include "services/events/store_entity.h"

#include <math.h>

#include "shared/db_later.h"

/* --- reading ----------------------------------------------------------------------------------------------------- */
static Slice copied(Arena *mem, Slice text)
{
    return slice_of(arena_memdup(mem, text.ptr, text.len), text.len);
}

static Uuid uuid_at(const DbRows *rows, int row, int column)
{
    return db_is_null(rows, row, column) ? (Uuid){{0}} : db_get_uuid(rows, row, column);
}

static double number_at(const DbRows *rows, int row, int column)
{
    return db_is_null(rows, row, column) ? NAN : db_get_double(rows, row, column);
}

static DbValue number_or_null(double number)
{
    return isnan(number) ? db_null() : db_double(number);
}

static DbValue uuid_or_null(Uuid id)
{
    return uuid_is_nil(id) ? db_null() : db_uuid(id);
}

static DbValue text_or_null(const char *text)
{
    return db_text_or_null(text && text[0] ? text : NULL);
}

#define HEAD_COLUMNS                                                                                                   \
    "version, lifecycle, doc, confidence, federation_uri, created_at, updated_at, deleted_at, deletion_reason, "       \
    "superseded_by"
enum { HEAD_COUNT = 10 };

static Err read_head(Arena *mem, const DbRows *rows, Uuid id, EntityHead *out, Slice *out_doc)
{
    *out = (EntityHead){
        .id = id,
        .version = db_get_int64(rows, 0, 0),
        .confidence = db_get_double(rows, 0, 3),
        .federation_uri = db_get_cstr(mem, rows, 0, 4),
        .created_us = db_get_time_us(rows, 0, 5),
        .updated_us = db_get_time_us(rows, 0, 6),
        .deleted_us = db_get_time_us(rows, 0, 7),
        .deletion_reason = db_get_cstr(mem, rows, 0, 8),
        .superseded_by = uuid_at(rows, 0, 9),
    };
    if (!lifecycle_parse(db_get_text(rows, 0, 1), &out->lifecycle))
        return err_make(&INTERNAL, "a lifecycle of a version to come");
    *out_doc = copied(mem, db_get_text(rows, 0, 2));
    return OK;
}

/* The row itself, not its key: rows that refer to it may come meanwhile. */
static const char LOCK_PLACE[] = "SELECT " HEAD_COLUMNS ", timezone FROM place WHERE id = $1 FOR NO KEY UPDATE";

Err events_store_lock_place(DbTx *tx, Arena *mem, Uuid id, PlaceEntity *out, Slice *out_doc)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, LOCK_PLACE, DB_ARGS(db_uuid(id)), &rows));
    *out = (PlaceEntity){.timezone = ""};
    if (rows.count == 0)
        return OK;
    TRY(read_head(mem, &rows, id, &out->head, out_doc));
    out->timezone = db_get_cstr(mem, &rows, 0, HEAD_COUNT);
    return OK;
}

static const char LOCK_ORGANIZATION[] = "SELECT " HEAD_COLUMNS " FROM organization WHERE id = $1 FOR NO KEY UPDATE";

Err events_store_lock_organization(DbTx *tx, Arena *mem, Uuid id, OrganizationEntity *out, Slice *out_doc)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, LOCK_ORGANIZATION, DB_ARGS(db_uuid(id)), &rows));
    *out = (OrganizationEntity){.head.version = 0};
    return rows.count ? read_head(mem, &rows, id, &out->head, out_doc) : OK;
}

static const char OCCURRENCES[] =
    "SELECT id, start_at, end_at, door_at, timezone, CASE WHEN own_place THEN place_id END, virtual_url, ticket_url,"
    " price_min, price_max, price_currency, availability, status, previous_start_at, recurrence_at, detached,"
    " said_at FROM occurrence WHERE event_id = $1 ORDER BY start_at, id";

static Err read_occurrences(DbTx *tx, Arena *mem, EventEntity *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, OCCURRENCES, DB_ARGS(db_uuid(out->head.id)), &rows));
    out->occurrences = ARENA_ARRAY(mem, Occurrence, rows.count + 1);
    out->occurrence_count = (size_t)rows.count;
    for (int i = 0; i < rows.count; i++) {
        Occurrence *o = &out->occurrences[i];

        *o = (Occurrence){
            .id = db_get_uuid(&rows, i, 0),
            .start_us = db_get_time_us(&rows, i, 1),
            .end_us = db_get_time_us(&rows, i, 2),
            .door_us = db_get_time_us(&rows, i, 3),
            .timezone = db_get_cstr(mem, &rows, i, 4),
            .place_id = uuid_at(&rows, i, 5),
            .virtual_url = db_get_cstr(mem, &rows, i, 6),
            .ticket_url = db_get_cstr(mem, &rows, i, 7),
            .price_min = number_at(&rows, i, 8),
            .price_max = number_at(&rows, i, 9),
            .price_currency = db_get_cstr(mem, &rows, i, 10),
            .availability = db_get_cstr(mem, &rows, i, 11),
            .previous_start_us = db_get_time_us(&rows, i, 13),
            .recurrence_us = db_get_time_us(&rows, i, 14),
            .detached = db_get_bool(&rows, i, 15),
            .said_us = db_get_time_us(&rows, i, 16),
        };
        if (!occurrence_status_parse(db_get_text(&rows, i, 12), &o->status))
            return err_make(&INTERNAL, "a status of a version to come");
    }
    return OK;
}

static const char LOCK_EVENT[] =
    "SELECT " HEAD_COLUMNS ", domain, place_id, organizer_id, series_id, virtual_url, virtual_name, license_url,"
    " license_status, dedup_hash, origin_node, submitter_key, submitter_user, source_us, takedown_at,"
    " array_to_string(flags, ' '), 'status' = ANY (edited), 'domain' = ANY (edited)"
    " FROM event WHERE id = $1 FOR NO KEY UPDATE";

static void read_flags(Arena *mem, Slice text, EventEntity *out)
{
    size_t room = 1;
    const char **flags;
    Slice word;

    for (size_t i = 0; i < text.len; i++)
        room += text.ptr[i] == ' ';
    flags = ARENA_ARRAY(mem, const char *, room);
    while (text.len) {
        (void)slice_cut(text, ' ', &word, &text); /* false is the last one */
        flags[out->flag_count++] = slice_cstr(mem, word);
    }
    out->flags = flags;
}

Err events_store_lock_event(DbTx *tx, Arena *mem, Uuid id, EventEntity *out, Slice *out_doc)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    const int at = HEAD_COUNT;

    TRY(db_query(tx, LOCK_EVENT, DB_ARGS(db_uuid(id)), &rows));
    *out = (EventEntity){.domain = ""};
    if (rows.count == 0)
        return OK;
    TRY(read_head(mem, &rows, id, &out->head, out_doc));
    out->domain = db_get_cstr(mem, &rows, 0, at);
    out->place_id = uuid_at(&rows, 0, at + 1);
    out->organizer_id = uuid_at(&rows, 0, at + 2);
    out->series_id = uuid_at(&rows, 0, at + 3);
    out->virtual_url = db_get_cstr(mem, &rows, 0, at + 4);
    out->virtual_name = db_get_cstr(mem, &rows, 0, at + 5);
    out->license_url = db_get_cstr(mem, &rows, 0, at + 6);
    out->license_status = db_get_cstr(mem, &rows, 0, at + 7);
    out->dedup_hash = copied(mem, db_get_bytes(&rows, 0, at + 8));
    out->origin_node = uuid_at(&rows, 0, at + 9);
    out->submitter_key = db_get_cstr(mem, &rows, 0, at + 10);
    out->submitter_user = db_get_int64(&rows, 0, at + 11);
    out->source_us = db_get_int64(&rows, 0, at + 12);
    out->takedown_us = db_get_time_us(&rows, 0, at + 13);
    read_flags(mem, slice(db_get_cstr(mem, &rows, 0, at + 14)), out);
    out->status_edited = db_get_bool(&rows, 0, at + 15);
    out->domain_edited = db_get_bool(&rows, 0, at + 16);
    return read_occurrences(tx, mem, out);
}

/* What waits is locked for its change first: two who had it shared would wait for each other. */
#define WAITING(table, condition)                                                                                      \
    "(SELECT count(*) FROM (SELECT FROM " table " WHERE " condition " AND lifecycle = 'pending_review' AND $4"         \
    " ORDER BY id FOR NO KEY UPDATE) w) >= 0"
#define REFERRED_TO(table, kind, zone, condition)                                                                      \
    "SELECT * FROM (SELECT '" kind "', id, doc, " zone ", lifecycle = 'pending_review', deleted_at IS NOT NULL,"       \
    " superseded_by FROM " table " WHERE " condition " AND " WAITING(table, condition) " ORDER BY id FOR SHARE) " kind
/* (SELECT …): an array's length is guessed, and the plan stays. */
#define THESE_PLACES "id = ANY ((SELECT $1::text[]::uuid[])::uuid[])"
static const char REFERRED[] = REFERRED_TO("place", "p", "timezone", THESE_PLACES) " UNION ALL " REFERRED_TO(
    "organization", "o", "''", "id = $2") " UNION ALL SELECT 's', id, name, '', false, false, NULL FROM series"
                                          " WHERE id = $3 ORDER BY 1 DESC, 2";

Err events_store_referred(DbTx *tx, Arena *mem, const Referring *from, Referred **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Slice *ids = ARENA_ARRAY(mem, Slice, from->place_count + 1);
    Referred *list;

    for (size_t i = 0; i < from->place_count; i++)
        ids[i] = slice(uuid_text(mem, from->places[i]));
    TRY(db_query(tx, REFERRED,
                 DB_ARGS(db_text_array(ids, from->place_count), uuid_or_null(from->organizer),
                         uuid_or_null(from->series), db_bool(from->publishes)),
                 &rows));
    list = ARENA_ARRAY(mem, Referred, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        list[i] = (Referred){.kind = db_get_text(&rows, i, 0).ptr[0],
                             .id = db_get_uuid(&rows, i, 1),
                             .doc = copied(mem, db_get_text(&rows, i, 2)),
                             .zone = db_get_cstr(mem, &rows, i, 3),
                             .waits = db_get_bool(&rows, i, 4),
                             .gone = db_get_bool(&rows, i, 5),
                             .superseded_by = uuid_at(&rows, i, 6)};
    *out = list;
    *out_count = (size_t)rows.count;
    return OK;
}

/* --- an event ---------------------------------------------------------------------------------------------------- */
#define EVENT_COLUMNS                                                                                                  \
    "version, lifecycle, name, name_norm, description, domain, mode, place_id, virtual_url, virtual_name, "            \
    "organizer_id, series_id, keywords, license_url, license_status, confidence, flags, dedup_hash, federation_uri, "  \
    "origin_node, submitter_key, submitter_user, source_us, occurrence_count, first_start, last_end, price_min, doc, " \
    "card, words, haystack, updated_at, deleted_at, deletion_reason, superseded_by, takedown_at, edited"
/* Names weigh more than keywords, those more than the description, and that more than where and by whom. */
#define WORDS(name, keywords, description, others)                                                                     \
    "setweight(to_tsvector('simple', " name "), 'A') ||"                                                               \
    " setweight(to_tsvector('simple', fold(array_to_string(" keywords ", ' '))), 'B') ||"                              \
    " setweight(to_tsvector('simple', " description "), 'C') ||"                                                       \
    " setweight(to_tsvector('simple', fold(" others ")), 'D')"
#define EVENT_WORDS WORDS("f.name", "$13::text[]", "f.description", "$30::text")
/* From `f`: name and description are folded once, for words and haystack. */
#define EVENT_VALUES                                                                                                   \
    "$2, $3, $4::text, name_norm($4::text), $5::text, $6, $7, $8::uuid, $9, $10, $11::uuid, $12::uuid, $13::text[], "  \
    "$14, $15, $16, $17::text[], $18::bytea, $19::text, $20::uuid, $21, $22, $23, $24::int, $25::timestamptz, "        \
    "$26::timestamptz, $27::float8, $28, $29, " EVENT_WORDS ", f.name || E'\\n' || f.description, $31, "               \
    "$32::timestamptz, $33, $34::uuid, $35::timestamptz, $37::text[]"
#define FOLDED " FROM (SELECT fold($4::text) AS name, fold($5::text) AS description OFFSET 0) f"

static const char INSERT_EVENT[] = "INSERT INTO event (id, " EVENT_COLUMNS ", created_at, published_at)"
                                   " SELECT $1, " EVENT_VALUES ", $31, CASE WHEN $36 THEN $31 END" FOLDED;
static const char UPDATE_EVENT[] =
    "UPDATE event SET (" EVENT_COLUMNS ", published_at, rendered) = (SELECT " EVENT_VALUES
    ", CASE WHEN $36 THEN coalesce(event.published_at, $31) ELSE event.published_at END, event.rendered + 1" FOLDED
    ") WHERE id = $1";

static int64_t last_end_us(const EventEntity *event)
{
    int64_t last = 0;

    for (size_t i = 0; i < event->occurrence_count; i++)
        last = MAX(last, MAX(event->occurrences[i].start_us, event->occurrences[i].end_us));
    return last;
}

static DbValue flags_of(Arena *mem, const EventEntity *event)
{
    Slice *flags = ARENA_ARRAY(mem, Slice, event->flag_count + 1);

    for (size_t i = 0; i < event->flag_count; i++)
        flags[i] = slice(event->flags[i]);
    return db_text_array(flags, event->flag_count);
}

static DbValue edited_of(Arena *mem, const EventEntity *event)
{
    Slice *words = ARENA_ARRAY(mem, Slice, 2);
    size_t count = 0;

    if (event->status_edited)
        words[count++] = SLICE_LIT("status");
    if (event->domain_edited)
        words[count++] = SLICE_LIT("domain");
    return db_text_array(words, count);
}

Err events_store_write_event(DbTx *tx, Arena *mem, const EventEntity *event, const EventText *text, bool is_new)
{
    const EntityHead *h = &event->head;

    return db_exec_later(
        tx, is_new ? INSERT_EVENT : UPDATE_EVENT,
        DB_ARGS(db_uuid(h->id), db_int64(h->version), db_text(slice(lifecycle_word(h->lifecycle))),
                db_text(slice(text->name)), db_text(slice(text->description)), db_text(slice(event->domain)),
                db_text(slice(text->mode)), uuid_or_null(event->place_id), db_text(slice(event->virtual_url)),
                db_text(slice(event->virtual_name)), uuid_or_null(event->organizer_id), uuid_or_null(event->series_id),
                db_text_array(text->keywords, text->keyword_count), db_text(slice(event->license_url)),
                db_text(slice(event->license_status)), db_double(h->confidence), flags_of(mem, event),
                event->dedup_hash.len ? db_bytes(event->dedup_hash) : db_null(), text_or_null(h->federation_uri),
                uuid_or_null(event->origin_node), db_text(slice(event->submitter_key)), db_int64(event->submitter_user),
                db_int64(event->source_us), db_int64((int64_t)event->occurrence_count),
                db_time_us_or_null(event->occurrence_count ? event->occurrences[0].start_us : 0),
                db_time_us_or_null(last_end_us(event)), number_or_null(text->price_min), db_text(text->doc),
                db_text(text->card), db_text(slice(text->others)), db_time_us(h->updated_us),
                db_time_us_or_null(h->deleted_us), db_text(slice(h->deletion_reason)), uuid_or_null(h->superseded_by),
                db_time_us_or_null(event->takedown_us), db_bool(lifecycle_is_public(h->lifecycle)),
                edited_of(mem, event)));
}

static const char RERENDER[] = "UPDATE event SET doc = $2, card = $3, rendered = rendered + 1, words = " WORDS(
    "fold(name)", "keywords", "fold(description)", "$4::text") " WHERE id = $1";

Err events_store_rerender(DbTx *tx, const EventEntity *event, const EventText *text)
{
    return db_exec(
        tx, RERENDER,
        DB_ARGS(db_uuid(event->head.id), db_text(text->doc), db_text(text->card), db_text(slice(text->others))));
}

/* --- occurrences ------------------------------------------------------------------------------------------------- */
static void write_member(StrBuf *out, const char *name, Slice text)
{
    strbuf_printf(out, ",\"%s\":", name);
    strbuf_append_json(out, text);
}

static void write_time(StrBuf *out, const char *name, int64_t us)
{
    char text[TIME_TEXT_BYTES];

    if (us == 0)
        return;
    time_format(us, -1, text);
    write_member(out, name, slice(text));
}

static void write_number(StrBuf *out, const char *name, double number)
{
    if (!isnan(number))
        strbuf_printf(out, ",\"%s\":%.17g", name, number);
}

static void write_occurrence(StrBuf *out, const EventEntity *event, const Occurrence *o)
{
    bool own = !uuid_is_nil(o->place_id);
    Uuid place = own ? o->place_id : o->virtual_url[0] ? (Uuid){{0}} : event->place_id;
    const char *virtual_url = o->virtual_url[0] || !uuid_is_nil(place) ? o->virtual_url : event->virtual_url;

    strbuf_printf(out, "{\"id\":\"%s\",\"own_place\":%s,\"detached\":%s", uuid_text(out->mem, o->id),
                  own ? "true" : "false", o->detached ? "true" : "false");
    if (!uuid_is_nil(place))
        write_member(out, "place_id", slice(uuid_text(out->mem, place)));
    write_time(out, "start_at", o->start_us);
    write_time(out, "end_at", o->end_us);
    write_time(out, "door_at", o->door_us);
    write_time(out, "previous_start_at", o->previous_start_us);
    write_time(out, "recurrence_at", o->recurrence_us);
    write_time(out, "said_at", o->said_us);
    write_member(out, "timezone", slice(o->timezone));
    write_member(out, "virtual_url", slice(virtual_url));
    write_member(out, "ticket_url", slice(o->ticket_url));
    write_number(out, "price_min", o->price_min);
    write_number(out, "price_max", o->price_max);
    write_member(out, "price_currency", slice(o->price_currency));
    write_member(out, "availability", slice(o->availability));
    write_member(out, "status", slice(occurrence_status_word(o->status)));
    strbuf_append_char(out, '}');
}

static const char DROP_OCCURRENCES[] =
    "DELETE FROM occurrence WHERE event_id = $1 AND NOT id = ANY ($2::text[]::uuid[])";
#define OCCURRENCE_OWN                                                                                                 \
    "start_at, end_at, timezone, door_at, place_id, own_place, virtual_url, ticket_url, price_min, price_max, "        \
    "price_currency, availability, status, previous_start_at, recurrence_at, detached, said_at"
#define OCCURRENCE_COPIES                                                                                              \
    "listed, lifecycle, earlier_at, domain, organizer_id, mode, keywords, locality, latitude, longitude, asked_price"
/* A place by its key for each row: how many there are of a list is guessed, and all places would be read for one. */
static const char WRITE_OCCURRENCES[] =
    "INSERT INTO occurrence AS o (id, event_id, " OCCURRENCE_OWN ", " OCCURRENCE_COPIES ")"
    " SELECT x.id, $1, x.start_at, x.end_at, x.timezone, x.door_at, x.place_id, x.own_place, x.virtual_url,"
    "  x.ticket_url, x.price_min, x.price_max, x.price_currency, x.availability, x.status, x.previous_start_at,"
    "  x.recurrence_at, x.detached, x.said_at, $3, $4, lag(x.start_at, 1, '-infinity') OVER (ORDER BY x.start_at, "
    "x.id), $5, $6,"
    "  $7, $8::text[], coalesce(fold(p.locality), ''), p.latitude, p.longitude, coalesce(x.price_min, $9)"
    " FROM jsonb_to_recordset($2::text::jsonb) AS x (id uuid, start_at timestamptz, end_at timestamptz, timezone text,"
    "  door_at timestamptz, place_id uuid, own_place boolean, virtual_url text, ticket_url text,"
    "  price_min double precision, price_max double precision, price_currency text, availability text, status text,"
    "  previous_start_at timestamptz, recurrence_at timestamptz, detached boolean, said_at timestamptz)"
    " LEFT JOIN LATERAL (SELECT * FROM place WHERE id = x.place_id OFFSET 0) p ON true"
    " ON CONFLICT (id) DO UPDATE SET (" OCCURRENCE_OWN ", " OCCURRENCE_COPIES ") = ROW("
    "  excluded.start_at, excluded.end_at, excluded.timezone, excluded.door_at, excluded.place_id, excluded.own_place,"
    "  excluded.virtual_url, excluded.ticket_url, excluded.price_min, excluded.price_max, excluded.price_currency,"
    "  excluded.availability, excluded.status, excluded.previous_start_at, excluded.recurrence_at, excluded.detached,"
    "  excluded.said_at,"
    "  excluded.listed, excluded.lifecycle, excluded.earlier_at, excluded.domain, excluded.organizer_id, excluded.mode,"
    "  excluded.keywords, excluded.locality, excluded.latitude, excluded.longitude, excluded.asked_price)"
    " WHERE o.event_id = excluded.event_id";

Err events_store_write_occurrences(DbTx *tx, Arena *mem, const EventEntity *event, const EventText *text, bool had)
{
    const EntityHead *h = &event->head;
    StrBuf list = strbuf_new(mem, (size_t)OCCURRENCES_MAX * 16384);
    Slice *ids = ARENA_ARRAY(mem, Slice, event->occurrence_count + 1), json;

    strbuf_append_char(&list, '[');
    for (size_t i = 0; i < event->occurrence_count; i++) {
        if (i)
            strbuf_append_char(&list, ',');
        write_occurrence(&list, event, &event->occurrences[i]);
        ids[i] = slice(uuid_text(mem, event->occurrences[i].id));
    }
    strbuf_append_char(&list, ']');
    if (!strbuf_finish(&list, &json))
        return err_make(&INVALID_ARGUMENT, "the occurrences are too large");
    if (had)
        TRY(db_exec_later(tx, DROP_OCCURRENCES, DB_ARGS(db_uuid(h->id), db_text_array(ids, event->occurrence_count))));
    if (event->occurrence_count == 0)
        return OK;
    return db_exec_later(tx, WRITE_OCCURRENCES,
                         DB_ARGS(db_uuid(h->id), db_text(json),
                                 db_bool(!h->deleted_us && !event->takedown_us && lifecycle_is_public(h->lifecycle)),
                                 db_text(slice(lifecycle_word(h->lifecycle))), db_text(slice(event->domain)),
                                 uuid_or_null(event->organizer_id), db_text(slice(text->mode)),
                                 db_text_array(text->keywords, text->keyword_count), number_or_null(text->price_min)));
}

/* --- places and organisations ------------------------------------------------------------------------------------ */
#define PLACE_COLUMNS                                                                                                  \
    "version, lifecycle, name, name_norm, description, street_address, locality, region, postal_code, country, "       \
    "latitude, longitude, telephone, email, url, timezone, confidence, federation_uri, doc, haystack, updated_at, "    \
    "deleted_at, deletion_reason, superseded_by"
#define PLACE_VALUES                                                                                                   \
    "$2, $3, $4::text, name_norm($4::text), $5::text, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, "   \
    "$19, fold($4::text || E'\\n' || $5::text), $20, $21, $22, $23"
static const char INSERT_PLACE[] =
    "INSERT INTO place (id, " PLACE_COLUMNS ", created_at) VALUES ($1, " PLACE_VALUES ", $20)";
static const char UPDATE_PLACE[] =
    "UPDATE place SET (" PLACE_COLUMNS ", rendered) = ROW(" PLACE_VALUES ", rendered + 1) WHERE id = $1";

Err events_store_write_place(DbTx *tx, const PlaceEntity *place, const EntityText *t, bool is_new)
{
    const EntityHead *h = &place->head;
    DbValue latitude = t->located ? db_double(t->latitude) : db_null();
    DbValue longitude = t->located ? db_double(t->longitude) : db_null();

    return db_exec(tx, is_new ? INSERT_PLACE : UPDATE_PLACE,
                   DB_ARGS(db_uuid(h->id), db_int64(h->version), db_text(slice(lifecycle_word(h->lifecycle))),
                           db_text(slice(t->name)), db_text(slice(t->description)), db_text(slice(t->street)),
                           db_text(slice(t->locality)), db_text(slice(t->region)), db_text(slice(t->postal_code)),
                           db_text(slice(t->country)), latitude, longitude, db_text(slice(t->telephone)),
                           db_text(slice(t->email)), db_text(slice(t->url)), db_text(slice(place->timezone)),
                           db_double(h->confidence), text_or_null(h->federation_uri), db_text(t->doc),
                           db_time_us(h->updated_us), db_time_us_or_null(h->deleted_us),
                           db_text(slice(h->deletion_reason)), uuid_or_null(h->superseded_by)));
}

#define ORGANIZATION_COLUMNS                                                                                           \
    "version, lifecycle, name, name_norm, legal_name, description, street_address, locality, region, postal_code, "    \
    "country, telephone, email, url, confidence, federation_uri, doc, haystack, updated_at, deleted_at, "              \
    "deletion_reason, superseded_by"
#define ORGANIZATION_VALUES                                                                                            \
    "$2, $3, $4::text, name_norm($4::text), $5::text, $6::text, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, "  \
    "fold($4::text || E'\\n' || $5::text || E'\\n' || $6::text), $18, $19, $20, $21"
static const char INSERT_ORGANIZATION[] =
    "INSERT INTO organization (id, " ORGANIZATION_COLUMNS ", created_at) VALUES ($1, " ORGANIZATION_VALUES ", $18)";
static const char UPDATE_ORGANIZATION[] = "UPDATE organization SET (" ORGANIZATION_COLUMNS
                                          ", rendered) = ROW(" ORGANIZATION_VALUES ", rendered + 1) WHERE id = $1";

Err events_store_write_organization(DbTx *tx, const OrganizationEntity *organization, const EntityText *t, bool is_new)
{
    const EntityHead *h = &organization->head;

    return db_exec(tx, is_new ? INSERT_ORGANIZATION : UPDATE_ORGANIZATION,
                   DB_ARGS(db_uuid(h->id), db_int64(h->version), db_text(slice(lifecycle_word(h->lifecycle))),
                           db_text(slice(t->name)), db_text(slice(t->legal_name)), db_text(slice(t->description)),
                           db_text(slice(t->street)), db_text(slice(t->locality)), db_text(slice(t->region)),
                           db_text(slice(t->postal_code)), db_text(slice(t->country)), db_text(slice(t->telephone)),
                           db_text(slice(t->email)), db_text(slice(t->url)), db_double(h->confidence),
                           text_or_null(h->federation_uri), db_text(t->doc), db_time_us(h->updated_us),
                           db_time_us_or_null(h->deleted_us), db_text(slice(h->deletion_reason)),
                           uuid_or_null(h->superseded_by)));
}

/* Where events are listed by where they are. */
static const char COPY_PLACES[] =
    "UPDATE occurrence o SET locality = fold(p.locality), latitude = p.latitude, longitude = p.longitude FROM place p"
    " WHERE o.event_id = $1 AND p.id = o.place_id AND (o.locality, o.latitude, o.longitude)"
    " IS DISTINCT FROM (fold(p.locality), p.latitude, p.longitude)";

Err events_store_copy_places(DbTx *tx, Uuid event)
{
    return db_exec(tx, COPY_PLACES, DB_ARGS(db_uuid(event)));
}

static const char WANT_RENDER[] = "INSERT INTO rerender (kind, entity_id) VALUES ($1, $2)";

Err events_store_want_render(DbTx *tx, EntityKind kind, Uuid id)
{
    return db_exec(tx, WANT_RENDER, DB_ARGS(db_text(slice(entity_word(kind))), db_uuid(id)));
}

/* --- history ----------------------------------------------------------------------------------------------------- */
static const char INSERT_REVISION[] =
    "INSERT INTO revision (entity_id, version, kind, doc, lifecycle, pointers, actor_kind, actor_id, actor_name, note,"
    " made_at) VALUES ($1, $2, $3, $4, $5, $6::text[], $7, $8, $9, $10, $11)";

Err events_store_insert_revision(DbTx *tx, const RevisionRow *row)
{
    return db_exec_later(tx, INSERT_REVISION,
                         DB_ARGS(db_uuid(row->head->id), db_int64(row->head->version),
                                 db_text(slice(entity_word(row->kind))), db_text(row->doc),
                                 db_text(slice(lifecycle_word(row->head->lifecycle))),
                                 db_text_array(row->pointers, row->pointer_count), db_text(slice(row->actor.kind)),
                                 db_text(slice(row->actor.id)), db_text(slice(row->actor.name)),
                                 db_text(slice(row->note)), db_time_us(row->head->updated_us)));
}
