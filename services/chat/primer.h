/* primer: what the browser client (dialect W) is told so that its stores are not empty when it opens a channel: it
 * loops for ever over one that is (contracts/chat.md section 15, W2). After READY, after GUILD_CREATE, after
 * CHANNEL_CREATE. */
#pragma once
#include "services/chat/frames.h"
#include "services/chat/store_live.h"

/* For each role GUILD_ROLE_CREATE, for each membership GUILD_MEMBER_ADD: role_count + member_count events. */
void primer_add_guilds(Arena *mem, ChatEvents *to, const Primer *primer);
/* Of a channel, or a direct one: one event. */
void primer_add_channel(Arena *mem, ChatEvents *to, int64_t channel_id);
