/* Answers of a store, by expat: it is the outside, so depth, rows, fields and values have limits, and a document with a
 * DTD is refused. */
#include <expat.h>

#include "shared/blob_s3.h"
#include "shared/strbuf.h"

typedef struct Parse {
    Arena *mem;
    XML_Parser expat;
    const char *row; /* NULL: no rows */
    S3Xml out;
    size_t rows_cap;
    int depth; /* of the element that is open: 1 is the root */
    bool in_row;
    char name[64]; /* of the field that is open */
    StrBuf value;
    bool bad;
} Parse;

static void refuse(Parse *p)
{
    p->bad = true;
    (void)XML_StopParser(p->expat, XML_FALSE);
}

static void begin_row(Parse *p)
{
    if (p->out.count == S3_XML_ROWS_MAX) {
        refuse(p);
        return;
    }
    if (p->out.count == p->rows_cap) {
        size_t cap = p->rows_cap ? p->rows_cap * 2 : 16;
        p->out.rows = arena_grow(p->mem, p->out.rows, p->rows_cap * sizeof(*p->out.rows), cap * sizeof(*p->out.rows));
        p->rows_cap = cap;
    }
    p->out.rows[p->out.count++].count = 0;
    p->in_row = true;
}

static void begin_element(void *data, const XML_Char *name, const XML_Char **attributes)
{
    Parse *p = data;

    (void)attributes;
    if (++p->depth > S3_XML_DEPTH_MAX || strlen(name) >= sizeof(p->name)) {
        refuse(p);
        return;
    }
    if (p->depth == 1)
        p->out.root = arena_strdup(p->mem, name);
    else if (p->depth == 2 && p->row && !strcmp(name, p->row))
        begin_row(p);
    (void)snprintf(p->name, sizeof(p->name), "%s", name);
    p->value = strbuf_new(p->mem, S3_XML_VALUE_MAX_BYTES);
}

static void take_text(void *data, const XML_Char *text, int len)
{
    Parse *p = data;

    strbuf_append(&p->value, slice_of(text, (size_t)len));
}

/* The innermost elements are the fields: after the end of one, `name` is empty until the next begins. */
static void end_element(void *data, const XML_Char *name)
{
    Parse *p = data;
    bool in_row = p->in_row && p->depth == 3;
    S3Row *to = in_row ? &p->out.rows[p->out.count - 1] : &p->out.top;
    Slice value;

    if (p->depth == 2 && p->in_row && !strcmp(name, p->row)) {
        p->in_row = false;
    } else if (p->name[0] && (in_row || (p->depth == 2 && !p->in_row)) && to->count < S3_XML_FIELDS_MAX) {
        if (!strbuf_finish(&p->value, &value)) {
            refuse(p);
            return;
        }
        to->fields[to->count++] = (S3Field){arena_strdup(p->mem, name), slice_cstr(p->mem, value)};
    }
    p->name[0] = '\0';
    p->depth--;
}

static void refuse_doctype(void *data, const XML_Char *name, const XML_Char *system, const XML_Char *public,
                           int internal)
{
    (void)name, (void)system, (void)public, (void)internal;
    refuse(data);
}

bool s3_xml_parse(Arena *mem, Slice text, const char *row, S3Xml *out)
{
    Parse p = {.mem = mem, .expat = XML_ParserCreate(NULL), .row = row};
    enum XML_Status status;

    if (!p.expat)
        abort(); /* for want of memory only */
    XML_SetUserData(p.expat, &p);
    XML_SetElementHandler(p.expat, begin_element, end_element);
    XML_SetCharacterDataHandler(p.expat, take_text);
    XML_SetStartDoctypeDeclHandler(p.expat, refuse_doctype);
    p.value = strbuf_new(mem, S3_XML_VALUE_MAX_BYTES);
    status = text.len > S3_REPLY_MAX_BYTES ? XML_STATUS_ERROR : XML_Parse(p.expat, text.ptr, (int)text.len, XML_TRUE);
    XML_ParserFree(p.expat);
    if (status != XML_STATUS_OK || p.bad)
        return false;
    *out = p.out;
    return true;
}

const char *s3_xml_get(const S3Row *row, const char *name)
{
    for (size_t i = 0; i < row->count; i++) {
        if (!strcmp(row->fields[i].name, name))
            return row->fields[i].value;
    }
    return "";
}

uint64_t s3_xml_number(const S3Row *row, const char *name)
{
    uint64_t n;

    return slice_to_uint64(slice(s3_xml_get(row, name)), &n) ? n : 0;
}

int64_t s3_xml_time_ms(const S3Row *row, const char *name)
{
    int64_t s;
    int32_t ns;

    return time_parse(slice(s3_xml_get(row, name)), &s, &ns) ? s * 1000 + ns / 1000000 : 0;
}
