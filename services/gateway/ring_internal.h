/* ring_internal: what the ring*.c files share. Not for others. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "services/gateway/dialect.h"
#include "services/gateway/ring.h"
#include "services/gateway/topics.h"
#include "shared/tail.h"

enum {
    RING_QUEUE_ENTRIES = 4096, /* between tail and loop: beyond it the tail waits */
    RING_QUEUE_BYTES = 8 * 1024 * 1024,
    RING_TURN_ENTRIES = 256, /* of one turn of the loop, which has other things to do */
    RING_TURN_BYTES = 65536, /* the same: output leaves between turns, so that a burst fills nobody's queue */
    RING_PACE_MS = 5,        /* how often those that are filled in get more */
    RING_LOOK_MS = 1000,     /* how often the old is dropped, and gauges are set */
    RING_CLOSE_LOST = 1012,  /* "service restart": come again */
    RING_CLOSE_TOPICS = 1011
};

/* One dispatch. Made by the tail; everything from `topic` on is the loop's. */
typedef struct RingEntry {
    Arena *mem; /* holds all of it, this struct included */
    uint64_t position;
    int64_t at_unix_ms;
    Slice name; /* of the topic */
    const Atrium__Dispatch *dispatch;
    bool unreadable;
    size_t bytes; /* that it costs the ring, with the frames made so far */
    Topic *topic;
    /* Frames by variant and dialect, made when first wanted: a list as long as the variant's, NULL where one cannot be
     * made. */
    SharedFrame ***made; /* [variant * DIALECT_COUNT + dialect] */
    const char *mark;    /* by which it stands in Ring.marks; NULL: it does not */
    UT_hash_handle hh;
} RingEntry;

/* What the tail says, in order. */
typedef struct RingItem {
    enum { RING_ITEM_BEGIN, RING_ITEM_ENTRY, RING_ITEM_CAUGHT_UP } kind;
    RingEntry *entry;
    TailBegin begin;
} RingItem;

typedef struct RingItems {
    RingItem *list;
    size_t count, room, at;
} RingItems;

/* What the ring keeps of a socket. */
struct RingSocket {
    Follower follower; /* first: a Follower is its RingSocket */
    struct Ring *ring;
    struct RingSocket *next, *previous; /* of the ring */
    Socket *socket;
    bool begun;      /* it has joined once: changes mean it */
    uint64_t oldest; /* see ring_takes; 0: as the ring's */
    uint64_t floor;  /* its client saw all up to here before, on another edge perhaps */
    /* Being filled in, as fast as its client reads: nothing else is done for it until it has come to the end. */
    bool lagging;
    uint64_t at, asked; /* the next number, and RingChange.asked */
    bool comes_back;    /* exact changes before `asked` tell since when it may follow what it has just joined */
    char *marks[RING_MARKS_MAX];
    size_t mark_count;
};

/* An answer that waits. */
typedef struct RingHold {
    Exchange *x;
    void (*over)(Exchange *x);
    struct Ring *ring;
    struct RingHold *next, *previous; /* among the ring's waiting, or those that are over */
    LoopTimer *timer;
    int64_t user;
    bool of_user, done;
    char mark[RING_MARK_MAX_BYTES];
} RingHold;

typedef struct Ring {
    Gateway *g;
    struct Ring *next;
    char *domain;
    char stream[64], subject[64];
    Tail *tail;
    Topics *topics;
    /* Numbers without a gap: the entry of number n is list[(first + n - oldest) & (room - 1)]. */
    RingEntry **list;
    size_t room, first, count;
    uint64_t position; /* of the last one that was taken */
    uint64_t oldest;   /* the first one's number; without any, of the next */
    uint64_t base;     /* the stream's last number when reading began */
    size_t bytes;
    char epoch[24];
    uint32_t generation; /* grows with each loss */
    uint32_t walks;      /* see ring_takes */
    bool begun;          /* the stream is known */
    atomic_bool filled;  /* what was there has been taken */
    RingEntry *marks;    /* of entries */
    RingSocket *sockets;
    RingHold *waiting, *over;
    size_t lagging; /* sockets */
    LoopTimer *look, *pace;
    struct {
        Gauge *topics, *entries, *bytes, *age, *lag, *held;
        Counter *dispatches, *writes, *unreadable, *losses, *late;
    } metrics;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t room_made;
    RingItems arrived;
    size_t queued, queued_bytes; /* that the loop has not taken yet */
    bool stopping;
    RingItems draining; /* the loop's; changes places with `arrived` */
} Ring;

struct Rings {
    Gateway *g;
    pthread_mutex_t lock; /* guards `first`, which only grows */
    Ring *first;
};

/* ring.c */
Ring *ring_new(Gateway *g, const char *domain); /* without a tail */
void ring_free(Ring *ring);
Ring *ring_find(const Rings *all, const char *domain); /* NULL: none */
/* Takes what came from the tail, and owns its entry. */
void ring_take(Ring *ring, RingItem *item);
void ring_drop_old(Ring *ring);
/* ring_apply.c */
void ring_change_audience(Ring *ring, const RingEntry *entry);
void ring_go_on(void *ring); /* with those that lag */
void ring_stop_lagging(RingSocket *rs);
/* ring_frames.c */
void ring_write(Ring *ring, RingEntry *entry, RingSocket *rs);
void ring_free_frames(RingEntry *entry);
/* ring_tail.c */
RingEntry *ring_entry_new(Slice name, uint64_t position, int64_t at_unix_ms, Slice body);
void ring_entry_free(RingEntry *entry);
/* Is he one of `users`, a list of an entry? Those are in order. */
bool ring_users_have(const int64_t *users, size_t count, int64_t user);
Err ring_tail_start(Ring *ring);
void ring_tail_stop(Ring *ring);
/* ring_hold.c */
void ring_note_dispatch_mark(Ring *ring, const char *mark);
void ring_note_socket_mark(RingSocket *rs, const char *mark);
void ring_holds_free(Ring *ring);

static inline RingEntry *ring_entry_at(const Ring *ring, uint64_t position)
{
    return ring->list[(ring->first + (size_t)(position - ring->oldest)) & (ring->room - 1)];
}
