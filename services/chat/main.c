/* main: the wiring of chat. */
#include "atrium/chat/v1/guilds.service.h"
#include "services/chat/persons.h"
#include "shared/service.h"

#define CONFIG_STRUCT ChatSettings
#define SETTING CONFIG_ROW
static const Setting SETTINGS[] = {
#include "services/chat/settings.def"
};
#undef SETTING
#undef CONFIG_STRUCT

typedef struct Running {
    Chat chat; /* first: handlers get it */
    PersonEvents person_events;
    EventConsumer *persons;
} Running;

static Err start_background(Service *service, void *context)
{
    Running *running = context;

    running->person_events = (PersonEvents){.db = service->db, .client = service->client};
    return event_consumer_start(&(EventConsumerOptions){.bus = service->bus,
                                                        .log = service->log,
                                                        .metrics = service->metrics,
                                                        .stream = PERSON_EVENTS_STREAM,
                                                        .durable = PERSON_EVENTS_DURABLE,
                                                        .filter = PERSON_EVENTS_FILTER,
                                                        .handler = persons_take_event,
                                                        .context = &running->person_events},
                                &running->persons);
}

static void stop_background(void *context)
{
    Running *running = context;

    event_consumer_stop(MOVE(running->persons));
}

static Err open_chat(Service *service, void **out_context)
{
    Running *running = ARENA_NEW(service->mem, Running);

    running->chat = (Chat){
        .settings = service->settings,
        .ids = service->ids,
        .outbox = service->outbox,
    };
    *out_context = running;
    return OK;
}

int main(int argc, char **argv)
{
    static const RpcService *const RPCS[] = {&CHAT_V1_GUILD_SERVICE};
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
        .open = open_chat,
        .started = start_background,
        .stopping = stop_background,
    };

    return service_main(&definition, argc, argv);
}
