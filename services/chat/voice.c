/* voice: see voice.h. */
#include "services/chat/voice.h"

#include "atrium/chat/v1/gateway.service.h"
#include "services/chat/chat.h"
#include "services/chat/live.h"
#include "services/chat/livekit.h"
#include "services/chat/permissions.h"
#include "services/chat/store.h"
#include "services/chat/store_voice.h"

struct Voice {
    VoiceOptions o;
    HttpClient *http;
};

/* --- the voice server -------------------------------------------------------------------------------------------- */
static bool is_configured(const VoiceOptions *o)
{
    return o->url[0] && o->key[0] && o->secret[0];
}

Err voice_options_check(const VoiceOptions *o)
{
    if (!is_configured(o) && (o->url[0] || o->key[0] || o->secret[0]))
        return err_make(&INVALID_ARGUMENT, "LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET: all or none");
    if (o->url[0] && !slice_starts_with(slice(o->url), SLICE_LIT("ws://")) &&
        !slice_starts_with(slice(o->url), SLICE_LIT("wss://")))
        return err_make(&INVALID_ARGUMENT, "LIVEKIT_URL: begins with ws:// or wss://");
    return OK;
}

Voice *voice_new(const VoiceOptions *options)
{
    Voice *v = xcalloc(1, sizeof *v);

    v->o = *options;
    v->http = http_client_new(&(HttpClientOptions){.user_agent = "atrium-chat", .log = options->log});
    return v;
}

void voice_free(Voice *v)
{
    if (!v)
        return;
    http_client_free(v->http);
    free(v);
}

bool voice_is_available(const Voice *v)
{
    return v && is_configured(&v->o);
}

/* --- states ------------------------------------------------------------------------------------------------------ */
static const ProtobufCMessage *left_event(Arena *mem, int64_t guild_id, int64_t user_id)
{
    Chat__V1__VoiceState *state = MESSAGE_NEW(mem, Chat__V1__VoiceState, chat__v1__voice_state__init);

    SET(state, guild_id, guild_id);
    SET(state, user_id, user_id);
    return &state->base;
}

static Err tell(DbTx *tx, Arena *mem, int64_t guild_id, int64_t channel_id, const ProtobufCMessage *state)
{
    return chat_dispatch(tx, mem,
                         &(ChatDispatch){.topic = chat_channel_topic(guild_id, channel_id),
                                         .event = "VOICE_STATE_UPDATE",
                                         .data = state});
}

static Err tell_ended(DbTx *tx, Arena *mem, int64_t guild_id, const VoiceEnd *ends, size_t count)
{
    for (size_t i = 0; i < count; i++)
        TRY(tell(tx, mem, guild_id, ends[i].channel_id, left_event(mem, guild_id, ends[i].user_id)));
    return OK;
}

static Err throw_out(DbTx *tx, Arena *mem, int64_t guild_id, const VoiceEnd *ends, size_t count)
{
    for (size_t i = 0; i < count; i++)
        TRY(chat_store_order_voice(tx, livekit_room(mem, ends[i].channel_id), ends[i].user_id));
    return tell_ended(tx, mem, guild_id, ends, count);
}

Err voice_end_user(DbTx *tx, Arena *mem, int64_t guild_id, int64_t user_id)
{
    VoiceEnd *ends;
    size_t count;

    TRY(chat_store_end_voice(tx, mem, guild_id, 0, user_id, &ends, &count));
    return throw_out(tx, mem, guild_id, ends, count);
}

Err voice_end_barred(DbTx *tx, Arena *mem, int64_t guild_id, int64_t user_id)
{
    VoiceEnd *ends;
    size_t count;

    TRY(chat_store_end_barred_voice(tx, mem, guild_id, user_id, &ends, &count));
    return throw_out(tx, mem, guild_id, ends, count);
}

Err voice_end_channel(DbTx *tx, Arena *mem, int64_t guild_id, int64_t channel_id)
{
    VoiceEnd *ends;
    size_t count;

    TRY(chat_store_end_voice(tx, mem, guild_id, channel_id, 0, &ends, &count));
    if (count)
        TRY(chat_store_order_voice(tx, livekit_room(mem, channel_id), 0));
    return tell_ended(tx, mem, guild_id, ends, count);
}

Err voice_end_guild(DbTx *tx, int64_t guild_id)
{
    return chat_store_end_guild_voice(tx, guild_id);
}

/* --- rpcs -------------------------------------------------------------------------------------------------------- */
static Err require_voice_channel(Request *rq, DbTx *tx, int64_t channel_id, int64_t bits, ChannelAccess *out)
{
    TRY(permissions_require_channel(rq, tx, channel_id, 0, out));
    if (out->type != CHANNEL_VOICE)
        return err_make(&NOT_VOICE_CHANNEL, "channel is not a voice channel");
    return permissions_require_channel(rq, tx, channel_id, bits, out);
}

static char *member_token(Request *rq, const Voice *v, const ChannelAccess *access)
{
    return livekit_token(rq->mem, rq->clock, v->o.key, v->o.secret,
                         &(LivekitGrant){.identity = arena_printf(rq->mem, "%" PRId64, rq->caller.user_id),
                                         .name = rq->caller.username,
                                         .room = livekit_room(rq->mem, access->id),
                                         .join = true,
                                         .publish = permissions_have(access->permissions, PERMISSION_SPEAK),
                                         .ttl_ms = v->o.token_ttl_ms});
}

/* Those who saw him in another channel are told that he left it: they need not be able to view this one. */
static Err move_in(Request *rq, DbTx *tx, const Chat__V1__JoinVoiceRequest *in, const ChannelAccess *access)
{
    Chat__V1__VoiceState *state = MESSAGE_NEW(rq->mem, Chat__V1__VoiceState, chat__v1__voice_state__init);
    int64_t before;

    SET(state, guild_id, access->guild_id);
    SET(state, channel_id, access->id);
    SET(state, user_id, rq->caller.user_id);
    SET(state, self_mute, in->self_mute);
    SET(state, self_deaf, in->self_deaf);
    TRY(chat_store_put_voice(tx, rq->mem, clock_unix_us(rq->clock), state, &before));
    if (before && before != access->id)
        TRY(tell(tx, rq->mem, access->guild_id, before, left_event(rq->mem, access->guild_id, rq->caller.user_id)));
    return tell(tx, rq->mem, access->guild_id, access->id, &state->base);
}

Err chat_v1_join_voice(Request *rq, const Chat__V1__JoinVoiceRequest *in, Chat__V1__JoinVoiceReply *out)
{
    const Chat *chat = rq->service;
    const Voice *v = chat->live->voice;
    CLEANUP(db_tx_done) DbTx tx = {0};
    ChannelAccess access;

    TRY(require_voice_channel(rq, NULL, in->channel_id, PERMISSION_CONNECT, &access));
    if (!voice_is_available(v))
        return err_make(&VOICE_UNAVAILABLE, "no voice server is configured");
    TRY(db_tx_begin(rq, &tx));
    TRY(chat_lock_guild(&tx, access.guild_id));
    TRY(require_voice_channel(rq, &tx, in->channel_id, PERMISSION_CONNECT, &access)); /* as it is under the lock */
    TRY(move_in(rq, &tx, in, &access));
    TRY(chat_store_voice_states(rq, &tx, access.id, &out->voice_states, &out->n_voice_states));
    TRY(db_tx_commit(&tx));
    outbox_nudge(chat->outbox);
    out->token = member_token(rq, v, &access);
    out->url = (char *)(uintptr_t)v->o.url;
    return OK;
}

/* The channel only names the guild. */
Err chat_v1_leave_voice(Request *rq, const Chat__V1__LeaveVoiceRequest *in, Chat__V1__Nothing *out)
{
    const Chat *chat = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    ChannelAccess access;
    VoiceEnd *ends;
    size_t count;

    (void)out;
    TRY(permissions_require_channel(rq, NULL, in->channel_id, 0, &access));
    if (!access.guild_id)
        return err_make(&NOT_FOUND, "not in a voice channel");
    TRY(db_tx_begin(rq, &tx));
    TRY(chat_lock_guild(&tx, access.guild_id));
    TRY(chat_store_end_voice(&tx, rq->mem, access.guild_id, 0, rq->caller.user_id, &ends, &count));
    if (!count)
        return err_make(&NOT_FOUND, "not in a voice channel");
    TRY(tell_ended(&tx, rq->mem, access.guild_id, ends, count));
    TRY(db_tx_commit(&tx));
    outbox_nudge(chat->outbox);
    return OK;
}

Err chat_v1_list_voice_states(Request *rq, const Chat__V1__ListVoiceStatesRequest *in,
                              Chat__V1__ListVoiceStatesReply *out)
{
    ChannelAccess access;

    TRY(permissions_require_channel(rq, NULL, in->channel_id, PERMISSION_VIEW_CHANNEL, &access));
    return chat_store_voice_states(rq, NULL, access.id, &out->states, &out->n_states);
}

/* A state of another channel stays: the news is older than his move. */
Err chat_v1_take_voice_news(Request *rq, const Atrium__HttpBody *in, Chat__V1__Nothing *out)
{
    const Chat *chat = rq->service;
    const Voice *v = chat->live->voice;
    CLEANUP(db_tx_done) DbTx tx = {0};
    LivekitNews news;
    VoiceEnd *ends;
    int64_t guild_id;
    size_t count;

    (void)out;
    if (!voice_is_available(v))
        return err_make(&VOICE_UNAVAILABLE, "no voice server is configured");
    TRY(livekit_news_read(rq->mem, rq->clock, v->o.key, v->o.secret, slice(request_header(rq, "authorization")),
                          slice_of(in->data.data, in->data.len), &news));
    if (news.kind == LIVEKIT_OTHER)
        return OK;
    TRY(db_tx_begin(rq, &tx));
    TRY(chat_store_voice_guild(&tx, news.channel_id, &guild_id));
    if (!guild_id)
        return OK;
    TRY(chat_lock_guild(&tx, guild_id));
    TRY(chat_store_end_voice(&tx, rq->mem, guild_id, news.channel_id, news.user_id, &ends, &count));
    TRY(tell_ended(&tx, rq->mem, guild_id, ends, count));
    TRY(db_tx_commit(&tx));
    outbox_nudge(chat->outbox);
    return OK;
}

/* --- orders ------------------------------------------------------------------------------------------------------ */
/* The room service's URL is the clients' with the scheme of HTTP: "ws" is replaced, an "s" behind it stays. */
static char *service_url(Arena *mem, const Voice *v, const char *method)
{
    Slice rest = slice_skip(slice(v->o.url), strlen("ws"));

    while (slice_ends_with(rest, SLICE_LIT("/")))
        rest.len--;
    return arena_printf(mem, "http%.*s/twirp/livekit.RoomService/%s", SLICE_ARG(rest), method);
}

/* Rooms and participants that are not there any more are what was wanted. */
static Err carry_out(const Voice *v, Arena *mem, const VoiceOrder *order)
{
    LivekitGrant grant = {.room = order->room, .ttl_ms = VOICE_CALL_MS * 2, .admin = true, .create = !order->user_id};
    HttpHeader headers[] = {
        {"Content-Type", "application/json"},
        {"Authorization",
         arena_printf(mem, "Bearer %s", livekit_token(mem, v->o.clock, v->o.key, v->o.secret, &grant))}};
    const char *body = order->user_id ? arena_printf(mem, "{\"room\":\"%s\",\"identity\":\"%" PRId64 "\"}", order->room,
                                                     order->user_id)
                                      : arena_printf(mem, "{\"room\":\"%s\"}", order->room);
    HttpReply reply;

    TRY(http_call(v->http, mem,
                  &(HttpCall){.method = "POST",
                              .url = service_url(mem, v, order->user_id ? "RemoveParticipant" : "DeleteRoom"),
                              .headers = headers,
                              .header_count = ARRAY_LEN(headers),
                              .body = slice(body),
                              .timeout_ms = VOICE_CALL_MS,
                              .max_reply_bytes = LIVEKIT_NEWS_MAX_BYTES},
                  &reply));
    if (reply.status != 404 && (reply.status < 200 || reply.status > 299))
        return err_make(&UNAVAILABLE, "the voice server answers %d", reply.status);
    return OK;
}

/* The one that is tried is put off first: if we die on it, it comes again, and not at once. */
Err voice_work(Voice *v, Db *db, bool *out_more)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(16384);
    VoiceOrder *orders;
    size_t count;

    *out_more = false;
    if (!voice_is_available(v))
        return OK;
    TRY(chat_store_due_voice_orders(db, mem, &orders, &count));
    for (size_t i = 0; i < count; i++) {
        Err e = carry_out(v, mem, &orders[i]);

        if (err_failed(e))
            LOG_WARN(v->o.log, "voice_order_failed", "room", orders[i].room, "tries", orders[i].tries, "error", e.text);
        if (!err_failed(e) || orders[i].tries >= VOICE_TRIES_MAX)
            TRY(chat_store_drop_voice_order(db, orders[i].id));
    }
    *out_more = count == VOICE_TURN_MAX;
    return OK;
}
