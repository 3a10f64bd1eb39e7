/* What goes out: originals, and what an item plays by. Both by ticket: the library mints them (permit.h). */
#include "atrium/media/v1/uploads.service.h"
#include "services/media/access.h"
#include "services/media/content.h"
#include "services/media/permit.h"
#include "services/media/sniff.h"
#include "services/media/uploads.h"

/* ---------------------------------------------------------------------------------------- originals */

static Err begin_file(BytesExchange *x)
{
    Request *rq = bytes_request(x);
    Ticket ticket;
    ItemRow item;
    Slice download;
    bool saves;

    TRY(bytes_take_ticket(x, bytes_variable(x, "ticket"), TICKET_GET, &ticket));
    TRY(permit_ticket(rq, &ticket, &item));
    if (!*item.object_key)
        return err_make(&NOT_FOUND, "media not found");
    saves =
        (bytes_query(x, "download", &download) && slice_eq_cstr(download, "1")) || !sniff_is_harmless(item.mime_type);
    /* Whatever it is, in our origin it runs nothing. */
    request_set_header(rq, "Content-Security-Policy", "sandbox; default-src 'none'; media-src 'self'; img-src 'self'");
    return content_answer(
        x, ((const Media *)rq->service)->blob, item.object_key,
        &(ContentLook){.content_type = *item.mime_type ? item.mime_type : "application/octet-stream",
                       .disposition = bytes_disposition(
                           rq->mem, saves, slice(*ticket.filename ? ticket.filename : item.original_filename))});
}

const BytesHandler media_v1_get_file = {.begin = begin_file};

/* ---------------------------------------------------------------------------------------- playback */

static const struct {
    const char *extension, *type;
    bool changes; /* further renditions may be added to it */
} PLAYED[] = {
    {".m3u8", "application/vnd.apple.mpegurl", true},
    {".mpd", "application/dash+xml", true},
    {".mp4", "video/mp4", false},
    {".m4s", "video/iso.segment", false},
    {".m4a", "audio/mp4", false},
    {".ts", "video/mp2t", false},
    {".webm", "video/webm", false},
    {".mp3", "audio/mpeg", false},
    {".opus", "audio/ogg", false},
    {".vtt", "text/vtt; charset=utf-8", false},
    {".jpg", "image/jpeg", false},
    {".png", "image/png", false},
    {".webp", "image/webp", false},
    {".gif", "image/gif", false},
    {".avif", "image/avif", false},
    {".json", "application/json", false},
};
#define CACHE_CHANGING "private, no-cache"
#define CACHE_LASTING "private, max-age=86400, immutable"

static Err begin_stream(BytesExchange *x)
{
    Request *rq = bytes_request(x);
    Slice path = bytes_variable(x, "path");
    ContentLook look = {0};
    StreamAccess access;
    Ticket ticket;
    char *key;
    Err e;

    TRY(bytes_take_ticket(x, bytes_variable(x, "ticket"), TICKET_STREAM, &ticket));
    TRY(access_stream(rq, &ticket, &access));
    for (size_t i = 0; i < ARRAY_LEN(PLAYED); i++)
        if (slice_ends_with(path, slice(PLAYED[i].extension)))
            look = (ContentLook){.content_type = PLAYED[i].type,
                                 .cache_control = PLAYED[i].changes ? CACHE_CHANGING : CACHE_LASTING};
    key = arena_printf(rq->mem, "derived/%s/%" PRId64 "/" SLICE_FMT, uuid_text(rq->mem, access.media_id),
                       access.generation, SLICE_ARG(path));
    if (!look.content_type || uuid_is_nil(access.media_id) || !blob_key_valid(slice(key)))
        return err_make(&NOT_FOUND, "nothing plays there");
    e = content_answer(x, ((const Media *)rq->service)->blob, key, &look);
    return e.reason == &NOT_FOUND ? err_make(&NOT_FOUND, "nothing plays there") : e;
}

const BytesHandler media_v1_get_stream = {.begin = begin_stream};
