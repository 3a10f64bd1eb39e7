/* captions: those of an item's file and those that its owner brings. */
#include "atrium/media/v1/captions.service.h"
#include "services/media/answers.h"
#include "services/media/content.h"
#include "services/media/naming.h"
#include "services/media/permit.h"
#include "services/media/store_items.h"
#include "services/media/subtitles.h"
#include "services/media/vtt.h"

enum { LABEL_MAX_CHARS = 100 };

static Err no_captions(void)
{
    return err_make(&NOT_FOUND, "no such captions");
}

/* Languages of those that were brought begin with a letter, so the numbers of the others are none. */
static bool is_number(Slice track, int64_t *out)
{
    return track.len > 0 && track.ptr[0] >= '0' && track.ptr[0] <= '9' && slice_to_int64(track, out);
}

/* ---------------------------------------------------------------------------------------- lists */

static Media__V1__CaptionTrack *new_track(Arena *mem, const char *track, const char *language, const char *label)
{
    Media__V1__CaptionTrack *out = MESSAGE_NEW(mem, Media__V1__CaptionTrack, media__v1__caption_track__init);

    out->track = (char *)track;
    out->language = (char *)language;
    out->label = (char *)label;
    return out;
}

/* "captions/2.vtt" is track 2. */
static Slice track_of(const AssetRow *asset)
{
    Slice folder, file, number, rest;

    (void)slice_cut(slice(asset->name), '/', &folder, &file);
    (void)slice_cut(file, '.', &number, &rest);
    return number;
}

static Media__V1__CaptionTrack *extracted_track(Arena *mem, const AssetRow *asset)
{
    const char *language = *asset->language ? asset->language : "und";
    Media__V1__CaptionTrack *out = new_track(mem, slice_cstr(mem, track_of(asset)), language, language);

    SET(out, source, MEDIA__V1__CAPTION_SOURCE__EXTRACTED);
    SET(out, is_default, asset->is_default);
    SET(out, is_forced, asset->is_forced);
    return out;
}

static Media__V1__CaptionTrack *uploaded_track(Arena *mem, const CaptionRow *row)
{
    Media__V1__CaptionTrack *out = new_track(mem, row->language, row->language, row->label);

    SET(out, source, MEDIA__V1__CAPTION_SOURCE__UPLOADED);
    SET(out, is_default, row->is_default);
    out->updated_at = answer_time(mem, row->updated_us);
    return out;
}

Err media_v1_list_captions(Request *rq, const Media__V1__ListCaptionsRequest *in, Media__V1__ListCaptionsReply *out)
{
    AssetRow *assets = NULL;
    CaptionRow *rows = NULL;
    size_t asset_count = 0, count;
    ItemRow item;

    TRY(permit_item(rq, NULL, in->media_id, &item));
    if (!uuid_is_nil(item.rendition_media_id))
        TRY(media_store_assets(rq, item.rendition_media_id, item.rendition_generation, &assets, &asset_count));
    TRY(media_store_captions(rq, &item.id, 1, &rows, &count));
    out->captions = ARENA_ARRAY(rq->mem, Media__V1__CaptionTrack *, asset_count + count + 1);
    for (size_t i = 0; i < asset_count; i++)
        if (strcmp(assets[i].kind, "captions") == 0)
            out->captions[out->n_captions++] = extracted_track(rq->mem, &assets[i]);
    for (size_t i = 0; i < count; i++)
        out->captions[out->n_captions++] = uploaded_track(rq->mem, &rows[i]);
    return OK;
}

/* ---------------------------------------------------------------------------------------- one of them */

static Err answer_extracted(BytesExchange *x, const ItemRow *item, int64_t number)
{
    Request *rq = bytes_request(x);
    const Media *media = rq->service;
    AssetRow asset;

    TRY(media_store_asset(rq, item->rendition_media_id, item->rendition_generation,
                          arena_printf(rq->mem, "captions/%" PRId64 ".vtt", number), &asset));
    return asset.name ? content_answer(x, media->blob, asset.key, &(ContentLook){.content_type = asset.content_type})
                      : no_captions();
}

static Err begin_get(BytesExchange *x)
{
    Request *rq = bytes_request(x);
    Slice track = bytes_variable(x, "track");
    const char *language;
    CaptionRow row;
    int64_t number;
    ItemRow item;

    TRY(permit_item(rq, NULL, slice_cstr(rq->mem, bytes_variable(x, "media_id")), &item));
    if (is_number(track, &number))
        return answer_extracted(x, &item, number);
    if (!vtt_language(rq->mem, track, &language))
        return no_captions();
    TRY(media_store_caption(rq, item.id, language, &row));
    return row.language ? content_answer_text(x, row.content, &(ContentLook){.content_type = CONTENT_VTT})
                        : no_captions();
}

const BytesHandler media_v1_get_captions = {.begin = begin_get};

/* ---------------------------------------------------------------------------------------- brought */

static Err read_query(BytesExchange *x, CaptionRow *row)
{
    Request *rq = bytes_request(x);
    Slice text;

    if (!vtt_language(rq->mem, bytes_variable(x, "language"), &row->language))
        return err_make(&INVALID_ARGUMENT, "language: a tag such as \"de\" or \"pt-BR\"");
    row->label = row->language;
    if (bytes_query(x, "label", &text) && text.len) {
        if (!name_valid(text, LABEL_MAX_CHARS))
            return err_make(&INVALID_ARGUMENT, "label: at most %d characters, no controls", LABEL_MAX_CHARS);
        row->label = slice_cstr(rq->mem, text);
    }
    row->is_default = bytes_query(x, "default", &text) && slice_eq_cstr(text, "1");
    return OK;
}

static Err begin_put(BytesExchange *x)
{
    Request *rq = bytes_request(x);
    CaptionRow *row = ARENA_NEW(rq->mem, CaptionRow);
    ItemRow item;

    TRY(permit_item(rq, NULL, slice_cstr(rq->mem, bytes_variable(x, "media_id")), &item));
    TRY(read_query(x, row));
    bytes_limit_body(x, VTT_MAX_BYTES);
    row->media_id = item.id;
    bytes_set_state(x, row);
    return OK;
}

static Err end_put(BytesExchange *x)
{
    Request *rq = bytes_request(x);
    CLEANUP(db_tx_done) DbTx tx = {0};
    CaptionRow *row = bytes_state(x);
    ItemRow item;

    TRY(vtt_make(rq->mem, bytes_body(x), &row->content));
    row->updated_us = clock_unix_us(rq->clock);
    TRY(db_tx_begin(rq, &tx));
    TRY(permit_item(rq, &tx, uuid_text(rq->mem, row->media_id), &item));
    TRY(media_store_put_caption(rq, &tx, item.owner_id, row));
    TRY(db_tx_commit(&tx));
    return bytes_answer(x, 200, CONTENT_VTT, row->content);
}

const BytesHandler media_v1_put_captions = {.begin = begin_put, .end = end_put};

Err media_v1_delete_captions(Request *rq, const Media__V1__DeleteCaptionsRequest *in, Media__V1__Done *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    const char *language;
    ItemRow item;
    bool found;

    TRY(db_tx_begin(rq, &tx));
    TRY(permit_item(rq, &tx, in->media_id, &item));
    if (!vtt_language(rq->mem, slice(in->language), &language))
        return no_captions();
    TRY(media_store_delete_caption(&tx, item.id, language, &found));
    if (!found)
        return no_captions();
    TRY(db_tx_commit(&tx));
    SET(out, success, true);
    return OK;
}
