/* main: the wiring of chat. */
#include "atrium/chat/v1/attachments.service.h"
#include "atrium/chat/v1/channels.service.h"
#include "atrium/chat/v1/dms.service.h"
#include "atrium/chat/v1/gateway.service.h"
#include "atrium/chat/v1/guilds.service.h"
#include "atrium/chat/v1/invites.service.h"
#include "atrium/chat/v1/members.service.h"
#include "atrium/chat/v1/messages.service.h"
#include "atrium/chat/v1/roles.service.h"
#include "services/chat/erase.h"
#include "services/chat/live.h"
#include "services/chat/persons.h"
#include "services/chat/store_live.h"
#include "services/chat/sweeper.h"
#include "shared/erasure.h"
#include "shared/service.h"

/* Posts run in fibers of the bus's loop, as reads do, since they wait for nothing but the database. */
enum {
    FAST_THREADS = 4,
    LIVE_THREADS = 2,
    READS_AT_ONCE = 256,
    POSTS_AT_ONCE = 64,
    QUEUE_MAX = 1024,
    SLOW_QUEUE_MAX = 64,
    LIVE_QUEUE_MAX = 8192
};

#define CONFIG_STRUCT ChatSettings
#define SETTING CONFIG_ROW
static const Setting SETTINGS[] = {
#include "services/chat/settings.def"
};
#undef SETTING
#undef CONFIG_STRUCT

typedef struct Running {
    Chat chat; /* first: handlers get it */
    Live live;
    LiveSweeps live_sweeps;
    Sweeper *live_sweeper;
    PersonEvents person_events;
    EventConsumer *persons;
    ChatSweeps sweeps;
    Sweeper *sweeper;
    Eraser eraser;
    Erasure *erasure;
} Running;

static VoiceOptions voice_options(const ChatSettings *s)
{
    return (VoiceOptions){.url = s->livekit_url,
                          .key = s->livekit_key,
                          .secret = s->livekit_secret,
                          .token_ttl_ms = s->livekit_token_ttl_ms};
}

static Err check_settings(const CommonSettings *common, const void *settings)
{
    const VoiceOptions voice = voice_options(settings);

    (void)common;
    return voice_options_check(&voice);
}

static Err open_chat(Service *service, void **out_context)
{
    Running *running = ARENA_NEW(service->mem, Running);
    VoiceOptions voice = voice_options(service->settings);

    running->chat = (Chat){
        .settings = service->settings,
        .ids = service->ids,
        .outbox = service->outbox,
        .live = &running->live,
    };
    voice.clock = service->clock;
    voice.log = service->log;
    TRY(chat_store_live_secret(service->db, running->live.session_secret));
    running->live.voice = voice_new(&voice);
    live_count_sessions(&running->live, service->metrics);
    *out_context = running;
    return OK;
}

static Err start_background(Service *service, void *context)
{
    Running *running = context;

    running->person_events = (PersonEvents){.db = service->db, .client = service->client};
    TRY(event_consumer_start(&(EventConsumerOptions){.bus = service->bus,
                                                     .log = service->log,
                                                     .metrics = service->metrics,
                                                     .stream = PERSON_EVENTS_STREAM,
                                                     .durable = PERSON_EVENTS_DURABLE,
                                                     .filter = PERSON_EVENTS_FILTER,
                                                     .handler = persons_take_event,
                                                     .context = &running->person_events},
                             &running->persons));
    running->eraser = (Eraser){.chat = &running->chat, .db = service->db, .clock = service->clock, .log = service->log};
    TRY(erasure_start(&(ErasureOptions){.bus = service->bus,
                                        .client = service->client,
                                        .log = service->log,
                                        .metrics = service->metrics,
                                        .domain = "chat",
                                        .erase = erase_user,
                                        .context = &running->eraser},
                      &running->erasure));
    running->sweeps =
        (ChatSweeps){.chat = &running->chat, .db = service->db, .clock = service->clock, .log = service->log};
    running->sweeper = chat_sweeper_start(&running->sweeps, service->metrics);
    running->live_sweeps =
        (LiveSweeps){.db = service->db, .log = service->log, .outbox = service->outbox, .voice = running->live.voice};
    running->live_sweeper = live_sweeper_start(&running->live_sweeps, running->chat.settings->live_sweep_ms);
    return OK;
}

static void stop_background(void *context)
{
    Running *running = context;

    sweeper_stop(MOVE(running->sweeper));
    sweeper_stop(MOVE(running->live_sweeper));
    erasure_stop(MOVE(running->erasure));
    event_consumer_stop(MOVE(running->persons));
}

static void close_chat(void *context)
{
    Running *running = context;

    voice_free(running->live.voice);
}

int main(int argc, char **argv)
{
    static const RpcService *const RPCS[] = {
        &CHAT_V1_ATTACHMENT_SERVICE, &CHAT_V1_CHANNEL_SERVICE, &CHAT_V1_DM_SERVICE,
        &CHAT_V1_GUILD_SERVICE,      &CHAT_V1_INVITE_SERVICE,  &CHAT_V1_LIVE_SERVICE,
        &CHAT_V1_MEMBER_SERVICE,     &CHAT_V1_MESSAGE_SERVICE, &CHAT_V1_ROLE_SERVICE};
    static const RpcLane LANES[] = {
        {.name = "fast", .threads = FAST_THREADS, .queue_max = QUEUE_MAX},
        {.name = "reads", .fibers = READS_AT_ONCE, .queue_max = QUEUE_MAX},
        {.name = "posts", .fibers = POSTS_AT_ONCE, .queue_max = QUEUE_MAX},
        {.name = "slow", .threads = 1, .queue_max = SLOW_QUEUE_MAX, .nice = 10},
        /* All connections come again at once when a gateway goes; requests must not wait behind that. */
        {.name = "live", .threads = LIVE_THREADS, .queue_max = LIVE_QUEUE_MAX},
    };
    const ServiceDefinition definition = {
        .name = "chat",
        .summary = "guilds, channels, messages and their live delivery",
        .settings = SETTINGS,
        .setting_count = ARRAY_LEN(SETTINGS),
        .settings_bytes = sizeof(ChatSettings),
        .uses_database = true,
        .has_events = true,
        .has_dispatches = true,
        .rpcs = RPCS,
        .rpc_count = ARRAY_LEN(RPCS),
        .lanes = LANES,
        .lane_count = ARRAY_LEN(LANES),
        .check = check_settings,
        .open = open_chat,
        .started = start_background,
        .stopping = stop_background,
        .close = close_chat,
    };

    return service_main(&definition, argc, argv);
}
