/* reading: see reading.h; and the handlers of /api/v1/events/{id} and its like. */
#include "services/events/reading.h"

#include "atrium/events/v1/events.service.h"
#include "services/events/history.h"
#include "services/events/negotiate.h"
#include "services/events/provenance.h"

/* --- what there is ----------------------------------------------------------------------------------------------- */
static bool is_visible(const Request *rq, const Document *d)
{
    bool by_submitter = rq->caller.api_key && d->submitter_key[0] && strcmp(rq->caller.login_id, d->submitter_key) == 0;

    return d->deleted_us || lifecycle_is_public(d->lifecycle) || by_submitter || caller_sees_all(rq);
}

Err document_find(Request *rq, EntityKind kind, const char *id, Document *out)
{
    Document d;
    Uuid key;

    TRY(ulid_of_path(rq, id, &key));
    TRY(events_store_document(rq, kind, key, clock_unix_us(rq->clock), &d));
    if (uuid_is_nil(d.id) || !is_visible(rq, &d))
        return err_make(&NOT_FOUND, "there is no such %s", entity_word(kind));
    if (d.withheld && !d.deleted_us && !caller_sees_all(rq))
        return err_make(&WITHHELD, "it is not shown, as whoever has rights in it asked");
    *out = d;
    return OK;
}

/* --- how it looks ------------------------------------------------------------------------------------------------ */
static void write_time(StrBuf *out, const char *name, int64_t us)
{
    char text[TIME_TEXT_BYTES];

    if (us == 0)
        return;
    time_format(us, -1, text);
    strbuf_printf(out, ",\"%s\":\"%s\"", name, text);
}

static void write_tombstone(StrBuf *out, const Events *events, const Document *d, Slice context)
{
    const Node *node = entity_tombstone(out->mem, events, d->kind, d->id, d->name, d->deleted_us, d->deletion_reason,
                                        d->superseded_by);

    node_write_json(out, node, &(NodeWriting){.shown = SHOWN_TOMBSTONE, .context = context});
}

void document_write(StrBuf *out, const Events *events, const Document *d, Slice context, Slice more)
{
    if (d->deleted_us) {
        write_tombstone(out, events, d, context);
        return;
    }
    strbuf_append_char(out, '{');
    strbuf_append(out, context);
    if (context.len)
        strbuf_append_char(out, ',');
    strbuf_append(out, slice_of(d->doc.ptr + 1, d->doc.len - 2)); /* within its braces */
    write_time(out, "startDate", d->start_us);
    write_time(out, "endDate", d->end_us);
    write_time(out, "doorTime", d->door_us);
    if (more.len)
        strbuf_append_char(out, ',');
    strbuf_append(out, more);
    strbuf_append_char(out, '}');
}

Slice document_with_iris(Arena *mem, Slice doc, unsigned shown)
{
    StrBuf out = strbuf_new(mem, DOC_MAX_BYTES);
    Node *node;
    Slice text;

    if (slice_find(doc, SLICE_LIT("\"byDay\"")) < 0 || !node_read(mem, doc, &node))
        return doc;
    node_write_json(&out, node, &(NodeWriting){.shown = shown, .skip_clock = true, .schedule_iris = true});
    return strbuf_finish(&out, &text) ? text : doc;
}

Slice document_context(const Events *events, const Document *d)
{
    static const ContextFor FORMS[] = {
        [ENTITY_EVENT] = CONTEXT_EVENT, [ENTITY_PLACE] = CONTEXT_PLACE, [ENTITY_ORGANIZATION] = CONTEXT_ORGANIZATION};

    return events->contexts->inlined[d->deleted_us ? CONTEXT_TOMBSTONE : FORMS[d->kind]];
}

char *document_etag(Arena *mem, const Document *d, const char *representation)
{
    return etag_make(mem, d->version,
                     arena_printf(mem, "%" PRIx64 ".%" PRIx64 "%s", (uint64_t)d->rendered,
                                  (uint64_t)(d->start_us / 1000000), d->deleted_us ? ".gone" : ""),
                     representation);
}

bool document_is_known(Request *rq, const Document *d, const char *representation)
{
    const char *tag = document_etag(rq->mem, d, representation);

    request_set_header(rq, "ETag", tag);
    request_set_header(rq, "Vary", "Accept");
    request_set_header(rq, "Cache-Control",
                       lifecycle_is_public(d->lifecycle) ? "public, max-age=0, must-revalidate" : "private, no-store");
    return etag_is_known(rq, tag);
}

/* --- answers ----------------------------------------------------------------------------------------------------- */
Err answer_body(StrBuf *body, const char *content_type, Atrium__HttpBody *out)
{
    Slice text;

    if (!strbuf_finish(body, &text))
        return err_make(&INTERNAL, "an answer is too large");
    out->content_type = (char *)(uintptr_t)content_type;
    out->data = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)text.ptr, .len = text.len};
    out->has_data = true;
    return OK;
}

/* --- handlers ---------------------------------------------------------------------------------------------------- */
enum { PROVENANCE_MAX_BYTES = 512 * 1024 };

static bool is_set(const char *text)
{
    return text && text[0];
}

/* Who said what, for those who ask. It has no tag: what a source says and is not believed makes no version. */
static Err add_provenance(Request *rq, const Document *d, const char *fields, Slice *out)
{
    StrBuf more = strbuf_new(rq->mem, PROVENANCE_MAX_BYTES);

    TRY(provenance_write(rq, d->id, slice(fields), &more));
    request_set_header(rq, "Vary", "Accept");
    return strbuf_finish(&more, out) ? OK : err_make(&INTERNAL, "more was said of it than can be told");
}

static Err answer_document(Request *rq, EntityKind kind, const Events__V1__GetEntityRequest *in, Atrium__HttpBody *out)
{
    const Events *events = rq->service;
    bool by_url = in->context && strcmp(in->context, "url") == 0;
    Format format = negotiate_api(request_header(rq, "accept"), &(Format){FORMAT_JSONLD}, 1);
    StrBuf body = strbuf_new(rq->mem, (size_t)2 * DOC_MAX_BYTES);
    bool iris = in->schedule && strcmp(in->schedule, "iri") == 0;
    bool told = in->include_provenance && strcmp(in->include_provenance, "true") == 0;
    Slice more = SLICE_LIT("");
    Document d;

    if (is_set(in->schedule) && !iris) {
        request_add_violation(rq, ATRIUM__PART__QUERY, "schedule", "invalid", "must be iri");
        return err_make(&INVALID_ARGUMENT, "schedule: iri");
    }
    TRY(document_find(rq, kind, in->id, &d));
    if (is_set(in->version) && !d.deleted_us)
        TRY(history_show(rq, in->version, &d));
    if (told && !d.deleted_us)
        TRY(add_provenance(rq, &d, in->provenance_fields, &more));
    else if (document_is_known(rq, &d, iris ? by_url ? "url-iri" : "json-iri" : by_url ? "url" : "json")) {
        request_set_status(rq, 304);
        return OK;
    }
    if (d.deleted_us)
        request_set_status(rq, 410);
    else if (iris)
        d.doc = document_with_iris(rq->mem, d.doc, SHOWN_DETAIL);
    document_write(&body, events, &d, by_url ? events->contexts->by_url : document_context(events, &d), more);
    return answer_body(&body, format_content_type(format), out);
}

Err events_v1_get_event(Request *rq, const Events__V1__GetEntityRequest *in, Atrium__HttpBody *out)
{
    return answer_document(rq, ENTITY_EVENT, in, out);
}

Err events_v1_get_place(Request *rq, const Events__V1__GetEntityRequest *in, Atrium__HttpBody *out)
{
    return answer_document(rq, ENTITY_PLACE, in, out);
}

Err events_v1_get_organization(Request *rq, const Events__V1__GetEntityRequest *in, Atrium__HttpBody *out)
{
    return answer_document(rq, ENTITY_ORGANIZATION, in, out);
}
