/* backends: see backends.h. */
#include "services/gateway/backends.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "atrium/reasons.atrium.h"
#include "shared/config.h"

enum { HOST_MAX_BYTES = 254, LOOK_EVERY_MS = 1000 };

typedef struct PlaneAddress {
    struct sockaddr_storage name;
    socklen_t len;
    int64_t down_until_ms;
} PlaneAddress;

typedef struct AddressList {
    PlaneAddress list[BACKEND_ADDRESSES_MAX];
    size_t count;
} AddressList;

/* A member of the setting's list. */
typedef struct Target {
    struct Target *next;
    char host[HOST_MAX_BYTES], port[8];
} Target;

struct Backend {
    Backends *all;
    char domain[64];
    Target *targets;
    bool named; /* some of them are names */
    AddressList addresses;
    size_t next;
    BackendConnection *idle;
    size_t idle_count;
    AddressList found; /* the resolver's, under the lock, until the loop takes them */
    bool has_found;
};

struct Backends {
    Loop *loop;
    Log *log;
    Backend *list[BACKENDS_MAX];
    size_t count;
    LoopTimer *timer;
    bool resolving; /* the thread runs */
    pthread_t resolver;
    pthread_mutex_t lock; /* guards what follows, and `found` */
    pthread_cond_t stop_cond;
    bool stop;
};

/* --- names ------------------------------------------------------------------------------------------------------- */
static void add_found(const struct addrinfo *found, AddressList *out)
{
    for (const struct addrinfo *a = found; a && out->count < BACKEND_ADDRESSES_MAX; a = a->ai_next) {
        PlaneAddress *p = &out->list[out->count++];

        *p = (PlaneAddress){.len = a->ai_addrlen};
        memcpy(&p->name, a->ai_addr, a->ai_addrlen);
    }
}

/* False when a name is not known. With `numeric` nothing is asked of anybody. */
static bool look_up(const Backend *b, bool numeric, AddressList *out)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICSERV | (numeric ? AI_NUMERICHOST : 0)};
    bool all = true;

    out->count = 0;
    for (const Target *t = b->targets; t; t = t->next) {
        struct addrinfo *found = NULL;

        if (getaddrinfo(t->host, t->port, &hints, &found) != 0) {
            all = false;
            continue;
        }
        add_found(found, out);
        freeaddrinfo(found);
    }
    return all;
}

/* In the loop: what the resolver found. A name that is not found keeps its addresses. */
static void take_found(void *data)
{
    Backends *all = data;

    pthread_mutex_lock(&all->lock);
    for (size_t i = 0; i < all->count; i++) {
        Backend *b = all->list[i];

        if (b->has_found && b->found.count)
            b->addresses = b->found;
        b->has_found = false;
    }
    pthread_mutex_unlock(&all->lock);
}

static void *resolve(void *data)
{
    Backends *all = data;

    pthread_mutex_lock(&all->lock);
    while (!all->stop) {
        struct timespec until;

        for (size_t i = 0; i < all->count && !all->stop; i++) {
            Backend *b = all->list[i];
            AddressList found;

            if (!b->named)
                continue;
            pthread_mutex_unlock(&all->lock);
            (void)look_up(b, false, &found); /* what is not found is told when it is needed */
            pthread_mutex_lock(&all->lock);
            b->found = found;
            b->has_found = true;
        }
        loop_post(all->loop, take_found, all);
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += BACKEND_RESOLVE_MS / 1000;
        if (!all->stop)
            (void)pthread_cond_timedwait(&all->stop_cond, &all->lock, &until);
    }
    pthread_mutex_unlock(&all->lock);
    return NULL;
}

/* --- the setting ------------------------------------------------------------------------------------------------- */
static Backend *find(Backends *all, Slice domain)
{
    for (size_t i = 0; i < all->count; i++)
        if (slice_eq_cstr(domain, all->list[i]->domain))
            return all->list[i];
    return NULL;
}

static bool is_domain(Slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!((name.ptr[i] >= 'a' && name.ptr[i] <= 'z') || (name.ptr[i] >= '0' && name.ptr[i] <= '9')))
            return false;
    return name.len > 0 && name.len < sizeof(((Backend *)0)->domain);
}

/* "media=127.0.0.1:18081" */
static Err add_target(Backends *all, Slice item)
{
    Slice domain, address, host, port;
    size_t colon;
    uint64_t number;
    Backend *b;
    Target *t;

    if (!slice_cut(item, '=', &domain, &address) || !is_domain(domain))
        return err_make(&INVALID_ARGUMENT, "\"%.*s\" is not domain=host:port", SLICE_ARG(slice_take(item, 60)));
    for (colon = address.len; colon > 0 && address.ptr[colon - 1] != ':'; colon--)
        ;
    host = slice_take(address, colon ? colon - 1 : 0);
    port = slice_skip(address, colon);
    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = slice_of(host.ptr + 1, host.len - 2);
    if (host.len == 0 || host.len >= HOST_MAX_BYTES || !slice_to_uint64(port, &number) || number == 0 || number > 65535)
        return err_make(&INVALID_ARGUMENT, "\"%.*s\" is not domain=host:port", SLICE_ARG(slice_take(item, 60)));
    b = find(all, domain);
    if (!b) {
        if (all->count == BACKENDS_MAX)
            return err_make(&INVALID_ARGUMENT, "at most %d domains", BACKENDS_MAX);
        b = all->list[all->count++] = xcalloc(1, sizeof(*b));
        b->all = all;
        memcpy(b->domain, domain.ptr, domain.len);
    }
    t = xcalloc(1, sizeof(*t));
    memcpy(t->host, host.ptr, host.len);
    snprintf(t->port, sizeof(t->port), "%u", (unsigned)number);
    LL_APPEND(b->targets, t);
    return OK;
}

/* --- life -------------------------------------------------------------------------------------------------------- */
static void look(void *data)
{
    Backends *all = data;
    int64_t before_ms = loop_now_ms(all->loop) - BACKEND_IDLE_MS;

    for (size_t i = 0; i < all->count; i++)
        for (BackendConnection *c = all->list[i]->idle, *next; c; c = next) {
            next = c->next;
            if (c->since_ms < before_ms)
                backend_close(c);
        }
}

static Err start_resolver(Backends *all)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&all->stop_cond, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&all->lock, NULL);
    all->resolving = pthread_create(&all->resolver, NULL, resolve, all) == 0;
    return all->resolving ? OK : err_make(&INTERNAL, "no thread for names");
}

Err backends_new(const BackendsOptions *options, Backends **out)
{
    CLEANUP(backends_free_at) Backends *all = xcalloc(1, sizeof(*all));
    Slice rest = slice(options->list), item;
    bool named = false;

    all->loop = options->loop;
    all->log = options->log;
    while (config_list_next(&rest, &item))
        if (item.len)
            TRY(err_wrap(add_target(all, item), "BYTES_BACKENDS"));
    for (size_t i = 0; i < all->count; i++) {
        all->list[i]->named = !look_up(all->list[i], true, &all->list[i]->addresses);
        named |= all->list[i]->named;
    }
    if (all->loop) {
        all->timer = loop_timer_new(all->loop, look, all);
        loop_timer_set(all->timer, LOOK_EVERY_MS, LOOK_EVERY_MS);
        if (named)
            TRY(start_resolver(all));
    }
    *out = MOVE(all);
    return OK;
}

static void backend_free(Backend *b)
{
    while (b->idle)
        backend_close(b->idle);
    for (Target *t = b->targets, *next; t; t = next) {
        next = t->next;
        free(t);
    }
    free(b);
}

void backends_free(Backends *all)
{
    if (!all)
        return;
    if (all->resolving) {
        pthread_mutex_lock(&all->lock);
        all->stop = true;
        pthread_cond_signal(&all->stop_cond);
        pthread_mutex_unlock(&all->lock);
        pthread_join(all->resolver, NULL);
        loop_unpost(all->loop, take_found, all);
        pthread_mutex_destroy(&all->lock);
        pthread_cond_destroy(&all->stop_cond);
    }
    for (size_t i = 0; i < all->count; i++)
        backend_free(all->list[i]);
    loop_timer_free(all->timer);
    free(all);
}

Backend *backends_find(Backends *all, const char *domain)
{
    return find(all, slice(domain));
}

const char *backends_name(const Backends *all, size_t index)
{
    return index < all->count ? all->list[index]->domain : NULL;
}

size_t backend_index(const Backend *b)
{
    size_t i = 0;

    while (b->all->list[i] != b)
        i++;
    return i;
}

size_t backend_address_count(const Backend *b)
{
    return b->addresses.count;
}

/* --- connections ------------------------------------------------------------------------------------------------- */
static void on_event(void *data, uint32_t events)
{
    BackendConnection *c = data;

    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->readable = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        c->writable = true;
    if (c->on_event)
        c->on_event(c->data);
    else if (c->readable)
        backend_close(c); /* an idle one: the other side leaves, or says what nobody asked for */
}

/* One that did not refuse just now, in turn; else the next. */
static size_t choose_address(Backend *b)
{
    int64_t now_ms = loop_now_ms(b->all->loop);
    size_t first = b->next++ % b->addresses.count;

    for (size_t i = 0; i < b->addresses.count; i++) {
        size_t at = (first + i) % b->addresses.count;

        if (b->addresses.list[at].down_until_ms <= now_ms)
            return at;
    }
    return first;
}

static BackendConnection *connect_to(Backend *b)
{
    const int on = 1;
    size_t at = choose_address(b);
    const PlaneAddress *to = &b->addresses.list[at];
    int fd = socket(to->name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    BackendConnection *c;

    if (fd < 0)
        return NULL; /* no descriptor is left: as if there were no data plane */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* slower without it, no less correct */
    if (connect(fd, (const struct sockaddr *)&to->name, to->len) != 0 && errno != EINPROGRESS) {
        b->addresses.list[at].down_until_ms = loop_now_ms(b->all->loop) + BACKEND_DOWN_MS;
        close(fd);
        return NULL;
    }
    c = xcalloc(1, sizeof(*c));
    *c = (BackendConnection){.backend = b, .address = at, .fd = fd, .connecting = true};
    loop_add_fd(b->all->loop, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, on_event, c);
    return c;
}

static BackendConnection *take_idle(Backend *b)
{
    while (b->idle) {
        BackendConnection *c = b->idle;
        char byte;

        /* It may have been closed in this very turn. */
        if (recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) {
            backend_close(c);
            continue;
        }
        DL_DELETE(b->idle, c);
        b->idle_count--;
        c->readable = false;
        c->writable = c->reused = true;
        return c;
    }
    return NULL;
}

BackendConnection *backend_take(Backend *b, bool fresh, void (*handler)(void *data), void *data)
{
    BackendConnection *c = fresh ? NULL : take_idle(b);

    for (size_t tries = 0; !c && tries < b->addresses.count; tries++)
        c = connect_to(b);
    if (!c)
        return NULL;
    c->since_ms = loop_now_ms(b->all->loop);
    c->on_event = handler;
    c->data = data;
    return c;
}

bool backend_connected(BackendConnection *c)
{
    int error = 0;
    socklen_t len = sizeof(error);

    c->connecting = false;
    return getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0;
}

void backend_mark_down(BackendConnection *c)
{
    Backend *b = c->backend;

    if (c->address < b->addresses.count)
        b->addresses.list[c->address].down_until_ms = loop_now_ms(b->all->loop) + BACKEND_DOWN_MS;
}

void backend_keep(BackendConnection *c)
{
    Backend *b = c->backend;

    c->on_event = NULL;
    c->data = NULL;
    c->since_ms = loop_now_ms(b->all->loop);
    DL_PREPEND(b->idle, c);
    b->idle_count++;
    if (b->idle_count > BACKEND_IDLE_MAX)
        backend_close(b->idle->prev);
}

void backend_close(BackendConnection *c)
{
    Backend *b;

    if (!c)
        return;
    b = c->backend;
    if (!c->on_event) {
        DL_DELETE(b->idle, c);
        b->idle_count--;
    }
    loop_remove_fd(b->all->loop, c->fd);
    close(c->fd);
    free(c);
}
