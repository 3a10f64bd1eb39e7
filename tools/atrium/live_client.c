/* live_client: see live_client.h. */
#include "tools/atrium/live_client.h"

#include <errno.h>
#include <poll.h>

#include <curl/curl.h>
#include <wslay/wslay.h>

#include "atrium/reasons.atrium.h"
#include "shared/clock.h"
#include "shared/id.h"
#include "shared/strbuf.h"

enum { HEAD_MAX_BYTES = 16384, OPEN_MS = 10000, KEY_BYTES = 16 };

/* Messages that came together with one that was asked for. */
typedef struct Arrived {
    struct Arrived *next;
    size_t len;
    char bytes[];
} Arrived;

struct LiveClient {
    CURL *curl;
    curl_socket_t socket;
    wslay_event_context_ptr ws;
    Arrived *first, **last;
    bool broken;
};

/* --- wslay's side of the connection ------------------------------------------------------------------------------ */
static ssize_t receive(wslay_event_context_ptr ws, uint8_t *into, size_t len, int flags, void *data)
{
    LiveClient *c = data;
    size_t got = 0;
    CURLcode code = curl_easy_recv(c->curl, into, len, &got);

    (void)flags;
    if (code == CURLE_OK && got > 0)
        return (ssize_t)got;
    c->broken = code != CURLE_AGAIN;
    wslay_event_set_error(ws, c->broken ? WSLAY_ERR_CALLBACK_FAILURE : WSLAY_ERR_WOULDBLOCK);
    return -1;
}

static ssize_t transmit(wslay_event_context_ptr ws, const uint8_t *bytes, size_t len, int flags, void *data)
{
    LiveClient *c = data;
    size_t sent = 0;
    CURLcode code = curl_easy_send(c->curl, bytes, len, &sent);

    (void)flags;
    if (code == CURLE_OK)
        return (ssize_t)sent;
    c->broken = code != CURLE_AGAIN;
    wslay_event_set_error(ws, c->broken ? WSLAY_ERR_CALLBACK_FAILURE : WSLAY_ERR_WOULDBLOCK);
    return -1;
}

static int make_mask(wslay_event_context_ptr ws, uint8_t *into, size_t len, void *data)
{
    (void)ws, (void)data;
    random_bytes(into, len);
    return 0;
}

static void take_message(wslay_event_context_ptr ws, const struct wslay_event_on_msg_recv_arg *arg, void *data)
{
    LiveClient *c = data;
    Arrived *one;

    (void)ws;
    if (wslay_is_ctrl_frame(arg->opcode))
        return;
    one = xmalloc(sizeof *one + arg->msg_length);
    one->next = NULL;
    one->len = arg->msg_length;
    memcpy(one->bytes, arg->msg, arg->msg_length);
    *c->last = one;
    c->last = &one->next;
}

static bool take_first(LiveClient *c, Arena *mem, Slice *out)
{
    Arrived *one = c->first;

    if (!one)
        return false;
    *out = slice_of(arena_memdup(mem, one->bytes, one->len), one->len);
    c->first = one->next;
    if (!c->first)
        c->last = &c->first;
    free(one);
    return true;
}

/* --- the handshake ----------------------------------------------------------------------------------------------- */
static Err wait_for(const LiveClient *c, short events, int64_t timeout_ms)
{
    struct pollfd one = {.fd = c->socket, .events = events};
    int ready = poll(&one, 1, (int)MIN(MAX(timeout_ms, 0), INT32_MAX));

    if (ready > 0 || (ready < 0 && errno == EINTR))
        return OK;
    return err_make(&DEADLINE_EXCEEDED, "nothing came");
}

static Err send_all(LiveClient *c, Slice text)
{
    while (text.len) {
        size_t sent = 0;
        CURLcode code = curl_easy_send(c->curl, text.ptr, text.len, &sent);

        if (code == CURLE_AGAIN)
            TRY(wait_for(c, POLLOUT, OPEN_MS));
        else if (code != CURLE_OK)
            return err_make(&UNAVAILABLE, "%s", curl_easy_strerror(code));
        text = slice_skip(text, sent);
    }
    return OK;
}

/* Byte by byte: what follows the head belongs to wslay. It is short, and read once. */
static Err read_head(LiveClient *c, Arena *mem, Slice *out)
{
    StrBuf head = strbuf_new(mem, HEAD_MAX_BYTES);
    int64_t until_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + OPEN_MS;
    char byte;

    while (!slice_ends_with(strbuf_slice(&head), SLICE_LIT("\r\n\r\n")) && !head.overflow) {
        size_t got = 0;
        CURLcode code = curl_easy_recv(c->curl, &byte, 1, &got);

        if (code == CURLE_AGAIN)
            TRY(wait_for(c, POLLIN, until_ms - clock_monotonic_ms(&SYSTEM_CLOCK)));
        else if (code != CURLE_OK || !got)
            return err_make(&UNAVAILABLE, "the server hung up");
        else
            strbuf_append_char(&head, byte);
    }
    return strbuf_finish(&head, out) ? OK : err_make(&UNAVAILABLE, "the answer's head is too long");
}

/* The accept key is not checked: it would protect caches, not us, and we read frames or fail. */
static Err upgrade(LiveClient *c, Arena *mem, const char *host, const char *path)
{
    uint8_t key[KEY_BYTES];
    Slice head;

    random_bytes(key, sizeof key);
    TRY(send_all(c, slice(arena_printf(mem,
                                       "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                       "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n",
                                       path, host, base64_encode(mem, slice_of(key, sizeof key))))));
    TRY(read_head(c, mem, &head));
    if (!slice_starts_with(head, SLICE_LIT("HTTP/1.1 101 ")))
        return err_make(&UNAVAILABLE, "the server does not upgrade: %.*s", (int)MIN(head.len, 40), head.ptr);
    return OK;
}

static Err connect_to(LiveClient *c, const char *url)
{
    CURLcode code;

    curl_easy_setopt(c->curl, CURLOPT_URL, url);
    curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c->curl, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(c->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)OPEN_MS);
    code = curl_easy_perform(c->curl);
    if (code != CURLE_OK)
        return err_make(&UNAVAILABLE, "%s", curl_easy_strerror(code));
    curl_easy_getinfo(c->curl, CURLINFO_ACTIVESOCKET, &c->socket);
    return OK;
}

static Err open_with(LiveClient *c, Arena *mem, const char *url)
{
    static const struct wslay_event_callbacks CALLBACKS = {.recv_callback = receive,
                                                           .send_callback = transmit,
                                                           .genmask_callback = make_mask,
                                                           .on_msg_recv_callback = take_message};
    const char *host = strstr(url, "://");
    Slice authority, rest;

    if (!host || !c->curl)
        return err_make(&INVALID_ARGUMENT, "%s is no http:// or https:// address", url);
    (void)slice_cut(slice(host + 3), '/', &authority, &rest);
    TRY(connect_to(c, url));
    TRY(upgrade(c, mem, slice_cstr(mem, authority), arena_printf(mem, "/%.*s", SLICE_ARG(rest))));
    if (wslay_event_context_client_init(&c->ws, &CALLBACKS, c) != 0)
        return err_make(&INTERNAL, "wslay cannot be used");
    wslay_event_config_set_max_recv_msg_length(c->ws, LIVE_FRAME_MAX_BYTES);
    return OK;
}

Err live_client_open(Tool *tool, const char *url, LiveClient **out)
{
    LiveClient *c = xcalloc(1, sizeof *c);
    Err e;

    c->last = &c->first;
    c->curl = curl_easy_init();
    e = open_with(c, tool->mem, url);
    if (err_failed(e))
        live_client_free(c);
    else
        *out = c;
    return e;
}

void live_client_free(LiveClient *c)
{
    if (!c)
        return;
    if (c->ws)
        wslay_event_context_free(c->ws);
    if (c->curl)
        curl_easy_cleanup(c->curl);
    for (Arrived *one = c->first, *next; one; one = next) {
        next = one->next;
        free(one);
    }
    free(c);
}

/* --- messages ---------------------------------------------------------------------------------------------------- */
Err live_client_send(LiveClient *c, const char *text)
{
    const struct wslay_event_msg message = {
        .opcode = WSLAY_TEXT_FRAME, .msg = (const uint8_t *)text, .msg_length = strlen(text)};

    if (wslay_event_queue_msg(c->ws, &message) != 0 || wslay_event_send(c->ws) != 0)
        return err_make(&UNAVAILABLE, "the connection has ended");
    return OK;
}

Err live_client_next(LiveClient *c, Arena *mem, int64_t timeout_ms, Slice *out, int *out_code)
{
    int64_t until_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + timeout_ms;

    while (!take_first(c, mem, out)) {
        bool failed = wslay_event_recv(c->ws) != 0;

        failed |= wslay_event_want_write(c->ws) && wslay_event_send(c->ws) != 0; /* pongs */
        if (c->first)
            continue;
        if (failed || c->broken || wslay_event_get_close_received(c->ws)) {
            *out_code = wslay_event_get_close_received(c->ws) ? wslay_event_get_status_code_received(c->ws) : 1006;
            return err_make(&CANCELLED, "the connection has ended (%d)", *out_code);
        }
        TRY(wait_for(c, POLLIN, until_ms - clock_monotonic_ms(&SYSTEM_CLOCK)));
    }
    return OK;
}
