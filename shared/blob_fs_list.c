/* Pages of keys in the order of their bytes, from folders that come in any order: of each folder the smallest names
 * behind a floor are taken, as many as the page has room for, and the folder is read again when that was not enough.
 * Memory does not grow with the folder. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "shared/blob_fs.h"
#include "shared/strbuf.h"

FsNames fs_names_new(size_t max)
{
    FsNames n = {.slots = xcalloc(max, sizeof(*n.slots)), .sorted = xcalloc(max, sizeof(*n.sorted)), .max = max};

    return n;
}

void fs_names_done(FsNames *n)
{
    free(n->slots);
    free(n->sorted);
}

static size_t find_place(const FsNames *n, const char *text)
{
    size_t low = 0, high = n->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(fs_names_at(n, middle)->text, text) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void fs_names_add(FsNames *n, const char *text, bool folder)
{
    size_t place = find_place(n, text);
    uint16_t slot;

    if (place == n->max)
        return;
    slot = n->count < n->max ? (uint16_t)n->count++ : n->sorted[n->max - 1]; /* the largest goes */
    memmove(n->sorted + place + 1, n->sorted + place, (n->count - 1 - place) * sizeof(*n->sorted));
    (void)snprintf(n->slots[slot].text, sizeof(n->slots[slot].text), "%s", text);
    n->slots[slot].folder = folder;
    n->sorted[place] = slot;
}

typedef struct Walk {
    Arena *mem;
    Slice prefix, after;
    size_t max;
    BlobListItem *items;
    size_t count;
} Walk;

static int compare(Slice a, Slice b)
{
    int order = memcmp(a.ptr, b.ptr, MIN(a.len, b.len));

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* Can what `path` names, an object or (with its slash) a folder, hold keys that are wanted? */
static bool is_wanted(const Walk *w, Slice path, bool folder)
{
    if (!slice_starts_with(path, w->prefix) && !(folder && slice_starts_with(w->prefix, path)))
        return false;
    return compare(path, w->after) > 0 || (folder && slice_starts_with(w->after, path));
}

static bool is_folder(int fd, const struct dirent *entry)
{
    struct stat st;

    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    return !fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) && S_ISDIR(st.st_mode);
}

static void close_dir_at(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir);
}

/* `path` is that of the folder, with its slash, or empty. */
static Err gather(const Walk *w, int fd, Slice path, const char *floor, FsNames *names)
{
    int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* closedir closes it */
    CLEANUP(close_dir_at) DIR *dir = own < 0 ? NULL : fdopendir(own);
    const struct dirent *entry;

    if (!dir)
        return fs_error("read folder");
    while ((errno = 0, entry = readdir(dir))) {
        char text[BLOB_SEGMENT_MAX_BYTES + 16], whole[BLOB_KEY_MAX_BYTES + 2 + BLOB_SEGMENT_MAX_BYTES];
        bool folder = is_folder(fd, entry);
        int len;
        if (entry->d_name[0] == '.' && (!entry->d_name[1] || !strcmp(entry->d_name, "..")))
            continue;
        if (strlen(entry->d_name) > BLOB_SEGMENT_MAX_BYTES)
            continue; /* none of ours */
        (void)snprintf(text, sizeof(text), "%.*s%s", BLOB_SEGMENT_MAX_BYTES, entry->d_name, folder ? "/" : "");
        len = snprintf(whole, sizeof(whole), SLICE_FMT "%s", SLICE_ARG(path), text);
        if (is_wanted(w, slice_of(whole, (size_t)len), folder) && strcmp(text, floor) > 0)
            fs_names_add(names, text, folder);
    }
    return errno ? fs_error("read folder") : OK;
}

static void add_object(Walk *w, int fd, const char *name, const char *key)
{
    struct stat st;

    /* Deleted meanwhile, or no file of ours. */
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode) || !blob_key_valid(slice(key)))
        return;
    w->items[w->count++] =
        (BlobListItem){.key = arena_strdup(w->mem, key),
                       .size_bytes = (uint64_t)st.st_size,
                       .modified_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000};
}

static Err walk(Walk *w, int fd, Slice path, int depth);

static Err visit(Walk *w, int fd, Slice path, const struct FsName *name, int depth)
{
    char whole[BLOB_KEY_MAX_BYTES + 2 + BLOB_SEGMENT_MAX_BYTES];
    int len = snprintf(whole, sizeof(whole), SLICE_FMT "%s", SLICE_ARG(path), name->text);
    CLEANUP(fs_close_at) int below = -1;

    if (len > BLOB_KEY_MAX_BYTES || depth > BLOB_SEGMENTS_MAX)
        return OK; /* no key of ours */
    if (!name->folder) {
        add_object(w, fd, name->text, whole);
        return OK;
    }
    below = openat(fd, name->text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below < 0)
        return errno == ENOENT || errno == ENOTDIR ? OK : fs_error("open folder"); /* gone meanwhile */
    return walk(w, below, slice_of(whole, (size_t)len), depth + 1);
}

static Err walk(Walk *w, int fd, Slice path, int depth)
{
    char floor[BLOB_SEGMENT_MAX_BYTES + 16] = "";
    bool more = true;

    while (more && w->count < w->max) {
        CLEANUP(fs_names_done) FsNames names = fs_names_new(w->max - w->count);
        TRY(gather(w, fd, path, floor, &names));
        for (size_t i = 0; i < names.count && w->count < w->max; i++)
            TRY(visit(w, fd, path, fs_names_at(&names, i), depth));
        more = names.count == names.max;
        if (more)
            memcpy(floor, fs_names_at(&names, names.count - 1)->text, sizeof(floor));
    }
    return OK;
}

/* One more than wanted is looked for: whether there is another page. */
Err fs_list(Blob *b, Arena *mem, const char *prefix, const char *after, size_t limit, BlobList *out)
{
    const Fs *fs = (const Fs *)b;
    Walk w = {.mem = mem, .prefix = slice(prefix), .after = slice(after), .max = limit + 1};
    const char *slash = strrchr(prefix, '/'), *name;
    Slice top = slice_of(prefix, slash ? (size_t)(slash - prefix) + 1 : 0);
    CLEANUP(fs_close_at) int fd = -1;
    Err e;

    *out = (BlobList){.count = 0};
    if (top.len > 1 && !blob_key_valid(slice_take(top, top.len - 1)))
        return OK; /* nothing can be below */
    /* The parent of "<folders>/x" is the folder itself. */
    e = fs_open_parent(fs, slash ? arena_printf(mem, SLICE_FMT "x", SLICE_ARG(top)) : "x", false, &fd, &name);
    if (err_failed(e))
        return e.reason == &NOT_FOUND ? OK : e;
    w.items = ARENA_ARRAY(mem, BlobListItem, w.max);
    TRY(walk(&w, fd, top, 1));
    out->items = w.items;
    out->count = MIN(w.count, limit);
    out->next = w.count > limit ? w.items[limit - 1].key : NULL;
    return OK;
}
