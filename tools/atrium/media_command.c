/* atrium media put: files into the library, over HTTP, as any client does. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/sha.h>

#include "atrium/reasons.atrium.h"
#include "shared/clock.h"
#include "shared/strbuf.h"
#include "tools/atrium/tus_client.h"

enum {
    TRIES_MAX = 12,       /* in a row, without a byte more */
    RETRY_FIRST_MS = 250, /* doubled each time */
    RETRY_MAX_MS = 15000,
    POLL_MS = 500,
    DRAW_MS = 100,
    BAR_COLUMNS = 30,
    STATE_MAX_BYTES = 8192,
    DEFAULT_WAIT_S = 3600
};

static void pause_ms(int64_t ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&pause, NULL);
}

/* ---------------------------------------------------------------------------------------- what is shown */

/* A line that is drawn over on terminals; elsewhere one line for each tenth. */
typedef struct Bar {
    const char *name;
    const char *what; /* "sent", "transcode" */
    int64_t total;
    bool terminal;
    int64_t drawn_ms, began_ms, began_at;
    int tenth;
} Bar;

static void bar_begin(Bar *bar, const char *what, int64_t total, int64_t at)
{
    bar->what = what;
    bar->total = total;
    bar->drawn_ms = 0;
    bar->began_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    bar->began_at = at;
    bar->tenth = -1;
}

static void bar_draw(Bar *bar, int64_t at, bool last)
{
    int64_t now_ms = clock_monotonic_ms(&SYSTEM_CLOCK), ms = now_ms - bar->began_ms;
    int percent = bar->total > 0 ? (int)(at * 100 / bar->total) : 100;
    char cells[BAR_COLUMNS + 1];

    if (!bar->terminal && (percent / 10 != bar->tenth || last))
        fprintf(stderr, "%s: %s %d %%\n", bar->name, bar->what, percent);
    bar->tenth = percent / 10;
    if (!bar->terminal || (!last && now_ms - bar->drawn_ms < DRAW_MS))
        return;
    bar->drawn_ms = now_ms;
    memset(cells, '.', BAR_COLUMNS);
    memset(cells, '#', (size_t)(percent * BAR_COLUMNS / 100));
    cells[BAR_COLUMNS] = '\0';
    fprintf(stderr, "\r\033[K%s: %s [%s] %3d %%", bar->name, bar->what, cells, percent);
    if (ms > 0 && at > bar->began_at && bar->total > 100)
        fprintf(stderr, "  %.1f MB/s", (double)(at - bar->began_at) / 1000.0 / (double)ms);
    if (last)
        fputc('\n', stderr);
}

static bool show_progress(void *at, int64_t sent_bytes)
{
    bar_draw(at, sent_bytes, false);
    return true;
}

/* ---------------------------------------------------------------------------------------- what is remembered */

/* $XDG_STATE_HOME/atrium/uploads, or below ~/.local/state; made when missing. NULL: nowhere, then nothing is resumed.
 */
static char *state_dir(Arena *mem)
{
    const char *home = getenv("HOME"), *state = getenv("XDG_STATE_HOME");
    char *path;

    if (state && state[0] == '/')
        path = arena_printf(mem, "%s/atrium/uploads", state);
    else if (home && home[0])
        path = arena_printf(mem, "%s/.local/state/atrium/uploads", home);
    else
        return NULL;
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700); /* the last one tells */
        *slash = '/';
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST ? path : NULL;
}

/* Of this file as it is now, on this server: a changed file is another upload. */
static char *state_path(Web *web, const char *path, const struct stat *st)
{
    Arena *mem = web->tool->mem;
    char *dir = state_dir(mem), *real = realpath(path, NULL);
    uint8_t digest[SHA256_DIGEST_LENGTH];
    char *text;

    text = arena_printf(mem, "%s\n%s\n%lld %lld.%09ld", web->base, real ? real : path, (long long)st->st_size,
                        (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
    free(real);
    SHA256((const unsigned char *)text, strlen(text), digest);
    return dir ? arena_printf(mem, "%s/%s", dir, hex_encode(mem, slice_of(digest, 16))) : NULL;
}

static bool state_read(Web *web, const char *path, TusRemote *out)
{
    Slice text, url, id;
    FILE *file = path ? fopen(path, "re") : NULL;
    Err e;

    if (!file)
        return false;
    e = tool_read(web->tool, file, path, STATE_MAX_BYTES, &text);
    fclose(file);
    if (err_failed(e) || !slice_cut(text, '\n', &url, &id) || !url.len)
        return false;
    *out = (TusRemote){slice_cstr(web->tool->mem, url), slice_cstr(web->tool->mem, slice_trim(id))};
    return true;
}

/* The URL is as good as the upload itself: for its owner's eyes. */
static void state_write(const char *path, const TusRemote *remote)
{
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;

    if (!file) {
        fprintf(stderr, "atrium media put: an interrupted upload cannot be resumed: %s\n", strerror(errno));
        if (fd >= 0)
            close(fd);
        return;
    }
    fprintf(file, "%s\n%s\n", remote->url, remote->media_id);
    fclose(file);
}

/* ---------------------------------------------------------------------------------------- sending */

static Err find_or_create(Web *web, const TusFile *file, const char *state, TusRemote *out, int64_t *out_offset)
{
    Err e;

    if (state_read(web, state, out)) {
        e = tus_client_offset(web, out, out_offset);
        if (!err_failed(e) || (e.reason != &NOT_FOUND && e.reason != &PERMISSION_DENIED))
            return e;
    }
    TRY(tus_client_create(web, file, out));
    *out_offset = 0;
    state_write(state, out);
    return OK;
}

static bool may_retry(Err e)
{
    return e.reason == &UNAVAILABLE || e.reason == &CONFLICT;
}

/* Sends, asks how far it came, goes on there: until all is there, or nothing moves any more. */
static Err send_all(Web *web, const TusFile *file, const char *state, TusRemote *out)
{
    int64_t offset = -1, wait_ms = RETRY_FIRST_MS;
    int tries = 0;

    while (true) {
        int64_t now = -1;
        Err e = offset < 0 ? find_or_create(web, file, state, out, &now) : tus_client_offset(web, out, &now);

        if (!err_failed(e) && now > offset) {
            tries = 0;
            wait_ms = RETRY_FIRST_MS;
            offset = now;
        }
        if (!err_failed(e) && now == file->size_bytes)
            return OK;
        if (!err_failed(e))
            e = tus_client_send(web, file, out, now);
        if (err_failed(e) && (!may_retry(e) || ++tries == TRIES_MAX))
            return e;
        if (err_failed(e)) {
            pause_ms(wait_ms);
            wait_ms = MIN(wait_ms * 2, RETRY_MAX_MS);
        }
    }
}

/* ---------------------------------------------------------------------------------------- what becomes of it */

static Err get_json(Web *web, const char *path, json_t **out)
{
    WebReply reply;

    TRY(web_call(web, "GET", path, NULL, (Slice){NULL, 0}, &reply));
    if (reply.status != 200)
        return err_make(reply.status >= 500 ? &UNAVAILABLE : &NOT_FOUND, "%s: the server answers %d", path,
                        reply.status);
    *out = json_loadb(reply.body.ptr, reply.body.len, 0, NULL);
    return *out ? OK : err_make(&UNAVAILABLE, "%s: the answer is no JSON", path);
}

static const char *text_of(Tool *tool, json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? arena_strdup(tool->mem, text) : "";
}

typedef struct Outcome {
    const char *status, *step, *url, *failure;
    int64_t progress;
} Outcome;

static Err look(Web *web, const char *media_id, Outcome *out)
{
    Tool *tool = web->tool;
    json_t *item, *status;

    TRY(get_json(web, arena_printf(tool->mem, "/processing/%s/status", media_id), &status));
    out->step = text_of(tool, status, "step");
    out->progress = json_integer_value(json_object_get(status, "progress"));
    out->failure = text_of(tool, status, "error_message");
    json_decref(status);
    TRY(get_json(web, arena_printf(tool->mem, "/media/%s", media_id), &item));
    out->status = text_of(tool, item, "status");
    out->url = text_of(tool, item, "stream_url");
    if (json_is_object(json_object_get(item, "playback")) &&
        *text_of(tool, json_object_get(item, "playback"), "hls_url"))
        out->url = text_of(tool, json_object_get(item, "playback"), "hls_url");
    json_decref(item);
    return OK;
}

static Err wait_until_ready(Web *web, Bar *bar, const char *media_id, int64_t wait_ms, Outcome *out)
{
    int64_t until_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + wait_ms;
    const char *step = NULL;
    int failures = 0;

    while (true) {
        Err e = look(web, media_id, out);

        if (err_failed(e) && (e.reason != &UNAVAILABLE || ++failures == TRIES_MAX))
            return e;
        if (!err_failed(e)) {
            failures = 0;
            if (strcmp(out->status, "failed") == 0)
                return err_make(&INVALID_ARGUMENT, "%s", *out->failure ? out->failure : "processing failed");
            if (strcmp(out->status, "ready") == 0)
                return OK;
            if (*out->step && (!step || strcmp(step, out->step) != 0))
                bar_begin(bar, step = out->step, 100, 0);
            if (*out->step)
                bar_draw(bar, out->progress, false);
        }
        if (clock_monotonic_ms(&SYSTEM_CLOCK) >= until_ms)
            return err_make(&DEADLINE_EXCEEDED, "not ready yet: media id %s", media_id);
        pause_ms(POLL_MS);
    }
}

/* ---------------------------------------------------------------------------------------- the command */

static Err put_file(Web *web, const char *path, int64_t wait_ms)
{
    FILE *from = fopen(path, "re");
    const char *slash = strrchr(path, '/');
    Bar bar = {.name = slash ? slash + 1 : path, .terminal = isatty(STDERR_FILENO)};
    TusFile file = {.file = from, .filename = bar.name, .progress = show_progress, .at = &bar};
    struct stat st;
    TusRemote remote;
    Outcome outcome = {0};
    const char *state;
    Err e;

    if (!from)
        return err_errno(&INVALID_ARGUMENT, path);
    if (fstat(fileno(from), &st) != 0 || !S_ISREG(st.st_mode)) {
        fclose(from);
        return err_make(&INVALID_ARGUMENT, "%s is no file", path);
    }
    file.size_bytes = st.st_size;
    state = state_path(web, path, &st);
    bar_begin(&bar, "sent", st.st_size, 0);
    e = send_all(web, &file, state, &remote);
    fclose(from);
    TRY(err_wrap(e, path));
    bar_draw(&bar, st.st_size, true);
    if (wait_ms > 0) {
        TRY(err_wrap(wait_until_ready(web, &bar, remote.media_id, wait_ms, &outcome), path));
        if (bar.terminal)
            fputs("\r\033[K", stderr);
    }
    if (state)
        (void)unlink(state);
    printf("%s\n", outcome.url && *outcome.url ? outcome.url : remote.media_id);
    return OK;
}

static Err put_files(Tool *tool, const char *server, const char *user, int64_t wait_ms)
{
    const char *path = tool_argument(tool);
    Web web = {0};
    Err e = web_log_in(tool, server, user, &web);

    for (; path && !err_failed(e); path = tool_argument(tool))
        e = put_file(&web, path, wait_ms);
    web_done(&web);
    return e;
}

int media_put_command(Tool *tool)
{
    const char *server = tool_option(tool, "--server"), *user = tool_option(tool, "--user");
    const char *wait = tool_option(tool, "--wait-s");
    bool no_wait = tool_flag(tool, "--no-wait");
    int64_t wait_s = DEFAULT_WAIT_S;
    Err e;

    for (int i = 0; i < tool->argc; i++)
        if (strncmp(tool->argv[i], "--", 2) == 0)
            return tool_wrong_use(tool, "what is \"%s\"?", tool->argv[i]);
    if (tool->argc == 0)
        return tool_wrong_use(tool, "name the files");
    if (wait && (!slice_to_int64(slice(wait), &wait_s) || wait_s < 1 || wait_s > INT32_MAX))
        return tool_wrong_use(tool, "--wait-s is a number of seconds");
    e = put_files(tool, server ? server : tool_setting(tool, "ATRIUM_URL", "http://127.0.0.1:8080"), user,
                  no_wait ? 0 : wait_s * 1000);
    return err_failed(e) ? tool_failed(tool, e) : TOOL_FINE;
}
