/* reference: the yardstick of `make bench`: the barest gateway that the same libraries allow, and the barest service.
 *
 *   reference edge PORT NATS_URL USER PASSWORD     HTTP to bus and back, one loop: libmicrohttpd with external epoll,
 *                                                  cnats with its event-loop adapter, replies over an eventfd; knows no
 *                                                  route, no token, no JSON: every GET is one request on SUBJECT
 *   reference service NATS_URL USER PASSWORD       answers SUBJECT from an event loop with a constant message, at once
 *
 * What the gateway adds on top (routing, tokens, limits, transcoding, deadlines) is the distance to the edge here. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <microhttpd.h>
#include <nats/nats.h>

#define SUBJECT "rpc.main.auth.v1.GetMe"
#define INBOX "_INBOX.gateway.auth.reference."

enum { SLOTS = 4096, EVENTS = 256 };

/* A request between its sending and its answer. */
typedef struct Slot {
    struct MHD_Connection *connection;
    char *body; /* once it is there */
    size_t len;
    bool failed;
} Slot;

typedef struct Reply {
    int slot;
    char *body;
    size_t len;
    bool failed;
} Reply;

static struct {
    int epoll;
    /* cnats */
    natsConnection *bus;
    int bus_fd;
    bool want_read, want_write;
    /* edge */
    struct MHD_Daemon *daemon;
    Slot slots[SLOTS];
    int free_slots[SLOTS], free_count;
    /* from the delivery thread to the loop */
    pthread_mutex_t lock;
    Reply replies[SLOTS];
    int reply_count, wake_fd;
} the;

static void check(natsStatus status, const char *what)
{
    if (status != NATS_OK) {
        fprintf(stderr, "reference: %s: %s\n", what, natsStatus_GetText(status));
        exit(1);
    }
}

/* --- cnats on our epoll ---------------------------------------------------------------------------------------------
 */
static void watch_bus(void)
{
    struct epoll_event event = {.events = (the.want_read ? EPOLLIN : 0u) | (the.want_write ? EPOLLOUT : 0u),
                                .data.fd = the.bus_fd};
    if (epoll_ctl(the.epoll, EPOLL_CTL_MOD, the.bus_fd, &event) != 0)
        (void)epoll_ctl(the.epoll, EPOLL_CTL_ADD, the.bus_fd, &event);
}

static natsStatus attach(void **user, void *loop, natsConnection *nc, natsSock fd)
{
    (void)loop, (void)nc;
    *user = &the;
    the.bus_fd = fd;
    the.want_read = true;
    watch_bus();
    return NATS_OK;
}

static natsStatus set_read(void *user, bool add)
{
    (void)user;
    the.want_read = add;
    watch_bus();
    return NATS_OK;
}

static natsStatus set_write(void *user, bool add)
{
    (void)user;
    the.want_write = add;
    watch_bus();
    return NATS_OK;
}

static natsStatus detach(void *user)
{
    (void)user;
    return NATS_OK;
}

static void connect_bus(const char *url, const char *user, const char *password)
{
    natsOptions *options;

    check(nats_Open(0), "open"); /* no spinning */
    check(natsOptions_Create(&options), "options");
    check(natsOptions_SetURL(options, url), "url");
    check(natsOptions_SetUserInfo(options, user, password), "user");
    check(natsOptions_SetSendAsap(options, true), "send");
    check(natsOptions_SetEventLoop(options, &the, attach, set_read, set_write, detach), "loop");
    check(natsConnection_Connect(&the.bus, options), "connect");
    natsOptions_Destroy(options);
}

static void turn_bus(uint32_t events)
{
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        natsConnection_ProcessReadEvent(the.bus);
    if (events & EPOLLOUT)
        natsConnection_ProcessWriteEvent(the.bus);
}

/* --- the edge ---------------------------------------------------------------------------------------------------- */
/* In cnats' delivery thread: the subject of a "no responders" reply is known only here. */
static void on_reply(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *data)
{
    Reply reply = {.slot = atoi(natsMsg_GetSubject(msg) + sizeof(INBOX) - 1),
                   .len = (size_t)natsMsg_GetDataLength(msg),
                   .failed = natsMsg_IsNoResponders(msg)};
    bool first;

    (void)nc, (void)sub, (void)data;
    reply.body = malloc(reply.len + 1);
    memcpy(reply.body, natsMsg_GetData(msg), reply.len);
    natsMsg_Destroy(msg);
    pthread_mutex_lock(&the.lock);
    first = the.reply_count == 0;
    the.replies[the.reply_count++] = reply;
    pthread_mutex_unlock(&the.lock);
    if (first)
        (void)!write(the.wake_fd, &(uint64_t){1}, sizeof(uint64_t));
}

static void take_replies(void)
{
    static Reply taken[SLOTS];
    uint64_t count;
    int n;

    (void)!read(the.wake_fd, &count, sizeof(count));
    pthread_mutex_lock(&the.lock);
    n = the.reply_count;
    memcpy(taken, the.replies, (size_t)n * sizeof(Reply));
    the.reply_count = 0;
    pthread_mutex_unlock(&the.lock);
    for (int i = 0; i < n; i++) {
        Slot *slot = &the.slots[taken[i].slot];
        slot->body = taken[i].body;
        slot->len = taken[i].len;
        slot->failed = taken[i].failed;
        MHD_resume_connection(slot->connection);
    }
}

static enum MHD_Result handle(void *data, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *upload, size_t *upload_len, void **state)
{
    static int seen;
    char inbox[64];
    Slot *slot;
    int number;

    (void)data, (void)path, (void)method, (void)version, (void)upload, (void)upload_len;
    if (!*state) {
        *state = &seen;
        return MHD_YES;
    }
    if (*state == &seen) {
        if (the.free_count == 0)
            return MHD_NO;
        number = the.free_slots[--the.free_count];
        slot = &the.slots[number];
        *slot = (Slot){.connection = connection};
        *state = slot;
        snprintf(inbox, sizeof(inbox), INBOX "%d", number);
        if (natsConnection_PublishRequest(the.bus, SUBJECT, inbox, "", 0) != NATS_OK)
            return MHD_NO;
        MHD_suspend_connection(connection);
        return MHD_YES;
    }
    slot = *state;
    struct MHD_Response *response = MHD_create_response_from_buffer(slot->len, slot->body, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result queued = MHD_queue_response(connection, slot->failed ? 503 : 200, response);
    MHD_destroy_response(response);
    the.free_slots[the.free_count++] = (int)(slot - the.slots);
    return queued;
}

static void serve_edge(unsigned short port)
{
    struct epoll_event events[EVENTS];
    natsSubscription *sub;
    int http_fd;

    pthread_mutex_init(&the.lock, NULL);
    for (int i = 0; i < SLOTS; i++)
        the.free_slots[the.free_count++] = i;
    the.wake_fd = eventfd(0, EFD_NONBLOCK);
    check(natsConnection_Subscribe(&sub, the.bus, INBOX "*", on_reply, NULL), "subscribe");
    the.daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, port, NULL, NULL, handle, NULL,
                                  MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)8192, MHD_OPTION_CONNECTION_LIMIT, 4000u,
                                  MHD_OPTION_LISTEN_BACKLOG_SIZE, 1024u, MHD_OPTION_END);
    if (!the.daemon) {
        fprintf(stderr, "reference: port %u cannot be used\n", port);
        exit(1);
    }
    http_fd = MHD_get_daemon_info(the.daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    epoll_ctl(the.epoll, EPOLL_CTL_ADD, http_fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = http_fd});
    epoll_ctl(the.epoll, EPOLL_CTL_ADD, the.wake_fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = the.wake_fd});
    for (;;) {
        MHD_UNSIGNED_LONG_LONG wait_ms;
        int timeout = MHD_get_timeout(the.daemon, &wait_ms) == MHD_YES ? (int)wait_ms : -1;
        int n = epoll_wait(the.epoll, events, EVENTS, timeout);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == the.bus_fd)
                turn_bus(events[i].events);
            else if (events[i].data.fd == the.wake_fd)
                take_replies();
        }
        MHD_run(the.daemon);
    }
}

/* --- the service ------------------------------------------------------------------------------------------------- */
static size_t put_text(char *out, int field, const char *text)
{
    size_t len = strlen(text);

    out[0] = (char)(field << 3 | 2);
    out[1] = (char)len;
    memcpy(out + 2, text, len);
    return len + 2;
}

/* An atrium.auth.v1.User of the usual size. */
static size_t make_user(char *out)
{
    static const char id[] = "\x08\x80\x80\x80\x80\x80\x80\x20";
    size_t len = sizeof(id) - 1;

    memcpy(out, id, len);
    len += put_text(out + len, 2, "a_name_of_usual_size");
    len += put_text(out + len, 3, "A name of usual size");
    len += put_text(out + len, 6, "a.name@example.org");
    len += put_text(out + len, 7, "A name of usual size");
    len += put_text(out + len, 8, "user");
    len += put_text(out + len, 9, "local");
    return len;
}

static void serve_service(void)
{
    struct epoll_event events[EVENTS];
    natsSubscription *sub;
    char user[256];
    int len = (int)make_user(user);
    natsMsg *msg;

    check(natsConnection_QueueSubscribeSync(&sub, the.bus, SUBJECT, "auth"), "subscribe");
    for (;;) {
        int n = epoll_wait(the.epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++)
            turn_bus(events[i].events);
        while (natsSubscription_NextMsg(&msg, sub, 0) == NATS_OK) {
            (void)natsConnection_Publish(the.bus, natsMsg_GetReply(msg), user, len);
            natsMsg_Destroy(msg);
        }
    }
}

int main(int argc, char **argv)
{
    bool edge = argc == 6 && strcmp(argv[1], "edge") == 0;

    if (!edge && !(argc == 5 && strcmp(argv[1], "service") == 0)) {
        fprintf(stderr, "usage: reference edge PORT NATS_URL USER PASSWORD | service NATS_URL USER PASSWORD\n");
        return 2;
    }
    the.epoll = epoll_create1(EPOLL_CLOEXEC);
    connect_bus(argv[argc - 3], argv[argc - 2], argv[argc - 1]);
    if (edge)
        serve_edge((unsigned short)strtoul(argv[2], NULL, 10));
    else
        serve_service();
    return 0;
}
