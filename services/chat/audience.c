/* audience: see audience.h. */
#include "services/chat/audience.h"

#include "services/chat/store_live.h"

/* Channels that the same users may, or may not, view. */
typedef struct Group {
    bool mostly; /* all members follow, but for `users`; else none, but for them */
    const int64_t *users;
    size_t user_count;
    const char **topics;
    size_t topic_count;
} Group;

static bool belongs(const Group *group, const ChannelAudience *channel)
{
    return group->mostly == channel->mostly && group->user_count == channel->user_count &&
           !memcmp(group->users, channel->users, sizeof(int64_t) * channel->user_count);
}

static void add_to_group(Arena *mem, Group *groups, size_t *count, size_t topics_max, const ChannelAudience *channel,
                         const char *topic)
{
    Group *group = groups;

    while (group < groups + *count && !belongs(group, channel))
        group++;
    if (group == groups + *count) {
        *group = (Group){.mostly = channel->mostly,
                         .users = channel->users,
                         .user_count = channel->user_count,
                         .topics = ARENA_ARRAY(mem, const char *, topics_max)};
        ++*count;
    }
    group->topics[group->topic_count++] = topic;
}

/* The first change is of all who follow the guild, so it reaches sessions that nobody knew of when this was computed.
 */
static void write_group(const Group *group, const char *guild_topic, AudienceList *out)
{
    ChatAudienceChange most = {
        .topic = guild_topic, .except_users = group->users, .except_user_count = group->user_count};
    ChatAudienceChange rest = {.users = group->users, .user_count = group->user_count};
    ChatAudienceChange *follow = group->mostly ? &most : &rest, *leave = group->mostly ? &rest : &most;

    follow->join = group->topics;
    follow->join_count = group->topic_count;
    leave->leave = group->topics;
    leave->leave_count = group->topic_count;
    out->list[out->count++] = most;
    if (group->user_count)
        out->list[out->count++] = rest;
}

static Err of_all(DbTx *tx, Arena *mem, int64_t guild_id, int64_t channel_id, AudienceList *out)
{
    const char *guild_topic = chat_topic_text(mem, chat_guild_topic(guild_id));
    ChannelAudience *channels;
    size_t count, group_count = 0;
    Group *groups;

    TRY(chat_store_audience(tx, mem, guild_id, channel_id, &channels, &count));
    groups = ARENA_ARRAY(mem, Group, count);
    for (size_t i = 0; i < count; i++)
        add_to_group(mem, groups, &group_count, count, &channels[i],
                     chat_topic_text(mem, chat_channel_topic(guild_id, channels[i].channel_id)));
    *out = (AudienceList){.list = ARENA_ARRAY(mem, ChatAudienceChange, 2 * group_count)};
    for (size_t i = 0; i < group_count; i++)
        write_group(&groups[i], guild_topic, out);
    return OK;
}

static Err of_one(DbTx *tx, Arena *mem, int64_t guild_id, int64_t channel_id, int64_t user_id, AudienceList *out)
{
    ChatAudienceChange *change = ARENA_NEW(mem, ChatAudienceChange);
    const char **join, **leave;
    ChannelView *views;
    size_t count;

    TRY(chat_store_channel_views(tx, mem, guild_id, channel_id, user_id, &views, &count));
    join = ARENA_ARRAY(mem, const char *, count);
    leave = ARENA_ARRAY(mem, const char *, count);
    *change = (ChatAudienceChange){
        .users = arena_memdup(mem, &user_id, sizeof user_id), .user_count = 1, .join = join, .leave = leave};
    for (size_t i = 0; i < count; i++) {
        const char *topic = chat_topic_text(mem, chat_channel_topic(guild_id, views[i].channel_id));

        if (views[i].sees)
            join[change->join_count++] = topic;
        else
            leave[change->leave_count++] = topic;
    }
    *out = (AudienceList){.list = change, .count = count > 0};
    return OK;
}

Err audience_of(DbTx *tx, Arena *mem, int64_t guild_id, int64_t channel_id, int64_t user_id, AudienceList *out)
{
    return user_id ? of_one(tx, mem, guild_id, channel_id, user_id, out) : of_all(tx, mem, guild_id, channel_id, out);
}
