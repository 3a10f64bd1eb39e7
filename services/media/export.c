/* Export: a collection, or some items, as one archive that is written while it is sent. */
#include "services/media/export.h"

#include "atrium/media/v1/uploads.service.h"
#include "services/media/answers.h"
#include "services/media/naming.h"
#include "services/media/store_export.h"
#include "services/media/uploads.h"
#include "shared/bytes.h"
#include "shared/sha256.h"
#include "shared/strbuf.h"
#include "shared/zip.h"

enum {
    EXPORT_ITEMS_MAX = 32, /* of a selection: they stand in the ticket */
    EXPORT_TTL_MS = 3600 * 1000,
    EXPORT_SKIP_BYTES = 1 << 16,
};
#define OF_COLLECTION "collection:"
#define OF_SHARED "shared:" /* a collection, for whoever may see it */
#define OF_ITEMS "items:"

/* ---------------------------------------------------------------------------------------- what is in it */

/* PERMISSION_DENIED when the sharing has ended since, or allows no downloads any more. */
static Err list_shared(Request *rq, Uuid id, uint64_t generation, ExportList *out)
{
    CollectionRow row;

    TRY(media_store_collection(rq, NULL, id, &row));
    if (row.owner_id == 0 || generation != (uint64_t)row.share_generation || !row.allow_download ||
        (!row.is_public && !share_link_lives(&row, clock_unix_us(rq->clock))))
        return err_make(&PERMISSION_DENIED, "this link is no longer good");
    return media_store_export_collection(rq, row.owner_id, id, true, out);
}

/* What a ticket names. NOT_FOUND when that is not there, or not the user's. */
static Err list_of(Request *rq, const Ticket *ticket, ExportList *out)
{
    Slice resource = slice(ticket->resource);
    Slice packed;
    Uuid id, ids[EXPORT_ITEMS_MAX];

    if (slice_starts_with(resource, SLICE_LIT(OF_COLLECTION)) &&
        uuid_parse(slice_skip(resource, sizeof(OF_COLLECTION) - 1), &id)) {
        TRY(media_store_export_collection(rq, ticket->user_id, id, false, out));
        return out->there ? OK : err_make(&NOT_FOUND, "collection not found");
    }
    if (slice_starts_with(resource, SLICE_LIT(OF_SHARED)) &&
        uuid_parse(slice_skip(resource, sizeof(OF_SHARED) - 1), &id))
        return list_shared(rq, id, ticket->generation, out);
    if (!slice_starts_with(resource, SLICE_LIT(OF_ITEMS)) ||
        !base64_decode(rq->mem, slice_skip(resource, sizeof(OF_ITEMS) - 1), &packed) || packed.len > sizeof(ids))
        return err_make(&NOT_FOUND, "nothing to export");
    memcpy(ids, packed.ptr, packed.len);
    return media_store_export_items(rq, ticket->user_id, ids, packed.len / sizeof(Uuid), out);
}

/* "day.mp4", "day (2).mp4": the number goes before the extension. */
static char *numbered(Arena *mem, const char *name, int number)
{
    const char *dot = strrchr(name, '.');
    int stem = dot && dot != name ? (int)(dot - name) : (int)strlen(name);

    return arena_printf(mem, "%.*s (%d)%s", stem, name, number, name + stem);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Safe names, each once, whatever the items are called: those of a name get numbers until nothing is twice any more. */
static void name_entries(Arena *mem, const ExportList *list, ZipEntry *entries)
{
    const char **sorted = ARENA_ARRAY(mem, const char *, list->count + 1), **own;
    int *numbers = ARENA_ARRAY(mem, int, list->count + 1);
    bool again = true;

    own = ARENA_ARRAY(mem, const char *, list->count + 1);
    for (size_t i = 0; i < list->count; i++)
        own[i] = sorted[i] = name_safe(mem, slice(list->rows[i].filename));
    for (int round = 0; again && round < 3; round++) {
        again = false;
        qsort(sorted, list->count, sizeof(*sorted), compare_names);
        memset(numbers, 0, (list->count + 1) * sizeof(*numbers));
        for (size_t i = 0; i < list->count; i++) {
            const char **first = bsearch(&own[i], sorted, list->count, sizeof(*sorted), compare_names);

            while (first > sorted && strcmp(first[-1], own[i]) == 0)
                first--;
            if (numbers[first - sorted]++ == 0)
                continue;
            own[i] = numbered(mem, own[i], numbers[first - sorted]);
            again = true;
        }
        for (size_t i = 0; i < list->count; i++)
            sorted[i] = own[i];
    }
    for (size_t i = 0; i < list->count; i++)
        entries[i].name = again ? slice(arena_printf(mem, "%zu %s", i + 1, own[i])) : slice(own[i]);
}

static ZipEntry *entries_of(Request *rq, const ExportList *list)
{
    ZipEntry *entries = ARENA_ARRAY(rq->mem, ZipEntry, list->count + 1);

    for (size_t i = 0; i < list->count; i++)
        entries[i] = (ZipEntry){.size_bytes = (uint64_t)list->rows[i].size_bytes,
                                .modified_ms = list->rows[i].created_us / 1000,
                                .own = list->rows[i].object_key};
    name_entries(rq->mem, list, entries);
    return entries;
}

/* ---------------------------------------------------------------------------------------- asking for it */

static Err resource_of(Request *rq, const Media__V1__CreateExportRequest *in, char **out)
{
    Uuid id, ids[EXPORT_ITEMS_MAX];

    if (in->collection_id && *in->collection_id) {
        if (!uuid_parse(slice(in->collection_id), &id))
            return err_make(&NOT_FOUND, "collection not found");
        *out = arena_printf(rq->mem, OF_COLLECTION "%s", uuid_text(rq->mem, id));
        return OK;
    }
    if (in->n_media_ids == 0 || in->n_media_ids > EXPORT_ITEMS_MAX)
        return err_make(&INVALID_ARGUMENT, "a collection_id, or 1 to %d media_ids", EXPORT_ITEMS_MAX);
    for (size_t i = 0; i < in->n_media_ids; i++)
        if (!uuid_parse(slice(in->media_ids[i]), &ids[i]))
            return err_make(&NOT_FOUND, "media not found");
    *out =
        arena_printf(rq->mem, OF_ITEMS "%s", base64url_encode(rq->mem, slice_of(ids, in->n_media_ids * sizeof(Uuid))));
    return OK;
}

static Ticket own_ticket(const Request *rq)
{
    return (Ticket){.kind = "export",
                    .user_id = rq->caller.user_id,
                    .login_id = rq->caller.login_id,
                    .expires_ms = clock_unix_ms(rq->clock) + EXPORT_TTL_MS};
}

static Err url_of(Request *rq, const Ticket *ticket, char **out)
{
    const Media *media = rq->service;
    char *text;

    TRY(ticket_sign(media->tickets, rq->mem, ticket, &text));
    *out = ticket_url(rq->mem, media->bytes_url, "/media/export/", text, "");
    return OK;
}

Err export_collection_url(Request *rq, const CollectionRow *collection, char **out)
{
    bool own = collection->owner_id == rq->caller.user_id;
    Ticket ticket = own_ticket(rq);

    ticket.resource =
        arena_printf(rq->mem, "%s%s", own ? OF_COLLECTION : OF_SHARED, uuid_text(rq->mem, collection->id));
    if (!own) { /* nobody's login: it is the link that lets them in */
        ticket.user_id = 0;
        ticket.login_id = "";
        ticket.generation = (uint64_t)collection->share_generation;
    }
    return url_of(rq, &ticket, out);
}

Err media_v1_create_export(Request *rq, const Media__V1__CreateExportRequest *in, Media__V1__CreateExportReply *out)
{
    Ticket ticket = own_ticket(rq);
    char *resource = NULL;
    ExportList list;

    TRY(resource_of(rq, in, &resource));
    ticket.resource = resource;
    TRY(list_of(rq, &ticket, &list));
    if (!list.count)
        return err_make(&NOT_FOUND, "media not found");
    TRY(url_of(rq, &ticket, &out->url));
    SET(out, size_bytes, (int64_t)zip_size(entries_of(rq, &list), list.count));
    SET(out, item_count, (int64_t)list.count);
    out->expires_at = answer_time(rq->mem, ticket.expires_ms * 1000);
    return OK;
}

/* ---------------------------------------------------------------------------------------- sending it */

typedef struct Export {
    Blob *blob;
    const ZipEntry *entries;
    size_t count;
    Zip *zip;
    BlobReader *reader;
} Export;

static Err open_entry(void *at, const ZipEntry *entry)
{
    Export *export = at;

    return blob_reader_new(export->blob, entry->own, &export->reader);
}

static Err read_entry(void *at, char *into, size_t len, size_t *out_len)
{
    Export *export = at;

    return blob_reader_read(export->reader, into, len, out_len);
}

static void close_entry(void *at)
{
    Export *export = at;

    blob_reader_free(MOVE(export->reader));
}

static const ZipSource CONTENTS = {open_entry, read_entry, close_entry};

static Err read_export(void *data, char *into, size_t len, size_t *out_len)
{
    return zip_read(((Export *)data)->zip, into, len, out_len);
}

static void close_export(void *data)
{
    Export *export = data;

    zip_free(MOVE(export->zip));
}

/* Who asks for a later part waits until the earlier ones are made: checksums stand behind what they are of. */
static Err open_export(Request *rq, void *data, uint64_t offset, uint64_t length, BytesSource *out)
{
    char *skipped = arena_alloc_raw(rq->mem, EXPORT_SKIP_BYTES, 1);
    Export *export = data;
    size_t len = 1;

    (void)length;
    export->zip = zip_new(export->entries, export->count, &CONTENTS, export);
    while (offset && len) {
        Err e = zip_read(export->zip, skipped, (size_t)MIN(offset, (uint64_t)EXPORT_SKIP_BYTES), &len);

        if (err_failed(e)) {
            close_export(export);
            return e;
        }
        offset -= len;
    }
    *out = (BytesSource){.fd = -1, .read = read_export, .close = close_export, .data = export};
    return OK;
}

/* The same for the same bytes: a collection changes, and the rest of one archive must not be put behind the beginning
 * of another. */
static char *etag_of(Arena *mem, const Export *export)
{
    char *out = arena_alloc_raw(mem, SHA256_HEX_BYTES, 1);
    Sha256 hash;

    sha256_init(&hash);
    for (size_t i = 0; i < export->count; i++) {
        const ZipEntry *e = &export->entries[i];
        char numbers[64];
        int len = snprintf(numbers, sizeof(numbers), "%" PRIu64 " %" PRId64 " %zu ", e->size_bytes, e->modified_ms,
                           e->name.len);

        sha256_update(&hash, slice_of(numbers, (size_t)len));
        sha256_update(&hash, e->name);
        sha256_update(&hash, slice_of(e->own, strlen(e->own) + 1));
    }
    sha256_hex(&hash, out);
    return out;
}

static Err begin_export(BytesExchange *x)
{
    Request *rq = bytes_request(x);
    Export *export = ARENA_NEW(rq->mem, Export);
    ExportList list;
    Ticket ticket;
    uint64_t size;

    TRY(bytes_take_ticket(x, bytes_variable(x, "ticket"), "export", &ticket));
    TRY(list_of(rq, &ticket, &list));
    *export =
        (Export){.blob = ((const Media *)rq->service)->blob, .entries = entries_of(rq, &list), .count = list.count};
    size = zip_size(export->entries, export->count);
    if (size == UINT64_MAX)
        return err_make(&INTERNAL, "an archive that cannot be");
    return bytes_answer_content(
        x, &(BytesContent){
               .size = (int64_t)size,
               .open = open_export,
               .data = export,
               .content_type = "application/zip",
               .etag = etag_of(rq->mem, export),
               .cache_control = "private, no-store",
               .disposition = bytes_disposition(
                   rq->mem, true, slice(arena_printf(rq->mem, "%s.zip", *list.title ? list.title : "export")))});
}

const BytesHandler media_v1_get_export = {.begin = begin_export};
