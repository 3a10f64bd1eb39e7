#include "shared/id.h"

#include <errno.h>
#include <pthread.h>
#include <sys/random.h>

static void random_from_kernel(void *out, size_t len)
{
    char *at = out;

    while (len) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort();
        at += got;
        len -= (size_t)got;
    }
}

/* Small requests, of which an id for every request is the usual one, share a call of the kernel. What was given out is
 * wiped here. A fork would give both sides the same: the platform's processes do not go on after one. */
void random_bytes(void *out, size_t len)
{
    static _Thread_local uint8_t pool[512];
    static _Thread_local size_t left;

    if (len > sizeof pool / 4) {
        random_from_kernel(out, len);
        return;
    }
    if (left < len) {
        random_from_kernel(pool, sizeof pool);
        left = sizeof pool;
    }
    left -= len;
    memcpy(out, pool + left, len);
    explicit_bzero(pool + left, len);
}

uint64_t random_uint64(void)
{
    uint64_t value;

    random_bytes(&value, sizeof(value));
    return value;
}

/* ---------------------------------------------------------------------------------------------------- numbers */

#define USER_EPOCH_MS INT64_C(1767225600000)      /* 2026-01-01 */
#define SNOWFLAKE_EPOCH_MS INT64_C(1735689600000) /* 2025-01-01, contracts/chat.md section 10 */

enum {
    WORKER_BITS = 10,
    USER_TICK_MS = 100,
    USER_SEQUENCE_BITS = 10,
    SNOWFLAKE_SEQUENCE_BITS = 12,
    /* How long a used-up tick is waited for. A clock that was set back is not waited for longer: the sequence then
     * goes on in the ticks after the latest one. */
    WAIT_MAX_TICKS = 2
};

/* The latest (tick, sequence) that was given out; both only go up. */
typedef struct Sequence {
    int64_t tick;
    uint32_t next;
} Sequence;

struct IdSource {
    const Clock *clock;
    unsigned worker;
    pthread_mutex_t lock;
    Sequence user, snowflake;
    int64_t ulid_ms, uuid_ms;
    uint8_t ulid_tail[10], uuid_tail[10];
};

IdSource *id_source_new(const Clock *clock, unsigned worker)
{
    IdSource *ids = xcalloc(1, sizeof(*ids));

    assert(worker < 1U << WORKER_BITS);
    ids->clock = clock;
    ids->worker = worker;
    (void)pthread_mutex_init(&ids->lock, NULL); /* cannot fail with default attributes */
    return ids;
}

void id_source_set_worker(IdSource *ids, unsigned worker)
{
    assert(worker < 1U << WORKER_BITS);
    (void)pthread_mutex_lock(&ids->lock);
    ids->worker = worker;
    (void)pthread_mutex_unlock(&ids->lock);
}

void id_source_free(IdSource *ids)
{
    if (!ids)
        return;
    (void)pthread_mutex_destroy(&ids->lock);
    free(ids);
}

typedef struct Layout {
    int64_t epoch_ms, tick_ms;
    int sequence_bits;
} Layout;

static const Layout USER = {USER_EPOCH_MS, USER_TICK_MS, USER_SEQUENCE_BITS};
static const Layout SNOWFLAKE = {SNOWFLAKE_EPOCH_MS, 1, SNOWFLAKE_SEQUENCE_BITS};

/* At least 1: then no number is 0, whatever the clock says. */
static int64_t tick_now(const IdSource *ids, const Layout *layout)
{
    return MAX((clock_unix_ms(ids->clock) - layout->epoch_ms) / layout->tick_ms, 1);
}

/* Waits with the lock held: every other caller would have to wait for the same tick. */
static void wait_for_tick(const IdSource *ids, const Layout *layout, int64_t used_up)
{
    enum { STEPS = 20 };
    const struct timespec STEP = {.tv_nsec = layout->tick_ms * WAIT_MAX_TICKS * 1000000 / STEPS};

    for (int i = 0; i < STEPS && tick_now(ids, layout) <= used_up; i++)
        (void)nanosleep(&STEP, NULL); /* a signal only makes the wait shorter */
}

static int64_t next_number(IdSource *ids, Sequence *s, const Layout *layout)
{
    int64_t tick, number;

    (void)pthread_mutex_lock(&ids->lock);
    tick = tick_now(ids, layout);
    if (tick <= s->tick && s->next >> layout->sequence_bits) {
        wait_for_tick(ids, layout, s->tick);
        tick = MAX(tick_now(ids, layout), s->tick + 1);
    }
    if (tick > s->tick)
        *s = (Sequence){.tick = tick};
    number = (s->tick << WORKER_BITS | ids->worker) << layout->sequence_bits | s->next++;
    (void)pthread_mutex_unlock(&ids->lock);
    return number;
}

int64_t id_next_user(IdSource *ids)
{
    return next_number(ids, &ids->user, &USER);
}

int64_t id_next(IdSource *ids)
{
    return next_number(ids, &ids->snowflake, &SNOWFLAKE);
}

int64_t id_snowflake_unix_ms(int64_t snowflake)
{
    return (snowflake >> (WORKER_BITS + SNOWFLAKE_SEQUENCE_BITS)) + SNOWFLAKE_EPOCH_MS;
}

/* ---------------------------------------------------------------------------------------------------- ULID, UUIDv7 */

static void put_ms(uint8_t out[6], int64_t ms)
{
    for (int i = 0; i < 6; i++)
        out[i] = (uint8_t)(ms >> (40 - 8 * i));
}

/* Adds one; false when all bits were set. */
static bool increment(uint8_t *tail, size_t len)
{
    while (len--) {
        if (++tail[len])
            return true;
    }
    return false;
}

/* Random in a new millisecond, one more within it. Should it ever run over, or the clock go back, the millisecond of
 * the latest one is kept or passed: order counts more than the exact time. */
static void next_tail(IdSource *ids, int64_t *ms, uint8_t tail[10], uint8_t out[16])
{
    int64_t now;

    (void)pthread_mutex_lock(&ids->lock);
    now = clock_unix_ms(ids->clock);
    if (now > *ms || !increment(tail, 10)) {
        *ms = MAX(now, *ms + 1);
        random_bytes(tail, 10);
        tail[0] &= 0x7F; /* room to count up */
    }
    put_ms(out, *ms);
    memcpy(out + 6, tail, 10);
    (void)pthread_mutex_unlock(&ids->lock);
}

static const char CROCKFORD[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void id_ulid_format(const uint8_t in[16], char out[ULID_TEXT_BYTES])
{
    unsigned __int128 value = 0;

    for (int i = 0; i < 16; i++)
        value = value << 8 | in[i];
    for (int i = 25; i >= 0; i--) {
        out[i] = CROCKFORD[(unsigned)value & 31];
        value >>= 5;
    }
    out[26] = '\0';
}

void id_ulid(IdSource *ids, char out[ULID_TEXT_BYTES])
{
    uint8_t bytes[16];

    next_tail(ids, &ids->ulid_ms, ids->ulid_tail, bytes);
    id_ulid_format(bytes, out);
}

bool id_ulid_parse(Slice text, uint8_t out[16])
{
    unsigned __int128 value = 0;

    if (text.len != 26 || text.ptr[0] < '0' || text.ptr[0] > '7')
        return false;
    for (size_t i = 0; i < 26; i++) {
        char c = text.ptr[i] >= 'a' && text.ptr[i] <= 'z' ? (char)(text.ptr[i] - 0x20) : text.ptr[i];
        ptrdiff_t digit = slice_find_char(SLICE_LIT(CROCKFORD), c);
        if (digit < 0)
            return false;
        value = value << 5 | (unsigned)digit;
    }
    for (int i = 15; i >= 0; i--) {
        out[i] = (uint8_t)value;
        value >>= 8;
    }
    return true;
}

static void set_version(Uuid *u, int version)
{
    u->bytes[6] = (uint8_t)((u->bytes[6] & 0x0F) | version << 4);
    u->bytes[8] = (uint8_t)((u->bytes[8] & 0x3F) | 0x80);
}

/* The 80 bits that count up lose 6 to version and variant: 74 are spread over rand_a and rand_b. */
Uuid uuid_v7(IdSource *ids)
{
    uint8_t plain[16];
    unsigned __int128 tail = 0;
    Uuid u;

    next_tail(ids, &ids->uuid_ms, ids->uuid_tail, plain);
    memcpy(u.bytes, plain, 6);
    for (int i = 6; i < 16; i++)
        tail = tail << 8 | plain[i];
    /* The lowest 74 bits keep the order; tail's top bits are random, and counting up 2^73 in a millisecond is not
     * possible. */
    u.bytes[6] = (uint8_t)(tail >> 70 & 0x0F);
    u.bytes[7] = (uint8_t)(tail >> 62);
    for (int i = 8; i < 16; i++)
        u.bytes[i] = (uint8_t)((tail & ((UINT64_C(1) << 62) - 1)) >> (8 * (15 - i)));
    set_version(&u, 7);
    return u;
}

Uuid uuid_v4(void)
{
    Uuid u;

    random_bytes(u.bytes, sizeof(u.bytes));
    set_version(&u, 4);
    return u;
}

/* ---------------------------------------------------------------------------------------------------- UUIDv8
 * "atrium", version 8, then zero bits and the user id in the last 53: 61747269-756d-8000-80xx-xxxxxxxxxxxx. */

static const uint8_t USER_UUID_PREFIX[9] = {'a', 't', 'r', 'i', 'u', 'm', 0x80, 0x00, 0x80};
enum { USER_ID_BITS = 53 };

Uuid uuid_from_user_id(int64_t user_id)
{
    Uuid u;

    assert(user_id > 0 && user_id >> USER_ID_BITS == 0);
    memcpy(u.bytes, USER_UUID_PREFIX, sizeof(USER_UUID_PREFIX));
    for (int i = 9; i < 16; i++)
        u.bytes[i] = (uint8_t)(user_id >> (8 * (15 - i)));
    return u;
}

bool uuid_to_user_id(Uuid u, int64_t *out)
{
    int64_t id = 0;

    if (memcmp(u.bytes, USER_UUID_PREFIX, sizeof(USER_UUID_PREFIX)) != 0)
        return false;
    for (int i = 9; i < 16; i++)
        id = id << 8 | u.bytes[i];
    if (id == 0 || id >> USER_ID_BITS)
        return false;
    *out = id;
    return true;
}

/* ---------------------------------------------------------------------------------------------------- UUID text */

static bool hyphen_before(int byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void uuid_format(Uuid u, char out[UUID_TEXT_BYTES])
{
    static const char DIGITS[] = "0123456789abcdef";

    for (int i = 0; i < 16; i++) {
        if (hyphen_before(i))
            *out++ = '-';
        *out++ = DIGITS[u.bytes[i] >> 4];
        *out++ = DIGITS[u.bytes[i] & 15];
    }
    *out = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool uuid_parse(Slice text, Uuid *out)
{
    Slice urn = SLICE_LIT("urn:uuid:");
    bool hyphens;
    Uuid u;

    if (text.len > urn.len && slice_eq_nocase(slice_take(text, urn.len), urn))
        text = slice_skip(text, urn.len);
    else if (text.len > 2 && text.ptr[0] == '{' && text.ptr[text.len - 1] == '}')
        text = slice_of(text.ptr + 1, text.len - 2);
    hyphens = text.len == 36;
    if (text.len != 32 && !hyphens)
        return false;
    for (int i = 0; i < 16; i++) {
        int high, low;
        if (hyphens && hyphen_before(i)) {
            if (text.ptr[0] != '-')
                return false;
            text = slice_skip(text, 1);
        }
        high = hex_value(text.ptr[0]);
        low = hex_value(text.ptr[1]);
        if (high < 0 || low < 0)
            return false;
        u.bytes[i] = (uint8_t)(high << 4 | low);
        text = slice_skip(text, 2);
    }
    *out = u;
    return true;
}

char *uuid_text(Arena *mem, Uuid u)
{
    char *text = arena_alloc_raw(mem, UUID_TEXT_BYTES, 1);

    uuid_format(u, text);
    return text;
}

bool uuid_is_nil(Uuid u)
{
    static const Uuid NIL = {{0}};

    return memcmp(&u, &NIL, sizeof(u)) == 0;
}
