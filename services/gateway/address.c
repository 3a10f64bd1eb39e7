/* address: see address.h. */
#include "services/gateway/address.h"

#include <arpa/inet.h>

#include "atrium/reasons.atrium.h"
#include "shared/config.h"

typedef struct Network {
    Address address;
    unsigned bits; /* of the 128 */
} Network;

struct Networks {
    size_t count;
    Network list[];
};

static const uint8_t MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool address_parse(Slice text, Address *out)
{
    char copy[ADDRESS_TEXT_BYTES];
    struct in_addr v4;
    struct in6_addr v6;

    if (text.len >= 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']')
        text = slice_of(text.ptr + 1, text.len - 2);
    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.ptr, '\0', text.len))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, &v4) == 1) {
        memcpy(out->bytes, MAPPED, sizeof(MAPPED));
        memcpy(out->bytes + sizeof(MAPPED), &v4, 4);
        return true;
    }
    if (inet_pton(AF_INET6, copy, &v6) != 1)
        return false;
    memcpy(out->bytes, &v6, 16);
    return true;
}

bool address_of(const struct sockaddr *from, Address *out)
{
    if (from && from->sa_family == AF_INET) {
        memcpy(out->bytes, MAPPED, sizeof(MAPPED));
        memcpy(out->bytes + sizeof(MAPPED), &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
        return true;
    }
    if (from && from->sa_family == AF_INET6) {
        memcpy(out->bytes, &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr, 16);
        return true;
    }
    *out = (Address){{0}};
    return false;
}

Address address_network(const Address *a)
{
    Address network = *a;

    if (memcmp(network.bytes, MAPPED, sizeof(MAPPED)) != 0)
        memset(network.bytes + 8, 0, 8);
    return network;
}

void address_format(const Address *a, char out[ADDRESS_TEXT_BYTES])
{
    bool v4 = memcmp(a->bytes, MAPPED, sizeof(MAPPED)) == 0;

    if (!inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? a->bytes + 12 : a->bytes, out, ADDRESS_TEXT_BYTES))
        out[0] = '\0';
}

static bool parse_network(Slice item, Network *out)
{
    Slice text, bits;
    uint64_t count;
    bool v4;

    if (!slice_cut(item, '/', &text, &bits)) {
        out->bits = 128;
        return address_parse(item, &out->address);
    }
    if (!address_parse(text, &out->address) || !slice_to_uint64(bits, &count))
        return false;
    v4 = slice_find_char(text, ':') < 0;
    if (count > (v4 ? 32 : 128))
        return false;
    out->bits = (unsigned)count + (v4 ? 96 : 0);
    return true;
}

Err networks_parse(Arena *mem, const char *list, const Networks **out)
{
    Slice rest = slice(list), item;
    size_t count = 1;
    Networks *n;

    for (const char *c = list; *c; c++)
        count += *c == ',';
    n = arena_alloc(mem, sizeof(*n) + count * sizeof(Network), _Alignof(Networks));
    while (config_list_next(&rest, &item)) {
        if (item.len == 0)
            continue;
        if (!parse_network(item, &n->list[n->count]))
            return err_make(&INVALID_ARGUMENT, "\"%.*s\" is no address or network", SLICE_ARG(slice_take(item, 60)));
        n->count++;
    }
    *out = n;
    return OK;
}

static bool network_contains(const Network *n, const Address *a)
{
    unsigned whole = n->bits / 8, rest = n->bits % 8;

    if (memcmp(n->address.bytes, a->bytes, whole) != 0)
        return false;
    return rest == 0 || (n->address.bytes[whole] >> (8 - rest)) == (a->bytes[whole] >> (8 - rest));
}

bool networks_contain(const Networks *n, const Address *a)
{
    for (size_t i = 0; i < n->count; i++)
        if (network_contains(&n->list[i], a))
            return true;
    return false;
}

Address client_address(const Networks *trusted, const Address *peer, Slice forwarded)
{
    Address client = *peer;

    if (!networks_contain(trusted, peer))
        return client;
    /* From the right: each entry was added by the proxy before, so it is worth as much as that one. */
    while (forwarded.len) {
        size_t start = forwarded.len;
        Address next;

        while (start > 0 && forwarded.ptr[start - 1] != ',')
            start--;
        if (!address_parse(slice_trim(slice_skip(forwarded, start)), &next))
            break;
        client = next;
        if (!networks_contain(trusted, &client))
            break;
        forwarded = slice_take(forwarded, start ? start - 1 : 0);
    }
    return client;
}
