/* edge_fixture: see edge_fixture.h. */
#include "services/gateway/edge_fixture.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/bus_testing.h"

Fixture f;

enum { BUS_WAIT_MS = 30000, CLIENT_WAIT_S = 30 };

void edge_prepare(void)
{
    const char *slot = testing_slot();

    f = (Fixture){.mem = arena_new(4096)};
    snprintf(f.tables, sizeof(f.tables), "/tmp/edge-test-%d.tables", (int)getpid());
    f.common = (CommonSettings){.bus_url = testing_nats_url(),
                                .bus_user = "",
                                .bus_password = "",
                                .bus_ca_file = "",
                                .slot = slot,
                                .redis_url = "",
                                .shutdown_timeout_ms = 1000};
    f.settings = (GatewaySettings){.server_addr = "127.0.0.1:0",
                                   .hosts = "chat.test=chat,rag.test=rag,media.test=media,events.test=events",
                                   .chat_dialect = "server",
                                   .tables_file = f.tables,
                                   .openapi_file = "",
                                   .asyncapi_file = "",
                                   .docs_dir = "",
                                   .jwt_secret = SECRET,
                                   .jwt_hs256 = true,
                                   .signing_key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                                   .caller_ttl_ms = 60000,
                                   .token_cache_ttl_ms = 1000,
                                   .token_cache_max = 100,
                                   .revocation_age_ms = 86400000,
                                   .revocations_max = 1000,
                                   .rate_limits = "",
                                   .rate_table_max = 100,
                                   .cors_origins = "http://good.example",
                                   .allowed_origins = "",
                                   .trusted_proxies = "127.0.0.1",
                                   .cookie_secure = "auto",
                                   .metrics_from = "127.0.0.0/8",
                                   .environment = "production",
                                   .connections_max = 64,
                                   .backlog = 64,
                                   .connection_memory_bytes = 16384,
                                   .connection_timeout_ms = 10000,
                                   .head_timeout_ms = 10000,
                                   .body_timeout_ms = 10000,
                                   .min_rate_bytes = 1024,
                                   .body_memory_bytes = 1048576,
                                   .ring_age_ms = 60000,
                                   .ring_bytes = 1048576,
                                   .sockets_max = 64,
                                   .sockets_per_address = 8,
                                   .socket_ping_ms = 60000,
                                   .socket_silence_ms = 120000,
                                   .socket_memory_bytes = 262144};
    f.service = (Service){.name = "gateway",
                          .version = "1",
                          .commit = "c",
                          .build_date = "d",
                          .mem = f.mem,
                          .common = &f.common,
                          .settings = &f.settings,
                          .clock = &SYSTEM_CLOCK,
                          .metrics = metrics_new()};
    assert_ok(cache_new("", "t", NULL, f.service.metrics, &f.service.cache));
    assert_ok(bus_connect(&(BusOptions){.url = f.common.bus_url,
                                        .user = "gateway",
                                        .password = "",
                                        .ca_file = "",
                                        .slot = slot,
                                        .version = "1.0.0",
                                        .threaded = true},
                          BUS_WAIT_MS, &f.service.bus));
    assert_int_equal(natsConnection_ConnectTo(&f.nc, f.common.bus_url), NATS_OK);
}

void edge_stream(const char *name, const char *subject)
{
    const char *subjects[] = {subject};
    jsStreamConfig stream;

    jsStreamConfig_Init(&stream);
    stream.Name = name;
    stream.Subjects = subjects;
    stream.SubjectsLen = 1;
    assert_ok(bus_ensure_stream(f.service.bus, &stream));
}

void edge_serve(const char *rpc, natsMsgHandler handler)
{
    char subject[128];

    snprintf(subject, sizeof(subject), "rpc.%s.%s", testing_slot(), rpc);
    assert_true(f.sub_count < ARRAY_LEN(f.subs));
    assert_int_equal(natsConnection_Subscribe(&f.subs[f.sub_count++], f.nc, subject, handler, NULL), NATS_OK);
}

static void *run_gateway(void *data)
{
    loop_run(((Gateway *)data)->loop);
    return NULL;
}

void edge_start(void)
{
    assert_int_equal(natsConnection_Flush(f.nc), NATS_OK);
    assert_ok(gateway_open(&f.service, &f.context));
    assert_ok(gateway_start(f.context));
    f.port = listener_port(((Gateway *)f.context)->listeners[0]);
    assert_int_equal(pthread_create(&f.thread, NULL, run_gateway, f.context), 0);
}

int edge_stop(void **state)
{
    Gateway *g = f.context;
    (void)state;

    loop_stop(g->loop);
    pthread_join(f.thread, NULL);
    gateway_close(f.context);
    for (size_t i = 0; i < f.sub_count; i++)
        bus_unsubscribe(f.subs[i]);
    natsConnection_Close(f.nc);
    natsConnection_Destroy(f.nc);
    bus_close(f.service.bus);
    cache_free(f.service.cache);
    metrics_free(f.service.metrics);
    arena_free(f.mem);
    unlink(f.tables);
    return 0;
}

int open_connection(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)f.port)};
    struct timeval limit = {.tv_sec = CLIENT_WAIT_S};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

void send_bytes(int fd, const void *bytes, size_t len)
{
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}
