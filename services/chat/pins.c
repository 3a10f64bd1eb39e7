/* pins: messages that a channel keeps in sight. */
#include "atrium/chat/v1/messages.service.h"
#include "services/chat/audit.h"
#include "services/chat/store.h"
#include "services/chat/store_messages.h"

Err chat_v1_list_pins(Request *rq, const Chat__V1__ListPinsRequest *in, Chat__V1__MessageList *out)
{
    return chat_store_pins(rq, in->channel_id, out);
}

static Err tell_pins(DbTx *tx, Request *rq, const Place *place, int64_t last_us)
{
    Chat__V1__PinsChanged event = CHAT__V1__PINS_CHANGED__INIT;

    SET(&event, channel_id, place->id);
    if (place->guild_id)
        SET(&event, guild_id, place->guild_id);
    if (last_us)
        event.last_pin_timestamp = chat_time(rq->mem, last_us);
    return chat_dispatch(
        tx, rq->mem, &(ChatDispatch){.topic = place_topic(place), .event = "CHANNEL_PINS_UPDATE", .data = &event.base});
}

/* Between people anybody pins. */
static Err enter_to_pin(DbTx *tx, Request *rq, const Chat__V1__PinRequest *in, Place *out)
{
    int64_t author_id;

    TRY(place_enter(tx, rq, in->channel_id, PERMISSION_VIEW_CHANNEL | PERMISSION_READ_MESSAGE_HISTORY, out));
    if (out->guild_id)
        TRY(place_require(out, PERMISSION_MANAGE_MESSAGES));
    if (out->blocked)
        return err_make(&PERMISSION_DENIED, "you cannot write to this user");
    TRY(chat_store_author_of(tx, in->channel_id, in->message_id, &author_id));
    return author_id ? OK : err_make(&NOT_FOUND, "message not found");
}

static Err log_pin(DbTx *tx, Request *rq, const Place *place, int64_t message_id, bool pinned)
{
    Audit audit = {.rq = rq,
                   .action = pinned ? AUDIT_MESSAGE_PIN : AUDIT_MESSAGE_UNPIN,
                   .guild_id = place->guild_id,
                   .target_id = message_id};

    if (!place->guild_id)
        return OK;
    audit_id(&audit, "channel_id", pinned ? 0 : place->id, pinned ? place->id : 0);
    return audit_insert(&audit, tx);
}

/* Told only when something changed. */
static Err set_pin(DbTx *tx, Request *rq, const Place *place, int64_t message_id, int64_t pinned_us)
{
    const Chat *chat = rq->service;
    int64_t last_us;
    int count = 0;
    bool changed;

    TRY(chat_store_set_pin(tx, place->id, message_id, pinned_us, &changed, &last_us));
    if (pinned_us && changed)
        TRY(chat_store_count_pins(tx, place->id, &count));
    if (count > PINS_MAX)
        return err_make(&MAX_PINS, "a channel has at most %d pins", PINS_MAX);
    if (!changed)
        return OK;
    TRY(tell_pins(tx, rq, place, last_us));
    TRY(log_pin(tx, rq, place, message_id, pinned_us != 0));
    TRY(db_tx_commit(tx));
    outbox_nudge(chat->outbox);
    return OK;
}

Err chat_v1_pin_message(Request *rq, const Chat__V1__PinRequest *in, Chat__V1__PinReply *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Place place;

    (void)out;
    TRY(db_tx_begin(rq, &tx));
    TRY(enter_to_pin(&tx, rq, in, &place));
    return set_pin(&tx, rq, &place, in->message_id, clock_unix_us(rq->clock));
}

Err chat_v1_unpin_message(Request *rq, const Chat__V1__PinRequest *in, Chat__V1__PinReply *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Place place;

    (void)out;
    TRY(db_tx_begin(rq, &tx));
    TRY(enter_to_pin(&tx, rq, in, &place));
    return set_pin(&tx, rq, &place, in->message_id, 0);
}
