/* Multipart and resumable uploads of the driver `s3`. */
#include "atrium/reasons.atrium.h"
#include "shared/blob_s3.h"
#include "shared/strbuf.h"

/* ---------------------------------------------------------------------------------------------------- multipart */

uint64_t s3_part_bytes(uint64_t length, uint64_t max_bytes)
{
    uint64_t most = length != BLOB_UNKNOWN ? length : max_bytes, part;

    if (length == BLOB_UNKNOWN && (!most || most > (uint64_t)S3_PART_MAX_BYTES * BLOB_PARTS_MAX))
        return S3_PART_DEFAULT_BYTES;
    part = (most / BLOB_PARTS_MAX / S3_MIB + 1) * S3_MIB;
    return part > S3_PART_MAX_BYTES ? 0 : MAX(part, (uint64_t)S3_PART_MIN_BYTES);
}

size_t s3_part_add(S3Part *p, Slice piece, size_t part_bytes)
{
    size_t take = MIN(piece.len, part_bytes - p->len);

    if (p->len + take > p->cap) {
        p->cap = MIN(MAX(p->cap * 2, p->len + take), part_bytes);
        p->bytes = xrealloc(p->bytes, p->cap);
    }
    memcpy(p->bytes + p->len, piece.ptr, take);
    p->len += take;
    return take;
}

Err s3_multipart_begin(S3 *s3, const char *key, const char *content_type, char *out_id, size_t out_bytes)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    const SigV4Pair headers[] = {{"Content-Type", content_type}}, query[] = {{"uploads", ""}};
    S3Reply reply;
    S3Xml xml;
    const char *id;

    TRY(s3_call(
        s3, mem,
        &(S3Call){
            .method = "POST", .key = key, .query = query, .query_count = 1, .headers = headers, .header_count = 1},
        &reply));
    if (!s3_xml_parse(mem, reply.body, NULL, &xml))
        return err_make(&INTERNAL, "object store: begin of an upload: no XML");
    id = s3_xml_get(&xml.top, "UploadId");
    /* It goes into our record, a line. */
    if (!id[0] || strlen(id) >= out_bytes || strpbrk(id, "\r\n"))
        return err_make(&INTERNAL, "object store: begin of an upload: no id");
    (void)snprintf(out_id, out_bytes, "%s", id);
    return OK;
}

Err s3_multipart_put(S3 *s3, const char *key, const char *id, uint64_t number, Slice bytes)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    const SigV4Pair query[] = {{"partNumber", arena_printf(mem, "%" PRIu64, number)}, {"uploadId", id}};
    S3Reply reply;

    return s3_call(s3, mem, &(S3Call){.method = "PUT", .key = key, .query = query, .query_count = 2, .body = bytes},
                   &reply);
}

Err s3_multipart_abort(S3 *s3, const char *key, const char *id)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    const SigV4Pair query[] = {{"uploadId", id}};
    S3Reply reply;
    Err e = s3_call(s3, mem, &(S3Call){.method = "DELETE", .key = key, .query = query, .query_count = 1}, &reply);

    return e.reason == &NOT_FOUND ? OK : e;
}

static Err list_parts(S3 *s3, Arena *mem, const char *key, const char *id, BlobPart **out, size_t *out_count)
{
    BlobPart *parts = ARENA_ARRAY(mem, BlobPart, BLOB_PARTS_MAX);
    size_t count = 0;
    const char *after = "0";
    bool more = true;

    while (more) {
        const SigV4Pair query[] = {{"max-parts", "1000"}, {"part-number-marker", after}, {"uploadId", id}};
        S3Reply reply;
        S3Xml xml;
        TRY(s3_call(s3, mem, &(S3Call){.method = "GET", .key = key, .query = query, .query_count = 3}, &reply));
        if (!s3_xml_parse(mem, reply.body, "Part", &xml))
            return err_make(&INTERNAL, "object store: a list of parts that is none");
        for (size_t i = 0; i < xml.count && count < BLOB_PARTS_MAX; i++) {
            after = s3_xml_get(&xml.rows[i], "PartNumber");
            parts[count++] = (BlobPart){.number = (int)s3_xml_number(&xml.rows[i], "PartNumber"),
                                        .etag = s3_xml_get(&xml.rows[i], "ETag"),
                                        .size_bytes = s3_xml_number(&xml.rows[i], "Size")};
        }
        more = xml.count > 0 && count < BLOB_PARTS_MAX && !strcmp(s3_xml_get(&xml.top, "IsTruncated"), "true");
    }
    *out = parts;
    *out_count = count;
    return OK;
}

/* ETags are hex with an optional suffix; others would be markup. */
static bool etag_is_plain(Slice etag)
{
    for (size_t i = 0; i < etag.len; i++) {
        if (strchr("<>&\"", etag.ptr[i]))
            return false;
    }
    return etag.len > 0 && etag.len <= BLOB_ETAG_MAX_BYTES;
}

static Slice without_quotes(const char *etag)
{
    Slice e = slice(etag);

    return e.len >= 2 && e.ptr[0] == '"' && e.ptr[e.len - 1] == '"' ? slice_take(slice_skip(e, 1), e.len - 2) : e;
}

static Err make_list(Arena *mem, const BlobPart *parts, size_t count, Slice *out)
{
    StrBuf b = strbuf_new(mem, S3_REPLY_MAX_BYTES);

    strbuf_append_cstr(&b, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (size_t i = 0; i < count; i++) {
        Slice etag = without_quotes(parts[i].etag);
        if (!etag_is_plain(etag))
            return err_make(&INVALID_BODY, "part %d: no ETag of ours", parts[i].number);
        strbuf_printf(&b, "<Part><PartNumber>%d</PartNumber><ETag>&quot;" SLICE_FMT "&quot;</ETag></Part>",
                      parts[i].number, SLICE_ARG(etag));
    }
    strbuf_append_cstr(&b, "</CompleteMultipartUpload>");
    return strbuf_finish(&b, out) ? OK : err_make(&INTERNAL, "list of parts: too long");
}

static Err end_with(S3 *s3, Arena *mem, const char *key, const char *id, const BlobPart *parts, size_t count,
                    bool only_if_absent, S3Reply *reply, const char **out_etag)
{
    const SigV4Pair query[] = {{"uploadId", id}};
    const SigV4Pair headers[] = {{"Content-Type", "application/xml"}, {"If-None-Match", "*"}};
    S3Call call = {.method = "POST",
                   .key = key,
                   .query = query,
                   .query_count = 1,
                   .headers = headers,
                   .header_count = only_if_absent ? 2 : 1};
    S3Xml xml;

    TRY(make_list(mem, parts, count, &call.body));
    TRY(s3_call(s3, mem, &call, reply));
    if (!s3_xml_parse(mem, reply->body, NULL, &xml))
        return err_make(&INTERNAL, "object store: end of an upload: no XML");
    /* Long ends answer 200 at once, and an error may come inside. */
    if (!strcmp(xml.root, "Error"))
        return s3_error(500, reply->body);
    *out_etag = s3_xml_get(&xml.top, "ETag");
    return OK;
}

/* The answer to an end that went well may have been lost: then there is no such upload any more, but the object. `size`
 * may be BLOB_UNKNOWN. */
static Err was_it_ended(S3 *s3, const char *key, uint64_t count, uint64_t size, Err e, BlobInfo *out)
{
    char suffix[24];
    BlobInfo info;

    (void)snprintf(suffix, sizeof(suffix), "-%" PRIu64, count);
    if (err_failed(s3_stat(&s3->base, key, &info)) || (size != BLOB_UNKNOWN && info.size_bytes != size) ||
        !slice_ends_with(slice(info.etag), slice(suffix)))
        return e;
    *out = info;
    return OK;
}

static Err check_parts(const BlobPart *parts, size_t have, uint64_t count, uint64_t size)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < have && i < count; i++) {
        if (parts[i].number != (int)i + 1)
            return err_make(&INTERNAL, "object store: part %zu is gone", i + 1);
        sum += parts[i].size_bytes;
    }
    return have >= count && sum == size ? OK : err_make(&INTERNAL, "object store: parts are gone");
}

/* Gone already: it was made all the same, and no ETag will ever be compared with it. */
static Err ask_for_etag(S3 *s3, const char *key, const S3Reply *reply, const char *content_type, uint64_t size,
                        BlobInfo *out)
{
    Err e = s3_stat(&s3->base, key, out);

    return e.reason == &NOT_FOUND ? s3_made(reply, "gone", content_type, size, out) : e;
}

Err s3_multipart_end(S3 *s3, const char *key, const char *id, uint64_t count, uint64_t size, bool only_if_absent,
                     const char *content_type, BlobInfo *out)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(64 * 1024);
    const char *etag = "";
    BlobPart *parts;
    S3Reply reply;
    size_t have;
    Err e = list_parts(s3, mem, key, id, &parts, &have);

    if (!err_failed(e)) {
        BlobInfo info;
        TRY(check_parts(parts, have, count, size));
        if (only_if_absent && !err_failed(s3_stat(&s3->base, key, &info)))
            return err_make(&CONFLICT, "there is something under this key");
        e = end_with(s3, mem, key, id, parts, count, only_if_absent, &reply, &etag);
    }
    if (e.reason == &NOT_FOUND)
        return was_it_ended(s3, key, count, size, e, out);
    TRY(e);
    if (!etag[0]) /* Ceph 16 says none here */
        return ask_for_etag(s3, key, &reply, content_type, size, out);
    return s3_made(&reply, etag, content_type, size, out);
}

/* ---------------------------------------------------------------------------------------------------- records */

static void key_of_record(const char *id, char out[sizeof(S3_UPLOADS) + BLOB_UPLOAD_ID_BYTES])
{
    (void)snprintf(out, sizeof(S3_UPLOADS) + BLOB_UPLOAD_ID_BYTES, S3_UPLOADS "%s", id);
}

static Err put_record(S3 *s3, const char *id, const BlobRecord *r, Slice tail)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    const SigV4Pair headers[] = {{"Content-Type", BLOB_TYPE_FALLBACK}};
    char text[BLOB_RECORD_MAX_BYTES], key[sizeof(S3_UPLOADS) + BLOB_UPLOAD_ID_BYTES];
    size_t len = blob_record_format(r, text);
    char *body = xmalloc(len + tail.len);
    S3Reply reply;
    Err e;

    memcpy(body, text, len);
    if (tail.len)
        memcpy(body + len, tail.ptr, tail.len);
    key_of_record(id, key);
    e = s3_call(
        s3, mem,
        &(S3Call){
            .method = "PUT", .key = key, .headers = headers, .header_count = 1, .body = slice_of(body, len + tail.len)},
        &reply);
    free(body);
    return e;
}

/* `max_bytes` of BLOB_RECORD_MAX_BYTES: the record alone. The tail is borrowed from `mem`. */
static Err get_record(S3 *s3, Arena *mem, const char *id, size_t max_bytes, BlobRecord *out, Slice *out_tail)
{
    char key[sizeof(S3_UPLOADS) + BLOB_UPLOAD_ID_BYTES];
    S3Reply reply;
    size_t len;

    key_of_record(id, key);
    TRY(s3_get_head(s3, mem, key, max_bytes, &reply));
    if (!blob_record_parse(reply.body, out, &len))
        return err_make(&INTERNAL, "upload: its record is damaged");
    *out_tail = slice_skip(reply.body, len);
    return OK;
}

static Err get_whole(S3 *s3, Arena *mem, const char *id, BlobRecord *out, Slice *out_tail)
{
    TRY(get_record(s3, mem, id, BLOB_RECORD_MAX_BYTES + S3_PART_MAX_BYTES, out, out_tail));
    if (!out->complete && (!out->part_bytes || out->part_bytes > S3_PART_MAX_BYTES ||
                           out_tail->len != out->offset - out->parts * out->part_bytes))
        return err_make(&INTERNAL, "upload: its record is damaged");
    return OK;
}

static bool begin_sitting(S3 *s3, const char *id)
{
    bool good = true;
    S3Sitting *s;

    (void)pthread_mutex_lock(&s3->lock);
    for (s = s3->sittings; s && good; s = s->next)
        good = strcmp(s->id, id) != 0;
    if (good) {
        s = xcalloc(1, sizeof(*s));
        (void)snprintf(s->id, sizeof(s->id), "%s", id);
        s->next = s3->sittings;
        s3->sittings = s;
    }
    (void)pthread_mutex_unlock(&s3->lock);
    return good;
}

static void end_sitting(S3 *s3, const char *id)
{
    S3Sitting **at, *s;

    (void)pthread_mutex_lock(&s3->lock);
    for (at = &s3->sittings; *at && strcmp((*at)->id, id) != 0;)
        at = &(*at)->next;
    s = *at;
    *at = s->next;
    (void)pthread_mutex_unlock(&s3->lock);
    free(s);
}

/* ---------------------------------------------------------------------------------------------------- uploads */

typedef struct S3Upload {
    BlobUpload base; /* first; `durable` has the parts that count */
    S3Part part;
    uint64_t parts; /* sent, counted or not */
    char upload_id[1025];
} S3Upload;

Err s3_upload_create(Blob *b, const char *id, uint64_t length, BlobRecord *r)
{
    r->part_bytes = s3_part_bytes(length, r->max_bytes);
    if (!r->part_bytes)
        return err_make(&PAYLOAD_TOO_LARGE, "more than the object store takes");
    r->max_bytes = MIN(r->max_bytes, r->part_bytes * BLOB_PARTS_MAX);
    return put_record((S3 *)b, id, r, SLICE_LIT(""));
}

Err s3_upload_stat(Blob *b, const char *id, BlobUploadStat *out)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(16 * 1024);
    BlobRecord r;
    Slice tail;

    TRY(get_record((S3 *)b, mem, id, BLOB_RECORD_MAX_BYTES, &r, &tail));
    *out = (BlobUploadStat){.offset = r.offset, .complete = r.complete};
    return OK;
}

/* As the store has it. */
static Err load(S3Upload *u)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(16 * 1024);
    Slice tail;

    TRY(get_whole((S3 *)u->base.store, mem, u->base.id, &u->base.durable, &tail));
    u->base.complete = u->base.durable.complete;
    u->parts = u->base.durable.parts;
    (void)snprintf(u->upload_id, sizeof(u->upload_id), "%s", u->base.durable.upload_id);
    u->part.len = 0;
    if (!u->base.complete && tail.len)
        (void)s3_part_add(&u->part, tail, (size_t)u->base.durable.part_bytes);
    return OK;
}

Err s3_upload_open(Blob *b, const char *id, BlobUpload **out)
{
    S3 *s3 = (S3 *)b;
    S3Upload *u;
    Err e;

    if (!begin_sitting(s3, id))
        return err_make(&CONFLICT, "upload: in use");
    u = xcalloc(1, sizeof(*u));
    u->base.store = b;
    (void)snprintf(u->base.id, sizeof(u->base.id), "%s", id);
    e = load(u);
    if (err_failed(e))
        s3_upload_free(&u->base);
    else
        *out = &u->base;
    return e;
}

static Err send_part(S3Upload *u)
{
    S3 *s3 = (S3 *)u->base.store;
    const BlobRecord *r = &u->base.durable;

    if (!u->upload_id[0])
        TRY(s3_multipart_begin(s3, r->key, r->content_type, u->upload_id, sizeof(u->upload_id)));
    TRY(s3_multipart_put(s3, r->key, u->upload_id, u->parts + 1, slice_of(u->part.bytes, u->part.len)));
    u->parts++;
    u->part.len = 0;
    return OK;
}

Err s3_upload_append(BlobUpload *base, Slice piece)
{
    S3Upload *u = (S3Upload *)base;
    size_t part_bytes = (size_t)base->durable.part_bytes;

    while (piece.len) {
        if (u->part.len == part_bytes)
            TRY(send_part(u));
        piece = slice_skip(piece, s3_part_add(&u->part, piece, part_bytes));
    }
    return OK;
}

Err s3_upload_flush(BlobUpload *base)
{
    S3Upload *u = (S3Upload *)base;
    BlobRecord r = base->durable;

    r.offset = base->offset;
    r.sha = base->sha;
    r.parts = u->parts;
    memcpy(r.upload_id, u->upload_id, sizeof(r.upload_id));
    TRY(put_record((S3 *)base->store, base->id, &r, slice_of(u->part.bytes, u->part.len)));
    base->durable = r;
    return OK;
}

/* Parts that were sent meanwhile are sent again with the bytes that count. The multipart upload that one of them began
 * is kept for that. */
Err s3_upload_rollback(BlobUpload *base)
{
    S3Upload *u = (S3Upload *)base;
    char begun[sizeof(u->upload_id)];

    memcpy(begun, u->upload_id, sizeof(begun));
    TRY(load(u));
    memcpy(u->upload_id, begun, sizeof(begun));
    return OK;
}

static Err make_object(S3Upload *u, const char *sha256, bool only_if_absent, BlobInfo *out)
{
    S3 *s3 = (S3 *)u->base.store;
    const BlobRecord *r = &u->base.durable;
    Slice tail = slice_of(u->part.bytes, u->part.len); /* it stays in memory: this may have to be done again */
    uint64_t count = r->parts + (tail.len > 0);
    Err e = OK;

    if (!r->parts)
        return s3_put_whole(s3, r->key, r->content_type, sha256, only_if_absent, tail, out);
    if (tail.len)
        e = s3_multipart_put(s3, r->key, r->upload_id, count, tail);
    if (e.reason == &NOT_FOUND)
        return was_it_ended(s3, r->key, count, r->offset, e, out);
    TRY(e);
    return s3_multipart_end(s3, r->key, r->upload_id, count, r->offset, only_if_absent, r->content_type, out);
}

/* A complete upload of nothing but small bytes may have begun a multipart upload that was rolled back. */
static void drop_unused(S3Upload *u)
{
    if (!u->base.durable.parts && u->upload_id[0])
        err_ignore(s3_multipart_abort((S3 *)u->base.store, u->base.durable.key, u->upload_id)); /* the sweep takes it */
}

static Err mark_complete(BlobUpload *base)
{
    BlobRecord r = base->durable;

    r.complete = 1;
    TRY(put_record((S3 *)base->store, base->id, &r, SLICE_LIT("")));
    base->durable = r;
    return OK;
}

/* It was made before: the same answer, as long as the object is the one that it became. */
static Err answer_again(const BlobUpload *base, const char *sha256, BlobInfo *out)
{
    TRY(s3_stat(base->store, base->durable.key, out));
    if (out->size_bytes != base->offset || (out->sha256[0] && strcmp(out->sha256, sha256) != 0))
        return err_make(&NOT_FOUND, "upload: its object was replaced");
    return OK;
}

Err s3_upload_complete(BlobUpload *base, const char *sha256, bool only_if_absent, BlobInfo *out)
{
    S3Upload *u = (S3Upload *)base;
    BlobInfo info;

    if (base->complete) {
        TRY(answer_again(base, sha256, &info));
    } else {
        TRY(make_object(u, sha256, only_if_absent, &info));
        drop_unused(u);
        TRY(mark_complete(base));
    }
    (void)snprintf(info.sha256, sizeof(info.sha256), "%s", sha256);
    *out = info;
    return OK;
}

void s3_upload_free(BlobUpload *base)
{
    S3Upload *u = (S3Upload *)base;

    end_sitting((S3 *)base->store, base->id);
    free(u->part.bytes);
    free(u);
}

static Err forget(S3 *s3, const char *id)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(16 * 1024);
    char key[sizeof(S3_UPLOADS) + BLOB_UPLOAD_ID_BYTES];
    BlobRecord r;
    Slice tail;
    Err e = get_record(s3, mem, id, BLOB_RECORD_MAX_BYTES, &r, &tail);

    if (e.reason == &NOT_FOUND)
        return OK;
    if (err_failed(e) && e.reason != &INTERNAL) /* a damaged one goes, its parts with the sweep */
        return e;
    if (!err_failed(e) && r.upload_id[0] && !r.complete)
        TRY(s3_multipart_abort(s3, r.key, r.upload_id));
    key_of_record(id, key);
    return s3->base.driver->delete (&s3->base, key);
}

Err s3_upload_forget(Blob *b, const char *id)
{
    S3 *s3 = (S3 *)b;
    Err e;

    if (!begin_sitting(s3, id))
        return err_make(&CONFLICT, "upload: in use");
    e = forget(s3, id);
    end_sitting(s3, id);
    return e;
}

/* ---------------------------------------------------------------------------------------------------- what is old */

static const char *id_of_record(const S3Row *row)
{
    const char *key = s3_xml_get(row, "Key");

    return strlen(key) == sizeof(S3_UPLOADS) - 1 + BLOB_UPLOAD_ID_BYTES - 1 ? key + sizeof(S3_UPLOADS) - 1 : NULL;
}

static bool page_goes_on(const S3Xml *page)
{
    return page->count > 0 && !strcmp(s3_xml_get(&page->top, "IsTruncated"), "true");
}

Err s3_upload_list(Blob *b, Arena *mem, int64_t before_ms, const char *after_id, size_t limit, BlobStale **out,
                   size_t *out_count)
{
    S3 *s3 = (S3 *)b;
    BlobStale *list = ARENA_ARRAY(mem, BlobStale, limit);
    const char *after = arena_printf(mem, S3_UPLOADS "%s", after_id);
    size_t count = 0;
    S3Xml page;

    do {
        TRY(s3_list_page(s3, mem, S3_UPLOADS, after, S3_XML_ROWS_MAX, &page));
        for (size_t i = 0; i < page.count && count < limit; i++) {
            const char *id = id_of_record(&page.rows[i]);
            int64_t touched_ms = s3_xml_time_ms(&page.rows[i], "LastModified");
            char state[BLOB_STATE_BYTES];
            BlobUploadStat st = {.offset = 0}; /* gone meanwhile, or damaged: still something to forget */
            after = s3_xml_get(&page.rows[i], "Key");
            if (!id || touched_ms >= before_ms)
                continue;
            err_ignore(s3_upload_stat(b, id, &st));
            blob_state_format(b, id, state);
            list[count++] = (BlobStale){arena_strdup(mem, state), st.offset, touched_ms};
        }
    } while (count < limit && page_goes_on(&page));
    *out = list;
    *out_count = count;
    return OK;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The multipart uploads that records own, sorted. */
static Err owned_uploads(S3 *s3, Arena *mem, const char ***out, size_t *out_count)
{
    const char **ids = NULL, *after = S3_UPLOADS;
    size_t count = 0, cap = 0;
    S3Xml page;

    do {
        TRY(s3_list_page(s3, mem, S3_UPLOADS, after, S3_XML_ROWS_MAX, &page));
        for (size_t i = 0; i < page.count; i++) {
            CLEANUP(arena_free_at) Arena *scratch = arena_new(16 * 1024);
            const char *id = id_of_record(&page.rows[i]);
            BlobRecord r;
            Slice tail;
            Err e = id ? get_record(s3, scratch, id, BLOB_RECORD_MAX_BYTES, &r, &tail) : OK;
            after = s3_xml_get(&page.rows[i], "Key");
            if (e.reason == &UNAVAILABLE)
                return e; /* not knowing is no reason to throw away */
            if (!id || err_failed(e) || !r.upload_id[0])
                continue;
            if (count == S3_ORPHANS_MAX)
                return err_make(&INTERNAL, "sweep: more than %d uploads", S3_ORPHANS_MAX);
            if (count == cap) {
                ids = arena_grow(mem, ids, cap * sizeof(*ids), (cap * 2 + 64) * sizeof(*ids));
                cap = cap * 2 + 64;
            }
            ids[count++] = arena_strdup(mem, r.upload_id);
        }
    } while (page_goes_on(&page));
    if (count)
        qsort(ids, count, sizeof(*ids), compare_texts);
    *out = ids;
    *out_count = count;
    return OK;
}

static bool is_owned(const char *const *ids, size_t count, const char *id)
{
    return count && bsearch(&id, ids, count, sizeof(*ids), compare_texts);
}

static Err list_multiparts(S3 *s3, Arena *mem, const char *after_key, const char *after_id, S3Xml *out)
{
    const SigV4Pair query[] = {
        {"uploads", ""}, {"max-uploads", "1000"}, {"key-marker", after_key}, {"upload-id-marker", after_id}};
    S3Reply reply;

    TRY(s3_call(s3, mem, &(S3Call){.method = "GET", .query = query, .query_count = after_key[0] ? 4 : 2}, &reply));
    return s3_xml_parse(mem, reply.body, "Upload", out) ? OK : err_make(&INTERNAL, "object store: a list that is none");
}

/* Multipart uploads that were begun before then and that no record owns. */
Err s3_sweep(Blob *b, int64_t before_ms, size_t *out_count)
{
    S3 *s3 = (S3 *)b;
    CLEANUP(arena_free_at) Arena *mem = arena_new(64 * 1024);
    const char **owned = NULL, *after_key = "", *after_id = "";
    size_t owned_count = 0;
    bool know = false;
    S3Xml page;

    do {
        TRY(list_multiparts(s3, mem, after_key, after_id, &page));
        for (size_t i = 0; i < page.count; i++) {
            after_key = s3_xml_get(&page.rows[i], "Key");
            after_id = s3_xml_get(&page.rows[i], "UploadId");
            if (s3_xml_time_ms(&page.rows[i], "Initiated") >= before_ms || !blob_key_valid(slice(after_key)))
                continue;
            if (!know)
                TRY(owned_uploads(s3, mem, &owned, &owned_count));
            know = true;
            if (is_owned(owned, owned_count, after_id))
                continue;
            TRY(s3_multipart_abort(s3, after_key, after_id));
            (*out_count)++;
        }
    } while (page_goes_on(&page));
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- parts by clients
 */

Err s3_upload_for_parts(S3 *s3, Arena *mem, const char *id, const char **out_key, const char **out_id)
{
    BlobRecord r;
    Slice tail;

    TRY(get_record(s3, mem, id, BLOB_RECORD_MAX_BYTES, &r, &tail));
    if (r.complete)
        return err_make(&CONFLICT, "upload: complete");
    if (!r.upload_id[0]) {
        TRY(s3_multipart_begin(s3, r.key, r.content_type, r.upload_id, sizeof(r.upload_id)));
        TRY(put_record(s3, id, &r, SLICE_LIT("")));
    }
    *out_key = arena_strdup(mem, r.key);
    *out_id = arena_strdup(mem, r.upload_id);
    return OK;
}

Err s3_upload_parts(Blob *b, Arena *mem, const char *id, BlobPart **out, size_t *out_count)
{
    const char *key, *upload_id;

    TRY(s3_upload_for_parts((S3 *)b, mem, id, &key, &upload_id));
    return list_parts((S3 *)b, mem, key, upload_id, out, out_count);
}

Err s3_complete_parts(Blob *b, const char *id, const BlobPart *parts, size_t count, BlobInfo *out)
{
    S3 *s3 = (S3 *)b;
    CLEANUP(arena_free_at) Arena *mem = arena_new(64 * 1024);
    const char *etag;
    BlobInfo info;
    S3Reply reply;
    BlobRecord r;
    Slice tail;
    Err e;

    TRY(get_record(s3, mem, id, BLOB_RECORD_MAX_BYTES, &r, &tail));
    if (!r.complete) {
        if (!r.upload_id[0])
            return err_make(&INVALID_BODY, "upload: no part of it has come");
        e = end_with(s3, mem, r.key, r.upload_id, parts, count, false, &reply, &etag);
        if (e.reason == &NOT_FOUND)
            e = was_it_ended(s3, r.key, count, BLOB_UNKNOWN, e, &info);
        TRY(e);
        r.complete = 1;
        TRY(put_record(s3, id, &r, SLICE_LIT("")));
    }
    return s3_stat(b, r.key, out); /* nobody else knows its size */
}
