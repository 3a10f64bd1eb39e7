/* provenance_show: what is told of sources to whoever asks. See provenance.h. */
#include "services/events/facts.h"
#include "services/events/members.h"
#include "services/events/store_provenance.h"

enum { PREVIEW_MAX_BYTES = 120, FIELDS_MAX = 50, FIELD_MAX_BYTES = 200 };

/* ---------------------------------------------------------------------------------------------------- which */
static bool is_segment(Slice segment)
{
    static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_~-";

    for (size_t i = 0; i < segment.len; i++)
        if (!segment.ptr[i] || !strchr(LETTERS, segment.ptr[i]))
            return false;
    return segment.len > 0;
}

static bool is_pointer(Slice pointer)
{
    Slice rest = pointer, segment;
    int count = 0;
    bool more = true;

    if (!slice_starts_with(pointer, SLICE_LIT("/")) || pointer.len > FIELD_MAX_BYTES)
        return false;
    rest = slice_skip(rest, 1);
    while (more) {
        more = slice_cut(rest, '/', &segment, &rest);
        if (!is_segment(segment) || ++count > POINTER_MAX_SEGMENTS)
            return false;
    }
    return true;
}

static Err asked_fields(Request *rq, Slice fields, Slice *list, size_t *count)
{
    Slice rest = fields, one;

    *count = 0;
    while (rest.len) {
        (void)slice_cut(rest, ',', &one, &rest); /* false is the last one */
        if (*count == FIELDS_MAX || !is_pointer(one)) {
            request_add_violation(rq, ATRIUM__PART__QUERY, "provenance_fields", "pointer",
                                  "pointers such as /name,/location/address, %d at most", FIELDS_MAX);
            return err_make(&INVALID_ARGUMENT, "provenance_fields: pointers, comma-separated");
        }
        list[(*count)++] = one;
    }
    return OK;
}

/* Of all that was said: each member once, as a pointer. */
static size_t said_fields(Arena *mem, const Told *told, size_t told_count, Slice **out)
{
    Slice *list = ARENA_ARRAY(mem, Slice, told_count * MEMBERS_MAX + 1);
    size_t count = 0;

    for (size_t i = 0; i < told_count; i++) {
        Member members[MEMBERS_MAX];
        size_t n = members_of(told[i].saying.facts, members);

        for (size_t k = 0; k < n; k++) {
            Slice pointer = slice(arena_printf(mem, "/" SLICE_FMT, SLICE_ARG(members[k].name)));
            size_t at = 0;

            while (at < count && !slice_eq(list[at], pointer))
                at++;
            if (at == count && facts_is_one(members[k].name))
                list[count++] = pointer;
        }
    }
    *out = list;
    return count;
}

/* ---------------------------------------------------------------------------------------------------- records */
static void append_text(StrBuf *out, const char *name, const char *text)
{
    if (!text[0])
        return;
    strbuf_printf(out, ",\"%s\":", name);
    strbuf_append_json(out, slice(text));
}

static void append_record(StrBuf *out, const Told *told, Slice value, bool conflict)
{
    strbuf_append_cstr(out, "{\"source\":{\"name\":");
    strbuf_append_json(out, slice(told->name));
    append_text(out, "type", told->type);
    strbuf_printf(out, ",\"trustLevel\":%d", MIN(told->saying.trust, 10));
    append_text(out, "license", told->license);
    strbuf_append_cstr(out, "},\"confidence\":");
    node_write_number(out, told->saying.confidence);
    strbuf_printf(out, ",\"observedAt\":\"%s\",\"valuePreview\":", utc_text(out->mem, told->saying.observed_us));
    if (value.len && *value.ptr == '"' && value.len - 2 <= PREVIEW_MAX_BYTES)
        strbuf_append(out, value); /* a text as it is */
    else
        strbuf_append_json(out, utf8_take(value, PREVIEW_MAX_BYTES));
    if (conflict)
        strbuf_append_cstr(out, ",\"sel:conflict\":true");
    strbuf_append_char(out, '}');
}

typedef struct Record {
    const Told *told;
    Slice value;
    bool stands;
} Record;

static int by_belief(const void *a, const void *b)
{
    const Record *left = a, *right = b;

    if (left->stands != right->stands)
        return left->stands ? -1 : 1;
    if (left->told->saying.trust != right->told->saying.trust)
        return left->told->saying.trust > right->told->saying.trust ? -1 : 1;
    return left->told->saying.observed_us > right->told->saying.observed_us ? -1 : 1;
}

/* "/location" of "/location/address". */
static Slice top_of(Slice pointer)
{
    Slice head, rest;

    (void)slice_cut(slice_skip(pointer, 1), '/', &head, &rest); /* false: it is all of it */
    return head;
}

static size_t collect(const Told *told, size_t told_count, Slice pointer, Record *out)
{
    size_t count = 0;

    for (size_t i = 0; i < told_count; i++) {
        Slice value;

        if (members_at(told[i].saying.facts, pointer, &value))
            out[count++] = (Record){
                .told = &told[i], .value = value, .stands = facts_is_chosen(told[i].saying.chosen, top_of(pointer))};
    }
    qsort(out, count, sizeof(*out), by_belief);
    return count;
}

/* What stands first, then by trust; in conflict when not all say the same. */
static bool append_field(StrBuf *out, const Told *told, size_t told_count, Slice pointer, bool first)
{
    Record records[SAYINGS_MAX] = {{.told = NULL}};
    size_t count = collect(told, told_count, pointer, records);
    bool conflict = false;

    if (count == 0)
        return false;
    for (size_t i = 1; i < count; i++)
        conflict = conflict || !facts_same(records[0].value, records[i].value);
    if (!first)
        strbuf_append_char(out, ',');
    strbuf_append_json(out, pointer);
    strbuf_append_char(out, ':');
    if (count > 1)
        strbuf_append_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            strbuf_append_char(out, ',');
        append_record(out, records[i].told, records[i].value, conflict);
    }
    if (count > 1)
        strbuf_append_char(out, ']');
    return true;
}

/* ---------------------------------------------------------------------------------------------------- sources */
static void append_source(StrBuf *out, const SourceRow *row)
{
    strbuf_append_cstr(out, "{\"@type\":\"DataFeed\",\"name\":");
    strbuf_append_json(out, slice(row->name));
    append_text(out, "url", row->source_url[0] ? row->source_url : row->base_url);
    append_text(out, "license", row->license);
    strbuf_append_cstr(out, ",\"provider\":{\"@type\":\"Organization\",\"name\":");
    strbuf_append_json(out, slice(row->name));
    append_text(out, "url", row->base_url);
    strbuf_append_cstr(out, "},\"sel:confidence\":");
    node_write_number(out, row->confidence);
    append_text(out, "sel:sourceEventId", row->source_event_id);
    strbuf_printf(out, ",\"sel:retrievedAt\":\"%s\"}", utc_text(out->mem, row->retrieved_us));
}

static void append_derived_from(StrBuf *out, const SourceRow *rows, size_t count)
{
    const char *separator = ",\"prov:wasDerivedFrom\":[";

    for (size_t i = 0; i < count; i++) {
        if (!rows[i].source_url[0])
            continue;
        strbuf_append_cstr(out, separator);
        strbuf_append_cstr(out, "{\"@id\":");
        strbuf_append_json(out, slice(rows[i].source_url));
        strbuf_append_char(out, '}');
        separator = ",";
    }
    if (separator[1])
        return; /* there was none */
    strbuf_append_char(out, ']');
}

Err provenance_write(Request *rq, Uuid entity, Slice fields, StrBuf *out)
{
    Slice asked[FIELDS_MAX], *list = asked;
    SourceRow *rows;
    Told *told;
    size_t row_count, told_count, count;
    bool any = false;

    TRY(asked_fields(rq, fields, asked, &count));
    TRY(events_store_sources_of(rq, entity, &rows, &row_count));
    TRY(events_store_told(rq, entity, &told, &told_count));
    if (count == 0)
        count = said_fields(rq->mem, told, told_count, &list);
    strbuf_append_cstr(out, "\"sources\":[");
    for (size_t i = 0; i < row_count; i++) {
        if (i)
            strbuf_append_char(out, ',');
        append_source(out, &rows[i]);
    }
    strbuf_append_char(out, ']');
    append_derived_from(out, rows, row_count);
    strbuf_append_cstr(out, ",\"_provenance\":{");
    for (size_t i = 0; i < count; i++)
        any = append_field(out, told, told_count, list[i], !any) || any;
    strbuf_append_char(out, '}');
    return OK;
}
