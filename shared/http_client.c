#include "shared/http_client.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "shared/id.h"
#include "shared/strbuf.h"

enum {
    HTTP_POOL_HANDLES = 16, /* idle ones that are kept, each with its open connections */
    HTTP_CONNECT_TIMEOUT_MS = 5000,
    HTTP_BACKOFF_FIRST_MS = 100,
    HTTP_BACKOFF_MAX_MS = 5000,
    HTTP_WAIT_STEP_MS = 100, /* how soon a wait notices that the call is cancelled */
    HTTP_REPLY_HEADERS_MAX = 128,
    HTTP_HEADER_MAX_BYTES = 16 * 1024
};

/* ---------------------------------------------------------------------------------------------------- the guard */

typedef struct Network {
    uint8_t prefix[16];
    int bits;
} Network;

/* Of IPv4 what is not in here is public. IANA's special-purpose registry, and all of 224/3. */
static const Network SPECIAL_V4[] = {
    {{0}, 8},             /* "this" network */
    {{10}, 8},            /* private */
    {{100, 64}, 10},      /* carrier-grade NAT */
    {{127}, 8},           /* loopback */
    {{169, 254}, 16},     /* link-local, cloud metadata */
    {{172, 16}, 12},      /* private */
    {{192, 0, 0}, 24},    /* protocol assignments */
    {{192, 0, 2}, 24},    /* documentation */
    {{192, 88, 99}, 24},  /* 6to4 relays */
    {{192, 168}, 16},     /* private */
    {{198, 18}, 15},      /* benchmarks */
    {{198, 51, 100}, 24}, /* documentation */
    {{203, 0, 113}, 24},  /* documentation */
    {{224}, 3},           /* multicast, reserved, broadcast */
};

/* Of IPv6 only 2000::/3 is public (so not mapped, NAT64, ULA, link-local, multicast), but for these. */
static const Network GLOBAL_V6 = {{0x20}, 3};
static const Network SPECIAL_V6[] = {
    {{0x20, 0x01, 0x00, 0x00}, 23}, /* protocol assignments, Teredo: holds an IPv4 address */
    {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
    {{0x20, 0x02}, 16},             /* 6to4: holds an IPv4 address */
    {{0x3f, 0xff, 0x00}, 20},       /* documentation */
};

static bool is_in(const uint8_t *address, const Network *n)
{
    int whole = n->bits / 8, rest = n->bits % 8;
    uint8_t mask = (uint8_t)(0xFF00 >> rest);

    return !memcmp(address, n->prefix, (size_t)whole) &&
           (rest == 0 || (address[whole] & mask) == (n->prefix[whole] & mask));
}

static bool is_in_any(const uint8_t *address, const Network *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_in(address, &list[i]))
            return true;
    }
    return false;
}

static bool v4_is_public(const uint8_t *address)
{
    return !is_in_any(address, SPECIAL_V4, ARRAY_LEN(SPECIAL_V4));
}

static bool v6_is_public(const uint8_t *address)
{
    return is_in(address, &GLOBAL_V6) && !is_in_any(address, SPECIAL_V6, ARRAY_LEN(SPECIAL_V6));
}

bool http_address_public(const char *numeric_address)
{
    uint8_t address[16];

    if (inet_pton(AF_INET, numeric_address, address) == 1)
        return v4_is_public(address);
    return inet_pton(AF_INET6, numeric_address, address) == 1 && v6_is_public(address);
}

static bool socket_address_is_public(const struct curl_sockaddr *to)
{
    const void *address = &to->addr;

    if (to->family == AF_INET)
        return v4_is_public((const uint8_t *)&((const struct sockaddr_in *)address)->sin_addr);
    return to->family == AF_INET6 && v6_is_public((const uint8_t *)&((const struct sockaddr_in6 *)address)->sin6_addr);
}

/* ---------------------------------------------------------------------------------------------------- the client */

struct HttpClient {
    char *user_agent;
    char *allowed;
    bool public_only;
    int max_redirects;
    Log *log;
    pthread_mutex_t lock; /* of the two below */
    CURL *idle[HTTP_POOL_HANDLES];
    size_t idle_count;
};

static void start_curl(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        abort(); /* fails for want of memory only */
}

HttpClient *http_client_new(const HttpClientOptions *options)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    HttpClient *c = xcalloc(1, sizeof(*c));

    (void)pthread_once(&once, start_curl);
    c->user_agent = xstrdup(options->user_agent ? options->user_agent : "atrium");
    c->public_only = options->public_only;
    c->allowed = xstrdup(options->allowed ? options->allowed : "");
    c->max_redirects = options->max_redirects;
    c->log = options->log;
    (void)pthread_mutex_init(&c->lock, NULL); /* cannot fail with default attributes */
    return c;
}

void http_client_free(HttpClient *c)
{
    if (!c)
        return;
    while (c->idle_count)
        curl_easy_cleanup(c->idle[--c->idle_count]);
    (void)pthread_mutex_destroy(&c->lock);
    free(c->user_agent);
    free(c->allowed);
    free(c);
}

static CURL *take_handle(HttpClient *c)
{
    CURL *handle = NULL;

    (void)pthread_mutex_lock(&c->lock);
    if (c->idle_count)
        handle = c->idle[--c->idle_count];
    (void)pthread_mutex_unlock(&c->lock);
    if (!handle && !(handle = curl_easy_init()))
        abort();
    return handle;
}

static void give_handle_back(HttpClient *c, CURL *handle)
{
    curl_easy_reset(handle); /* keeps connections and the DNS cache */
    (void)pthread_mutex_lock(&c->lock);
    if (c->idle_count < HTTP_POOL_HANDLES)
        c->idle[c->idle_count++] = MOVE(handle);
    (void)pthread_mutex_unlock(&c->lock);
    if (handle)
        curl_easy_cleanup(handle);
}

/* ---------------------------------------------------------------------------------------------------- one try */

/* What one try gathers; made anew for the next. */
typedef struct Try {
    const HttpClient *client;
    const HttpCall *call;
    Arena *mem;
    StrBuf body;
    HttpHeader *headers;
    size_t header_count;
    bool refused;   /* an address was not public */
    bool too_large; /* the reply, its body or headers */
} Try;

static bool is_allowed(const HttpClient *c, const struct curl_sockaddr *to)
{
    char host[NI_MAXHOST], port[NI_MAXSERV], text[NI_MAXHOST + NI_MAXSERV + 4];
    Slice rest = slice(c->allowed), item;

    if (getnameinfo(&to->addr, to->addrlen, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV))
        return false;
    (void)snprintf(text, sizeof(text), to->family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port); /* room for both */
    while (rest.len) {
        (void)slice_cut(rest, ',', &item, &rest); /* no comma: the last item */
        if (slice_eq_cstr(slice_trim(item), text))
            return true;
    }
    return false;
}

static curl_socket_t open_socket(void *data, curlsocktype purpose, struct curl_sockaddr *to)
{
    Try *t = data;

    (void)purpose;
    if (t->client->public_only && !socket_address_is_public(to) && !is_allowed(t->client, to)) {
        t->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static size_t take_body(char *bytes, size_t size, size_t count, void *data)
{
    Try *t = data;
    size_t len = size * count;

    strbuf_append(&t->body, slice_of(bytes, len));
    if (!t->body.overflow)
        return len;
    t->too_large = true;
    return 0;
}

static char *lower_case(Arena *mem, Slice text)
{
    char *copy = slice_cstr(mem, text);

    for (char *c = copy; *c; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c |= 0x20;
    }
    return copy;
}

static size_t take_header(char *bytes, size_t size, size_t count, void *data)
{
    Try *t = data;
    Slice line = slice_of(bytes, size * count), name, value;

    if (slice_starts_with(line, SLICE_LIT("HTTP/"))) { /* a redirect or a 100 came before: start again */
        t->header_count = 0;
        return line.len;
    }
    if (!slice_cut(line, ':', &name, &value))
        return line.len;
    if (t->header_count == HTTP_REPLY_HEADERS_MAX || line.len > HTTP_HEADER_MAX_BYTES) {
        t->too_large = true;
        return 0;
    }
    t->headers[t->header_count++] =
        (HttpHeader){lower_case(t->mem, slice_trim(name)), slice_cstr(t->mem, slice_trim(value))};
    return line.len;
}

static bool is_cancelled(const HttpCall *call)
{
    return call->cancel && atomic_load(call->cancel);
}

static int show_progress(void *data, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const Try *t = data;

    (void)a, (void)b, (void)c, (void)d;
    return is_cancelled(t->call);
}

static void set_method(CURL *handle, const HttpCall *call)
{
    const char *method = call->method ? call->method : call->body.len ? "POST" : "GET";
    bool post = !strcmp(method, "POST");

    if (post || call->body.len) {
        curl_easy_setopt(handle, CURLOPT_POST, 1L);
        curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
        curl_easy_setopt(handle, CURLOPT_POSTFIELDS, call->body.len ? call->body.ptr : "");
    }
    if (!strcmp(method, "HEAD"))
        curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
    else if (!post && (strcmp(method, "GET") != 0 || call->body.len))
        curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, method);
}

static void set_options(CURL *handle, Try *t, struct curl_slist *headers, int64_t left_ms)
{
    const HttpClient *c = t->client;

    curl_easy_setopt(handle, CURLOPT_URL, t->call->url);
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, c->max_redirects > 0 ? 1L : 0L);
    curl_easy_setopt(handle, CURLOPT_MAXREDIRS, (long)c->max_redirects);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, (long)left_ms);
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, (long)MIN(left_ms, HTTP_CONNECT_TIMEOUT_MS));
    curl_easy_setopt(handle, CURLOPT_USERAGENT, c->user_agent);
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(handle, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(handle, CURLOPT_OPENSOCKETDATA, t);
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(handle, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(handle, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)t->call->max_reply_bytes);
    curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, show_progress);
    curl_easy_setopt(handle, CURLOPT_XFERINFODATA, t);
    if (c->public_only)
        curl_easy_setopt(handle, CURLOPT_PROXY, ""); /* a proxy's address would be checked instead of the target's */
    set_method(handle, t->call);
}

static bool has_line_break(const char *text)
{
    return strpbrk(text, "\r\n") != NULL;
}

static void free_list(struct curl_slist *list)
{
    curl_slist_free_all(list);
}
CLEANUP_FN(struct curl_slist, free_list)

static void add_line(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);

    if (!longer)
        abort();
    *list = longer;
}

static Err request_headers(Arena *mem, const HttpCall *call, struct curl_slist **out)
{
    CLEANUP(free_list_at) struct curl_slist *list = NULL;
    char traceparent[TRACEPARENT_BYTES];

    add_line(&list, "Expect:"); /* no waiting for 100 Continue */
    for (size_t i = 0; i < call->header_count; i++) {
        const HttpHeader *h = &call->headers[i];
        if (!h->name[0] || has_line_break(h->name) || has_line_break(h->value))
            return err_make(&INVALID_ARGUMENT, "header %zu is malformed", i);
        /* curl's way of saying "empty": a semicolon instead of the colon */
        add_line(&list, arena_printf(mem, h->value[0] ? "%s: %s" : "%s;%s", h->name, h->value));
    }
    if (call->trace && call->trace->trace_id[0]) {
        trace_format(call->trace, traceparent);
        add_line(&list, arena_printf(mem, "traceparent: %s", traceparent));
    }
    *out = MOVE(list);
    return OK;
}

/* Ours first: curl only knows that a callback of ours said no. */
static Err map_error(const Try *t, CURL *handle, CURLcode code)
{
    long redirects = 0;

    (void)curl_easy_getinfo(handle, CURLINFO_REDIRECT_COUNT, &redirects); /* stays 0 where unknown */
    if (t->refused)
        return err_make(&PERMISSION_DENIED, "http: the address is not one of the public internet");
    if (t->too_large || code == CURLE_FILESIZE_EXCEEDED)
        return err_make(&PAYLOAD_TOO_LARGE, "http: the reply is larger than %zu bytes", t->call->max_reply_bytes);
    switch (code) {
    case CURLE_ABORTED_BY_CALLBACK:
        return err_make(&CANCELLED, "http: cancelled");
    case CURLE_OPERATION_TIMEDOUT:
        return err_make(&DEADLINE_EXCEEDED, "http: no answer in time");
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        if (redirects > 0)
            return err_make(&PERMISSION_DENIED, "http: redirect to something other than http and https");
        return err_make(&INVALID_ARGUMENT, "http: not a URL of http or https");
    default:
        return err_make(&UNAVAILABLE, "http: %s", curl_easy_strerror(code));
    }
}

static Err try_once(HttpClient *c, CURL *handle, Arena *mem, const HttpCall *call, struct curl_slist *headers,
                    int64_t left_ms, HttpReply *out)
{
    Try t = {.client = c, .call = call, .mem = mem, .body = strbuf_new(mem, call->max_reply_bytes)};
    char *url = NULL;
    long status = 0;
    CURLcode code;

    t.headers = ARENA_ARRAY(mem, HttpHeader, HTTP_REPLY_HEADERS_MAX);
    set_options(handle, &t, headers, left_ms);
    code = curl_easy_perform(handle);
    if (code != CURLE_OK)
        return map_error(&t, handle, code);
    /* Neither can fail after a transfer. */
    (void)curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(handle, CURLINFO_EFFECTIVE_URL, &url);
    *out = (HttpReply){
        .status = (int)status,
        .body = strbuf_slice(&t.body),
        .headers = t.headers,
        .header_count = t.header_count,
        .url = arena_strdup(mem, url ? url : call->url),
    };
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- tries */

const char *http_reply_header(const HttpReply *reply, const char *name)
{
    for (size_t i = 0; i < reply->header_count; i++) {
        if (slice_eq_nocase(slice(reply->headers[i].name), slice(name)))
            return reply->headers[i].value;
    }
    return NULL;
}

static bool may_repeat(const HttpCall *call)
{
    static const char *const IDEMPOTENT[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"};

    if (call->retry_post || (!call->method && call->body.len == 0))
        return true;
    for (size_t i = 0; call->method && i < ARRAY_LEN(IDEMPOTENT); i++) {
        if (!strcmp(call->method, IDEMPOTENT[i]))
            return true;
    }
    return false;
}

static bool is_worth_another(Err e, const HttpReply *reply)
{
    if (err_failed(e))
        return e.reason == &UNAVAILABLE;
    return reply->status == 429 || reply->status == 502 || reply->status == 503 || reply->status == 504;
}

/* Seconds or a date; 0 when there is none. */
static int64_t retry_after_ms(const HttpReply *reply)
{
    const char *value = http_reply_header(reply, "retry-after");
    int64_t seconds;
    time_t when;

    if (!value)
        return 0;
    if (slice_to_int64(slice(value), &seconds))
        return seconds > 0 && seconds < INT32_MAX ? seconds * 1000 : 0;
    when = curl_getdate(value, NULL);
    return when < 0 ? 0 : MAX((int64_t)when * 1000 - clock_unix_ms(&SYSTEM_CLOCK), 0);
}

/* Doubling, between half and all of it: clients that failed together do not come back together. */
static int64_t backoff_ms(int attempt)
{
    int64_t most = MIN((int64_t)HTTP_BACKOFF_FIRST_MS << MIN(attempt, 16), HTTP_BACKOFF_MAX_MS);

    return most / 2 + (int64_t)(random_uint64() % (uint64_t)(most / 2 + 1));
}

static bool wait_ms(const HttpCall *call, int64_t ms)
{
    for (; ms > 0 && !is_cancelled(call); ms -= HTTP_WAIT_STEP_MS)
        (void)poll(NULL, 0, (int)MIN(ms, HTTP_WAIT_STEP_MS)); /* a signal only makes the wait shorter */
    return !is_cancelled(call);
}

static Err call_with_handle(HttpClient *c, CURL *handle, Arena *mem, const HttpCall *call, struct curl_slist *headers,
                            HttpReply *out)
{
    int64_t deadline_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + call->timeout_ms, left_ms = call->timeout_ms;
    int retries = may_repeat(call) ? call->retries : 0;

    for (int attempt = 0;; attempt++) {
        HttpReply reply = {0};
        Err e = try_once(c, handle, mem, call, headers, MAX(left_ms, 1), &reply);
        int64_t wait = MAX(backoff_ms(attempt), retry_after_ms(&reply));

        left_ms = deadline_ms - clock_monotonic_ms(&SYSTEM_CLOCK) - wait;
        /* A wait that would not leave time for another try is not begun: the answer there is is the answer. */
        if (attempt >= retries || left_ms <= 0 || !is_worth_another(e, &reply)) {
            if (!err_failed(e))
                *out = reply;
            return e;
        }
        LOG_DEBUG(c->log, "http_retry", "attempt", attempt + 1, "status", reply.status, "wait_ms", wait, "error",
                  e.text);
        if (!wait_ms(call, wait))
            return err_make(&CANCELLED, "http: cancelled");
    }
}

/* Before curl sees it: what curl would guess ("example.org", "ftp://…") is not a URL of ours. */
static bool url_is_http(const char *url)
{
    Slice s = slice(url);

    return slice_eq_nocase(slice_take(s, 7), SLICE_LIT("http://")) ||
           slice_eq_nocase(slice_take(s, 8), SLICE_LIT("https://"));
}

Err http_call(HttpClient *c, Arena *mem, const HttpCall *call, HttpReply *out)
{
    CLEANUP(free_list_at) struct curl_slist *headers = NULL;
    CURL *handle;
    Err e;

    if (!url_is_http(call->url))
        return err_make(&INVALID_ARGUMENT, "http: not a URL of http or https");
    TRY(request_headers(mem, call, &headers));
    handle = take_handle(c);
    e = call_with_handle(c, handle, mem, call, headers, out);
    give_handle_back(c, handle);
    return e;
}
