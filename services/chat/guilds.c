/* guilds: what people are members of. */
#include "atrium/chat/v1/guilds.service.h"
#include "services/chat/store.h"

Err chat_v1_list_my_guilds(Request *rq, const Chat__V1__ListMyGuildsRequest *in, Chat__V1__ListMyGuildsReply *out)
{
    (void)in;
    return chat_store_list_guilds_of(rq, rq->caller.user_id, &out->guilds, &out->n_guilds);
}

Err chat_v1_get_guild(Request *rq, const Chat__V1__GetGuildRequest *in, Chat__V1__Guild *out)
{
    TRY(chat_store_guild_for(rq, in->guild_id, rq->caller.user_id, out));
    return out->id ? OK : err_make(&NOT_FOUND, "guild not found");
}
