/* exports: everything that is public as one file (contract 21, B13), made while it is sent: a turn of events is in
 * memory, no more. */
#include <zlib.h>

#include "atrium/events/v1/events.service.h"
#include "services/events/calendar.h"
#include "services/events/node.h"
#include "services/events/rdf.h"
#include "services/events/store_exports.h"
#include "services/events/store_feed.h"
#include "shared/bytes.h"

#define DAY_US INT64_C(86400000000)

enum { TURN_EVENTS = 100, TURN_MAX_BYTES = TURN_EVENTS * 2 * NODE_MAX_BYTES, GZIP_WINDOW = 15 + 16 };

typedef enum ExportForm { EXPORT_NDJSON, EXPORT_JSONLD, EXPORT_TURTLE, EXPORT_NTRIPLES, EXPORT_CALENDAR } ExportForm;

static const struct {
    const char *file, *content_type;
} FORMS[] = {[EXPORT_NDJSON] = {"events.ndjson", "application/x-ndjson"},
             [EXPORT_JSONLD] = {"events.jsonld", "application/ld+json"},
             [EXPORT_TURTLE] = {"events.ttl", "text/turtle; charset=utf-8"},
             [EXPORT_NTRIPLES] = {"events.nt", "application/n-triples"},
             [EXPORT_CALENDAR] = {"events.ics", "text/calendar; charset=utf-8"}};

typedef struct Export {
    Request *rq;
    ExportForm form;
    bool gzip;
    Arena *mem;                   /* of a turn */
    Uuid after, after_occurrence; /* the second of calendars */
    int64_t day; /* Unix days: of what is to come, the next as of its beginning; so that the file changes once a day */
    Slice rest;  /* of the turn that is not sent yet */
    RdfWriter rdf;
    bool begun, ended; /* the file's beginning, its end */
    z_stream z;
    bool z_open, z_ended;
} Export;

/* --- the file, turn by turn -------------------------------------------------------------------------------------- */
static void write_time(StrBuf *out, const char *name, int64_t us)
{
    char text[TIME_TEXT_BYTES];

    if (us == 0)
        return;
    time_format(us, -1, text);
    strbuf_printf(out, ",\"%s\":\"%s\"", name, text);
}

static void write_json(StrBuf *out, const ExportRow *row, Slice context)
{
    strbuf_append_char(out, '{');
    strbuf_append(out, context);
    if (context.len)
        strbuf_append_char(out, ',');
    strbuf_append(out, slice_of(row->doc.ptr + 1, row->doc.len - 2)); /* within its braces */
    write_time(out, "startDate", row->start_us);
    write_time(out, "endDate", row->end_us);
    write_time(out, "doorTime", row->door_us);
    strbuf_append_char(out, '}');
}

static void write_triples(Export *e, StrBuf *out, const ExportRow *row)
{
    StrBuf json = strbuf_new(e->mem, (size_t)2 * NODE_MAX_BYTES);
    Node *node;
    Slice text;

    write_json(&json, row, SLICE_LIT(""));
    if (!strbuf_finish(&json, &text) || !node_read(e->mem, text, &node))
        return; /* it cannot be read again: no triples of it rather than no export */
    e->rdf.out = out;
    rdf_write(&e->rdf, node);
}

static void write_beginning(Export *e, StrBuf *out)
{
    const Events *events = e->rq->service;

    if (e->form == EXPORT_JSONLD) {
        strbuf_append_char(out, '{');
        strbuf_append(out, events->contexts->by_url);
        strbuf_append_cstr(out, ",\"@graph\":[");
    } else if (e->form == EXPORT_CALENDAR) {
        calendar_write_beginning(out, events,
                                 &(CalendarHead){.name = events->settings->site_name,
                                                 .source = arena_printf(out->mem, "%s/api/v1/exports/events.ics",
                                                                        events->settings->base_url)});
    } else if (e->form != EXPORT_NDJSON) {
        e->rdf = rdf_begin(out, e->form == EXPORT_TURTLE ? RDF_TURTLE : RDF_NTRIPLES, SHOWN_DETAIL);
    }
}

static void write_row(Export *e, StrBuf *out, const ExportRow *row, bool first)
{
    const Events *events = e->rq->service;

    if (e->form == EXPORT_NDJSON) {
        write_json(out, row, events->contexts->by_url);
        strbuf_append_char(out, '\n');
    } else if (e->form == EXPORT_JSONLD) {
        strbuf_append_cstr(out, first ? "\n" : ",\n");
        write_json(out, row, SLICE_LIT(""));
    } else {
        write_triples(e, out, row);
    }
}

static Err write_documents(Export *e, StrBuf *out, bool first)
{
    ExportRow *rows;
    size_t count;

    TRY(exports_store_events(e->rq, e->mem, e->day * DAY_US, e->after, TURN_EVENTS, &rows, &count));
    for (size_t i = 0; i < count; i++)
        write_row(e, out, &rows[i], first && i == 0);
    if (count)
        e->after = rows[count - 1].id;
    e->ended = count < TURN_EVENTS;
    if (e->ended && e->form == EXPORT_JSONLD)
        strbuf_append_cstr(out, "\n]}\n");
    return OK;
}

static Err write_occurrences(Export *e, StrBuf *out)
{
    CalendarRow *rows;
    size_t count;

    TRY(events_store_calendar_of_all(e->rq, e->mem, e->after, e->after_occurrence, TURN_EVENTS, &rows, &count));
    calendar_write_entries(out, e->rq->service, rows, count);
    if (count) {
        e->after = rows[count - 1].event_id;
        e->after_occurrence = rows[count - 1].occurrence_id;
    }
    e->ended = count < TURN_EVENTS;
    if (e->ended)
        calendar_write_end(out);
    return OK;
}

/* The next piece of the file; empty at its end. */
static Err next_turn(Export *e)
{
    bool first = !e->begun;
    StrBuf out;

    arena_reset(e->mem);
    e->rest = SLICE_LIT("");
    if (e->ended)
        return OK;
    out = strbuf_new(e->mem, TURN_MAX_BYTES);
    if (first)
        write_beginning(e, &out);
    e->begun = true;
    TRY(e->form == EXPORT_CALENDAR ? write_occurrences(e, &out) : write_documents(e, &out, first));
    return strbuf_finish(&out, &e->rest) ? OK : err_make(&INTERNAL, "a turn of an export is too large");
}

/* --- as bytes ---------------------------------------------------------------------------------------------------- */
static Err read_plain(Export *e, char *into, size_t len, size_t *out_len)
{
    while (e->rest.len == 0 && !e->ended)
        TRY(next_turn(e));
    *out_len = MIN(len, e->rest.len);
    memcpy(into, e->rest.ptr, *out_len);
    e->rest = slice_skip(e->rest, *out_len);
    return OK;
}

static Err read_gzip(Export *e, char *into, size_t len, size_t *out_len)
{
    e->z.next_out = (Bytef *)into;
    e->z.avail_out = (uInt)MIN(len, (size_t)1 << 20);
    *out_len = e->z.avail_out;
    while (e->z.avail_out && !e->z_ended) {
        int told;

        while (e->rest.len == 0 && !e->ended)
            TRY(next_turn(e));
        e->z.next_in = (Bytef *)(uintptr_t)e->rest.ptr;
        e->z.avail_in = (uInt)MIN(e->rest.len, (size_t)1 << 30);
        told = deflate(&e->z, e->ended && e->z.avail_in == e->rest.len ? Z_FINISH : Z_NO_FLUSH);
        e->rest = slice_skip(e->rest, (size_t)((const char *)e->z.next_in - e->rest.ptr));
        e->z_ended = told == Z_STREAM_END;
        if (told != Z_OK && told != Z_STREAM_END && told != Z_BUF_ERROR)
            return err_make(&INTERNAL, "zlib cannot go on");
    }
    *out_len -= e->z.avail_out;
    return OK;
}

static Err read_export(void *data, char *into, size_t len, size_t *out_len)
{
    Export *e = data;

    return e->gzip ? read_gzip(e, into, len, out_len) : read_plain(e, into, len, out_len);
}

static void close_export(void *data)
{
    Export *e = data;

    if (e->z_open)
        deflateEnd(&e->z);
    arena_free(MOVE(e->mem));
}

static Err open_export(Request *rq, void *data, uint64_t offset, uint64_t length, BytesSource *out)
{
    Export *e = data;

    (void)offset, (void)length; /* of unknown size: it is all */
    e->rq = rq;
    if (e->gzip && deflateInit2(&e->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return err_make(&INTERNAL, "zlib does not start");
    e->z_open = e->gzip;
    e->mem = arena_new(65536);
    *out = (BytesSource){.fd = -1, .read = read_export, .close = close_export, .data = e};
    return OK;
}

static Err begin_export(BytesExchange *x)
{
    Request *rq = bytes_request(x);
    Export *e = ARENA_NEW(rq->mem, Export);
    Slice file = bytes_variable(x, "file");
    int64_t head;
    size_t form = 0;

    if (slice_ends_with(file, SLICE_LIT(".gz"))) {
        e->gzip = true;
        file = slice_take(file, file.len - 3);
    }
    while (form < ARRAY_LEN(FORMS) && !slice_eq_cstr(file, FORMS[form].file))
        form++;
    if (form == ARRAY_LEN(FORMS))
        return err_make(&NOT_FOUND, "there are events.ndjson, events.jsonld, events.ttl, events.nt and events.ics");
    e->form = (ExportForm)form;
    e->day = clock_unix_us(rq->clock) / DAY_US;
    TRY(events_store_head(rq, &head));
    return bytes_answer_content(
        x, &(BytesContent){
               .size = BYTES_UNKNOWN,
               .open = open_export,
               .data = e,
               .content_type = e->gzip ? "application/gzip" : FORMS[form].content_type,
               .etag = arena_printf(rq->mem, "%" PRId64 "-%" PRId64 "-%zu%s", head, e->day, form, e->gzip ? "z" : ""),
               .cache_control = "public, max-age=0, must-revalidate",
               .disposition = bytes_disposition(rq->mem, true, bytes_variable(x, "file"))});
}

const BytesHandler events_v1_export_events = {.begin = begin_export};
