/* rpc_fixture: what the tests of the rpc server share: the service of rpc_testing.h on a bus of its own, and
 * connections of the gateway and of another service beside it. For tests. What fails here fails the test. */
#pragma once
#include "shared/rpc_testing.h"

typedef struct World {
    Bus *bus, *gateway, *chat;
    Echo echo;
    Metrics *metrics;
    CallerSigner *signer;
    CallerVerifier *verifier;
    RpcServer *server;
    Arena *mem;
} World;

/* Of cmocka: makes and ends a world for one test, which is `*state`. */
int world_set_up(void **state);
int world_tear_down(void **state);
#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)
