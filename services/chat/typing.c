/* typing: who is writing (contracts/chat.md section 9). Nothing is kept of it. */
#include "atrium/chat/v1/gateway.service.h"
#include "services/chat/chat.h"
#include "services/chat/place.h"

/* In a guild the typist sees it, too; in a DM the others alone. No lock: it may stand anywhere among the messages. */
Err chat_v1_start_typing(Request *rq, const Chat__V1__StartTypingRequest *in, Chat__V1__Nothing *out)
{
    const Chat *chat = rq->service;
    Chat__V1__TypingStart event = CHAT__V1__TYPING_START__INIT;
    CLEANUP(db_tx_done) DbTx tx = {0};
    ChatVariant others;
    Place place;

    (void)out;
    TRY(place_look(rq, in->channel_id, PERMISSION_SEND_MESSAGES, &place));
    if (place.blocked)
        return err_make(&PERMISSION_DENIED, "you cannot write to this user");
    SET(&event, channel_id, place.id);
    if (place.guild_id)
        SET(&event, guild_id, place.guild_id);
    SET(&event, user_id, rq->caller.user_id);
    SET(&event, timestamp, clock_unix_ms(rq->clock) / 1000);
    others = (ChatVariant){.except_users = &rq->caller.user_id,
                           .except_user_count = place.guild_id ? 0 : 1,
                           .events = &(ChatEvent){"TYPING_START", &event.base},
                           .event_count = 1};
    TRY(db_tx_begin(rq, &tx));
    TRY(chat_dispatch(&tx, rq->mem,
                      &(ChatDispatch){.topic = place_topic(&place), .variants = &others, .variant_count = 1}));
    TRY(db_tx_commit(&tx));
    outbox_nudge(chat->outbox);
    return OK;
}
