/* Who the user of a command is, at the server that he names. */
#include <jansson.h>

#include "atrium/reasons.atrium.h"
#include "shared/strbuf.h"
#include "tools/atrium/tus_client.h"

enum { PASSWORD_MAX_BYTES = 1024, LOGIN_MAX_BYTES = 16384 };

/* By a password of ATRIUM_PASSWORD, or of standard input's next line. */
static Err log_in(Web *web, const char *user)
{
    const char *password = tool_setting(web->tool, "ATRIUM_PASSWORD", NULL);
    char line[PASSWORD_MAX_BYTES];
    StrBuf body = strbuf_new(web->tool->mem, LOGIN_MAX_BYTES);
    static const char *const HEADERS[] = {"Content-Type: application/json", NULL};
    json_t *answer;
    WebReply reply;

    if (!password) {
        if (!fgets(line, sizeof(line), stdin))
            return err_make(&UNAUTHENTICATED, "no password: set ATRIUM_PASSWORD");
        line[strcspn(line, "\r\n")] = '\0';
        password = line;
    }
    strbuf_append_cstr(&body, "{\"username\":");
    strbuf_append_json(&body, slice(user));
    strbuf_append_cstr(&body, ",\"password\":");
    strbuf_append_json(&body, slice(password));
    strbuf_append_cstr(&body, "}");
    TRY(web_call(web, "POST", "/api/v1/auth/login", HEADERS, strbuf_slice(&body), &reply));
    answer = reply.status == 200 ? json_loadb(reply.body.ptr, reply.body.len, 0, NULL) : NULL;
    web->token = arena_strdup(web->tool->mem, json_string_value(json_object_get(answer, "access_token")));
    json_decref(answer);
    return web->token && *web->token ? OK : err_make(&UNAUTHENTICATED, "%s: the server answers %d", user, reply.status);
}

Err web_log_in(Tool *tool, const char *server, const char *user, Web *out)
{
    TRY(web_open(tool, server, tool_setting(tool, "ATRIUM_TOKEN", NULL), out));
    if (user)
        return log_in(out, user);
    if (!out->token)
        return err_make(&UNAUTHENTICATED,
                        "who are you? Set ATRIUM_TOKEN to an access token, or give --user NAME and the "
                        "password in ATRIUM_PASSWORD");
    return OK;
}
