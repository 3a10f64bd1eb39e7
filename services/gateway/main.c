/* gateway: the executable. Wiring only. */
#include "services/gateway/gateway.h"

#define CONFIG_STRUCT GatewaySettings
#define SETTING CONFIG_ROW
static const Setting SETTINGS[] = {
#include "services/gateway/settings.def"
};

int main(int argc, char **argv)
{
    const ServiceDefinition definition = {.name = "gateway",
                                          .summary = "the edge: HTTP to bus requests and back",
                                          .settings = SETTINGS,
                                          .setting_count = ARRAY_LEN(SETTINGS),
                                          .settings_bytes = sizeof(GatewaySettings),
                                          .uses_cache = true,
                                          .check = gateway_check,
                                          .open = gateway_open,
                                          .run = gateway_run,
                                          .close = gateway_close};

    return service_main(&definition, argc, argv);
}
