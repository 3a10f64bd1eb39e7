/* live_client: a WebSocket, for commands that listen: TLS and proxies by libcurl, frames by wslay. One thread. */
#pragma once
#include "tools/atrium/tool.h"

enum { LIVE_FRAME_MAX_BYTES = 4 << 20 };

typedef struct LiveClient LiveClient;
/* `url` is http:// or https://, path included. UNAVAILABLE when there is nobody, or he does not upgrade. */
Err live_client_open(Tool *tool, const char *url, LiveClient **out) MUST_CHECK;
void live_client_free(LiveClient *c); /* NULL is fine */
/* A text frame. */
Err live_client_send(LiveClient *c, const char *text) MUST_CHECK;
/* Waits for a message, at most `timeout_ms`; `out` is borrowed from `mem`. DEADLINE_EXCEEDED when none came. CANCELLED
 * when the connection has ended: then `out_code` says how. */
Err live_client_next(LiveClient *c, Arena *mem, int64_t timeout_ms, Slice *out, int *out_code) MUST_CHECK;
