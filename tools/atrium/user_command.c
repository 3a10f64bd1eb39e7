/* atrium user create: an account, made by an operator. */
#include "atrium/auth/v1/auth.atrium.h"
#include "shared/client.h"
#include "tools/atrium/tool.h"

enum { CREATE_TIMEOUT_MS = 15000, PASSWORD_MAX_BYTES = 1024 };

static char *read_line(Tool *tool)
{
    char line[PASSWORD_MAX_BYTES];

    if (!fgets(line, sizeof(line), stdin))
        return arena_strdup(tool->mem, "");
    line[strcspn(line, "\r\n")] = '\0';
    return arena_strdup(tool->mem, line);
}

static Err create(Tool *tool, const Auth__V1__CreateUserRequest *in, Auth__V1__CreateUserReply **out)
{
    CLEANUP(bus_close_at) Bus *bus = NULL;
    CLEANUP(metrics_free_at) Metrics *metrics = metrics_new();
    CLEANUP(client_free_at) Client *client = NULL;

    TRY(tool_connect(tool, &bus));
    TRY(client_new(bus, metrics, &client));
    return auth_v1_create_user_call(client, &(CallOptions){.timeout_ms = CREATE_TIMEOUT_MS}, tool->mem, in, out);
}

int user_create_command(Tool *tool)
{
    Auth__V1__CreateUserRequest in = AUTH__V1__CREATE_USER_REQUEST__INIT;
    Auth__V1__CreateUserReply *out;
    Err e;

    in.role = (char *)(uintptr_t)tool_option(tool, "--role");
    in.email = (char *)(uintptr_t)tool_option(tool, "--email");
    in.password = (char *)(uintptr_t)tool_option(tool, "--password");
    in.username = (char *)(uintptr_t)tool_argument(tool);
    if (!tool_done(tool))
        return TOOL_WRONG_USE;
    if (!in.username)
        return tool_wrong_use(tool, "name the user");
    if (in.password && strcmp(in.password, "-") == 0)
        in.password = read_line(tool);
    e = create(tool, &in, &out);
    if (err_failed(e))
        return tool_failed(tool, e);
    printf("created %s (%s), id %" PRId64 "\n", out->user && out->user->username ? out->user->username : in.username,
           out->user && out->user->role ? out->user->role : "user", out->user ? out->user->id : 0);
    if (out->password && out->password[0])
        printf("password: %s\n", out->password);
    return TOOL_FINE;
}
