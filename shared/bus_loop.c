/* bus_loop: cnats on our loop. cnats reads when we say that the socket is readable, and asks us to tell it when it may
 * write. What it asks for from within a turn is written once, at the turn's end: all publishes of a turn leave in one
 * send(). EPOLLOUT is armed only when the socket did not take everything.
 *
 * attach is called from the connecting thread, and from a thread of cnats after a reconnect; read and write with the
 * connection's lock held, from any thread. */
#include <poll.h>
#include <sys/epoll.h>

#include "shared/bus_internal.h"

enum { FLUSH_EVERY = 32 }; /* messages; measured: fewer cost more writes, more make lumps */

/* Only ever called in the loop's thread, and only while cnats has output: with none it would send zero bytes, and take
 * the answer for a closed connection. */
static void write_output(Bus *bus)
{
    if (atomic_load(&bus->write_wanted))
        natsConnection_ProcessWriteEvent(bus->nc);
    if (atomic_load(&bus->write_wanted)) {
        if (!atomic_exchange(&bus->write_armed, true))
            loop_set_fd(bus->loop, atomic_load(&bus->fd), EPOLLIN | EPOLLOUT);
    } else if (atomic_exchange(&bus->write_armed, false)) {
        loop_set_fd(bus->loop, atomic_load(&bus->fd), EPOLLIN);
    }
}

void bus_loop_published(Bus *bus)
{
    if (!bus->loop || !loop_is_mine(bus->loop) || ++bus->unsent < FLUSH_EVERY)
        return;
    bus->unsent = 0;
    write_output(bus);
}

static void flush_output(void *data)
{
    Bus *bus = data;

    bus->unsent = 0;
    atomic_store(&bus->flush_posted, false);
    write_output(bus);
}

static void handle_socket(void *data, uint32_t events)
{
    Bus *bus = data;

    if (events & EPOLLOUT)
        write_output(bus);
    if (events & ~(uint32_t)EPOLLOUT) {
        pthread_mutex_lock(&bus->reading);
        natsConnection_ProcessReadEvent(bus->nc);
        pthread_mutex_unlock(&bus->reading);
    }
}

void bus_batch(Bus *bus)
{
    pthread_mutex_lock(&bus->reading);
    pthread_mutex_unlock(&bus->reading);
}

static natsStatus attach(void **user_data, void *data, natsConnection *nc, natsSock fd)
{
    Bus *bus = data;

    *user_data = bus;
    if (bus->nc != nc)
        bus->nc = nc; /* the loop may be told of the socket before natsConnection_Connect has returned */
    atomic_store(&bus->write_wanted, false);
    atomic_store(&bus->write_armed, false);
    atomic_store(&bus->fd, fd);
    loop_add_fd(bus->loop, fd, EPOLLIN, handle_socket, bus);
    return NATS_OK;
}

static natsStatus want_read(void *data, bool add)
{
    Bus *bus = data;
    int fd;

    if (add)
        return NATS_OK; /* attach did it */
    /* The socket is about to be closed, and its number may then be somebody else's: forget it now. */
    fd = atomic_exchange(&bus->fd, -1);
    if (fd >= 0)
        loop_remove_fd(bus->loop, fd);
    return NATS_OK;
}

static natsStatus want_write(void *data, bool add)
{
    Bus *bus = data;

    atomic_store(&bus->write_wanted, add);
    if (add && !atomic_exchange(&bus->flush_posted, true))
        loop_post(bus->loop, flush_output, bus);
    return NATS_OK;
}

static natsStatus detach(void *data)
{
    return want_read(data, false);
}

natsStatus bus_loop_install(Bus *bus, natsOptions *options)
{
    return natsOptions_SetEventLoop(options, bus, attach, want_read, want_write, detach);
}

void bus_loop_pump(Bus *bus, int wait_ms)
{
    struct pollfd ready = {.fd = atomic_load(&bus->fd), .events = POLLIN};

    if (atomic_load(&bus->write_wanted))
        ready.events |= POLLOUT;
    /* A negative descriptor, while there is none, only waits. A signal is one turn less. */
    if (poll(&ready, 1, wait_ms) <= 0)
        return;
    if (ready.revents & POLLOUT && atomic_load(&bus->write_wanted))
        natsConnection_ProcessWriteEvent(bus->nc);
    if (ready.revents & ~POLLOUT)
        natsConnection_ProcessReadEvent(bus->nc);
}

void bus_loop_forget(Bus *bus)
{
    loop_unpost(bus->loop, flush_output, bus);
}
