/* Fuzz target: a message as it comes from the bus: its reply subject (the first line), its header block, its body. The
 * first two bytes choose subject and rpc. Nothing is published: this program is linked with another
 * bus_publish_lossy, which looks at what would be, and another bus_discard. */
#include "shared/rpc_internal.h"
#include "shared/rpc_testing.h"
#include "tests/fuzz/bus_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
void __wrap_bus_publish_lossy(Bus *bus, const char *subject, const BusHeader *headers, size_t header_count, Slice body);
void __wrap_bus_discard(Bus *bus, natsMsg *msg);

static const int METHODS[] = {ECHO_ECHO,         ECHO_FAIL,        ECHO_WHO_AM_I,  ECHO_FOR_USERS, ECHO_FOR_ADMINS,
                              ECHO_FOR_SERVICES, ECHO_FOR_GATEWAY, ECHO_PERMITTED, ECHO_DECORATE};
static const char *inbox;

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* Answers go to inboxes only, and a header is one line. */
void __wrap_bus_publish_lossy(Bus *bus, const char *subject, const BusHeader *headers, size_t header_count, Slice body)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 12);
    ProtobufCMessage *status;
    bool failed = false;
    (void)bus;

    check(slice_starts_with(slice(subject), slice(inbox)));
    for (size_t i = 0; i < header_count; i++) {
        check(headers[i].value && !strpbrk(headers[i].value, "\r\n"));
        failed = failed || strcmp(headers[i].name, "Nats-Service-Error-Code") == 0;
    }
    if (failed)
        check(!err_failed(message_unpack(mem, &atrium__status__descriptor, body, &status)));
}

/* There is no bus that would gather them. */
void __wrap_bus_discard(Bus *bus, natsMsg *msg)
{
    (void)bus;
    natsMsg_Destroy(msg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static Echo echo;
    static Endpoint endpoint;
    static RpcServer server;
    static CallerVerifier *verifier;
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 12);
    Slice reply, bytes;
    Work work = {.endpoint = &endpoint, .received_us = clock_monotonic_us(&SYSTEM_CLOCK)};

    if (len < 2)
        return 0;
    if (!server.domain) {
        check(nats_Open(0) == NATS_OK);
        echo_init(&echo);
        server = (RpcServer){.domain = "echo", .o = {.clock = &SYSTEM_CLOCK, .context = &echo}};
        check(!err_failed(
            caller_verifier_new(SLICE_LIT("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"), "echo",
                                &SYSTEM_CLOCK, &verifier)));
    }
    /* Without one, what the gateway says is believed: nobody guesses a signature. */
    server.o.verifier = data[0] & 2 ? NULL : verifier;
    endpoint = (Endpoint){.server = &server,
                          .handler = &ECHO_HANDLERS[METHODS[data[1] % ARRAY_LEN(METHODS)]],
                          .from_gateway = data[0] & 1,
                          .rpc = "echo.v1.X"};
    inbox = endpoint.from_gateway ? "_INBOX." : "_INBOX.other.";
    (void)slice_cut(slice_of(data + 2, len - 2), '\n', &reply, &bytes); /* false: a reply subject alone */
    if (slice_find_char(reply, '\0') >= 0)
        return 0; /* the server takes no such subject */
    work.msg = bus_message(endpoint.from_gateway ? "rpc.main.echo.v1.X" : "svc.main.other.echo.v1.X", reply, bytes);
    atomic_store(&server.active, 1);
    if (rpc_dispatch(&work, mem))
        abort(); /* nothing here is deferred */
    check(atomic_load(&server.active) == 0);
    return 0;
}
