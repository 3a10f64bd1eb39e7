/* rpc_fixture: see the header. */
#include "shared/rpc_fixture.h"

static const char SEED[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

int world_set_up(void **state)
{
    World *w = xcalloc(1, sizeof *w);
    char *public_hex = NULL;

    w->mem = arena_new(4096);
    w->bus = testing_bus("echo");
    w->gateway = testing_bus("gateway");
    w->chat = testing_bus("chat");
    w->metrics = metrics_new();
    echo_init(&w->echo);
    assert_ok(caller_signer_new(slice(SEED), &w->signer));
    assert_ok(caller_public_key(w->mem, slice(SEED), &public_hex));
    assert_ok(caller_verifier_new(slice(public_hex), "echo", &SYSTEM_CLOCK, &w->verifier));
    w->server = echo_serve(w->bus, &w->echo, (RpcServerOptions){.metrics = w->metrics, .verifier = w->verifier});
    *state = w;
    return 0;
}

int world_tear_down(void **state)
{
    World *w = *state;

    rpc_server_free(w->server);
    caller_verifier_free(w->verifier);
    caller_signer_free(w->signer);
    metrics_free(w->metrics);
    bus_close(w->chat);
    bus_close(w->gateway);
    bus_close(w->bus);
    arena_free(w->mem);
    sem_destroy(&w->echo.gate);
    free(w);
    return 0;
}
