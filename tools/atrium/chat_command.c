/* atrium chat tail and chat send: chat from a terminal, as any client does it. */
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "atrium/reasons.atrium.h"
#include "shared/clock.h"
#include "shared/strbuf.h"
#include "tools/atrium/live_client.h"
#include "tools/atrium/tus_client.h"

enum {
    HEARTBEAT_MS = 41250,
    RETRY_FIRST_MS = 1000, /* doubled each time */
    RETRY_MAX_MS = 60000,
    TRIES_MAX = 10, /* in a row, without a session */
    TEXT_MAX_BYTES = 64 * 1024,
    SESSION_MAX_BYTES = 1024,
    ARENA_BYTES = 65536,
    TOKEN_IS_DEAD = 4004
};

/* ---------------------------------------------------------------------------------------- tail */

/* What is shown, and where the session is: it is resumed when the connection breaks. */
typedef struct Tail {
    Web *web;
    const char *channel; /* NULL: all */
    bool json;
    char session[SESSION_MAX_BYTES]; /* "" none */
    int64_t sequence;
    bool lives; /* READY or RESUMED came on this connection */
} Tail;

static void keep_session(Tail *tail, const char *event, const json_t *data)
{
    if (strcmp(event, "READY") == 0)
        snprintf(tail->session, sizeof tail->session, "%s",
                 json_string_value(json_object_get(data, "session_id")) ?: "");
    tail->lives = tail->lives || !strcmp(event, "READY") || !strcmp(event, "RESUMED");
}

static const char *text_at(const json_t *data, const char *name)
{
    const char *text = json_string_value(json_object_get(data, name));

    return text ? text : "";
}

/* Control characters of others do nothing to this terminal. */
static void print_safely(const char *text)
{
    for (; *text; text++)
        putchar((unsigned char)*text < ' ' || *text == 0x7f ? ' ' : *text);
}

static void print_event(const char *event, const json_t *data)
{
    time_t now = time(NULL);
    struct tm parts;
    char clock[16];
    char *text;

    localtime_r(&now, &parts);
    strftime(clock, sizeof clock, "%H:%M:%S", &parts);
    printf("%s  %-22s ", clock, event);
    if (strcmp(event, "MESSAGE_CREATE") == 0 || strcmp(event, "MESSAGE_UPDATE") == 0) {
        printf("%s  ", text_at(data, "channel_id"));
        print_safely(text_at(data, "author_username"));
        printf(": ");
        print_safely(text_at(data, "content"));
    } else {
        text = json_dumps(data, JSON_COMPACT);
        print_safely(text ? text : "");
        free(text);
    }
    putchar('\n');
}

static bool is_shown(const Tail *tail, const json_t *data)
{
    return !tail->channel || !strcmp(text_at(data, "channel_id"), tail->channel) ||
           !strcmp(text_at(data, "id"), tail->channel);
}

static void take_frame(Tail *tail, Slice frame)
{
    json_t *root = json_loadb(frame.ptr, frame.len, 0, NULL);
    const json_t *data = json_object_get(root, "d");
    const char *event = json_string_value(json_object_get(root, "t"));

    if (event && json_integer_value(json_object_get(root, "op")) == 0) {
        tail->sequence = json_integer_value(json_object_get(root, "s"));
        keep_session(tail, event, data);
        if (is_shown(tail, data) && tail->json)
            printf("%.*s\n", SLICE_ARG(frame));
        else if (is_shown(tail, data))
            print_event(event, data);
        fflush(stdout);
    }
    json_decref(root);
}

static char *opening(const Tail *tail)
{
    StrBuf out = strbuf_new(tail->web->tool->mem, TEXT_MAX_BYTES);
    Slice text;

    strbuf_append_cstr(&out, tail->session[0] ? "{\"op\":6,\"d\":{\"token\":" : "{\"op\":2,\"d\":{\"token\":");
    strbuf_append_json(&out, slice(tail->web->token));
    if (tail->session[0]) {
        strbuf_append_cstr(&out, ",\"session_id\":");
        strbuf_append_json(&out, slice(tail->session));
        strbuf_printf(&out, ",\"seq\":%" PRId64, tail->sequence);
    }
    strbuf_append_cstr(&out, "}}");
    return strbuf_finish(&out, &text) ? slice_cstr(out.mem, text) : NULL;
}

/* Until the connection ends. CANCELLED then; any other failure is ours. */
static Err listen_to(Tail *tail, LiveClient *client)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(ARENA_BYTES);
    int64_t beat_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + HEARTBEAT_MS;
    char *hello = opening(tail);
    int code = 0;

    if (!hello)
        return err_make(&INVALID_ARGUMENT, "this token is too long");
    TRY(live_client_send(client, hello));
    while (true) {
        Slice frame;
        int64_t now_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
        Err e = live_client_next(client, mem, beat_ms - now_ms, &frame, &code);

        if (e.reason == &DEADLINE_EXCEEDED) {
            beat_ms += HEARTBEAT_MS;
            e = live_client_send(client, "{\"op\":1}");
        } else if (!err_failed(e))
            take_frame(tail, frame);
        if (code == TOKEN_IS_DEAD)
            return err_make(&UNAUTHENTICATED, "the token is not good any more");
        TRY(e);
        arena_reset(mem);
    }
}

static Err listen_once(Tail *tail)
{
    LiveClient *client = NULL;
    Err e;

    tail->lives = false;
    TRY(live_client_open(tail->web->tool, arena_printf(tail->web->tool->mem, "%s/gateway", tail->web->base), &client));
    e = listen_to(tail, client);
    live_client_free(client);
    return e;
}

/* Comes again after whatever breaks, and resumes; gives up when there is nobody for long. */
static Err follow(Tail *tail)
{
    int64_t wait_ms = RETRY_FIRST_MS;
    Err e;

    for (int tries = 0; tries < TRIES_MAX; tries++) {
        struct timespec pause = {.tv_sec = wait_ms / 1000};

        e = listen_once(tail);
        if (e.reason != &CANCELLED && e.reason != &UNAVAILABLE && e.reason != &DEADLINE_EXCEEDED)
            return e;
        if (tail->lives) {
            tries = 0;
            wait_ms = RETRY_FIRST_MS;
        }
        fprintf(stderr, "atrium chat tail: %s; again in %lld s\n", e.text, (long long)pause.tv_sec);
        nanosleep(&pause, NULL);
        wait_ms = MIN(wait_ms * 2, RETRY_MAX_MS);
    }
    return e;
}

static const char *server_of(Tool *tool, const char *server)
{
    return server ? server : tool_setting(tool, "ATRIUM_URL", "http://127.0.0.1:8080");
}

int chat_tail_command(Tool *tool)
{
    const char *server = tool_option(tool, "--server"), *user = tool_option(tool, "--user");
    Web web = {0};
    Tail tail = {.web = &web, .channel = tool_option(tool, "--channel"), .json = tool_flag(tool, "--json")};
    Err e;

    if (!tool_done(tool))
        return TOOL_WRONG_USE;
    e = web_log_in(tool, server_of(tool, server), user, &web);
    if (!err_failed(e))
        e = follow(&tail);
    web_done(&web);
    return tool_failed(tool, e);
}

/* ---------------------------------------------------------------------------------------- send */

/* The answer's "error", or its status. */
static Err refusal(const WebReply *reply)
{
    json_t *answer = json_loadb(reply->body.ptr, reply->body.len, 0, NULL);
    const char *text = json_string_value(json_object_get(json_object_get(answer, "error"), "message"));
    Err e = text ? err_make(&PERMISSION_DENIED, "%s", text)
                 : err_make(&UNAVAILABLE, "the server answers %d", reply->status);

    json_decref(answer);
    return e;
}

static Err post(Web *web, const char *channel, Slice content)
{
    static const char *const HEADERS[] = {"Content-Type: application/json", NULL};
    StrBuf body = strbuf_new(web->tool->mem, 8 * TEXT_MAX_BYTES);
    json_t *answer;
    WebReply reply;

    strbuf_append_cstr(&body, "{\"content\":");
    strbuf_append_json(&body, content);
    strbuf_append_cstr(&body, "}");
    TRY(web_call(web, "POST", arena_printf(web->tool->mem, "/api/v1/channels/%s/messages", channel), HEADERS,
                 strbuf_slice(&body), &reply));
    if (reply.status != 201)
        return refusal(&reply);
    answer = json_loadb(reply.body.ptr, reply.body.len, 0, NULL);
    printf("%s\n", text_at(answer, "id"));
    json_decref(answer);
    return OK;
}

/* The words that are left, or standard input for "-". */
static Err read_content(Tool *tool, Slice *out)
{
    StrBuf text = strbuf_new(tool->mem, TEXT_MAX_BYTES);

    if (tool->argc == 1 && strcmp(tool->argv[0], "-") == 0)
        return tool_read(tool, stdin, "standard input", TEXT_MAX_BYTES, out);
    for (int i = 0; i < tool->argc; i++) {
        if (i)
            strbuf_append_char(&text, ' ');
        strbuf_append_cstr(&text, tool->argv[i]);
    }
    return strbuf_finish(&text, out) ? OK : err_make(&INVALID_ARGUMENT, "the message is too long");
}

int chat_send_command(Tool *tool)
{
    const char *server = tool_option(tool, "--server"), *user = tool_option(tool, "--user");
    const char *channel = tool_argument(tool);
    Web web = {0};
    Slice content;
    int64_t id;
    Err e;

    if (!channel || !slice_to_int64(slice(channel), &id) || tool->argc == 0)
        return tool_wrong_use(tool, "name the channel by its id, then say what to send");
    e = read_content(tool, &content);
    if (!err_failed(e))
        e = web_log_in(tool, server_of(tool, server), user, &web);
    if (!err_failed(e))
        e = post(&web, channel, content);
    web_done(&web);
    return err_failed(e) ? tool_failed(tool, e) : TOOL_FINE;
}
