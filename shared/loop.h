/* loop: a small epoll loop: descriptors, timers, and calls posted from other threads. Handlers, timers and posted calls
 * run in the one thread that calls loop_run. Safe from any thread: loop_post, loop_stop, and the three of a descriptor
 * (a library that reconnects in a thread of its own registers its new socket from there); timers belong to the loop's
 * thread. */
#pragma once
#include "shared/base.h"

typedef struct Loop Loop;
typedef struct LoopTimer LoopTimer;

typedef void (*LoopFdHandler)(void *data, uint32_t epoll_events);
typedef void (*LoopCall)(void *data);

Loop *loop_new(void);
/* Not while it runs. Posted calls that did not run are dropped; timers must be freed before. */
void loop_free(Loop *loop);
CLEANUP_FN(Loop, loop_free)

/* `epoll_events` as for epoll_ctl. One handler per descriptor; adding a registered one replaces it. Level-triggered
 * unless EPOLLET is given. Remove a descriptor before it is closed. After a removal from another thread the handler may
 * still be running once. */
void loop_add_fd(Loop *loop, int fd, uint32_t epoll_events, LoopFdHandler handler, void *data);
void loop_set_fd(Loop *loop, int fd, uint32_t epoll_events); /* an unknown descriptor is ignored */
void loop_remove_fd(Loop *loop, int fd);                     /* so here */

/* Milliseconds of the monotonic clock; `period_ms` 0 fires once. Kept in a heap: adding is O(log n). */
LoopTimer *loop_timer_new(Loop *loop, LoopCall call, void *data);
void loop_timer_set(LoopTimer *timer, int64_t after_ms, int64_t period_ms); /* again moves it */
void loop_timer_clear(LoopTimer *timer);
void loop_timer_free(LoopTimer *timer); /* NULL is fine; also from within its own call */

/* Runs `call` in the loop's thread, soon and in order. Any thread. From the loop's own thread: at the end of this turn,
 * after what is ready has been handled, which is where output of a whole turn is gathered. */
void loop_post(Loop *loop, LoopCall call, void *data);
/* The same, and returns when it has run. At once where the loop does not run, or is this thread's. */
void loop_call(Loop *loop, LoopCall call, void *data);
/* Forgets such calls that did not run yet. From the loop's thread, or while it does not run. */
void loop_unpost(Loop *loop, LoopCall call, const void *data);
/* Called at the end of every turn, and asked before each wait how long it may be (-1 is no limit). For libraries with
 * a clock of their own, such as libmicrohttpd. */
void loop_set_turn(Loop *loop, void (*after)(void *data), int64_t (*wait_ms)(void *data), void *data);

int64_t loop_now_ms(const Loop *loop); /* monotonic, taken once per turn */
/* Until loop_stop; a stop that came before makes it return at once. */
void loop_run(Loop *loop);
void loop_stop(Loop *loop);
/* One turn that waits for `wait_ms` at most: for start-up, before loop_run. */
void loop_turn(Loop *loop, int64_t wait_ms);
/* Whether some thread is inside loop_run, and whether it is this one. Any thread. */
bool loop_is_running(const Loop *loop);
bool loop_is_mine(const Loop *loop);
