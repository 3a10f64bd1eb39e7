/* listen: see listen.h. */
#include "shared/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"

static Err split_address(Slice address, char host[256], char port[8])
{
    size_t colon = address.len;
    Slice name, number;
    uint64_t value;

    while (colon > 0 && address.ptr[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return err_make(&INVALID_ARGUMENT, "\"%.*s\" has no port", SLICE_ARG(slice_take(address, 60)));
    name = slice_take(address, colon - 1);
    number = slice_skip(address, colon);
    if (name.len >= 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
        name = slice_of(name.ptr + 1, name.len - 2);
    if (!slice_to_uint64(number, &value) || value > 65535 || name.len >= 256)
        return err_make(&INVALID_ARGUMENT, "\"%.*s\" is no address with a port", SLICE_ARG(slice_take(address, 60)));
    memcpy(host, name.ptr, name.len);
    host[name.len] = '\0';
    snprintf(port, 8, "%u", (unsigned)value);
    return OK;
}

static int try_listen(const struct addrinfo *a, int backlog)
{
    const int on = 1, off = 0;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), saved;

    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* without it a restart waits: still correct */
    if (a->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, backlog) == 0)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

Err listen_open(Slice address, int backlog, int *out_fd)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    char host[256], port[8];
    int fd = -1, code;

    TRY(split_address(address, host, port));
    if (!host[0])
        hints.ai_family = AF_INET6; /* takes IPv4 as well */
    code = getaddrinfo(host[0] ? host : NULL, port, &hints, &found);
    if (code != 0)
        return err_make(&INVALID_ARGUMENT, "\"%.60s\": %s", host, gai_strerror(code));
    for (const struct addrinfo *a = found; a && fd < 0; a = a->ai_next)
        fd = try_listen(a, backlog);
    code = errno;
    freeaddrinfo(found);
    if (fd < 0 && !host[0]) { /* a machine without IPv6 */
        const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
        const struct addrinfo v4 = {
            .ai_family = AF_INET, .ai_addr = (struct sockaddr *)(uintptr_t)&any, .ai_addrlen = sizeof(any)};

        fd = try_listen(&v4, backlog);
    }
    if (fd < 0) {
        errno = code;
        return err_errno(&UNAVAILABLE, "listen");
    }
    *out_fd = fd;
    return OK;
}

int listen_port(int fd)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof(name);

    if (getsockname(fd, (struct sockaddr *)&name, &len) != 0)
        return 0;
    return ntohs(name.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&name)->sin6_port
                                            : ((struct sockaddr_in *)&name)->sin_port);
}
