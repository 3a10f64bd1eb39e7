/* socket_upgrade: the handshake (RFC 6455 section 4.2), the last step of a request like any other: by then credentials,
 * permissions and rates have been looked at. Then the descriptor is taken from libmicrohttpd: a copy of it is ours, and
 * libmicrohttpd is told to close its own at once, since what it keeps of an upgraded connection (its memory, its place
 * among the suspended ones) would cost more than all that we need. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/sha.h>
#include <sys/socket.h>
#include <unistd.h>

#include "services/gateway/connections.h"
#include "services/gateway/socket_internal.h"

#define ACCEPT_SUFFIX "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
enum { KEY_TEXT_BYTES = 24, KEY_BYTES = 16, STATUS_UPGRADE_REQUIRED = 426, STATUS_TOO_MANY = 429 };

/* A word of a list, in any case. */
static bool lists(Slice header, const char *word)
{
    Slice item;

    while (header.len) {
        (void)slice_cut(header, ',', &item, &header); /* false is the last one */
        if (slice_eq_nocase(slice_trim(item), slice(word)))
            return true;
    }
    return false;
}

static bool asks_for_upgrade(const Exchange *x)
{
    return strcmp(x->method, "GET") == 0 && x->http_1_1 && !x->has_body &&
           lists(exchange_header_joined(x, "upgrade"), "websocket") &&
           lists(exchange_header_joined(x, "connection"), "upgrade");
}

static StepResult refuse_plain(Exchange *x)
{
    header_add(&x->out, "Sec-WebSocket-Version", "13");
    if (x->dialect->no_upgrade_text)
        return exchange_answer(x, 400, "text/plain; charset=utf-8", slice(x->dialect->no_upgrade_text));
    header_add(&x->out, "Upgrade", "websocket");
    return exchange_fail(x, (Failure){.key = "INVALID_ARGUMENT",
                                      .http = STATUS_UPGRADE_REQUIRED,
                                      .text = "a WebSocket (RFC 6455, version 13) lives here"});
}

static bool good_key(Exchange *x, Slice key)
{
    Slice bytes;

    return key.len == KEY_TEXT_BYTES && base64_decode(x->mem, key, &bytes) && bytes.len == KEY_BYTES;
}

static const char *accept_of(Exchange *x, const char *key)
{
    uint8_t hash[SHA_DIGEST_LENGTH];
    const char *text = arena_printf(x->mem, "%s" ACCEPT_SUFFIX, key);

    SHA1((const uint8_t *)text, strlen(text), hash);
    return base64_encode(x->mem, slice_of(hash, sizeof(hash)));
}

/* The first of the client's that the rpc knows. */
static const char *protocol_of(Exchange *x)
{
    const SocketSpec *spec = x->op->socket;
    Slice offered = exchange_header_joined(x, "sec-websocket-protocol"), item;

    while (offered.len) {
        (void)slice_cut(offered, ',', &item, &offered); /* false is the last one */
        for (size_t i = 0; i < spec->protocol_count; i++)
            if (slice_eq_cstr(slice_trim(item), spec->protocols[i]))
                return spec->protocols[i];
    }
    return NULL;
}

static bool good_origin(const Exchange *x)
{
    const char *origin = exchange_header(x, "origin");

    return !origin || cors_may_connect(x->gateway->cors, x->profile->cors, origin, exchange_header(x, "host"),
                                       x->user_id && x->by_cookie);
}

/* What OPEN says besides. */
static void keep_request(Exchange *x, Socket *s)
{
    const Operation *op = x->op;

    if (x->raw_query.len) {
        s->query = xmalloc(x->raw_query.len + 1);
        memcpy(s->query, x->raw_query.ptr, x->raw_query.len);
        s->query[x->raw_query.len] = '\0';
    }
    s->headers = op->header_count ? xcalloc(op->header_count, sizeof(*s->headers)) : NULL;
    for (size_t i = 0; i < op->header_count && i < HTTP_HEAD_FIELDS_MAX; i++) {
        Slice value = exchange_header_joined(x, op->headers[i]);

        if (value.len)
            s->headers[s->header_count++] = (BusHeader){xstrdup(arena_printf(x->mem, "Http-%s", op->headers[i])),
                                                        xstrdup(slice_cstr(x->mem, value))};
    }
}

/* --- taking it over -------------------------------------------------------------------------------------------------
 */
static void on_upgrade(void *data, struct MHD_Connection *connection, void *context, const char *extra,
                       size_t extra_len, MHD_socket fd, struct MHD_UpgradeResponseHandle *handle)
{
    const int on = 1;
    Exchange *x = context;
    Socket *s = MOVE(x->socket);
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    (void)data;
    connections_release(connection_of(connection));
    x->gateway->resumed = true; /* so that libmicrohttpd closes its own in the next turn */
    (void)MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE); /* can only fail for a handle that was closed before */
    if (own < 0) {                                              /* out of descriptors */
        LOG_WARN(x->gateway->service->log, "socket_refused", "error", strerror(errno));
        socket_free(s);
        return;
    }
    (void)setsockopt(own, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* without it: slower */
    socket_begin(s, own, slice_of(extra, extra_len));
}

static StepResult refuse_many(Exchange *x, int status)
{
    return exchange_fail(x, (Failure){.key = status == STATUS_TOO_MANY ? "RATE_LIMITED" : "UNAVAILABLE",
                                      .text = status == STATUS_TOO_MANY ? "too many connections from this address"
                                                                        : "too many connections at the moment",
                                      .retry_after_s = 1});
}

StepResult socket_start(Exchange *x)
{
    const char *key = exchange_header(x, "sec-websocket-key"), *version = exchange_header(x, "sec-websocket-version");
    const char *protocol;
    int status;

    if (!asks_for_upgrade(x) || !version || strcmp(version, "13") != 0)
        return refuse_plain(x);
    if (!key || !good_key(x, slice(key)))
        return exchange_fail_with(x, "INVALID_ARGUMENT", "Sec-WebSocket-Key: 16 bytes in base64");
    if (!good_origin(x))
        return exchange_fail_with(x, "PERMISSION_DENIED", "pages of this origin may not connect");
    if (x->raw_query.len > SOCKET_QUERY_MAX_BYTES)
        return exchange_fail_with(x, "INVALID_ARGUMENT", "the query is too long");
    x->socket = socket_reserve(x, &status);
    if (!x->socket)
        return refuse_many(x, status);
    keep_request(x, x->socket);
    if (x->user_id)
        socket_bind(x->socket, x->user_id, x->login_id, x->key_id != NULL, x->token);
    header_add(&x->out, "Upgrade", "websocket");
    header_add(&x->out, "Sec-WebSocket-Accept", accept_of(x, key));
    protocol = protocol_of(x);
    if (protocol)
        header_add(&x->out, "Sec-WebSocket-Protocol", protocol);
    return exchange_answer_upgrade(x, on_upgrade);
}
