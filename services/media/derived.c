/* derived: what was made of an item, for its owner, by the item's own address. */
#include "atrium/media/v1/captions.service.h"
#include "services/media/content.h"
#include "services/media/permit.h"

enum { THUMBNAIL_WIDTH = 640 };

static Err nothing_there(void)
{
    return err_make(&NOT_FOUND, "nothing was made of this item yet that could be shown");
}

/* The caller's item and what it plays by. */
static Err find_assets(BytesExchange *x, AssetRow **out, size_t *out_count)
{
    Request *rq = bytes_request(x);
    ItemRow item;

    TRY(permit_item(rq, NULL, slice_cstr(rq->mem, bytes_variable(x, "media_id")), &item));
    *out_count = 0;
    if (uuid_is_nil(item.rendition_media_id))
        return OK;
    return media_store_assets(rq, item.rendition_media_id, item.rendition_generation, out, out_count);
}

/* It may be made anew: asked for each time, and answered with 304 as long as it is the same. */
static Err answer_asset(BytesExchange *x, const AssetRow *asset)
{
    const Media *media = bytes_request(x)->service;
    Err e = content_answer(x, media->blob, asset->key, &(ContentLook){.content_type = asset->content_type});

    return e.reason == &NOT_FOUND ? nothing_there() : e;
}

/* ---------------------------------------------------------------------------------------- pictures */

/* The smallest of those that are wide enough; the largest where none is. */
static bool better(const AssetRow *a, const AssetRow *than, int64_t width)
{
    if (!than)
        return true;
    return a->width >= width ? than->width < width || a->width < than->width
                             : than->width < width && a->width > than->width;
}

static Err begin_thumbnail(BytesExchange *x)
{
    const AssetRow *best = NULL;
    int64_t width = THUMBNAIL_WIDTH;
    AssetRow *assets;
    size_t count;
    Slice wanted;

    if (bytes_query(x, "width", &wanted) && (!slice_to_int64(wanted, &width) || width < 1))
        return err_make(&INVALID_ARGUMENT, "width: 1 at least");
    TRY(find_assets(x, &assets, &count));
    for (size_t i = 0; i < count; i++)
        if ((strcmp(assets[i].kind, "poster") == 0 || strcmp(assets[i].kind, "thumbnail") == 0) &&
            strcmp(assets[i].content_type, "image/jpeg") == 0 && better(&assets[i], best, width))
            best = &assets[i];
    return best ? answer_asset(x, best) : nothing_there();
}

const BytesHandler media_v1_get_thumbnail = {.begin = begin_thumbnail};

/* ---------------------------------------------------------------------------------------- storyboards */

static Err answer_named(BytesExchange *x, const char *kind, const char *name)
{
    AssetRow *assets;
    size_t count;

    TRY(find_assets(x, &assets, &count));
    for (size_t i = 0; i < count; i++)
        if (strcmp(assets[i].kind, kind) == 0 && strcmp(assets[i].name, name) == 0)
            return answer_asset(x, &assets[i]);
    return nothing_there();
}

static Err begin_storyboard(BytesExchange *x)
{
    return answer_named(x, "storyboard", "storyboard.vtt");
}

const BytesHandler media_v1_get_storyboard = {.begin = begin_storyboard};

static Err begin_sheet(BytesExchange *x)
{
    Request *rq = bytes_request(x);

    return answer_named(x, "storyboard_sprite",
                        arena_printf(rq->mem, SLICE_FMT ".jpg", SLICE_ARG(bytes_variable(x, "sheet"))));
}

const BytesHandler media_v1_get_storyboard_sheet = {.begin = begin_sheet};
