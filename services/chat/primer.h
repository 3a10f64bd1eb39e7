/* primer: what the browser client (dialect W) is told so that its stores are not empty when it opens a channel: it
 * loops for ever over one that is (contracts/chat.md section 15, W2). After READY, before what a resumed session has
 * missed (it may have broken off while it was primed), after GUILD_CREATE, after CHANNEL_CREATE. */
#pragma once
#include "services/chat/frames.h"
#include "services/chat/store_live.h"

/* For each role GUILD_ROLE_CREATE, for each membership GUILD_MEMBER_ADD, and for each channel as below: so many events.
 */
size_t primer_count(const Primer *primer);
void primer_add(Arena *mem, ChatEvents *to, const Primer *primer);
/* Of a channel, or a direct one: one event. */
void primer_add_channel(Arena *mem, ChatEvents *to, int64_t channel_id);
