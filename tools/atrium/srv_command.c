/* atrium srv: asks the services on the bus who they are, in the NATS services format. */
#include <jansson.h>

#include "atrium/reasons.atrium.h"
#include "shared/clock.h"
#include "tools/atrium/tool.h"

enum { ANSWERS_WAIT_MS = 400, QUIET_MS = 150, ANSWERS_MAX = 1000 };

static void print_ping(Slice json)
{
    json_t *value = json_loadb(json.ptr, json.len, 0, NULL);
    const char *name = json_string_value(json_object_get(value, "name"));
    const char *version = json_string_value(json_object_get(value, "version"));
    const char *id = json_string_value(json_object_get(value, "id"));

    printf("%-16s %-12s %s\n", name ? name : "?", version ? version : "?", id ? id : "?");
    json_decref(value);
}

/* Nobody knows how many will answer: it is over when none came for a while. */
static Err collect(Tool *tool, const char *verb, const char *subject, int *out_count)
{
    CLEANUP(bus_close_at) Bus *bus = NULL;
    natsSubscription *subscription = NULL;
    int64_t until_ms;
    natsStatus status;
    Err e;

    *out_count = 0;
    TRY(tool_connect(tool, &bus));
    status = natsConnection_SubscribeSync(&subscription, bus_nats(bus), tool_inbox(tool, bus, "srv"));
    if (status != NATS_OK)
        return bus_err(status, "subscribe");
    e = bus_publish(bus, subject, tool_inbox(tool, bus, "srv"), NULL, 0, SLICE_LIT(""));
    until_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + ANSWERS_WAIT_MS;
    while (!err_failed(e) && *out_count < ANSWERS_MAX) {
        int64_t left_ms = until_ms - clock_monotonic_ms(&SYSTEM_CLOCK);
        natsMsg *answer = NULL;
        Slice json;

        if (left_ms <= 0 || natsSubscription_NextMsg(&answer, subscription, left_ms) != NATS_OK)
            break;
        json = slice_of(natsMsg_GetData(answer), (size_t)natsMsg_GetDataLength(answer));
        if (strcmp(verb, "PING") == 0)
            print_ping(json);
        else
            tool_print_json(tool, json);
        natsMsg_Destroy(answer);
        (*out_count)++;
        until_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + QUIET_MS;
    }
    natsSubscription_Destroy(subscription);
    return e;
}

static int ask(Tool *tool, const char *verb)
{
    const char *name = tool_argument(tool);
    int count;
    Err e;

    if (!tool_done(tool))
        return TOOL_WRONG_USE;
    e = collect(tool, verb, arena_printf(tool->mem, "$SRV.%s%s%s", verb, name ? "." : "", name ? name : ""), &count);
    if (!err_failed(e) && count == 0)
        e = err_make(&NOT_FOUND, "no %s answered", name ? name : "service");
    return err_failed(e) ? tool_failed(tool, e) : TOOL_FINE;
}

int srv_ping_command(Tool *tool)
{
    return ask(tool, "PING");
}

int srv_info_command(Tool *tool)
{
    return ask(tool, "INFO");
}

int srv_stats_command(Tool *tool)
{
    return ask(tool, "STATS");
}
