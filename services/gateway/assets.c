/* assets: see assets.h. */
#include "services/gateway/assets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"

enum { ETAG_BYTES = 12, ARENA_CHUNK_BYTES = 64 * 1024 };

struct Assets {
    Arena *mem; /* holds all of it, this struct included */
    unsigned references;
    Log *log;
    Asset list[ASSETS_MAX];
    size_t count;
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

Err file_read(Arena *mem, const char *path, size_t max_bytes, Slice *out)
{
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    char *bytes;
    size_t len = 0;

    if (fd < 0 || fstat(fd, &info) != 0)
        return err_errno(errno == ENOENT ? &NOT_FOUND : &INTERNAL, path);
    if (!S_ISREG(info.st_mode) || (uint64_t)info.st_size > max_bytes)
        return err_make(&INVALID_ARGUMENT, "%.80s: no file of at most %zu bytes", path, max_bytes);
    bytes = arena_alloc_raw(mem, (size_t)info.st_size + 1, 1);
    while (len < (size_t)info.st_size) {
        ssize_t got = read(fd, bytes + len, (size_t)info.st_size - len);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? err_errno(&INTERNAL, path) : err_make(&INTERNAL, "%.80s: shorter than it was", path);
        len += (size_t)got;
    }
    bytes[len] = '\0';
    *out = slice_of(bytes, len);
    return OK;
}

static const char *type_of(const char *name)
{
    static const struct {
        const char *ending, *type;
    } TYPES[] = {{".html", "text/html; charset=utf-8"},
                 {".js", "text/javascript; charset=utf-8"},
                 {".css", "text/css; charset=utf-8"},
                 {".json", "application/json"},
                 {".svg", "image/svg+xml"},
                 {".txt", "text/plain; charset=utf-8"}};

    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++)
        if (slice_ends_with(slice(name), slice(TYPES[i].ending)))
            return TYPES[i].type;
    return "application/octet-stream";
}

static const char *etag_of(Arena *mem, Slice body)
{
    unsigned char hash[crypto_generichash_BYTES];

    crypto_generichash(hash, sizeof(hash), (const unsigned char *)body.ptr, body.len, NULL, 0);
    return arena_printf(mem, "\"%s\"", hex_encode(mem, slice_of(hash, ETAG_BYTES)));
}

static void add(Assets *a, const char *file, const char *path)
{
    Asset *asset = &a->list[a->count];
    Err e;

    if (a->count == ASSETS_MAX) {
        LOG_WARN(a->log, "asset_left_out", "file", file, "error", "too many files");
        return;
    }
    e = file_read(a->mem, file, ASSET_MAX_BYTES, &asset->body);
    if (err_failed(e)) {
        LOG_WARN(a->log, "asset_left_out", "file", file, "error", e.text);
        return;
    }
    asset->path = arena_strdup(a->mem, path);
    asset->content_type = type_of(file);
    asset->etag = etag_of(a->mem, asset->body);
    a->count++;
}

static void add_docs(Assets *a, const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *entry;

    if (!d) {
        LOG_WARN(a->log, "asset_left_out", "file", dir, "error", strerror(errno));
        return;
    }
    while ((entry = readdir(d))) {
        const char *file = arena_printf(a->mem, "%s/%s", dir, entry->d_name);

        if (entry->d_name[0] == '.')
            continue;
        if (strcmp(entry->d_name, "index.html") == 0)
            add(a, file, "/api/docs");
        else if (strcmp(entry->d_name, "landing.html") == 0)
            add(a, file, "/");
        else
            add(a, file, arena_printf(a->mem, "/api/docs/%s", entry->d_name));
    }
    closedir(d);
}

Assets *assets_load(const AssetSources *sources, Log *log)
{
    Arena *mem = arena_new(ARENA_CHUNK_BYTES);
    Assets *a = ARENA_NEW(mem, Assets);

    *a = (Assets){.mem = mem, .references = 1, .log = log};
    if (sources->openapi_file[0])
        add(a, sources->openapi_file, "/api/openapi.json");
    if (sources->asyncapi_file[0])
        add(a, sources->asyncapi_file, "/api/asyncapi.json");
    if (sources->docs_dir[0])
        add_docs(a, sources->docs_dir);
    return a;
}

Assets *assets_ref(Assets *a)
{
    a->references++;
    return a;
}

void assets_unref(Assets *a)
{
    if (a && --a->references == 0) {
        Arena *mem = a->mem; /* it holds `a` itself */

        arena_free(mem);
    }
}

const Asset *assets_find(const Assets *a, Slice path)
{
    for (size_t i = 0; i < a->count; i++)
        if (slice_eq_cstr(path, a->list[i].path))
            return &a->list[i];
    return NULL;
}
