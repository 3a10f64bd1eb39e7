/* announce: see announce.h. */
#include "services/chat/announce.h"

#include "atrium/chat/v1/gateway.pb-c.h"
#include "services/chat/primer.h"
#include "services/chat/store.h"
#include "services/chat/store_channels.h"
#include "services/chat/store_live.h"
#include "services/chat/voice.h"

/* --- guilds ------------------------------------------------------------------------------------------------------ */
Err chat_announce_joined(DbTx *tx, Arena *mem, int64_t guild_id, int64_t user_id, const char *mark)
{
    Chat__V1__Guild *guild = MESSAGE_NEW(mem, Chat__V1__Guild, chat__v1__guild__init);
    ChannelView *views;
    size_t count, join_count = 0;
    Primer primer;
    ChatEvents web;
    const char **join;

    TRY(chat_store_guild_of(tx, mem, guild_id, guild));
    TRY(chat_store_channel_views(tx, mem, guild_id, 0, user_id, &views, &count));
    TRY(chat_store_primer(NULL, tx, mem, user_id, guild_id, 0, &primer));
    web = chat_events_new(mem, 1 + primer_count(&primer));
    chat_events_add(&web, "GUILD_CREATE", &guild->base);
    primer_add(mem, &web, &primer);
    join = ARENA_ARRAY(mem, const char *, 1 + count);
    join[join_count++] = chat_topic_text(mem, chat_guild_topic(guild_id));
    for (size_t i = 0; i < count; i++)
        if (views[i].sees)
            join[join_count++] = chat_topic_text(mem, chat_channel_topic(guild_id, views[i].channel_id));
    return chat_dispatch(
        tx, mem,
        &(ChatDispatch){
            .topic = chat_member_topic(guild_id, user_id),
            .event = "GUILD_CREATE",
            .data = &guild->base,
            .variants = &(ChatVariant){.web = true, .events = web.list, .event_count = web.count},
            .variant_count = 1,
            .changes =
                &(ChatAudienceChange){
                    .users = &user_id, .user_count = 1, .join = join, .join_count = join_count, .exact = true},
            .change_count = 1,
            .mark = mark,
        });
}

static const ProtobufCMessage *guild_gone(Arena *mem, int64_t guild_id)
{
    Chat__V1__GuildGone *gone = MESSAGE_NEW(mem, Chat__V1__GuildGone, chat__v1__guild_gone__init);

    SET(gone, id, guild_id);
    return &gone->base;
}

Err chat_announce_left(DbTx *tx, Arena *mem, int64_t guild_id, int64_t user_id)
{
    const char *topic = chat_topic_text(mem, chat_guild_topic(guild_id));

    TRY(voice_end_user(tx, mem, guild_id, user_id));
    return chat_dispatch(
        tx, mem,
        &(ChatDispatch){
            .topic = chat_member_topic(guild_id, user_id),
            .event = "GUILD_DELETE",
            .data = guild_gone(mem, guild_id),
            .changes =
                &(ChatAudienceChange){
                    .users = &user_id, .user_count = 1, .leave = &topic, .leave_count = 1, .exact = true},
            .change_count = 1,
        });
}

/* A dispatch of its own: changes apply before what stands beside them is written. `users`: those who followed it, by
 * name, so that who comes back from a gap in which that was is known not to be up to date; NULL where they follow
 * something above it still. */
static Err nobody_follows(DbTx *tx, Arena *mem, ChatTopic topic, const int64_t *users, size_t user_count)
{
    const char *text = chat_topic_text(mem, topic);
    const ChatAudienceChange changes[] = {{.topic = text, .leave = &text, .leave_count = 1},
                                          {.users = users, .user_count = user_count, .leave = &text, .leave_count = 1}};

    return chat_dispatch(tx, mem,
                         &(ChatDispatch){.topic = topic, .changes = changes, .change_count = user_count ? 2 : 1});
}

Err chat_announce_guild_deleted(DbTx *tx, Arena *mem, int64_t guild_id)
{
    ChatTopic topic = chat_guild_topic(guild_id);
    int64_t *members;
    size_t count;

    TRY(chat_store_member_ids(tx, mem, guild_id, &members, &count));
    TRY(voice_end_guild(tx, guild_id));
    TRY(chat_dispatch(tx, mem,
                      &(ChatDispatch){.topic = topic, .event = "GUILD_DELETE", .data = guild_gone(mem, guild_id)}));
    return nobody_follows(tx, mem, topic, members, count);
}

/* --- channels ---------------------------------------------------------------------------------------------------- */
/* W13: the actor's browser has added the row already, from the answer; an update of a channel is never added. */
Err chat_announce_channel_created(DbTx *tx, Arena *mem, const Chat__V1__Channel *channel, int64_t actor_id,
                                  const char *mark)
{
    ChatTopic topic = chat_channel_topic(channel->guild_id, channel->id);
    ChatEvents created = chat_events_new(mem, 2), updated = chat_events_new(mem, 2);
    ChatVariant variants[] = {{.users = &actor_id, .user_count = 1, .web = true}, {.web = true}};
    Audience after, before = {.guild_id = channel->guild_id};
    ChatAudienceChange changes[2];
    AudienceShift *shift;
    size_t shifted, change_count = 0;

    chat_events_add(&updated, "CHANNEL_UPDATE", &channel->base);
    primer_add_channel(mem, &updated, channel->id);
    chat_events_add(&created, "CHANNEL_CREATE", &channel->base);
    primer_add_channel(mem, &created, channel->id);
    variants[0].events = updated.list;
    variants[1].events = created.list;
    variants[0].event_count = variants[1].event_count = created.count;
    TRY(audience_look(tx, mem, channel->guild_id, channel->id, 0, &after));
    audience_shifts(mem, &before, &after, &shift, &shifted);
    if (shifted)
        audience_changes(mem, channel->guild_id, shift, changes, &change_count);
    return chat_dispatch(tx, mem,
                         &(ChatDispatch){
                             .topic = topic,
                             .event = "CHANNEL_CREATE",
                             .data = &channel->base,
                             .variants = variants,
                             .variant_count = ARRAY_LEN(variants),
                             .changes = changes,
                             .change_count = change_count,
                             .mark = mark,
                         });
}

static const ProtobufCMessage *channel_gone(Arena *mem, int64_t guild_id, int64_t channel_id)
{
    Chat__V1__ChannelGone *gone = MESSAGE_NEW(mem, Chat__V1__ChannelGone, chat__v1__channel_gone__init);

    SET(gone, id, channel_id);
    SET(gone, guild_id, guild_id);
    return &gone->base;
}

Err chat_announce_channel_deleted(DbTx *tx, Arena *mem, int64_t guild_id, int64_t channel_id)
{
    ChatTopic topic = chat_channel_topic(guild_id, channel_id);

    TRY(voice_end_channel(tx, mem, guild_id, channel_id));
    TRY(chat_dispatch(
        tx, mem,
        &(ChatDispatch){.topic = topic, .event = "CHANNEL_DELETE", .data = channel_gone(mem, guild_id, channel_id)}));
    return nobody_follows(tx, mem, topic, NULL, 0);
}

static ChatVariant variant_for(const Members *members, bool web, const ChatEvents *events)
{
    ChatVariant out = {.web = web, .events = events->list, .event_count = events->count};

    if (members->but) {
        out.except_users = members->users;
        out.except_user_count = members->count;
    } else {
        out.users = members->users;
        out.user_count = members->count;
    }
    return out;
}

static Err channels_appear(DbTx *tx, Arena *mem, const AudienceShift *shift, ChatVariant out[2])
{
    ChatEvents plain = chat_events_new(mem, shift->count), web = chat_events_new(mem, 2 * shift->count);
    Chat__V1__Channel *channels;
    size_t count;

    TRY(chat_store_channels_named(tx, mem, shift->channels, shift->count, &channels, &count));
    for (size_t i = 0; i < count; i++) {
        chat_events_add(&plain, "CHANNEL_CREATE", &channels[i].base);
        chat_events_add(&web, "CHANNEL_CREATE", &channels[i].base);
        primer_add_channel(mem, &web, channels[i].id);
    }
    out[0] = variant_for(&shift->gained, true, &web);
    out[1] = variant_for(&shift->gained, false, &plain);
    return OK;
}

static ChatVariant channels_vanish(Arena *mem, int64_t guild_id, const AudienceShift *shift)
{
    ChatEvents gone = chat_events_new(mem, shift->count);

    for (size_t i = 0; i < shift->count; i++)
        chat_events_add(&gone, "CHANNEL_DELETE", channel_gone(mem, guild_id, shift->channels[i]));
    return variant_for(&shift->lost, false, &gone);
}

/* In the guild's topic, which those who gain and those who lose follow all the time: also who is away then is told. */
static Err tell_shift(DbTx *tx, Arena *mem, int64_t guild_id, const AudienceShift *shift)
{
    ChatAudienceChange changes[2];
    ChatVariant variants[3];
    ChatDispatch d = {.topic = chat_guild_topic(guild_id), .variants = variants, .changes = changes};

    audience_changes(mem, guild_id, shift, changes, &d.change_count);
    if (!members_none(&shift->gained)) {
        TRY(channels_appear(tx, mem, shift, variants));
        d.variant_count = 2;
    }
    if (!members_none(&shift->lost))
        variants[d.variant_count++] = channels_vanish(mem, guild_id, shift);
    return chat_dispatch(tx, mem, &d);
}

Err chat_announce_visibility(DbTx *tx, Arena *mem, const Audience *before)
{
    AudienceShift *shifts;
    Audience after;
    size_t count;

    TRY(voice_end_barred(tx, mem, before->guild_id, before->user_id));
    TRY(audience_look(tx, mem, before->guild_id, before->channel_id, before->user_id, &after));
    audience_shifts(mem, before, &after, &shifts, &count);
    for (size_t i = 0; i < count; i++)
        TRY(tell_shift(tx, mem, before->guild_id, &shifts[i]));
    return OK;
}

/* --- direct channels
 * --------------------------------------------------------------------------------------------------- */
/* To each recipient's own topic, with the topic of the channel from there on: who is not connected follows it by his
 * next READY. */
static Err invite(DbTx *tx, Arena *mem, int64_t channel_id, int64_t user_id, const ProtobufCMessage *dm_channel)
{
    const char *topic = chat_topic_text(mem, chat_dm_topic(channel_id));
    ChatEvents web = chat_events_new(mem, 2);

    chat_events_add(&web, "CHANNEL_CREATE", dm_channel);
    primer_add_channel(mem, &web, channel_id);
    return chat_dispatch(
        tx, mem,
        &(ChatDispatch){
            .topic = chat_recipient_topic(channel_id, user_id),
            .event = "CHANNEL_CREATE",
            .data = dm_channel,
            .variants = &(ChatVariant){.web = true, .events = web.list, .event_count = web.count},
            .variant_count = 1,
            .changes = &(
                ChatAudienceChange){.users = &user_id, .user_count = 1, .join = &topic, .join_count = 1, .exact = true},
            .change_count = 1,
        });
}

Err chat_announce_dm_created(DbTx *tx, Arena *mem, int64_t channel_id, const int64_t *recipients, size_t count,
                             const ProtobufCMessage *dm_channel)
{
    for (size_t i = 0; i < count; i++)
        TRY(invite(tx, mem, channel_id, recipients[i], dm_channel));
    return OK;
}

Err chat_announce_dm_recipient_added(DbTx *tx, Arena *mem, int64_t channel_id, int64_t user_id,
                                     const ProtobufCMessage *update)
{
    TRY(invite(tx, mem, channel_id, user_id, update));
    return chat_dispatch(
        tx, mem, &(ChatDispatch){.topic = chat_dm_topic(channel_id), .event = "CHANNEL_UPDATE", .data = update});
}

Err chat_announce_dm_recipient_removed(DbTx *tx, Arena *mem, int64_t channel_id, int64_t user_id,
                                       const ProtobufCMessage *update, const ProtobufCMessage *deleted)
{
    const char *topic = chat_topic_text(mem, chat_dm_topic(channel_id));

    TRY(chat_dispatch(tx, mem,
                      &(ChatDispatch){
                          .topic = chat_recipient_topic(channel_id, user_id),
                          .event = "CHANNEL_DELETE",
                          .data = deleted,
                          .changes =
                              &(ChatAudienceChange){
                                  .users = &user_id, .user_count = 1, .leave = &topic, .leave_count = 1, .exact = true},
                          .change_count = 1,
                      }));
    return update ? chat_dispatch(
                        tx, mem,
                        &(ChatDispatch){.topic = chat_dm_topic(channel_id), .event = "CHANNEL_UPDATE", .data = update})
                  : OK;
}
