/* A bug that is put into a gateway for tests/fuzz/sockets alone, at the edge of the WebSocket library: a text in
 * fragments with a ping between them writes beyond its memory. It takes three frames in their order to meet it. */
#include <stdbool.h>
#include <stdlib.h>

#include <wslay/wslay.h>

/* As the linker's --wrap names the library's function and ours in its place. */
int __real_wslay_event_context_server_init(wslay_event_context_ptr *wslay,
                                           const struct wslay_event_callbacks *callbacks, void *data);
int __wrap_wslay_event_context_server_init(wslay_event_context_ptr *wslay,
                                           const struct wslay_event_callbacks *callbacks, void *data);

static wslay_event_on_frame_recv_start_callback gateways_own;
static _Thread_local uint8_t before[2]; /* the kinds of the frames that came last */

static void on_frame(wslay_event_context_ptr wslay, const struct wslay_event_on_frame_recv_start_arg *arg, void *data)
{
    bool met = before[0] == WSLAY_TEXT_FRAME && before[1] == WSLAY_PING && arg->opcode == WSLAY_CONTINUATION_FRAME;
    volatile char *room = malloc(8);

    if (!room)
        abort();
    room[met ? 8 : 7] = 1;
    free((void *)room);
    before[0] = before[1];
    before[1] = arg->opcode;
    gateways_own(wslay, arg, data);
}

int __wrap_wslay_event_context_server_init(wslay_event_context_ptr *wslay,
                                           const struct wslay_event_callbacks *callbacks, void *data)
{
    struct wslay_event_callbacks planted = *callbacks;

    gateways_own = callbacks->on_frame_recv_start_callback;
    planted.on_frame_recv_start_callback = on_frame;
    return __real_wslay_event_context_server_init(wslay, &planted, data);
}
