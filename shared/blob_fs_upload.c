/* Resumable uploads of the driver `fs`: a file that grows, and a record beside it that says how much of it counts. What
 * is behind that, a crash left: it is cut off. The bytes are synced before the record says so, and the record is
 * replaced whole. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "shared/blob_fs.h"

enum { FILE_MODE = 0640, NAME_BYTES = BLOB_UPLOAD_ID_BYTES + 8 };
#define RECORD_SUFFIX ".record"
#define NEW_SUFFIX ".new"

typedef struct FsUpload {
    BlobUpload base; /* first */
    FsFile file;     /* fd is -1 when it is complete */
} FsUpload;

static void name_of(const char *id, const char *suffix, char out[NAME_BYTES])
{
    (void)snprintf(out, NAME_BYTES, "%.*s%s", BLOB_UPLOAD_ID_BYTES - 1, id, suffix);
}

static Err write_whole(int fd, Slice text)
{
    ssize_t put = write(fd, text.ptr, text.len); /* some hundred bytes: a short write is a full disk */

    if (put < 0)
        return fs_error("write record");
    if ((size_t)put < text.len)
        return err_make(&INSUFFICIENT_STORAGE, "write record: cut short");
    return fsync(fd) ? fs_error("sync record") : OK;
}

static Err write_record(const Fs *fs, const char *id, const BlobRecord *r)
{
    char text[BLOB_RECORD_MAX_BYTES], fresh[NAME_BYTES], name[NAME_BYTES];
    size_t len = blob_record_format(r, text);
    CLEANUP(fs_close_at) int fd = -1;

    name_of(id, NEW_SUFFIX, fresh);
    name_of(id, RECORD_SUFFIX, name);
    fd = openat(fs->uploads, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return fs_error("make record");
    TRY(write_whole(fd, slice_of(text, len)));
    if (renameat(fs->uploads, fresh, fs->uploads, name))
        return fs_error("replace record");
    return fsync(fs->uploads) ? fs_error("sync folder") : OK;
}

static Err read_record(const Fs *fs, const char *id, BlobRecord *out, int64_t *out_touched_ms)
{
    char text[BLOB_RECORD_MAX_BYTES], name[NAME_BYTES];
    CLEANUP(fs_close_at) int fd = -1;
    struct stat st;
    ssize_t got;
    size_t len;

    name_of(id, RECORD_SUFFIX, name);
    fd = openat(fs->uploads, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fs_error("upload");
    got = read(fd, text, sizeof(text));
    if (got < 0 || fstat(fd, &st))
        return fs_error("read record");
    if (!blob_record_parse(slice_of(text, (size_t)got), out, &len))
        return err_make(&INTERNAL, "upload: its record is damaged");
    if (out_touched_ms)
        *out_touched_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    return OK;
}

Err fs_upload_create(Blob *b, const char *id, uint64_t length, BlobRecord *r)
{
    const Fs *fs = (const Fs *)b;
    CLEANUP(fs_close_at) int fd = -1;
    Err e;

    TRY(fs_guard(fs, length == BLOB_UNKNOWN ? 0 : length));
    fd = openat(fs->uploads, id, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return fs_error("make file");
    e = write_record(fs, id, r); /* syncs the folder, and with it the name of the file */
    if (err_failed(e))
        (void)unlinkat(fs->uploads, id, 0);
    return e;
}

static bool has_file(const Fs *fs, const char *id)
{
    struct stat st;

    return !fstatat(fs->uploads, id, &st, AT_SYMLINK_NOFOLLOW);
}

Err fs_upload_stat(Blob *b, const char *id, BlobUploadStat *out)
{
    const Fs *fs = (const Fs *)b;
    bool growing = has_file(fs, id); /* first: it may become an object meanwhile, with its record final */
    BlobRecord r;

    TRY(read_record(fs, id, &r, NULL));
    *out = (BlobUploadStat){.offset = r.offset, .complete = !growing};
    return OK;
}

/* `*out_fd` is -1 when there is no file: it became an object, or there never was one. */
static Err lock_file(const Fs *fs, const char *id, int *out_fd)
{
    CLEANUP(fs_close_at) int fd = openat(fs->uploads, id, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    struct stat st;

    *out_fd = -1;
    if (fd < 0)
        return errno == ENOENT ? OK : fs_error("open upload");
    if (flock(fd, LOCK_EX | LOCK_NB))
        return errno == EWOULDBLOCK ? err_make(&CONFLICT, "upload: in use") : fs_error("lock upload");
    /* Who had the lock before us may have made an object of it. */
    if (fstat(fd, &st))
        return fs_error("look at upload");
    if (!has_file(fs, id))
        return OK;
    *out_fd = fs_move(&fd);
    return OK;
}

static Err cut_to(const FsFile *f, uint64_t offset)
{
    struct stat st;

    if (fstat(f->fd, &st))
        return fs_error("look at upload");
    if ((uint64_t)st.st_size < offset)
        return err_make(&INTERNAL, "upload: bytes that were durable are gone");
    return ftruncate(f->fd, (off_t)offset) ? fs_error("cut upload") : OK;
}

Err fs_upload_open(Blob *b, const char *id, BlobUpload **out)
{
    Fs *fs = (Fs *)b;
    FsUpload *u = xcalloc(1, sizeof(*u));
    Err e;

    u->base.store = b;
    u->file = (FsFile){.fs = fs, .fd = -1};
    (void)snprintf(u->base.id, sizeof(u->base.id), "%s", id);
    e = lock_file(fs, id, &u->file.fd);
    if (!err_failed(e))
        e = read_record(fs, id, &u->base.durable, NULL);
    if (!err_failed(e) && u->file.fd >= 0)
        e = cut_to(&u->file, u->base.durable.offset);
    if (err_failed(e)) {
        fs_upload_free(&u->base);
        return e;
    }
    u->base.complete = u->file.fd < 0;
    u->file.size = u->base.durable.offset;
    *out = &u->base;
    return OK;
}

Err fs_upload_append(BlobUpload *base, Slice piece)
{
    return fs_file_write(&((FsUpload *)base)->file, piece);
}

Err fs_upload_flush(BlobUpload *base)
{
    FsUpload *u = (FsUpload *)base;
    BlobRecord r = base->durable;

    TRY(fs_file_sync(&u->file));
    r.offset = base->offset;
    r.sha = base->sha;
    return write_record(u->file.fs, base->id, &r);
}

Err fs_upload_rollback(BlobUpload *base)
{
    FsUpload *u = (FsUpload *)base;

    TRY(cut_to(&u->file, base->durable.offset));
    u->file.size = base->durable.offset;
    return OK;
}

/* It was made before: the same answer, as long as the object is the one that it became. */
static Err answer_again(BlobUpload *base, const char *sha256, BlobInfo *out)
{
    BlobInfo info;

    TRY(fs_stat(base->store, base->durable.key, &info));
    if (info.size_bytes != base->offset || (info.sha256[0] && strcmp(info.sha256, sha256) != 0))
        return err_make(&NOT_FOUND, "upload: its object was replaced");
    *out = info;
    return OK;
}

Err fs_upload_complete(BlobUpload *base, const char *sha256, bool only_if_absent, BlobInfo *out)
{
    FsUpload *u = (FsUpload *)base;
    Fs *fs = u->file.fs;

    if (base->complete)
        return answer_again(base, sha256, out);
    TRY(fs_file_describe(&u->file, sha256, base->durable.content_type));
    TRY(fs_file_sync(&u->file));
    TRY(fs_publish(fs, fs->uploads, base->id, base->durable.key, only_if_absent));
    return fs_info(u->file.fd, out);
}

void fs_upload_free(BlobUpload *base)
{
    fs_close_at(&((FsUpload *)base)->file.fd);
    free(base);
}

static Err remove_name(const Fs *fs, const char *name)
{
    return unlinkat(fs->uploads, name, 0) && errno != ENOENT ? fs_error("remove upload") : OK;
}

/* The record first: bytes without one belong to the sweep, a record without bytes would be a completed upload. */
Err fs_upload_forget(Blob *b, const char *id)
{
    const Fs *fs = (const Fs *)b;
    CLEANUP(fs_close_at) int fd = -1;
    char name[NAME_BYTES];

    TRY(lock_file(fs, id, &fd));
    name_of(id, RECORD_SUFFIX, name);
    TRY(remove_name(fs, name));
    if (fd >= 0)
        TRY(remove_name(fs, id));
    return fsync(fs->uploads) ? fs_error("sync folder") : OK;
}

/* ---------------------------------------------------------------------------------------------------- what is old */

static void close_dir_at(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir);
}

static DIR *read_folder(int folder)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? NULL : fdopendir(fd);
}

/* By the time of the inode's last change: content, or a new name of an old file (a copy that is being made). */
static bool is_older(int folder, const char *name, int64_t before_ms)
{
    struct stat st;

    return !fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode) &&
           (int64_t)st.st_ctim.tv_sec * 1000 + st.st_ctim.tv_nsec / 1000000 < before_ms;
}

static bool has_suffix(const char *name, const char *suffix)
{
    return strlen(name) == BLOB_UPLOAD_ID_BYTES - 1 + strlen(suffix) && slice_ends_with(slice(name), slice(suffix));
}

static Err gather_records(const Fs *fs, int64_t before_ms, const char *after_id, FsNames *names)
{
    CLEANUP(close_dir_at) DIR *dir = read_folder(fs->uploads);
    const struct dirent *entry;

    if (!dir)
        return fs_error("read folder");
    while ((errno = 0, entry = readdir(dir))) {
        char id[BLOB_UPLOAD_ID_BYTES];
        if (!has_suffix(entry->d_name, RECORD_SUFFIX))
            continue;
        (void)snprintf(id, sizeof(id), "%.32s", entry->d_name);
        if (strcmp(id, after_id) > 0 && is_older(fs->uploads, entry->d_name, before_ms))
            fs_names_add(names, id, false);
    }
    return errno ? fs_error("read folder") : OK;
}

Err fs_upload_list(Blob *b, Arena *mem, int64_t before_ms, const char *after_id, size_t limit, BlobStale **out,
                   size_t *out_count)
{
    const Fs *fs = (const Fs *)b;
    CLEANUP(fs_names_done) FsNames names = fs_names_new(limit);
    BlobStale *list = ARENA_ARRAY(mem, BlobStale, limit);

    TRY(gather_records(fs, before_ms, after_id, &names));
    for (size_t i = 0; i < names.count; i++) {
        char state[BLOB_STATE_BYTES];
        BlobRecord r = {.offset = 0}; /* gone meanwhile, or damaged: still something to forget */
        int64_t touched_ms = 0;
        err_ignore(read_record(fs, fs_names_at(&names, i)->text, &r, &touched_ms));
        blob_state_format(b, fs_names_at(&names, i)->text, state);
        list[i] = (BlobStale){arena_strdup(mem, state), r.offset, touched_ms};
    }
    *out = list;
    *out_count = names.count;
    return OK;
}

/* Locked: a writer lives. */
static bool is_in_use(int folder, const char *name)
{
    CLEANUP(fs_close_at) int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
}

static bool is_left_over(const Fs *fs, int folder, const char *name)
{
    char record[NAME_BYTES];
    struct stat st;

    if (folder == fs->staging)
        return true;
    if (has_suffix(name, NEW_SUFFIX))
        return true;
    if (!has_suffix(name, ""))
        return false;
    name_of(name, RECORD_SUFFIX, record);
    return fstatat(fs->uploads, record, &st, AT_SYMLINK_NOFOLLOW) && errno == ENOENT;
}

static Err sweep_folder(const Fs *fs, int folder, int64_t before_ms, size_t *count)
{
    CLEANUP(close_dir_at) DIR *dir = read_folder(folder);
    const struct dirent *entry;

    if (!dir)
        return fs_error("read folder");
    while ((errno = 0, entry = readdir(dir))) {
        if (!is_older(folder, entry->d_name, before_ms) || !is_left_over(fs, folder, entry->d_name) ||
            is_in_use(folder, entry->d_name))
            continue;
        if (unlinkat(folder, entry->d_name, 0) == 0)
            (*count)++;
    }
    return errno ? fs_error("read folder") : OK;
}

Err fs_sweep(Blob *b, int64_t before_ms, size_t *out_count)
{
    const Fs *fs = (const Fs *)b;

    TRY(sweep_folder(fs, fs->staging, before_ms, out_count));
    return sweep_folder(fs, fs->uploads, before_ms, out_count);
}
