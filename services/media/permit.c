/* permit: see permit.h. */
#include "services/media/permit.h"

#include "services/media/answers.h"
#include "services/media/naming.h"
#include "services/media/store_items.h"
#include "services/media/subtitles.h"

/* --- the caller's own ------------------------------------------------------------------------------------------------
 */
Err permit_item_anywhere(Request *rq, DbTx *tx, const char *id, ItemRow *out)
{
    Uuid uuid;

    if (!uuid_parse(slice(id), &uuid))
        return err_make(&NOT_FOUND, "media not found");
    TRY(tx ? media_store_lock_item(tx, rq->mem, uuid, out) : media_store_item(rq, uuid, out));
    if (out->owner_id == 0)
        return err_make(&NOT_FOUND, "media not found");
    if (out->owner_id != rq->caller.user_id)
        return out->deleted_us ? err_make(&NOT_FOUND, "media not found")
                               : err_make(&PERMISSION_DENIED, "not authorized");
    return OK;
}

Err permit_item(Request *rq, DbTx *tx, const char *id, ItemRow *out)
{
    TRY(permit_item_anywhere(rq, tx, id, out));
    return out->deleted_us ? err_make(&NOT_FOUND, "media not found") : OK;
}

Err permit_collection(Request *rq, DbTx *tx, const char *id, CollectionRow *out)
{
    Uuid uuid;

    if (!uuid_parse(slice(id), &uuid))
        return err_make(&NOT_FOUND, "collection not found");
    TRY(media_store_collection(rq, tx, uuid, out));
    if (out->owner_id == 0)
        return err_make(&NOT_FOUND, "collection not found");
    return out->owner_id == rq->caller.user_id ? OK : err_make(&PERMISSION_DENIED, "not authorized");
}

/* --- tickets ---------------------------------------------------------------------------------------------------------
 */
static Err taken_back(void)
{
    return err_make(&PERMISSION_DENIED, "this link is no longer good");
}

static Err check_shared(Request *rq, const Ticket *ticket, Uuid collection_id, Uuid media_id, ItemRow *out)
{
    CollectionRow collection;
    ItemRow item;

    TRY(media_store_shared_item(rq, collection_id, media_id, &collection, &item));
    if (item.owner_id == 0 || ticket->generation != (uint64_t)collection.share_generation)
        return taken_back();
    if (!collection.is_public && !share_link_lives(&collection, clock_unix_us(rq->clock)))
        return taken_back();
    if (strcmp(ticket->kind, TICKET_GET) == 0 && !collection.allow_download)
        return taken_back();
    *out = item;
    return OK;
}

Err permit_ticket(Request *rq, const Ticket *ticket, ItemRow *out)
{
    Slice media, collection;
    bool shared = slice_cut(slice(ticket->resource), '/', &media, &collection);
    Uuid media_id, collection_id;
    ItemRow item;

    if (!uuid_parse(media, &media_id) || (shared && !uuid_parse(collection, &collection_id)))
        return taken_back();
    if (shared)
        return check_shared(rq, ticket, collection_id, media_id, out);
    TRY(media_store_item(rq, media_id, &item));
    if (item.owner_id == 0 || item.deleted_us || item.owner_id != ticket->user_id ||
        ticket->generation != (uint64_t)item.access_generation)
        return taken_back();
    *out = item;
    return OK;
}

/* --- what plays ------------------------------------------------------------------------------------------------------
 */
typedef struct Maker {
    Request *rq;
    const Media *media;
    const CollectionRow *share;
    int64_t expires_ms;
    const PlayableRow *rows;
    size_t row_count;
    const CaptionRow *captions; /* that were brought */
    size_t caption_count;
} Maker;

static Err make_ticket(const Maker *m, const char *kind, const ItemRow *item, char **out)
{
    Arena *mem = m->rq->mem;
    char *id = uuid_text(mem, item->id);
    bool download = strcmp(kind, TICKET_GET) == 0;
    Ticket ticket = {.kind = kind,
                     .user_id = item->owner_id,
                     .login_id = m->rq->caller.login_id,
                     .resource = id,
                     .expires_ms = m->expires_ms,
                     .generation = (uint64_t)item->access_generation,
                     .id = "",
                     .content_type = download ? item->mime_type : "",
                     .filename = download ? item->original_filename : ""};

    if (m->share) {
        ticket.user_id = 0;
        ticket.login_id = "";
        ticket.resource = arena_printf(mem, "%s/%s", id, uuid_text(mem, m->share->id));
        ticket.generation = (uint64_t)m->share->share_generation;
    }
    return ticket_sign(m->media->tickets, mem, &ticket, out);
}

static void add_caption(Arena *mem, Media__V1__Playback *playback, const char *language, const char *label, char *url)
{
    Media__V1__Caption *caption = MESSAGE_NEW(mem, Media__V1__Caption, media__v1__caption__init);

    caption->language = (char *)language;
    caption->label = (char *)label;
    caption->url = url;
    playback->captions[playback->n_captions++] = caption;
}

static char *part_url(const Maker *m, const char *ticket, const char *name)
{
    return ticket_url(m->rq->mem, m->media->bytes_url, "/stream/", ticket, arena_printf(m->rq->mem, "/%s", name));
}

static void place(const Maker *m, const char *ticket, const AssetRow *asset, Media__V1__Playback *out)
{
    char *url = part_url(m, ticket, asset->name);
    const char *language = asset->language[0] ? asset->language : "und";

    if (strcmp(asset->kind, "hls_master") == 0)
        out->hls_url = url;
    else if (strcmp(asset->kind, "progressive") == 0)
        out->mp4_url = url;
    else if (strcmp(asset->kind, "poster") == 0)
        out->poster_url = url;
    else if (strcmp(asset->kind, "storyboard") == 0)
        out->storyboard_url = url;
    else if (strcmp(asset->kind, "captions") == 0)
        add_caption(m->rq->mem, out, language, language, url);
}

static void place_brought(const Maker *m, const char *ticket, const ItemRow *item, Media__V1__Playback *out)
{
    for (size_t i = 0; i < m->caption_count; i++) {
        const CaptionRow *row = &m->captions[i];

        if (memcmp(&row->media_id, &item->id, sizeof(Uuid)) == 0)
            add_caption(m->rq->mem, out, row->language, row->label,
                        part_url(m, ticket, subtitles_name(m->rq->mem, row->language)));
    }
}

static bool is_of(const PlayableRow *row, const ItemRow *item)
{
    return memcmp(&row->media_id, &item->rendition_media_id, sizeof(Uuid)) == 0 &&
           row->generation == item->rendition_generation;
}

static Err play_one(const Maker *m, const ItemRow *item, Played *out)
{
    Arena *mem = m->rq->mem;
    Media__V1__Playback *playback = MESSAGE_NEW(mem, Media__V1__Playback, media__v1__playback__init);
    bool whole = !m->share || m->share->allow_download, any = false;
    char *ticket = NULL;

    playback->captions = ARENA_ARRAY(mem, Media__V1__Caption *, m->row_count + m->caption_count + 1);
    for (size_t i = 0; i < m->row_count; i++) {
        if (!is_of(&m->rows[i], item))
            continue;
        if (!ticket)
            TRY(make_ticket(m, TICKET_STREAM, item, &ticket));
        place(m, ticket, &m->rows[i].asset, playback);
        any = true;
    }
    if (any) {
        place_brought(m, ticket, item, playback);
        playback->expires_at = answer_time(mem, m->expires_ms * 1000);
        out->playback = playback;
    }
    if (whole) {
        TRY(make_ticket(m, TICKET_GET, item, &ticket));
        out->download_url = ticket_url(mem, m->media->bytes_url, "/media/file/", ticket,
                                       item->original_filename[0] /* one segment of the path, whatever it is called */
                                           ? arena_printf(mem, "/%s", name_safe(mem, slice(item->original_filename)))
                                           : "");
    }
    /* What was made of it, or the original where nothing was; of pictures shown to others, what is shown of them. */
    out->stream_url = playback->mp4_url   ? playback->mp4_url
                      : playback->hls_url ? playback->hls_url
                      : out->download_url ? out->download_url
                                          : playback->poster_url;
    return OK;
}

Err permit_play(Request *rq, const ItemRow *items, size_t count, const CollectionRow *share, Played **out)
{
    const Media *media = rq->service;
    Maker maker = {.rq = rq,
                   .media = media,
                   .share = share,
                   .expires_ms = clock_unix_us(rq->clock) / 1000 + media->settings->stream_ttl_ms};
    Played *played = ARENA_ARRAY(rq->mem, Played, count + 1);
    Uuid *ids = ARENA_ARRAY(rq->mem, Uuid, count + 1);
    PlayableRow *rows = NULL;
    CaptionRow *captions = NULL;
    size_t ready = 0;

    *out = played;
    if (!media->tickets)
        return OK;
    for (size_t i = 0; i < count; i++)
        if (items[i].status == MEDIA__V1__ITEM_STATUS__READY)
            ids[ready++] = items[i].id;
    TRY(media_store_playable(rq, items, count, &rows, &maker.row_count));
    TRY(media_store_captions(rq, ids, ready, &captions, &maker.caption_count));
    maker.rows = rows;
    maker.captions = captions;
    for (size_t i = 0; i < count; i++)
        if (items[i].status == MEDIA__V1__ITEM_STATUS__READY)
            TRY(play_one(&maker, &items[i], &played[i]));
    return OK;
}
