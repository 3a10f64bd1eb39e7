/* audience: see audience.h. */
#include "services/chat/audience.h"

/* One member sees a channel, or does not. */
static const ChannelAudience *of_one(Arena *mem, const ChannelView *views, size_t count, int64_t user_id)
{
    ChannelAudience *out = ARENA_ARRAY(mem, ChannelAudience, count);
    const int64_t *user = arena_memdup(mem, &user_id, sizeof user_id);

    for (size_t i = 0; i < count; i++)
        out[i] = (ChannelAudience){.channel_id = views[i].channel_id, .users = user, .user_count = views[i].sees};
    return out;
}

Err audience_look(DbTx *tx, Arena *mem, int64_t guild_id, int64_t channel_id, int64_t user_id, Audience *out)
{
    ChannelAudience *channels;
    ChannelView *views;

    *out = (Audience){.guild_id = guild_id, .channel_id = channel_id, .user_id = user_id};
    if (user_id) {
        TRY(chat_store_channel_views(tx, mem, guild_id, channel_id, user_id, &views, &out->count));
        out->channels = of_one(mem, views, out->count, user_id);
        return OK;
    }
    TRY(chat_store_audience(tx, mem, guild_id, channel_id, &channels, &out->count));
    out->channels = channels;
    return OK;
}

/* --- the difference ---------------------------------------------------------------------------------------------- */
/* Those of `a` who are not of `b`. */
static Members without(Arena *mem, const ChannelAudience *a, const ChannelAudience *b)
{
    int64_t *users = ARENA_ARRAY(mem, int64_t, a->user_count + b->user_count);
    Members out = {.but = a->mostly && !b->mostly, .users = users};
    size_t i = 0, j = 0;

    while (i < a->user_count || j < b->user_count) {
        bool named_a = i < a->user_count && (j == b->user_count || a->users[i] <= b->users[j]);
        bool named_b = j < b->user_count && (i == a->user_count || b->users[j] <= a->users[i]);
        int64_t user = named_a ? a->users[i] : b->users[j];

        i += named_a;
        j += named_b;
        if ((named_a != a->mostly && named_b == b->mostly) != out.but)
            users[out.count++] = user;
    }
    return out;
}

static bool members_equal(const Members *a, const Members *b)
{
    return a->but == b->but && a->count == b->count && !memcmp(a->users, b->users, sizeof(int64_t) * a->count);
}

static void add_to_shift(Arena *mem, AudienceShift *list, size_t *count, size_t channels_max, int64_t channel_id,
                         const AudienceShift *one)
{
    AudienceShift *shift = list;

    while (shift < list + *count &&
           !(members_equal(&shift->gained, &one->gained) && members_equal(&shift->lost, &one->lost)))
        shift++;
    if (shift == list + *count) {
        *shift = *one;
        shift->channels = ARENA_ARRAY(mem, int64_t, channels_max);
        ++*count;
    }
    shift->channels[shift->count++] = channel_id;
}

void audience_shifts(Arena *mem, const Audience *before, const Audience *after, AudienceShift **out, size_t *out_count)
{
    static const ChannelAudience NOBODY = {0};
    size_t max = before->count + after->count, b = 0, a = 0;

    *out = ARENA_ARRAY(mem, AudienceShift, max);
    *out_count = 0;
    while (b < before->count || a < after->count) {
        int64_t was_id = b < before->count ? before->channels[b].channel_id : INT64_MAX;
        int64_t is_id = a < after->count ? after->channels[a].channel_id : INT64_MAX;
        const ChannelAudience *was = was_id <= is_id ? &before->channels[b++] : &NOBODY;
        const ChannelAudience *is = is_id <= was_id ? &after->channels[a++] : &NOBODY;
        AudienceShift shift = {.gained = without(mem, is, was), .lost = without(mem, was, is)};

        if (!members_none(&shift.gained) || !members_none(&shift.lost))
            add_to_shift(mem, *out, out_count, max, MIN(was_id, is_id), &shift);
    }
}

/* --- who follows what -------------------------------------------------------------------------------------------- */
static ChatAudienceChange change_of(const Members *members, const char *guild_topic)
{
    if (members->but)
        return (ChatAudienceChange){
            .topic = guild_topic, .except_users = members->users, .except_user_count = members->count, .exact = true};
    return (ChatAudienceChange){.users = members->users, .user_count = members->count, .exact = true};
}

void audience_changes(Arena *mem, int64_t guild_id, const AudienceShift *shift, ChatAudienceChange out[2],
                      size_t *out_count)
{
    const char *guild_topic = chat_topic_text(mem, chat_guild_topic(guild_id));
    const char **topics = ARENA_ARRAY(mem, const char *, shift->count);

    for (size_t i = 0; i < shift->count; i++)
        topics[i] = chat_topic_text(mem, chat_channel_topic(guild_id, shift->channels[i]));
    *out_count = 0;
    if (!members_none(&shift->gained)) {
        ChatAudienceChange *gain = &out[(*out_count)++];

        *gain = change_of(&shift->gained, guild_topic);
        gain->join = topics;
        gain->join_count = shift->count;
    }
    if (!members_none(&shift->lost)) {
        ChatAudienceChange *loss = &out[(*out_count)++];

        *loss = change_of(&shift->lost, guild_topic);
        loss->leave = topics;
        loss->leave_count = shift->count;
    }
}
