/* pictures: which items of the library are avatars and icons. Media shows them (services/media/pictures.c). */
#include "atrium/chat/v1/attachments.service.h"
#include "services/chat/chat.h"
#include "services/chat/store_live.h"

Err chat_v1_get_picture(Request *rq, const Chat__V1__GetPictureRequest *in, Chat__V1__Picture *out)
{
    return in->guild_id ? chat_store_icon(rq, in->guild_id, out) : chat_store_avatar(rq, in->user_id, out);
}
