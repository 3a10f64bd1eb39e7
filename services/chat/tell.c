/* tell: see tell.h. */
#include "services/chat/tell.h"

#include "atrium/chat/v1/events.atrium.h"

Err tell_guild(DbTx *tx, Request *rq, int64_t guild_id, const char *event, const ProtobufCMessage *data)
{
    return chat_dispatch(tx, rq->mem,
                         &(ChatDispatch){.topic = chat_guild_topic(guild_id), .event = event, .data = data});
}

Err tell_channel(DbTx *tx, Request *rq, const Chat__V1__Channel *channel, const char *event)
{
    return chat_dispatch(tx, rq->mem,
                         &(ChatDispatch){.topic = chat_channel_topic(channel->guild_id, channel->id),
                                         .event = event,
                                         .data = &channel->base});
}

static Err tell_all(DbTx *tx, Request *rq, const EventType *type, int64_t guild_id, const ProtobufCMessage *body)
{
    const Chat *chat = rq->service;
    OutboxRow row = outbox_event(rq->mem, chat->ids, type, arena_printf(rq->mem, "%" PRId64, guild_id), body);

    return outbox_insert(tx, &row, false); /* the guild is locked */
}

Err tell_guild_created(DbTx *tx, Request *rq, int64_t guild_id)
{
    Chat__V1__GuildCreated body = CHAT__V1__GUILD_CREATED__INIT;

    SET(&body, guild_id, guild_id);
    SET(&body, owner_id, rq->caller.user_id);
    return tell_all(tx, rq, &CHAT_V1_GUILD_CREATED_EVENT, guild_id, &body.base);
}

Err tell_guild_deleted(DbTx *tx, Request *rq, int64_t guild_id)
{
    Chat__V1__GuildDeleted body = CHAT__V1__GUILD_DELETED__INIT;

    SET(&body, guild_id, guild_id);
    return tell_all(tx, rq, &CHAT_V1_GUILD_DELETED_EVENT, guild_id, &body.base);
}

Err tell_member_joined(DbTx *tx, Request *rq, int64_t guild_id, int64_t user_id)
{
    Chat__V1__MemberJoined body = CHAT__V1__MEMBER_JOINED__INIT;

    SET(&body, guild_id, guild_id);
    SET(&body, user_id, user_id);
    return tell_all(tx, rq, &CHAT_V1_MEMBER_JOINED_EVENT, guild_id, &body.base);
}

Err tell_member_left(DbTx *tx, Request *rq, int64_t guild_id, int64_t user_id)
{
    Chat__V1__MemberLeft body = CHAT__V1__MEMBER_LEFT__INIT;

    SET(&body, guild_id, guild_id);
    SET(&body, user_id, user_id);
    return tell_all(tx, rq, &CHAT_V1_MEMBER_LEFT_EVENT, guild_id, &body.base);
}

void tell_now(const Request *rq)
{
    const Chat *chat = rq->service;

    outbox_nudge(chat->outbox);
}
