/* fiber: straight-line code that waits without holding a thread. A fiber is a function on a stack of its own; where it
 * must wait (for a descriptor, for another fiber) it parks, and the loop's thread goes on with others. Many requests
 * are then in flight in one thread, with no switch between threads for any of them.
 *
 * All fibers of a set run in the thread of its loop, one at a time, and give way only where they park: what blocks the
 * thread (a lock that is held for long, a call of another service, hashing) has no place in one. */
#pragma once
#include "shared/loop.h"

typedef struct Fibers Fibers;
typedef struct Fiber Fiber;

/* At most `max` at a time. Memory: stacks are mapped at first use and kept, of each what was touched (a few pages). */
Fibers *fibers_new(Loop *loop, int max);
/* When none runs any more, and the loop does not run or it is its thread. */
void fibers_free(Fibers *fibers);
/* Runs `run` at once until it ends or parks. False: `max` are running. From the loop's thread, outside of fibers. */
bool fibers_start(Fibers *fibers, void (*run)(void *data), void *data);
int fibers_running(const Fibers *fibers);

/* NULL outside of fibers. */
Fiber *fiber_current(void);
/* Until fiber_wake, or until the monotonic time `deadline_ms` (-1 never): false then. Look again at what was waited
 * for: a wake-up may belong to something older. The thread's log context is the fiber's own again afterwards. */
bool fiber_park(int64_t deadline_ms);
/* Any thread, also before the fiber parks: it then does not. It goes on in one of the loop's next turns. The fiber must
 * not have ended. */
void fiber_wake(Fiber *fiber);
/* Runs what blocks (a look-up of a name, say) in a thread of its own, and parks until it has ended. For rare things:
 * the thread is made for it. */
void fiber_run_blocking(void (*run)(void *data), void *data);
/* Until one of `epoll_events` happens on `fd`; false at the deadline. Errors and hang-ups count as having happened. */
bool fiber_wait_fd(int fd, uint32_t epoll_events, int64_t deadline_ms);
