/* listener: a listening socket and its libmicrohttpd daemon, driven by the loop: its epoll descriptor wakes us, and it
 * is run at the end of every turn (never its internal thread, which stalls when exactly 128 events are ready). */
#pragma once
#include "services/gateway/gateway.h"

/* `address`: "127.0.0.1:8080", "[::1]:8080", ":8080" (all addresses, both kinds), "localhost:0". */
Err listener_start(Gateway *g, Slice address, Listener **out) MUST_CHECK;
int listener_port(const Listener *l);
/* No new connections from here on. */
void listener_quiet(Listener *l);
/* At the end of a turn. */
void listener_run(Listener *l);
/* How long the loop may sleep; -1 is for ever. */
int64_t listener_wait_ms(Listener *l);
size_t listener_connections(const Listener *l);
/* No exchange of it may be suspended. NULL is fine. */
void listener_stop(Listener *l);
