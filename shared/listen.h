/* listen: a listening TCP socket of an address as settings have it: "127.0.0.1:8080", "[::1]:8080", ":8080" (every
 * address, IPv6 and IPv4); port 0 is any. */
#pragma once
#include "shared/err.h"
#include "shared/slice.h"

/* Non-blocking, closed on exec. INVALID_ARGUMENT: no such address; UNAVAILABLE: it cannot be had. */
Err listen_open(Slice address, int backlog, int *out_fd) MUST_CHECK;
int listen_port(int fd); /* 0 when it cannot be told */
