/* pictures: avatars of users and icons of guilds, for everybody: image tags send no headers. Chat says which item is
 * whose (GetPicture); it is shown if it is a picture, and of somebody who may show it there. */
#include "atrium/chat/v1/attachments.atrium.h"
#include "atrium/chat/v1/chat.atrium.h"
#include "atrium/media/v1/uploads.service.h"
#include "services/media/content.h"
#include "services/media/media.h"
#include "services/media/sniff.h"
#include "services/media/store_items.h"

#define CACHE_PICTURE "public, max-age=60"

static bool may_show(const Chat__V1__Picture *picture, const ItemRow *item)
{
    return picture->owner_id && picture->owner_id == item->owner_id && item->deleted_us == 0 && *item->object_key &&
           slice_starts_with(slice(item->mime_type), SLICE_LIT("image/")) && sniff_is_harmless(item->mime_type);
}

static Err show(BytesExchange *x, const Chat__V1__GetPictureRequest *in)
{
    Request *rq = bytes_request(x);
    const Media *media = rq->service;
    Chat__V1__Picture *picture;
    ItemRow item;
    Uuid id;

    TRY(chat_v1_get_picture_call(rq->client, NULL, rq->mem, in, &picture));
    if (!uuid_parse(slice(picture->name), &id))
        return err_make(&NOT_FOUND, "no picture");
    TRY(media_store_item(rq, id, &item));
    if (!may_show(picture, &item))
        return err_make(&NOT_FOUND, "no picture");
    return content_answer(x, media->blob, item.object_key,
                          &(ContentLook){.content_type = item.mime_type, .cache_control = CACHE_PICTURE});
}

static Err begin_avatar(BytesExchange *x)
{
    Chat__V1__GetPictureRequest in = CHAT__V1__GET_PICTURE_REQUEST__INIT;

    in.has_user_id = true;
    if (!slice_to_int64(bytes_variable(x, "user_id"), &in.user_id))
        return err_make(&INVALID_ID, "user_id: an id");
    return show(x, &in);
}

static Err begin_icon(BytesExchange *x)
{
    Chat__V1__GetPictureRequest in = CHAT__V1__GET_PICTURE_REQUEST__INIT;

    in.has_guild_id = true;
    if (!slice_to_int64(bytes_variable(x, "guild_id"), &in.guild_id) || in.guild_id == 0)
        return err_make(&INVALID_ID, "guild_id: an id");
    return show(x, &in);
}

const BytesHandler media_v1_get_avatar = {.begin = begin_avatar};
const BytesHandler media_v1_get_icon = {.begin = begin_icon};
