/* dms: channels between people: DMs of two, and groups. */
#include "atrium/chat/v1/dms.service.h"
#include "services/chat/announce.h"
#include "services/chat/messages.h"
#include "services/chat/persons.h"
#include "services/chat/store_dms.h"

#define RECIPIENT_UNKNOWN "recipient not found"

Err chat_v1_list_dms(Request *rq, const Chat__V1__ListDmsRequest *in, Chat__V1__ListDmsReply *out)
{
    int64_t before_id = INT64_MAX;
    int limit;

    TRY(messages_limit(in->limit, DMS_SHOWN_MAX, DMS_SHOWN_MAX, &limit));
    if (in->before && !slice_to_int64(slice(in->before), &before_id))
        return err_make(&INVALID_BEFORE, "invalid before cursor");
    return chat_store_dms_of(rq, rq->caller.user_id, before_id, limit, &out->channels, &out->n_channels);
}

/* --- opening ---------------------------------------------------------------------------------------------------------
 */
/* An id as clients send it: "12", or 12 as far as that is exact. */
static bool read_id(const Google__Protobuf__Value *value, int64_t *out)
{
    const double exact_max = 9007199254740992.0;

    if (!value)
        return false;
    if (value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE)
        return slice_to_int64(slice(value->string_value), out) && *out > 0;
    if (value->kind_case != GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE ||
        !(value->number_value >= 1 && value->number_value <= exact_max)) /* nor not a number */
        return false;
    *out = (int64_t)value->number_value;
    return (double)*out == value->number_value;
}

/* Everybody's session follows it from now on, and is told. */
static Err announce(DbTx *tx, Request *rq, const int64_t *user_ids, size_t count, const Chat__V1__DMChannel *dm)
{
    const Chat *chat = rq->service;

    TRY(chat_announce_dm_created(tx, rq->mem, dm->id, user_ids, count, &dm->base));
    TRY(db_tx_commit(tx));
    outbox_nudge(chat->outbox);
    return OK;
}

static Err make_dm(DbTx *tx, Request *rq, int64_t owner_id, const int64_t *user_ids, size_t count,
                   Chat__V1__DMChannel *out)
{
    const Chat *chat = rq->service;
    int64_t channel_id = id_next(chat->ids);

    TRY(chat_lock_dm(tx, channel_id));
    TRY(chat_store_insert_dm(tx, channel_id, owner_id, user_ids, count, clock_unix_us(rq->clock)));
    return chat_store_dm(rq, tx, channel_id, out);
}

static Err refuse_blocked(Request *rq, DbTx *tx, const int64_t *by, size_t count)
{
    bool blocked;

    TRY(chat_store_is_blocked(rq, tx, rq->caller.user_id, by, count, &blocked));
    return blocked ? err_make(&PERMISSION_DENIED, "you cannot write to this user") : OK;
}

static Err open_pair(Request *rq, const Chat__V1__OpenDmRequest *in, Chat__V1__DMChannel *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t users[2] = {rq->caller.user_id, 0}, channel_id;

    if (!read_id(in->recipient_id, &users[1]))
        return err_make(&INVALID_RECIPIENT, "invalid recipient_id");
    if (users[1] == users[0])
        return err_make(&INVALID_RECIPIENT, "cannot create DM with yourself");
    TRY(persons_require(rq, users, ARRAY_LEN(users), RECIPIENT_UNKNOWN));
    TRY(db_tx_begin(rq, &tx));
    TRY(chat_store_lock_pair(&tx, users[0], users[1], &channel_id));
    TRY(refuse_blocked(rq, &tx, &users[1], 1));
    if (channel_id)
        return chat_store_dm(rq, &tx, channel_id, out);
    TRY(make_dm(&tx, rq, 0, users, ARRAY_LEN(users), out));
    TRY(chat_store_insert_pair(&tx, users[0], users[1], out->id));
    return announce(&tx, rq, users, ARRAY_LEN(users), out);
}

/* The caller first. */
static Err read_recipients(Request *rq, const Chat__V1__OpenDmRequest *in, int64_t users[GROUP_RECIPIENTS_MAX],
                           size_t *out_count)
{
    if (in->n_recipient_ids > GROUP_RECIPIENTS_MAX - 1)
        return err_make(&INVALID_RECIPIENTS, "too many recipients (max %d)", GROUP_RECIPIENTS_MAX - 1);
    users[0] = rq->caller.user_id;
    *out_count = 1;
    for (size_t i = 0; i < in->n_recipient_ids; i++) {
        int64_t id;

        if (!read_id(in->recipient_ids[i], &id))
            return err_make(&INVALID_RECIPIENTS, "invalid recipient_id");
        for (size_t k = 0; k < *out_count; k++)
            if (users[k] == id)
                return err_make(&INVALID_RECIPIENTS, "duplicate recipient_id");
        users[(*out_count)++] = id;
    }
    return OK;
}

static Err open_group(Request *rq, const Chat__V1__OpenDmRequest *in, Chat__V1__DMChannel *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t users[GROUP_RECIPIENTS_MAX];
    size_t count = 0;

    TRY(read_recipients(rq, in, users, &count));
    TRY(persons_require(rq, users, count, RECIPIENT_UNKNOWN));
    TRY(db_tx_begin(rq, &tx));
    TRY(refuse_blocked(rq, &tx, users + 1, count - 1));
    TRY(make_dm(&tx, rq, users[0], users, count, out));
    return announce(&tx, rq, users, count, out);
}

Err chat_v1_open_dm(Request *rq, const Chat__V1__OpenDmRequest *in, Chat__V1__DMChannel *out)
{
    return in->n_recipient_ids ? open_group(rq, in, out) : open_pair(rq, in, out);
}

/* --- who is in a group -----------------------------------------------------------------------------------------------
 */
static Err read_path(const Chat__V1__RecipientRequest *in, int64_t *out_channel_id, int64_t *out_user_id)
{
    if (!slice_to_int64(slice(in->channel_id), out_channel_id))
        return err_make(&INVALID_CHANNEL, "invalid channel id");
    if (!slice_to_int64(slice(in->user_id), out_user_id))
        return err_make(&INVALID_USER, "invalid user id");
    return OK;
}

/* The group as it is, under its lock. */
static Err enter_group(DbTx *tx, Request *rq, int64_t channel_id, Chat__V1__DMChannel *out)
{
    bool known;

    TRY(chat_lock_dm(tx, channel_id));
    TRY(chat_store_dm(rq, tx, channel_id, out));
    if (out->has_id)
        return out->type == CHANNEL_GROUP ? OK : err_make(&INVALID_CHANNEL, "not a group DM");
    TRY(chat_store_channel_known(tx, channel_id, &known));
    return known ? err_make(&INVALID_CHANNEL, "not a group DM") : err_make(&NOT_FOUND, "channel not found");
}

static bool is_in(const Chat__V1__DMChannel *dm, int64_t user_id)
{
    for (size_t i = 0; i < dm->n_recipients; i++)
        if (dm->recipients[i]->id == user_id)
            return true;
    return false;
}

static Err may_add(const Request *rq, const Chat__V1__DMChannel *dm, int64_t user_id, Err known)
{
    if (dm->owner_id != rq->caller.user_id)
        return err_make(&PERMISSION_DENIED, "only the group owner can add members");
    TRY(known);
    if (is_in(dm, user_id))
        return err_make(&ALREADY_MEMBER, "user is already a member");
    if (dm->n_recipients >= GROUP_RECIPIENTS_MAX)
        return err_make(&MAX_MEMBERS, "group DM is full (max %d members)", GROUP_RECIPIENTS_MAX);
    return OK;
}

Err chat_v1_add_recipient(Request *rq, const Chat__V1__RecipientRequest *in, Chat__V1__RecipientReply *out)
{
    const Chat *chat = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    Chat__V1__DMChannel dm;
    int64_t channel_id, user_id;
    Err known;

    (void)out;
    TRY(read_path(in, &channel_id, &user_id));
    known = persons_require(rq, &user_id, 1, "user not found"); /* may ask auth: not while anything is locked */
    if (known.reason != &NOT_FOUND)
        TRY(known);
    TRY(db_tx_begin(rq, &tx));
    TRY(enter_group(&tx, rq, channel_id, &dm));
    TRY(may_add(rq, &dm, user_id, known));
    TRY(refuse_blocked(rq, &tx, &user_id, 1));
    TRY(chat_store_add_recipient(&tx, channel_id, user_id, clock_unix_us(rq->clock)));
    TRY(chat_store_dm(rq, &tx, channel_id, &dm));
    TRY(chat_announce_dm_recipient_added(&tx, rq->mem, channel_id, user_id, &dm.base));
    TRY(db_tx_commit(&tx));
    outbox_nudge(chat->outbox);
    return OK;
}

static Err may_remove(const Request *rq, const Chat__V1__DMChannel *dm, int64_t user_id)
{
    if (dm->owner_id != rq->caller.user_id && user_id != rq->caller.user_id)
        return err_make(&PERMISSION_DENIED, "only the group owner can remove members");
    if (!is_in(dm, rq->caller.user_id))
        return err_make(&PERMISSION_DENIED, "you are not a member of this group");
    if (!is_in(dm, user_id))
        return err_make(&NOT_FOUND, "user is not a member");
    return OK;
}

Err chat_v1_remove_recipient(Request *rq, const Chat__V1__RecipientRequest *in, Chat__V1__RecipientReply *out)
{
    const Chat *chat = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    Chat__V1__DMChannel before, after;
    int64_t channel_id, user_id;
    int left;

    (void)out;
    TRY(read_path(in, &channel_id, &user_id));
    TRY(db_tx_begin(rq, &tx));
    TRY(enter_group(&tx, rq, channel_id, &before));
    TRY(may_remove(rq, &before, user_id));
    TRY(chat_store_remove_recipient(&tx, channel_id, user_id, &left));
    TRY(chat_store_dm(rq, &tx, channel_id, &after));
    TRY(chat_announce_dm_recipient_removed(&tx, rq->mem, channel_id, user_id, left ? &after.base : NULL, &before.base));
    if (left == 0)
        TRY(chat_store_delete_dm(&tx, channel_id));
    TRY(db_tx_commit(&tx));
    outbox_nudge(chat->outbox);
    return OK;
}
