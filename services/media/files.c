/* What goes out: originals, and what an item plays by. Both by ticket: the library mints them (permit.h). */
#include "atrium/media/v1/uploads.service.h"
#include "services/media/access.h"
#include "services/media/content.h"
#include "services/media/permit.h"
#include "services/media/sniff.h"
#include "services/media/store_items.h"
#include "services/media/subtitles.h"
#include "services/media/uploads.h"
#include "services/media/vtt.h"

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

#define PLAYLIST_TYPE "application/vnd.apple.mpegurl"
static const struct {
    const char *extension, *type;
    bool changes; /* further renditions may be added to it */
} PLAYED[] = {
    {".m3u8", PLAYLIST_TYPE, true},       {".mpd", "application/dash+xml", true}, {".mp4", "video/mp4", false},
    {".m4s", "video/iso.segment", false}, {".m4a", "audio/mp4", false},           {".ts", "video/mp2t", false},
    {".webm", "video/webm", false},       {".mp3", "audio/mpeg", false},          {".opus", "audio/ogg", false},
    {".vtt", CONTENT_VTT, false},         {".jpg", "image/jpeg", false},          {".png", "image/png", false},
    {".webp", "image/webp", false},       {".gif", "image/gif", false},           {".avif", "image/avif", false},
    {".json", "application/json", false},
};
#define CACHE_CHANGING "private, no-cache"
#define CACHE_LASTING "private, max-age=86400, immutable"

/* Of tickets that were looked at: the item that they are for. */
static Uuid item_of(const Ticket *ticket)
{
    Slice media, collection;
    Uuid id = {0};

    (void)slice_cut(slice(ticket->resource), '/', &media, &collection);
    (void)uuid_parse(media, &id);
    return id;
}

/* Captions that were brought: "de.vtt", and the playlist of that. */
static Err answer_subtitles(BytesExchange *x, const Ticket *ticket, Slice file)
{
    Request *rq = bytes_request(x);
    Slice language, extension;
    const char *tag;
    CaptionRow row;
    ItemRow item;

    (void)slice_cut(file, '.', &language, &extension);
    if (!vtt_language(rq->mem, language, &tag))
        return err_make(&NOT_FOUND, "nothing plays there");
    TRY(media_store_caption(rq, item_of(ticket), tag, &row));
    if (!row.language || (!slice_eq_cstr(extension, "vtt") && !slice_eq_cstr(extension, "m3u8")))
        return err_make(&NOT_FOUND, "nothing plays there");
    if (slice_eq_cstr(extension, "vtt"))
        return content_answer_text(x, row.content, &(ContentLook){CONTENT_VTT, .cache_control = CACHE_CHANGING});
    TRY(media_store_item(rq, item_of(ticket), &item));
    return content_answer_text(x, slice(subtitles_playlist(rq->mem, tag, item.duration_ms)),
                               &(ContentLook){PLAYLIST_TYPE, .cache_control = CACHE_CHANGING});
}

/* The master, as it was made or with what was brought. */
static Err answer_master(BytesExchange *x, const Ticket *ticket, const char *key, const ContentLook *look)
{
    Request *rq = bytes_request(x);
    Blob *blob = ((const Media *)rq->service)->blob;
    Uuid id = item_of(ticket);
    Slice made, master;
    CaptionRow *rows;
    size_t count;

    TRY(media_store_captions(rq, &id, 1, &rows, &count));
    if (!count)
        return content_answer(x, blob, key, look);
    TRY(blob_get_bytes(blob, rq->mem, key, MASTER_MAX_BYTES, &made, NULL));
    TRY(subtitles_master(rq->mem, made, rows, count, &master));
    return content_answer_text(x, master, look);
}

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
    if (slice_starts_with(path, SLICE_LIT("subtitles/")))
        return answer_subtitles(x, &ticket, slice_skip(path, sizeof "subtitles/" - 1));
    for (size_t i = 0; i < ARRAY_LEN(PLAYED); i++)
        if (slice_ends_with(path, slice(PLAYED[i].extension)))
            look = (ContentLook){.content_type = PLAYED[i].type,
                                 .cache_control = PLAYED[i].changes ? CACHE_CHANGING : CACHE_LASTING};
    key = arena_printf(rq->mem, "derived/%s/%" PRId64 "/" SLICE_FMT, uuid_text(rq->mem, access.media_id),
                       access.generation, SLICE_ARG(path));
    if (!look.content_type || uuid_is_nil(access.media_id) || !blob_key_valid(slice(key)))
        return err_make(&NOT_FOUND, "nothing plays there");
    e = slice_eq_cstr(path, "hls/master.m3u8") ? answer_master(x, &ticket, key, &look)
                                               : content_answer(x, ((const Media *)rq->service)->blob, key, &look);
    return e.reason == &NOT_FOUND ? err_make(&NOT_FOUND, "nothing plays there") : e;
}

const BytesHandler media_v1_get_stream = {.begin = begin_stream};
