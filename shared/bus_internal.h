/* bus_internal: the struct behind Bus, for the files of the bus module only. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "shared/bus.h"

typedef struct BusSlot { /* bus_slot.c: which slot is active */
    pthread_t thread;
    bool started; /* guarded by Bus.lock, as is `stop` */
    bool stop;
    pthread_cond_t wake; /* of Bus.lock */
    atomic_bool active;
    atomic_bool denied; /* the credential may not ask: then every slot is active */
} BusSlot;

/* Messages whose end is near. cnats frees each in a thread of its own, which it wakes by a lock and a signal: in one go
 * that is one wake-up for all. Bounded by number and by bytes. */
enum { BUS_DISCARD_COUNT = 128, BUS_DISCARD_BYTES = 256 * 1024 };
typedef struct BusDiscard {
    pthread_mutex_t lock;
    natsMsg *list[BUS_DISCARD_COUNT];
    size_t count, bytes;
} BusDiscard;

struct Bus {
    natsConnection *nc;
    jsCtx *js; /* made at first use */
    Log *log;
    char *name, *slot, *version;
    char instance[BUS_NUID_BYTES];
    void (*on_connection)(void *data, bool connected);
    void *data;

    Loop *loop; /* NULL when threaded */
    bool owns_loop;
    pthread_t loop_thread;
    atomic_int fd;            /* -1: none attached */
    atomic_bool write_wanted; /* cnats has output and waits for us to ask for it */
    atomic_bool write_armed;  /* the socket was full: EPOLLOUT is on */
    atomic_bool flush_posted;
    unsigned unsent;         /* messages since the last write; the loop's */
    pthread_mutex_t reading; /* held while cnats reads and parses: see bus_batch */

    BusDiscard discard;
    pthread_mutex_t lock;
    pthread_cond_t closed_cond; /* of `lock` */
    bool closed;
    atomic_bool starting, closing;
    atomic_uint_fast64_t denials, losses;
    BusSlot slot_watch;
};

/* The event-loop side of cnats (bus_loop.c). */
natsStatus bus_loop_install(Bus *bus, natsOptions *options);
/* After a publish. Writes now and then within a turn: were all of it to leave at the end, a hundred requests would go
 * from one process to the next as one lump, each waiting while another works. */
void bus_loop_published(Bus *bus);
/* Reads and writes for `wait_ms` at most, in place of the loop: from its thread, or while it does not run. */
void bus_loop_pump(Bus *bus, int wait_ms);
/* The loop calls the bus no more. */
void bus_loop_forget(Bus *bus);

void bus_slot_init(Bus *bus);
void bus_slot_done(Bus *bus); /* stops the asking */
