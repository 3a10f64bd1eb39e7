/* breach: see breach.h. */
#include "services/auth/breach.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "shared/http_client.h"

enum {
    SHA1_BYTES = 20,
    HASH_CHARS = 2 * SHA1_BYTES,
    LINE_MAX_CHARS = 64, /* with the count and the line's end */
    PREFIX_CHARS = 5,
    SERVICE_TIMEOUT_MS = 2000,
    SERVICE_PAUSE_MS = 30000, /* after a failure nobody waits for it again so soon */
    SERVICE_REPLY_MAX_BYTES = 1 << 20
};

struct Breach {
    BreachOptions options;
    int file; /* -1: none */
    HttpClient *http;
    atomic_llong asked_from_ms; /* the service is not asked before */
    Counter *known, *unknown, *failed;
};

Err breach_new(const BreachOptions *options, Breach **out)
{
    static const char NAME[] = "atrium_auth_breach_checks_total",
                      HELP[] = "New passwords, by what lists of leaks know.";
    int file = -1;
    Breach *breach;

    if (options->file[0] && (file = open(options->file, O_RDONLY | O_CLOEXEC)) < 0)
        return err_errno(&INVALID_ARGUMENT, "BREACHED_PASSWORDS_FILE");
    breach = xcalloc(1, sizeof(*breach));
    breach->options = *options;
    breach->file = file;
    if (options->url[0])
        breach->http = http_client_new(&(HttpClientOptions){.user_agent = "atrium", .log = options->log});
    breach->known = metrics_counter(options->metrics, NAME, HELP, "result=\"known\"");
    breach->unknown = metrics_counter(options->metrics, NAME, HELP, "result=\"unknown\"");
    breach->failed = metrics_counter(options->metrics, NAME, HELP, "result=\"failed\"");
    *out = breach;
    return OK;
}

void breach_free(Breach *breach)
{
    if (!breach)
        return;
    if (breach->file >= 0)
        close(breach->file);
    http_client_free(breach->http);
    free(breach);
}

/* ---------------------------------------------------------------------------------------------------- the file */
/* Where the first line starts at `from` or after it; `end` when there is none. */
static off_t line_at(int file, off_t from, off_t end)
{
    char bytes[LINE_MAX_CHARS];
    ssize_t got;

    if (from == 0)
        return 0;
    got = pread(file, bytes, sizeof(bytes), from - 1);
    for (ssize_t i = 0; i < got; i++)
        if (bytes[i] == '\n')
            return from + i;
    return end;
}

/* `hash` in the file, whose size is looked at each time: it may grow. */
static Err find_in_file(int file, const char *hash, bool *out)
{
    struct stat info;
    off_t low = 0, high;

    if (fstat(file, &info) != 0)
        return err_errno(&INTERNAL, "fstat");
    high = info.st_size;
    while (low < high) {
        off_t middle = low + (high - low) / 2, line = line_at(file, middle, info.st_size);
        char found[HASH_CHARS];
        int order;

        if (line >= high) {
            high = middle;
            continue;
        }
        if (pread(file, found, sizeof(found), line) != (ssize_t)sizeof(found))
            return err_make(&INTERNAL, "a short line");
        order = memcmp(hash, found, sizeof(found));
        if (order == 0) {
            *out = true;
            return OK;
        }
        if (order < 0)
            high = middle;
        else
            low = line + 1;
    }
    *out = false;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- the service */
/* "SUFFIX:COUNT" lines. A count of 0 is padding, so that lengths tell nothing. */
static bool listed(Slice body, Slice suffix)
{
    Slice line, found, count;

    while (body.len > 0) {
        if (!slice_cut(body, '\n', &line, &body))
            body.len = 0;
        if (slice_cut(slice_trim(line), ':', &found, &count) && slice_eq_nocase(found, suffix))
            return !slice_eq_cstr(count, "0");
    }
    return false;
}

static Err ask_service(Breach *breach, Arena *mem, const char *hash, bool *out)
{
    static const HttpHeader PADDED = {"Add-Padding", "true"};
    const HttpCall call = {
        .url = arena_printf(mem, "%s%.*s", breach->options.url, PREFIX_CHARS, hash),
        .headers = &PADDED,
        .header_count = 1,
        .timeout_ms = SERVICE_TIMEOUT_MS,
        .max_reply_bytes = SERVICE_REPLY_MAX_BYTES,
    };
    HttpReply reply;

    TRY(http_call(breach->http, mem, &call, &reply));
    if (reply.status != 200)
        return err_make(&UNAVAILABLE, "status %d", reply.status);
    *out = listed(reply.body, slice(hash + PREFIX_CHARS));
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- both */
static char *hash_of(Arena *mem, const char *password)
{
    uint8_t bytes[SHA1_BYTES];
    char *hex;

    EVP_Digest(password, strlen(password), bytes, NULL, EVP_sha1(), NULL);
    hex = hex_encode(mem, slice_of(bytes, sizeof(bytes)));
    sodium_memzero(bytes, sizeof(bytes));
    for (char *c = hex; *c; c++)
        if (*c >= 'a')
            *c = (char)(*c - 'a' + 'A');
    return hex;
}

bool breach_knows(Breach *breach, Arena *mem, const char *password)
{
    const char *hash = hash_of(mem, password);
    int64_t now_ms = clock_monotonic_ms(breach->options.clock);
    bool known = false;
    Err e = OK;

    if (breach->file >= 0)
        e = find_in_file(breach->file, hash, &known);
    if (!known && breach->http && now_ms >= atomic_load(&breach->asked_from_ms)) {
        Err asked = ask_service(breach, mem, hash, &known);

        if (err_failed(asked)) {
            e = asked;
            atomic_store(&breach->asked_from_ms, now_ms + SERVICE_PAUSE_MS);
        }
    }
    if (err_failed(e))
        LOG_WARN(breach->options.log, "breach_check_failed", "error", e.text);
    counter_add(known ? breach->known : err_failed(e) ? breach->failed : breach->unknown, 1);
    return known;
}
