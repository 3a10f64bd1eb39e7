/* address: client addresses, and the networks that are trusted. */
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>

#include "shared/err.h"
#include "shared/slice.h"

enum { ADDRESS_TEXT_BYTES = 48 };

/* IPv4 is kept as ::ffff:a.b.c.d, so that both kinds compare alike. */
typedef struct Address {
    uint8_t bytes[16];
} Address;
bool address_parse(Slice text, Address *out);
bool address_of(const struct sockaddr *from, Address *out);
/* IPv4-mapped addresses in dotted form. */
void address_format(const Address *a, char out[ADDRESS_TEXT_BYTES]);

/* Whose an address is: it, or of IPv6 its /64, since who has one of these has 2^64. */
Address address_network(const Address *a);

typedef struct Networks Networks; /* immutable */
/* "10.0.0.0/8, ::1, 192.0.2.7"; borrowed from `mem`. INVALID_ARGUMENT names what cannot be read. */
Err networks_parse(Arena *mem, const char *list, const Networks **out) MUST_CHECK;
bool networks_contain(const Networks *n, const Address *a);

/* Who is behind a request: the peer, unless it is trusted; then the last entry of X-Forwarded-For that is not itself a
 * trusted proxy (further entries may be made up by the client). `forwarded` may be empty. */
Address client_address(const Networks *trusted, const Address *peer, Slice forwarded);
