/* fiber: see fiber.h. By ucontext; the sanitizers are told of each change of stacks. */
#include "shared/fiber.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "shared/clock.h"
#include "shared/log.h"

#if defined(__SANITIZE_ADDRESS__) || defined(ATRIUM_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define FIBER_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#define FIBER_TSAN 1
#endif

#ifdef FIBER_ASAN
enum { STACK_BYTES = 512 * 1024 }; /* frames with red zones */
#else
enum { STACK_BYTES = 128 * 1024 };
#endif

struct Fiber {
    Fibers *fibers;
    Fiber *next; /* idle */
    ucontext_t context, outside;
    char *stack; /* mapped; its lowest page is a guard */
    void (*run)(void *data);
    void *data;
    LogContext log;
    LoopTimer *timer;
    bool parked, timed_out, ended;
    atomic_bool woken;
#ifdef FIBER_ASAN
    void *fake_stack, *outside_fake_stack;
    const void *outside_bottom;
    size_t outside_bytes;
#endif
#ifdef FIBER_TSAN
    void *tsan, *outside_tsan;
#endif
};

struct Fibers {
    Loop *loop;
    Fiber *idle;
    int max;
    atomic_int running;
};

static __thread Fiber *current;

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* --- changing stacks --------------------------------------------------------------------------------------------- */
/* From the loop's stack to the fiber's; returns when it parks or ends. */
static void enter(Fiber *f)
{
    assert(!current);
    current = f;
    log_restore_context(&f->log);
#ifdef FIBER_ASAN
    void *fake;
    __sanitizer_start_switch_fiber(&fake, f->stack + page_bytes(), STACK_BYTES);
#endif
#ifdef FIBER_TSAN
    f->outside_tsan = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(f->tsan, 0);
#endif
    (void)swapcontext(&f->outside, &f->context); /* fails only for want of memory, which it does not need */
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
    current = NULL;
    log_set_context(NULL, NULL, NULL);
}

/* From the fiber's stack to the loop's. */
static void leave(Fiber *f)
{
    log_save_context(&f->log);
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(f->ended ? NULL : &f->fake_stack, f->outside_bottom, f->outside_bytes);
#endif
#ifdef FIBER_TSAN
    __tsan_switch_to_fiber(f->outside_tsan, 0);
#endif
    (void)swapcontext(&f->context, &f->outside);
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(f->fake_stack, &f->outside_bottom, &f->outside_bytes);
#endif
}

static void run_fiber(unsigned high, unsigned low)
{
    Fiber *f = (Fiber *)((uintptr_t)high << 32 | low); /* makecontext passes ints only */

#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(NULL, &f->outside_bottom, &f->outside_bytes);
#endif
    f->run(f->data);
    f->ended = true;
    leave(f);
}

/* --- making ------------------------------------------------------------------------------------------------------ */
static void on_timer(void *data);

static Fiber *make(Fibers *fibers)
{
    Fiber *f = xcalloc(1, sizeof *f);
    size_t guard = page_bytes();

    f->fibers = fibers;
    f->stack = mmap(NULL, guard + STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (f->stack == MAP_FAILED || mprotect(f->stack, guard, PROT_NONE) != 0)
        abort(); /* out of memory, as everywhere */
    f->timer = loop_timer_new(fibers->loop, on_timer, f);
    return f;
}

static void unmake(Fiber *f)
{
    loop_timer_free(f->timer);
    munmap(f->stack, page_bytes() + STACK_BYTES);
    free(f);
}

static void prepare(Fiber *f)
{
    (void)getcontext(&f->context); /* cannot fail */
    f->context.uc_stack.ss_sp = f->stack + page_bytes();
    f->context.uc_stack.ss_size = STACK_BYTES;
    f->context.uc_link = NULL;
    makecontext(&f->context, (void (*)(void))run_fiber, 2, (unsigned)((uintptr_t)f >> 32), (unsigned)(uintptr_t)f);
#ifdef FIBER_TSAN
    f->tsan = __tsan_create_fiber(0);
#endif
    f->ended = f->parked = f->timed_out = false;
    atomic_store(&f->woken, false);
    f->log = (LogContext){0};
}

static void go_on(Fiber *f)
{
    Fibers *fibers = f->fibers;

    f->parked = false;
    enter(f);
    if (!f->ended)
        return;
#ifdef FIBER_TSAN
    __tsan_destroy_fiber(f->tsan);
#endif
    f->next = fibers->idle;
    fibers->idle = f;
    atomic_fetch_sub(&fibers->running, 1);
}

Fibers *fibers_new(Loop *loop, int max)
{
    Fibers *fibers = xcalloc(1, sizeof *fibers);

    fibers->loop = loop;
    fibers->max = max;
    return fibers;
}

void fibers_free(Fibers *fibers)
{
    if (!fibers)
        return;
    assert(atomic_load(&fibers->running) == 0);
    while (fibers->idle) {
        Fiber *f = fibers->idle;

        fibers->idle = f->next;
        unmake(f);
    }
    free(fibers);
}

bool fibers_start(Fibers *fibers, void (*run)(void *data), void *data)
{
    Fiber *f = fibers->idle;

    assert(!current);
    if (atomic_load(&fibers->running) >= fibers->max)
        return false;
    if (f)
        fibers->idle = f->next;
    else
        f = make(fibers);
    atomic_fetch_add(&fibers->running, 1);
    prepare(f);
    f->run = run;
    f->data = data;
    go_on(f);
    return true;
}

int fibers_running(const Fibers *fibers)
{
    return atomic_load(&fibers->running);
}

/* --- waiting ----------------------------------------------------------------------------------------------------- */
Fiber *fiber_current(void)
{
    return current;
}

/* In the loop. What was posted for a fiber that has gone on meanwhile finds it not parked, or not woken. */
static void resume_woken(void *data)
{
    Fiber *f = data;

    if (f->parked && atomic_exchange(&f->woken, false))
        go_on(f);
}

static void on_timer(void *data)
{
    Fiber *f = data;

    if (!f->parked)
        return;
    f->timed_out = true;
    go_on(f);
}

bool fiber_park(int64_t deadline_ms)
{
    Fiber *f = current;

    assert(f);
    if (atomic_exchange(&f->woken, false))
        return true;
    if (deadline_ms >= 0)
        loop_timer_set(f->timer, MAX(deadline_ms - clock_monotonic_ms(&SYSTEM_CLOCK), 0), 0);
    f->timed_out = false;
    f->parked = true;
    leave(f);
    loop_timer_clear(f->timer);
    return !f->timed_out;
}

void fiber_wake(Fiber *f)
{
    if (!atomic_exchange(&f->woken, true))
        loop_post(f->fibers->loop, resume_woken, f);
}

typedef struct FdWait {
    Fiber *fiber;
    bool ready;
} FdWait;

static void on_ready(void *data, uint32_t events)
{
    FdWait *wait = data;
    (void)events;

    if (wait->ready)
        return;
    wait->ready = true;
    if (wait->fiber->parked) {
        atomic_store(&wait->fiber->woken, false);
        go_on(wait->fiber);
    }
}

bool fiber_wait_fd(int fd, uint32_t epoll_events, int64_t deadline_ms)
{
    FdWait wait = {.fiber = current};
    Loop *loop = current->fibers->loop;

    loop_add_fd(loop, fd, epoll_events, on_ready, &wait);
    while (!wait.ready && fiber_park(deadline_ms))
        ;
    loop_remove_fd(loop, fd);
    return wait.ready;
}

typedef struct Blocking {
    void (*run)(void *data);
    void *data;
    Fiber *fiber;
    atomic_bool done;
} Blocking;

static void *run_blocking(void *data)
{
    Blocking *b = data;
    Fiber *fiber = b->fiber;

    b->run(b->data);
    atomic_store(&b->done, true);
    fiber_wake(fiber); /* it waits for the thread's end, too, so it is still there */
    return NULL;
}

void fiber_run_blocking(void (*run)(void *data), void *data)
{
    Blocking b = {.run = run, .data = data, .fiber = current};
    pthread_t thread;

    if (pthread_create(&thread, NULL, run_blocking, &b) != 0) {
        run(data); /* the machine is out of threads: then it blocks */
        return;
    }
    while (!atomic_load(&b.done))
        (void)fiber_park(-1);
    pthread_join(thread, NULL); /* at its last instruction */
}
