/* loop: a small epoll loop: descriptors, timers, and calls posted from other threads. Everything runs in the one
 * thread that calls loop_run; only loop_post and loop_stop may be called from others. */
#pragma once
#include "shared/base.h"

typedef struct Loop Loop;
typedef struct LoopTimer LoopTimer;

typedef void (*LoopFdHandler)(void *data, uint32_t epoll_events);
typedef void (*LoopCall)(void *data);

Loop *loop_new(void);
void loop_free(Loop *loop);
CLEANUP_FN(Loop, loop_free)

/* `epoll_events` as for epoll_ctl. One handler per descriptor. Level-triggered unless EPOLLET is given.
 * loop_set_fd changes the events of a registered descriptor; loop_set_fd may be called from any thread. */
void loop_add_fd(Loop *loop, int fd, uint32_t epoll_events, LoopFdHandler handler, void *data);
void loop_set_fd(Loop *loop, int fd, uint32_t epoll_events);
void loop_remove_fd(Loop *loop, int fd);

/* Milliseconds of the monotonic clock; `period_ms` 0 fires once. Kept in a heap: adding is O(log n). */
LoopTimer *loop_timer_new(Loop *loop, LoopCall call, void *data);
void loop_timer_set(LoopTimer *timer, int64_t after_ms, int64_t period_ms); /* again moves it */
void loop_timer_clear(LoopTimer *timer);
void loop_timer_free(LoopTimer *timer);

/* Runs `call` in the loop's thread, soon and in order. Any thread. */
void loop_post(Loop *loop, LoopCall call, void *data);
/* Called at the end of every turn, and asked before each wait how long it may be (-1 is no limit). For libraries with
 * a clock of their own, such as libmicrohttpd. */
void loop_set_turn(Loop *loop, void (*after)(void *data), int64_t (*wait_ms)(void *data), void *data);

int64_t loop_now_ms(const Loop *loop); /* monotonic, taken once per turn */
/* Until loop_stop. */
void loop_run(Loop *loop);
void loop_stop(Loop *loop);
