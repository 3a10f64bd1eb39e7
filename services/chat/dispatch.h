/* dispatch: what live connections are told. A handler that changes something says here, inside its transaction, who is
 * to see what; the row commits with the change, the relay brings it to the stream, and each edge writes it to the
 * connections that follow the topic (proto/atrium/realtime.proto, docs/realtime.md). The events are those of
 * contracts/chat.md 7.1.
 *
 * How a handler does it:
 *
 *   TRY(db_tx_begin(rq, &tx));
 *   TRY(chat_lock_channel(&tx, guild_id, channel_id));   first: ids are minted and rows are numbered after it
 *   … check, store, mint ids …
 *   TRY(chat_dispatch(&tx, rq->mem, &(ChatDispatch){
 *       .topic = chat_channel_topic(guild_id, channel_id),
 *       .event = "MESSAGE_CREATE", .data = &message->base }));
 *   TRY(db_tx_commit(&tx));
 *   outbox_nudge(chat->outbox);
 *
 * Order. All that is told of one key (a guild, a DM, a user) is told in the order of the commits, because whoever tells
 * has locked first: what happens in one channel takes its guild shared and the channel exclusively, so that posts to
 * other channels do not wait; whatever changes who sees what takes the guild exclusively, so that nothing posted later
 * overtakes it. The order of locks is guild, channel, user ids ascending; a second guild is never locked.
 *
 * Who sees it. A topic says it, and nothing else: what stands in `g.<guild>` goes to each member, so an event that
 * belongs to one channel must go to that channel's topic, which only those follow who may view it. */
#pragma once
#include "atrium/realtime.pb-c.h"
#include "shared/outbox.h"
#include "shared/rpc.h"

/* --- topics ------------------------------------------------------------------------------------------------------ */
typedef struct ChatTopic {
    enum {
        CHAT_TOPIC_GUILD,   /* g.<id>: all members */
        CHAT_TOPIC_CHANNEL, /* g.<guild_id>.c.<id>: members who may view the channel; threads would come below it */
        CHAT_TOPIC_USER,    /* u.<id>: all sessions of one user */
        CHAT_TOPIC_DM       /* d.<id>: recipients of a DM or group */
    } kind;
    int64_t guild_id; /* of a channel. Of a user's topic: the guild or DM that the event is about, its key; 0 none */
    int64_t id;
} ChatTopic;

static inline ChatTopic chat_guild_topic(int64_t guild_id)
{
    return (ChatTopic){CHAT_TOPIC_GUILD, 0, guild_id};
}
static inline ChatTopic chat_channel_topic(int64_t guild_id, int64_t channel_id)
{
    return (ChatTopic){CHAT_TOPIC_CHANNEL, guild_id, channel_id};
}
/* Of what concerns him alone: his other sessions' acks, his block list. Key: the user. */
static inline ChatTopic chat_user_topic(int64_t user_id)
{
    return (ChatTopic){CHAT_TOPIC_USER, 0, user_id};
}
/* Of what must keep its place among the events of a guild: his GUILD_CREATE, his farewell. Key: the guild. */
static inline ChatTopic chat_member_topic(int64_t guild_id, int64_t user_id)
{
    return (ChatTopic){CHAT_TOPIC_USER, guild_id, user_id};
}
/* The same for a DM or group: his CHANNEL_CREATE and CHANNEL_DELETE. Key: that channel. */
static inline ChatTopic chat_recipient_topic(int64_t channel_id, int64_t user_id)
{
    return (ChatTopic){CHAT_TOPIC_USER, channel_id, user_id};
}
static inline ChatTopic chat_dm_topic(int64_t channel_id)
{
    return (ChatTopic){CHAT_TOPIC_DM, 0, channel_id};
}
/* "g.1.c.2", borrowed from `mem`: for changes of audience. */
char *chat_topic_text(Arena *mem, ChatTopic topic);

/* --- locks ------------------------------------------------------------------------------------------------------- */
/* Held to the end of the transaction; one round trip each. Before anything of the key is read that the change depends
 * on, before ids are minted, before chat_dispatch. */
Err chat_lock_channel(DbTx *tx, int64_t guild_id, int64_t channel_id) MUST_CHECK; /* guild shared, channel exclusive */
Err chat_lock_guild(DbTx *tx, int64_t guild_id) MUST_CHECK;                       /* exclusive */
Err chat_lock_dm(DbTx *tx, int64_t channel_id) MUST_CHECK;                        /* exclusive */
Err chat_lock_user(DbTx *tx, int64_t user_id) MUST_CHECK;                         /* exclusive */
/* The same as expressions, for a statement that does all at once; `guild`, `channel`: bigint expressions. In a CTE that
 * is MATERIALIZED and that the INSERT into outbox selects from, so that it runs first. */
#define CHAT_LOCK_SQL(id) OUTBOX_LOCK_SQL("(" id ")::text")
#define CHAT_LOCK_SHARED_SQL(id) OUTBOX_LOCK_SHARED_SQL("(" id ")::text")

/* --- what is told ------------------------------------------------------------------------------------------------- */
/* One event as a client sees it: {"op":0,"t":name,"s":<position>,"d":data}. */
typedef struct ChatEvent {
    const char *name;             /* "MESSAGE_CREATE" */
    const ProtobufCMessage *data; /* of a message type of atrium.chat.v1; NULL: {} */
} ChatEvent;

/* What some connections see instead. All that is given must fit. */
typedef struct ChatVariant {
    const int64_t *users; /* connections of these; none: of everybody */
    size_t user_count;
    const int64_t *except_users; /* but not of these */
    size_t except_user_count;
    bool web;                /* only connections in dialect W */
    bool not_web;            /* only the others */
    const ChatEvent *events; /* in this order; none: such connections see nothing */
    size_t event_count;
} ChatVariant;

/* Who may follow what from here on: applied to the live connections of `users` (none: of all who follow `topic`) before
 * anything of the dispatch is written, and before anything that is told later. */
typedef struct ChatAudienceChange {
    const int64_t *users;
    size_t user_count;
    const char *topic; /* chat_topic_text; NULL: by `users` alone */
    const int64_t *except_users;
    size_t except_user_count;
    const char *const *join; /* topics */
    size_t join_count;
    const char *const *leave; /* topics, each with all below it */
    size_t leave_count;
    /* Whoever is meant followed all of `leave` and none of `join`: who is away then can resume (realtime.proto). */
    bool exact;
} ChatAudienceChange;

typedef struct ChatDispatch {
    ChatTopic topic;
    /* What all see for whom no variant fits. No name: nothing, the dispatch is its variants and changes alone. */
    const char *event;
    const ProtobufCMessage *data;
    const ChatVariant *variants; /* the first one that fits a connection is its */
    size_t variant_count;
    const ChatAudienceChange *changes;
    size_t change_count;
    const char *mark; /* see chat_mark; NULL none */
} ChatDispatch;

enum {
    CHAT_VARIANTS_MAX = 16,
    CHAT_CHANGES_MAX = 1024,
    CHAT_DISPATCH_MAX_BYTES = 4 * 1024 * 1024 /* INTERNAL beyond: whoever lists users or channels bounds them */
};

/* Inserts the row. Messages are packed at once: they may be changed or gone afterwards. `mem` is the request's. The
 * lock of the topic's key is held by the caller, see above. */
Err chat_dispatch(DbTx *tx, Arena *mem, const ChatDispatch *d) MUST_CHECK;
/* The row alone, for a statement that inserts it by itself (OUTBOX_ARGS): one round trip for a post. */
Err chat_dispatch_row(Arena *mem, const ChatDispatch *d, OutboxRow *out) MUST_CHECK;

/* A name that nobody else has, for `mark` and request_set_after: the gateway holds the answer until it has written that
 * dispatch to the caller's connections (two seconds at most). Where a client expects the event first: W3. */
char *chat_mark(Arena *mem);
/* What a session bears from its READY on: by the caller's login, since each browser tab has one of its own, and an
 * older tab that has long been primed says nothing of this one. chat_after_primed holds the request's answer until the
 * caller's session has it, on hosts of dialect W (GET users/@me/guilds, W3). */
char *chat_primed_mark(Request *rq);
void chat_after_primed(Request *rq);

/* --- frames ------------------------------------------------------------------------------------------------------- */
/* Of one event; borrowed from `mem`. For rpc Gateway, whose own frames look the same. */
Atrium__SocketFrame *chat_frame(Arena *mem, ChatEvent event);
