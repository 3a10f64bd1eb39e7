#include "shared/blob_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "shared/id.h"
#include "shared/strbuf.h"

enum { FOLDER_MODE = 0750, FILE_MODE = 0640 };
#define XATTR "user.atrium" /* "<sha256> <content type>" */

Err fs_error(const char *what)
{
    switch (errno) {
    case ENOENT:
    case ELOOP: /* a link where we never put one */
        return err_make(&NOT_FOUND, "%s: not there", what);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return err_errno(&INSUFFICIENT_STORAGE, what);
    case EEXIST:
    case EISDIR:
    case ENOTDIR:
    case ENOTEMPTY:
        return err_make(&CONFLICT, "%s: there is something under this key, above or below", what);
    default:
        return err_errno(&UNAVAILABLE, what);
    }
}

/* For those who only look: a key through an object, or of a folder, is not there. */
static Err look_error(const char *what)
{
    Err e = fs_error(what);

    return e.reason == &CONFLICT ? err_make(&NOT_FOUND, "%s: not there", what) : e;
}

void fs_close_at(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

void fs_random_name(char out[BLOB_UPLOAD_ID_BYTES])
{
    (void)snprintf(out, BLOB_UPLOAD_ID_BYTES, "%016" PRIx64 "%016" PRIx64, random_uint64(), random_uint64());
}

Err fs_guard(const Fs *fs, uint64_t more)
{
    struct statvfs v;
    uint64_t free_bytes;

    if (fstatvfs(fs->root, &v))
        return fs_error("free space");
    free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
    if (free_bytes < fs->min_free_bytes || free_bytes - fs->min_free_bytes < more)
        return err_make(&INSUFFICIENT_STORAGE, "the disk of the object store is nearly full");
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- folders */

static int open_folder(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Another one may make it at the same time; who made it syncs it. */
static int open_or_make_folder(int at, const char *name)
{
    int fd = open_folder(at, name);

    if (fd >= 0 || errno != ENOENT)
        return fd;
    if (mkdirat(at, name, FOLDER_MODE) == 0) {
        if (fsync(at))
            return -1;
    } else if (errno != EEXIST) {
        return -1;
    }
    return open_folder(at, name);
}

Err fs_open_parent(const Fs *fs, const char *key, bool make, int *out_fd, const char **out_name)
{
    CLEANUP(fs_close_at) int fd = open_folder(fs->objects, ".");
    char name[BLOB_SEGMENT_MAX_BYTES + 1];
    Slice rest = slice(key), segment;

    if (fd < 0)
        return fs_error("open folder of objects");
    while (slice_cut(rest, '/', &segment, &rest)) {
        int next;
        memcpy(name, segment.ptr, segment.len); /* a valid key has no longer ones */
        name[segment.len] = '\0';
        next = make ? open_or_make_folder(fd, name) : open_folder(fd, name);
        if (next < 0)
            return make ? fs_error("make folder") : look_error("object");
        (void)close(fd);
        fd = next;
    }
    *out_fd = fs_move(&fd);
    *out_name = segment.ptr; /* the last one: no slash behind it */
    return OK;
}

/* Folders that got empty go. Whoever puts something there at this moment makes them again. */
static void remove_empty_folders(const Fs *fs, const char *key)
{
    char path[BLOB_KEY_MAX_BYTES + 1], *slash;
    bool gone = true;

    (void)snprintf(path, sizeof(path), "%s", key);
    while (gone && (slash = strrchr(path, '/'))) {
        CLEANUP(fs_close_at) int fd = -1;
        const char *name;
        *slash = '\0';
        gone = !err_failed(fs_open_parent(fs, path, false, &fd, &name)) && !unlinkat(fd, name, AT_REMOVEDIR);
    }
}

/* ---------------------------------------------------------------------------------------------------- files */

static Err guard_file(FsFile *f, size_t more)
{
    if (f->size + more < f->guarded)
        return OK;
    TRY(fs_guard(f->fs, more));
    f->guarded = f->size + more + FS_GUARD_BYTES;
    return OK;
}

/* The window that got full goes to the disk; the one before has had its time and is waited for, so that a fast sender
 * fills the disk, not the memory. A hint: failures show at the sync. */
static void write_back(const FsFile *f, uint64_t from, uint64_t to)
{
    off64_t window = FS_WRITEBACK_BYTES, full = (off64_t)(to / FS_WRITEBACK_BYTES) * window;

    if (from / FS_WRITEBACK_BYTES == to / FS_WRITEBACK_BYTES)
        return;
    (void)sync_file_range(f->fd, full - window, window, SYNC_FILE_RANGE_WRITE);
    if (full > window)
        (void)sync_file_range(f->fd, full - 2 * window, window,
                              SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}

Err fs_file_write(FsFile *f, Slice piece)
{
    uint64_t before = f->size;

    TRY(guard_file(f, piece.len));
    while (piece.len) {
        ssize_t put = pwrite(f->fd, piece.ptr, piece.len, (off_t)f->size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return fs_error("write");
        f->size += (uint64_t)put;
        piece = slice_skip(piece, (size_t)put);
    }
    write_back(f, before, f->size);
    return OK;
}

Err fs_file_sync(const FsFile *f)
{
    return fsync(f->fd) ? fs_error("sync") : OK;
}

Err fs_file_describe(const FsFile *f, const char *sha256, const char *content_type)
{
    char text[SHA256_HEX_BYTES + BLOB_TYPE_MAX_BYTES + 1];
    int len = snprintf(text, sizeof(text), "%s %s", sha256, content_type);

    if (fsetxattr(f->fd, XATTR, text, (size_t)len, 0) && errno != EOPNOTSUPP)
        return fs_error("set attributes");
    return OK;
}

/* Without the attributes (they were not restored, or there are none on this file system) an object is still served. */
static void read_description(int fd, const struct stat *st, BlobInfo *out)
{
    char text[SHA256_HEX_BYTES + BLOB_TYPE_MAX_BYTES + 1];
    ssize_t len = fgetxattr(fd, XATTR, text, sizeof(text) - 1);
    Slice sha256, type;

    if (len > 0 && slice_cut(slice_of(text, (size_t)len), ' ', &sha256, &type) && sha256_is_hex(sha256)) {
        (void)snprintf(out->sha256, sizeof(out->sha256), SLICE_FMT, SLICE_ARG(sha256));
        (void)snprintf(out->etag, sizeof(out->etag), SLICE_FMT, SLICE_ARG(sha256));
        (void)snprintf(out->content_type, sizeof(out->content_type), SLICE_FMT, SLICE_ARG(type));
        return;
    }
    out->sha256[0] = '\0';
    (void)snprintf(out->etag, sizeof(out->etag), "%jx-%jx-%jx.%lx", (uintmax_t)st->st_ino, (uintmax_t)st->st_size,
                   (uintmax_t)st->st_mtim.tv_sec, (unsigned long)st->st_mtim.tv_nsec);
    (void)snprintf(out->content_type, sizeof(out->content_type), "%s", BLOB_TYPE_FALLBACK);
}

static int64_t mtime_ms(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
}

Err fs_info(int fd, BlobInfo *out)
{
    struct stat st;

    if (fstat(fd, &st))
        return fs_error("look at object");
    if (!S_ISREG(st.st_mode))
        return err_make(&NOT_FOUND, "object: not there");
    out->size_bytes = (uint64_t)st.st_size;
    out->modified_ms = mtime_ms(&st);
    read_description(fd, &st, out);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- objects */

static Err open_object(const Fs *fs, const char *key, int *out_fd, BlobInfo *info)
{
    CLEANUP(fs_close_at) int folder = -1;
    CLEANUP(fs_close_at) int fd = -1;
    const char *name;

    TRY(fs_open_parent(fs, key, false, &folder, &name));
    fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return look_error("object");
    TRY(fs_info(fd, info));
    *out_fd = fs_move(&fd);
    return OK;
}

Err fs_stat(Blob *b, const char *key, BlobInfo *out)
{
    CLEANUP(fs_close_at) int fd = -1;

    return open_object((const Fs *)b, key, &fd, out);
}

static bool same_file(int at, const char *a, int other, const char *b)
{
    struct stat x, y;

    return !fstatat(at, a, &x, AT_SYMLINK_NOFOLLOW) && !fstatat(other, b, &y, AT_SYMLINK_NOFOLLOW) &&
           x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Zero, or -1 with errno. */
static int move(const Fs *fs, int folder, const char *name, int parent, const char *to, bool only_if_absent)
{
    if (only_if_absent) {
        if (linkat(folder, name, parent, to, 0)) {
            if (errno != EEXIST)
                return -1;
            /* An upload's own file is there when a crash came between link and unlink. */
            if (folder != fs->uploads || !same_file(folder, name, parent, to)) {
                errno = EEXIST;
                return -1;
            }
        }
    } else if (renameat(folder, name, parent, to)) {
        return -1;
    }
    /* After a rename there is something left only when both were names of one file. */
    return unlinkat(folder, name, 0) && errno != ENOENT ? -1 : 0;
}

Err fs_publish(const Fs *fs, int folder, const char *name, const char *key, bool only_if_absent)
{
    for (int tries = 1;; tries++) {
        CLEANUP(fs_close_at) int parent = -1;
        const char *to;
        Err e = fs_open_parent(fs, key, true, &parent, &to);
        if (!err_failed(e)) {
            if (move(fs, folder, name, parent, to, only_if_absent) == 0)
                return fsync(parent) ? fs_error("sync folder") : OK;
            e = fs_error("publish");
        }
        /* A folder went for being empty, between our making it and our using it. */
        if (e.reason != &NOT_FOUND)
            return e;
        if (tries == FS_RACE_TRIES)
            return err_make(&UNAVAILABLE, "publish: its folder goes away again and again");
    }
}

static Err remove_object(const Fs *fs, const char *key)
{
    CLEANUP(fs_close_at) int parent = -1;
    const char *name;
    Err e = fs_open_parent(fs, key, false, &parent, &name);

    if (err_failed(e))
        return e.reason == &NOT_FOUND ? OK : e;
    if (unlinkat(parent, name, 0) == 0)
        return fsync(parent) ? fs_error("sync folder") : OK;
    return errno == ENOENT || errno == EISDIR ? OK : fs_error("delete");
}

static Err delete_one(Blob *b, const char *key)
{
    const Fs *fs = (const Fs *)b;

    TRY(remove_object(fs, key));
    remove_empty_folders(fs, key);
    return OK;
}

static Slice folder_of(const char *key)
{
    const char *slash = strrchr(key, '/');

    return slice_of(key, slash ? (size_t)(slash - key) : 0);
}

/* All of one folder, `count` of them: one sync. */
static Err delete_of_folder(const Fs *fs, const BlobListItem *items, size_t count)
{
    CLEANUP(fs_close_at) int parent = -1;
    const char *name;
    Err e = fs_open_parent(fs, items[0].key, false, &parent, &name);

    if (err_failed(e))
        return e.reason == &NOT_FOUND ? OK : e;
    for (size_t i = 0; i < count; i++) {
        const char *slash = strrchr(items[i].key, '/');
        if (unlinkat(parent, slash ? slash + 1 : items[i].key, 0) && errno != ENOENT)
            return fs_error("delete");
    }
    if (fsync(parent))
        return fs_error("sync folder");
    remove_empty_folders(fs, items[0].key);
    return OK;
}

static Err delete_all(Blob *b, const BlobListItem *items, size_t count)
{
    size_t begin = 0;

    for (size_t i = 1; i <= count; i++) {
        if (i < count && slice_eq(folder_of(items[i].key), folder_of(items[begin].key)))
            continue;
        TRY(delete_of_folder((const Fs *)b, items + begin, i - begin));
        begin = i;
    }
    return OK;
}

/* Where a second name is not to be had: too many there are, or the file system has none. */
static Err copy_bytes(Blob *b, const char *from, const char *to, bool only_if_absent)
{
    BlobInfo info;
    BlobPut put = {.key = to, .length = BLOB_UNKNOWN, .only_if_absent = only_if_absent};

    TRY(fs_stat(b, from, &info));
    put.content_type = info.content_type;
    return blob_concat(b, &put, &from, 1, &info);
}

static Err copy(Blob *b, const char *from, const char *to, bool only_if_absent)
{
    const Fs *fs = (const Fs *)b;
    CLEANUP(fs_close_at) int parent = -1;
    char staged[BLOB_UPLOAD_ID_BYTES];
    const char *name;
    BlobInfo info;
    int failed, tries = 0;
    Err e;

    TRY(fs_stat(b, from, &info)); /* an object, and no folder */
    TRY(fs_open_parent(fs, from, false, &parent, &name));
    fs_random_name(staged);
    do /* a file that is replaced right now is not there either, to linkat */
        failed = linkat(parent, name, fs->staging, staged, 0);
    while (failed && errno == ENOENT && ++tries < FS_RACE_TRIES);
    if (failed) {
        if (errno == EMLINK || errno == EPERM || errno == EOPNOTSUPP)
            return copy_bytes(b, from, to, only_if_absent);
        return look_error("copy");
    }
    e = fs_publish(fs, fs->staging, staged, to, only_if_absent);
    if (err_failed(e))
        (void)unlinkat(fs->staging, staged, 0);
    return e;
}

/* ---------------------------------------------------------------------------------------------------- writers, readers
 */

typedef struct FsWriter {
    BlobWriter base; /* first */
    FsFile file;
    char name[BLOB_UPLOAD_ID_BYTES];
} FsWriter;

static Err writer_new(Blob *b, const BlobPut *put, BlobWriter **out)
{
    Fs *fs = (Fs *)b;
    FsWriter *w;
    char name[BLOB_UPLOAD_ID_BYTES];
    int fd;

    TRY(fs_guard(fs, put->length == BLOB_UNKNOWN ? 0 : put->length));
    fs_random_name(name);
    fd = openat(fs->staging, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return fs_error("make file");
    (void)flock(fd, LOCK_EX | LOCK_NB); /* nobody else knows it yet; the sweep asks for it */
    w = xcalloc(1, sizeof(*w));
    w->file = (FsFile){.fs = fs, .fd = fd};
    memcpy(w->name, name, sizeof(name));
    *out = &w->base;
    return OK;
}

static Err writer_write(BlobWriter *base, Slice piece)
{
    return fs_file_write(&((FsWriter *)base)->file, piece);
}

static Err writer_commit(BlobWriter *base, const char *sha256, BlobInfo *out)
{
    FsWriter *w = (FsWriter *)base;
    Fs *fs = w->file.fs;

    TRY(fs_file_describe(&w->file, sha256, base->put.content_type));
    TRY(fs_file_sync(&w->file));
    TRY(fs_publish(fs, fs->staging, w->name, base->put.key, base->put.only_if_absent));
    w->name[0] = '\0';
    return fs_info(w->file.fd, out);
}

static void writer_free(BlobWriter *base)
{
    FsWriter *w = (FsWriter *)base;

    if (w->name[0])
        (void)unlinkat(w->file.fs->staging, w->name, 0); /* else the sweep takes it */
    fs_close_at(&w->file.fd);
    free(w);
}

typedef struct FsReader {
    BlobReader base; /* first */
    int fd;
} FsReader;

static Err reader_new(Blob *b, const char *key, BlobReader **out)
{
    FsReader *r;
    BlobInfo info;
    int fd;

    TRY(open_object((const Fs *)b, key, &fd, &info));
    r = xcalloc(1, sizeof(*r));
    r->fd = fd;
    r->base.info = info;
    *out = &r->base;
    return OK;
}

static Err reader_read(BlobReader *base, void *bytes, size_t max_bytes, size_t *out_len)
{
    for (;;) {
        ssize_t got = pread(((FsReader *)base)->fd, bytes, max_bytes, (off_t)base->at);
        if (got > 0) {
            *out_len = (size_t)got;
            return OK;
        }
        if (got == 0) /* nobody shortens files of ours */
            return err_make(&UNAVAILABLE, "object: shorter than it was");
        if (errno != EINTR)
            return fs_error("read");
    }
}

static int reader_fd(const BlobReader *base)
{
    return ((const FsReader *)base)->fd;
}

static void reader_free(BlobReader *base)
{
    fs_close_at(&((FsReader *)base)->fd);
    free(base);
}

/* ---------------------------------------------------------------------------------------------------- the store */

static Err check(Blob *b)
{
    const Fs *fs = (const Fs *)b;
    char name[BLOB_UPLOAD_ID_BYTES];
    int fd;

    TRY(fs_guard(fs, 1));
    fs_random_name(name);
    fd = openat(fs->staging, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return err_wrap(fs_error("make file"), "BLOB_DIR");
    (void)close(fd);
    return unlinkat(fs->staging, name, 0) ? err_wrap(fs_error("remove file"), "BLOB_DIR") : OK;
}

static void close_store(Blob *b)
{
    Fs *fs = (Fs *)b;

    fs_close_at(&fs->uploads);
    fs_close_at(&fs->staging);
    fs_close_at(&fs->objects);
    fs_close_at(&fs->root);
    free(fs);
}

static const BlobDriver FS_DRIVER = {
    .name = "fs",
    .check = check,
    .close = close_store,
    .stat = fs_stat,
    .delete = delete_one,
    .copy = copy,
    .list = fs_list,
    .delete_all = delete_all,
    .writer_new = writer_new,
    .writer_write = writer_write,
    .writer_commit = writer_commit,
    .writer_free = writer_free,
    .reader_new = reader_new,
    .reader_read = reader_read,
    .reader_fd = reader_fd,
    .reader_free = reader_free,
    .upload_create = fs_upload_create,
    .upload_stat = fs_upload_stat,
    .upload_open = fs_upload_open,
    .upload_append = fs_upload_append,
    .upload_flush = fs_upload_flush,
    .upload_rollback = fs_upload_rollback,
    .upload_complete = fs_upload_complete,
    .upload_free = fs_upload_free,
    .upload_forget = fs_upload_forget,
    .upload_list = fs_upload_list,
    .sweep = fs_sweep,
};

static Err open_subfolder(int root, const char *name, int *out)
{
    struct stat here, there;

    *out = open_or_make_folder(root, name);
    if (*out < 0)
        return err_errno(&INVALID_ARGUMENT, "BLOB_DIR: its folders");
    if (fstat(root, &here) || fstat(*out, &there) || here.st_dev != there.st_dev)
        return err_make(&INVALID_ARGUMENT, "BLOB_DIR: %s is on another file system", name);
    return OK;
}

static Err open_folders(Fs *fs, const char *dir)
{
    if (mkdir(dir, FOLDER_MODE) && errno != EEXIST)
        return err_errno(&INVALID_ARGUMENT, "BLOB_DIR");
    fs->root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fs->root < 0)
        return err_errno(&INVALID_ARGUMENT, "BLOB_DIR");
    TRY(open_subfolder(fs->root, "objects", &fs->objects));
    TRY(open_subfolder(fs->root, "staging", &fs->staging));
    return open_subfolder(fs->root, "uploads", &fs->uploads);
}

Err blob_fs_open(const BlobOptions *options, Blob **out)
{
    Fs *fs = xcalloc(1, sizeof(*fs));
    Err e;

    *fs = (Fs){.base = {.driver = &FS_DRIVER}, .root = -1, .objects = -1, .staging = -1, .uploads = -1};
    fs->min_free_bytes = (uint64_t)MAX(options->min_free_bytes, 0);
    e = open_folders(fs, options->dir);
    if (err_failed(e))
        close_store(&fs->base);
    else
        *out = &fs->base;
    return e;
}
