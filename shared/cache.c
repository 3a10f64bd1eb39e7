/* cache: see the header. Blocking connections with short timeouts, borrowed one call at a time. */
#include "shared/cache.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <signal.h>

#include "atrium/reasons.atrium.h"
#include "shared/clock.h"

enum {
    POOL_MAX = 16,
    BORROW_TIMEOUT_MS = 100,
    CONNECT_TIMEOUT_MS = 250,
    COMMAND_TIMEOUT_MS = 250,
    PAUSE_FIRST_MS = 250, /* after a failure; doubles */
    PAUSE_MAX_MS = 5000,
    DEFAULT_PORT = 6379
};

struct Cache {
    Log *log;
    char *host, *user, *password; /* host NULL: a cache that never hits */
    int port, database;
    char *prefix;
    Counter *hits, *misses, *errors; /* NULL without metrics */
    Gauge *available;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t given_back;
    redisContext *idle[POOL_MAX];
    int idle_count, count;
    int64_t pause_until_ms, pause_ms;
};

static int64_t now_ms(void)
{
    return clock_monotonic_ms(&SYSTEM_CLOCK);
}

/* --- the URL ----------------------------------------------------------------------------------------------------- */
static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static char *percent_decoded(Slice text)
{
    char *out = xmalloc(text.len + 1);
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '%' && i + 2 < text.len && hex_digit(text.ptr[i + 1]) >= 0 &&
            hex_digit(text.ptr[i + 2]) >= 0) {
            out[len++] = (char)(hex_digit(text.ptr[i + 1]) * 16 + hex_digit(text.ptr[i + 2]));
            i += 2;
        } else {
            out[len++] = text.ptr[i];
        }
    }
    out[len] = '\0';
    return out;
}

static bool read_number(Slice text, int64_t min, int64_t max, int *out)
{
    int64_t v;

    if (!slice_to_int64(text, &v) || v < min || v > max)
        return false;
    *out = (int)v;
    return true;
}

static bool read_address(Cache *c, Slice address)
{
    Slice host, port = {0};

    if (address.len > 0 && address.ptr[0] == '[') {
        if (!slice_cut(slice_skip(address, 1), ']', &host, &port))
            return false;
        if (port.len > 0 && port.ptr[0] != ':')
            return false;
        port = slice_skip(port, MIN(port.len, 1));
    } else {
        (void)slice_cut(address, ':', &host, &port); /* without a port, all of it is the host */
    }
    c->port = DEFAULT_PORT;
    c->host = percent_decoded(host);
    return host.len > 0 && (port.len == 0 || read_number(port, 1, 65535, &c->port));
}

/* redis://[user][:password]@host[:port][/database] */
static Err read_url(Cache *c, Slice url)
{
    Slice credentials = {0}, address, database, rest;

    if (slice_starts_with(url, SLICE_LIT("rediss://")))
        return err_make(&INVALID_ARGUMENT, "rediss:// is not supported: Debian's hiredis has no TLS; use redis:// "
                                           "or a tunnel");
    if (!slice_starts_with(url, SLICE_LIT("redis://")))
        return err_make(&INVALID_ARGUMENT, "a Redis URL is redis://[user][:password]@host[:port][/database]");
    (void)slice_cut(slice_skip(url, strlen("redis://")), '/', &rest, &database); /* no database is 0 */
    if (slice_find_char(rest, '@') >= 0)
        (void)slice_cut(rest, '@', &credentials, &address); /* there is one */
    else
        address = rest;
    if (credentials.len > 0) {
        Slice user, password = {0};
        (void)slice_cut(credentials, ':', &user, &password); /* without a password it is a user alone */
        c->user = percent_decoded(user);
        c->password = percent_decoded(password);
    }
    if (!read_address(c, address) || (database.len > 0 && !read_number(database, 0, 1 << 20, &c->database)))
        return err_make(&INVALID_ARGUMENT, "a Redis URL is redis://[user][:password]@host[:port][/database]");
    return OK;
}

/* --- connections ------------------------------------------------------------------------------------------------- */
static struct timeval timeout(int64_t ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

static bool accepted(redisReply *reply)
{
    bool good = reply && reply->type != REDIS_REPLY_ERROR;

    freeReplyObject(reply);
    return good;
}

static bool log_in(Cache *c, redisContext *conn)
{
    if (c->password && *c->password) {
        bool named = c->user && *c->user;
        redisReply *reply =
            named ? redisCommand(conn, "AUTH %s %s", c->user, c->password) : redisCommand(conn, "AUTH %s", c->password);
        if (!accepted(reply))
            return false;
    }
    return c->database == 0 || accepted(redisCommand(conn, "SELECT %d", c->database));
}

static redisContext *connect_new(Cache *c)
{
    redisContext *conn = redisConnectWithTimeout(c->host, c->port, timeout(CONNECT_TIMEOUT_MS));

    if (conn && conn->err == 0 && redisSetTimeout(conn, timeout(COMMAND_TIMEOUT_MS)) == REDIS_OK && log_in(c, conn)) {
        (void)redisEnableKeepAlive(conn); /* works without, only later */
        return conn;
    }
    LOG_DEBUG(c->log, "cache_connect_failed", "error", conn ? (const char *)conn->errstr : "memory");
    if (conn)
        redisFree(conn);
    return NULL;
}

/* Redis is away: nobody asks for a while. */
static void open_circuit(Cache *c)
{
    bool first;

    pthread_mutex_lock(&c->lock);
    first = c->pause_ms == 0;
    c->pause_ms = first ? PAUSE_FIRST_MS : MIN(c->pause_ms * 2, PAUSE_MAX_MS);
    c->pause_until_ms = now_ms() + c->pause_ms;
    pthread_mutex_unlock(&c->lock);
    if (first)
        LOG_WARN(c->log, "cache_lost", "host", (const char *)c->host, "port", c->port);
    if (c->available)
        gauge_set(c->available, 0);
}

static void close_circuit(Cache *c)
{
    bool was_open;

    pthread_mutex_lock(&c->lock);
    was_open = c->pause_ms != 0;
    c->pause_ms = 0;
    pthread_mutex_unlock(&c->lock);
    if (was_open)
        LOG_INFO(c->log, "cache_found", "host", (const char *)c->host);
    if (c->available)
        gauge_set(c->available, 1);
}

static void give_back(Cache *c, redisContext *conn)
{
    bool broken = !conn || conn->err != 0;

    if (conn && broken)
        redisFree(conn);
    pthread_mutex_lock(&c->lock);
    if (broken)
        c->count--;
    else
        c->idle[c->idle_count++] = conn;
    pthread_cond_signal(&c->given_back);
    pthread_mutex_unlock(&c->lock);
}

/* After one of them broke the others are no better: a restarted server knows none. */
static void drop_idle(Cache *c)
{
    redisContext *dropped[POOL_MAX];
    int count;

    pthread_mutex_lock(&c->lock);
    count = c->idle_count;
    memcpy(dropped, c->idle, sizeof dropped);
    c->idle_count = 0;
    c->count -= count;
    pthread_cond_broadcast(&c->given_back);
    pthread_mutex_unlock(&c->lock);
    for (int i = 0; i < count; i++)
        redisFree(dropped[i]);
}

/* NULL: none, do without. `*out_fresh`: just made. */
static redisContext *borrow(Cache *c, bool *out_fresh)
{
    int64_t until_ms = now_ms() + BORROW_TIMEOUT_MS;
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    redisContext *conn = NULL;
    bool may;

    if (!c->host)
        return NULL;
    pthread_mutex_lock(&c->lock);
    while (c->idle_count == 0 && c->count == POOL_MAX && now_ms() < until_ms)
        pthread_cond_timedwait(&c->given_back, &c->lock, &until);
    may = now_ms() >= c->pause_until_ms && (c->idle_count > 0 || c->count < POOL_MAX);
    if (may && c->idle_count > 0)
        conn = c->idle[--c->idle_count];
    else if (may)
        c->count++;
    pthread_mutex_unlock(&c->lock);
    *out_fresh = may && !conn;
    if (!*out_fresh)
        return conn;
    conn = connect_new(c);
    if (!conn) {
        give_back(c, NULL);
        open_circuit(c);
    }
    return conn;
}

/* --- commands ---------------------------------------------------------------------------------------------------- */
/* NULL when Redis is away or refuses. A connection that had ended while it was idle is replaced once. */
static redisReply *command(Cache *c, const char *const *args, const size_t *lengths, int count)
{
    bool fresh = false;

    do {
        redisContext *conn = borrow(c, &fresh);
        redisReply *reply;
        bool timed_out;

        if (!conn)
            return NULL;
        reply = redisCommandArgv(conn, count, (const char **)args, lengths);
        timed_out = !reply && conn->err == REDIS_ERR_IO && errno == EAGAIN;
        if (reply) {
            give_back(c, conn);
            close_circuit(c);
            if (reply->type != REDIS_REPLY_ERROR)
                return reply;
            LOG_WARN(c->log, "cache_refused", "error", (const char *)reply->str);
            freeReplyObject(reply);
            return NULL;
        }
        give_back(c, conn);
        drop_idle(c);
        if (fresh || timed_out) {
            open_circuit(c);
            return NULL;
        }
    } while (!fresh);
    return NULL;
}

static char *full_key(const Cache *c, Slice key, size_t *out_len)
{
    size_t prefix = strlen(c->prefix);
    char *full = xmalloc(prefix + key.len + 1);

    memcpy(full, c->prefix, prefix);
    if (key.len > 0)
        memcpy(full + prefix, key.ptr, key.len);
    *out_len = prefix + key.len;
    return full;
}

static void count(Counter *counter)
{
    if (counter)
        counter_add(counter, 1);
}

bool cache_get(Cache *c, Arena *mem, Slice key, Slice *out)
{
    size_t len;
    char *full = full_key(c, key, &len);
    redisReply *reply = command(c, (const char *[]){"GET", full}, (const size_t[]){3, len}, 2);
    bool hit = reply && reply->type == REDIS_REPLY_STRING;

    free(full);
    count(!reply ? c->errors : hit ? c->hits : c->misses);
    if (hit)
        *out = slice_of(arena_memdup(mem, reply->str, reply->len), reply->len);
    freeReplyObject(reply);
    return hit;
}

void cache_set(Cache *c, Slice key, Slice value, int64_t ttl_ms)
{
    size_t len;
    char ttl[24], *full;
    int ttl_len = snprintf(ttl, sizeof ttl, "%" PRId64, ttl_ms);

    if (ttl_ms <= 0)
        return;
    full = full_key(c, key, &len);
    freeReplyObject(command(c, (const char *[]){"SET", full, value.ptr ? value.ptr : "", "PX", ttl},
                            (const size_t[]){3, len, value.len, 2, (size_t)ttl_len}, 5));
    free(full);
}

void cache_delete(Cache *c, Slice key)
{
    size_t len;
    char *full = full_key(c, key, &len);

    freeReplyObject(command(c, (const char *[]){"DEL", full}, (const size_t[]){3, len}, 2));
    free(full);
}

bool cache_count(Cache *c, Slice key, int64_t by, int64_t window_ms, int64_t *out_value, int64_t *out_left_ms)
{
    /* One step on the server: between INCRBY and PEXPIRE of two commands a crash would leave a counter for ever. */
    static const char SCRIPT[] =
        "local v = redis.call('INCRBY', KEYS[1], ARGV[1])"
        " local left = redis.call('PTTL', KEYS[1])"
        " if left < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) left = tonumber(ARGV[2]) end"
        " return {v, left}";
    char amount[24], window[24];
    size_t len, amount_len = (size_t)snprintf(amount, sizeof amount, "%" PRId64, by);
    size_t window_len = (size_t)snprintf(window, sizeof window, "%" PRId64, MAX(window_ms, 1));
    char *full = full_key(c, key, &len);
    redisReply *reply = command(c, (const char *[]){"EVAL", SCRIPT, "1", full, amount, window},
                                (const size_t[]){4, sizeof SCRIPT - 1, 1, len, amount_len, window_len}, 6);
    bool good = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2;

    free(full);
    if (!good)
        count(c->errors);
    if (good) {
        *out_value = reply->element[0]->integer;
        *out_left_ms = reply->element[1]->integer;
    }
    freeReplyObject(reply);
    return good;
}

bool cache_available(Cache *c)
{
    redisReply *reply = c->host ? command(c, (const char *[]){"PING"}, (const size_t[]){4}, 1) : NULL;
    bool good = reply != NULL;

    freeReplyObject(reply);
    return good;
}

/* --- making and freeing ------------------------------------------------------------------------------------------ */
static void add_metrics(Cache *c, Metrics *metrics)
{
    static const char NAME[] = "atrium_cache_requests_total", HELP[] = "Reads from Redis, by result.";

    c->hits = metrics_counter(metrics, NAME, HELP, "result=\"hit\"");
    c->misses = metrics_counter(metrics, NAME, HELP, "result=\"miss\"");
    c->errors = metrics_counter(metrics, NAME, HELP, "result=\"error\"");
    c->available = metrics_gauge(metrics, "atrium_cache_available", "Whether Redis answers.", "");
}

Err cache_new(const char *url, const char *prefix, Log *log, Metrics *metrics, Cache **out)
{
    CLEANUP(cache_free_at) Cache *c = xcalloc(1, sizeof *c);
    pthread_condattr_t attributes;

    c->log = log;
    c->prefix = xstrdup(prefix ? prefix : "");
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&c->given_back, &attributes);
    pthread_condattr_destroy(&attributes);
    if (url && *url)
        TRY(read_url(c, slice(url)));
    if (metrics && c->host)
        add_metrics(c, metrics);
    /* hiredis writes with write(): a connection that Redis closed would end the process. */
    signal(SIGPIPE, SIG_IGN);
    *out = MOVE(c);
    return OK;
}

void cache_free(Cache *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->idle_count; i++)
        redisFree(c->idle[i]);
    pthread_cond_destroy(&c->given_back);
    pthread_mutex_destroy(&c->lock);
    free(c->host);
    free(c->user);
    free(c->password);
    free(c->prefix);
    free(c);
}
