/* Fuzz target: what another service answers to our calls and streams: a byte, whose lowest bit chooses between the two,
 * then messages, each with its header block first, separated by a line "--". The connection is played by this file: a
 * request is answered with all of them at once; where the client would wait for more, time passes. */
#include <nats/nats.h>

#include "shared/bus_internal.h"
#include "shared/client_internal.h"
#include "shared/rpc_internal.h"
#include "shared/rpc_testing.h"
#include "tests/fuzz/bus_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
natsStatus __wrap_natsConnection_Subscribe(natsSubscription **sub, natsConnection *nc, const char *subject,
                                           natsMsgHandler handler, void *closure);
Err __wrap_bus_publish(Bus *bus, const char *subject, const char *reply, const BusHeader *headers, size_t header_count,
                       Slice body);
void __wrap_bus_publish_lossy(Bus *bus, const char *subject, const BusHeader *headers, size_t header_count, Slice body);
void __wrap_nats_Sleep(int64_t ms);
int64_t __wrap_client_now_ms(void);
int64_t __real_client_now_ms(void);
void __wrap_client_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ms);
void __real_client_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ms);

enum { MESSAGES_MAX = 64 };

static const char CONTROL[] = "svc.main.me.echo._stream.";
static natsMsgHandler on_reply;
static void *on_reply_data;
static Slice answers;
static atomic_llong passed_ms; /* since the wall clock's now */
static pthread_t reader;

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* --- the connection ---------------------------------------------------------------------------------------------- */
natsStatus __wrap_natsConnection_Subscribe(natsSubscription **sub, natsConnection *nc, const char *subject,
                                           natsMsgHandler handler, void *closure)
{
    (void)sub, (void)nc, (void)subject;
    on_reply = handler;
    on_reply_data = closure;
    return NATS_OK;
}

Err __wrap_bus_publish(Bus *bus, const char *subject, const char *reply, const BusHeader *headers, size_t header_count,
                       Slice body)
{
    Slice rest = answers;
    (void)bus, (void)headers, (void)header_count, (void)body;

    check(strncmp(subject, "svc.main.me.echo.v1.", 20) == 0);
    for (int i = 0; i < MESSAGES_MAX && (i == 0 || rest.len); i++) {
        ptrdiff_t end = slice_find(rest, SLICE_LIT("\n--\n"));
        Slice one = end < 0 ? rest : slice_take(rest, (size_t)end);

        rest = end < 0 ? (Slice){"", 0} : slice_skip(rest, (size_t)end + 4);
        on_reply(NULL, NULL, bus_message(reply, (Slice){"", 0}, one), on_reply_data);
    }
    return OK;
}

/* All that a producer can make us say is credit and cancel, to itself. */
void __wrap_bus_publish_lossy(Bus *bus, const char *subject, const BusHeader *headers, size_t header_count, Slice body)
{
    (void)bus;
    check(strncmp(subject, CONTROL, sizeof(CONTROL) - 1) == 0 && !strpbrk(subject, " \t\r\n*>"));
    check(header_count == 1 && strncmp(headers[0].name, "Atrium-Stream-", 14) == 0 && body.len == 0);
}

/* --- time -------------------------------------------------------------------------------------------------------- */
void __wrap_nats_Sleep(int64_t ms)
{
    (void)ms;
}

int64_t __wrap_client_now_ms(void)
{
    return __real_client_now_ms() + atomic_load(&passed_ms);
}

void __wrap_client_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ms)
{
    if (pthread_equal(pthread_self(), reader))
        atomic_fetch_add(&passed_ms, 1000); /* all has come already */
    else
        __real_client_cond_wait(cond, lock, __real_client_now_ms() + 1000); /* the ticker */
    (void)until_ms;
}

/* --- the target -------------------------------------------------------------------------------------------------- */
static Client *new_client(void)
{
    static Bus bus = {.name = "me", .slot = "main", .instance = "instance"};
    Client *c = NULL;

    check(nats_Open(0) == NATS_OK);
    reader = pthread_self();
    check(!err_failed(client_new(&bus, NULL, &c)));
    return c;
}

static void call(Client *c, const ProtobufCMessage *in)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 12);
    ProtobufCMessage *out = NULL;
    Err e = client_call(c, NULL, mem, ECHO_HANDLERS[ECHO_ECHO].method, in, &out);

    check(e.reason ? e.text[0] != '\0' : out != NULL);
}

static void read_stream(Client *c, const ProtobufCMessage *in)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 12);
    CLEANUP(client_stream_close_at) ClientStream *s = NULL;
    ProtobufCMessage *message;
    Err e = client_stream_open(c, NULL, ECHO_HANDLERS[ECHO_COUNT].method, in, &s);

    for (int i = 0; !e.reason; i++) {
        check(i <= MESSAGES_MAX);
        e = client_stream_next(s, mem, &message);
        if (!e.reason && !message)
            break;
    }
    if (!s)
        return;
    /* The end stays the end. */
    check(client_stream_next(s, mem, &message).reason == e.reason);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Client *client;
    Atrium__Status in = ATRIUM__STATUS__INIT;

    if (size < 1)
        return 0;
    if (!client)
        client = new_client();
    answers = slice_of(data + 1, size - 1);
    if (data[0] & 1)
        read_stream(client, &in.base);
    else
        call(client, &in.base);
    for (size_t i = 0; i < CLIENT_BUCKETS; i++)
        check(client->buckets[i] == NULL); /* nobody is forgotten there */
    return 0;
}
