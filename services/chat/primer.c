/* primer: see primer.h. */
#include "services/chat/primer.h"

size_t primer_count(const Primer *primer)
{
    return primer->role_count + primer->member_count + primer->channel_count;
}

void primer_add(Arena *mem, ChatEvents *to, const Primer *primer)
{
    for (size_t i = 0; i < primer->role_count; i++) {
        Chat__V1__GuildRole *event = MESSAGE_NEW(mem, Chat__V1__GuildRole, chat__v1__guild_role__init);

        SET(event, guild_id, primer->roles[i]->guild_id);
        event->role = primer->roles[i];
        chat_events_add(to, "GUILD_ROLE_CREATE", &event->base);
    }
    for (size_t i = 0; i < primer->member_count; i++)
        chat_events_add(to, "GUILD_MEMBER_ADD", &primer->members[i]->base);
    for (size_t i = 0; i < primer->channel_count; i++)
        primer_add_channel(mem, to, primer->channels[i]);
}

/* No message has the id 0: nothing is deleted anywhere. */
void primer_add_channel(Arena *mem, ChatEvents *to, int64_t channel_id)
{
    Chat__V1__ChannelPrimer *event = MESSAGE_NEW(mem, Chat__V1__ChannelPrimer, chat__v1__channel_primer__init);

    SET(event, id, 0);
    SET(event, channel_id, channel_id);
    chat_events_add(to, "MESSAGE_DELETE", &event->base);
}
