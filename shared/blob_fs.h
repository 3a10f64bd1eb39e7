/* blob_fs: what the files of the driver `fs` share.
 *
 *   <dir>/objects/<key>           an object; its key is its path, so that a person finds it
 *   <dir>/staging/<id>            what a writer has so far
 *   <dir>/uploads/<id>            what an upload has so far; locked by the sitting that lasts
 *   <dir>/uploads/<id>.record     how much of it is durable (BlobRecord); alone: it became an object
 *
 * All on one file system, so that a rename makes an object. Folders are opened segment by segment without following
 * links: a key cannot lead out, whatever someone put below. */
#pragma once
#include "shared/blob_internal.h"

typedef struct Fs {
    Blob base; /* first */
    int root, objects, staging, uploads;
    uint64_t min_free_bytes;
} Fs;

enum {
    FS_GUARD_BYTES = 64 * 1024 * 1024,    /* how often free space is looked at */
    FS_WRITEBACK_BYTES = 8 * 1024 * 1024, /* how much is dirty before it is sent to the disk */
    FS_RACE_TRIES = 8                     /* of making folders while others remove them for being empty */
};

/* A file under construction. */
typedef struct FsFile {
    Fs *fs;
    int fd;
    uint64_t size, guarded; /* bytes; up to where free space was looked at */
} FsFile;
/* Appends, with the guard on free space; starts writing back, so that the sync at the end is short. */
Err fs_file_write(FsFile *f, Slice piece) MUST_CHECK;
Err fs_file_sync(const FsFile *f) MUST_CHECK;
/* Digest and type, beside the content in the same inode. A file system without extended attributes keeps neither. */
Err fs_file_describe(const FsFile *f, const char *sha256, const char *content_type) MUST_CHECK;

/* Would `more` bytes leave enough free? */
Err fs_guard(const Fs *fs, uint64_t more) MUST_CHECK;
/* The folder that holds `key` and the name in it, borrowed from `key`; with `make`, missing ones are made, durable. */
Err fs_open_parent(const Fs *fs, const char *key, bool make, int *out_fd, const char **out_name) MUST_CHECK;
/* `folder`/`name` becomes the object, durable. `folder` is staging or uploads. CONFLICT leaves it where it is. */
Err fs_publish(const Fs *fs, int folder, const char *name, const char *key, bool only_if_absent) MUST_CHECK;
Err fs_stat(Blob *b, const char *key, BlobInfo *out) MUST_CHECK;
Err fs_info(int fd, BlobInfo *out) MUST_CHECK;
Err fs_list(Blob *b, Arena *mem, const char *prefix, const char *after, size_t limit, BlobList *out) MUST_CHECK;
/* After a failed call: UNAVAILABLE, or NOT_FOUND, INSUFFICIENT_STORAGE, CONFLICT where errno says so. */
Err fs_error(const char *what) MUST_CHECK;
void fs_random_name(char out[BLOB_UPLOAD_ID_BYTES]);
void fs_close_at(int *fd); /* for CLEANUP; -1 is none */
/* Hands a descriptor on and leaves -1 behind, so that its CLEANUP closes nothing. */
static inline int fs_move(int *fd)
{
    int moved = *fd;

    *fd = -1;
    return moved;
}

/* The smallest names of a folder, so that a page needs no memory for the rest of it. */
typedef struct FsNames {
    struct FsName {
        char text[BLOB_SEGMENT_MAX_BYTES + 16]; /* with a folder's slash */
        bool folder;
    } * slots;
    uint16_t *sorted; /* indexes of slots */
    size_t count, max;
} FsNames;
FsNames fs_names_new(size_t max);
void fs_names_done(FsNames *n);
void fs_names_add(FsNames *n, const char *text, bool folder);
/* The `index`th in order. */
static inline const struct FsName *fs_names_at(const FsNames *n, size_t index)
{
    return &n->slots[n->sorted[index]];
}

/* blob_fs_upload.c */
Err fs_upload_create(Blob *b, const char *id, uint64_t length, BlobRecord *r) MUST_CHECK;
Err fs_upload_stat(Blob *b, const char *id, BlobUploadStat *out) MUST_CHECK;
Err fs_upload_open(Blob *b, const char *id, BlobUpload **out) MUST_CHECK;
Err fs_upload_append(BlobUpload *u, Slice piece) MUST_CHECK;
Err fs_upload_flush(BlobUpload *u) MUST_CHECK;
Err fs_upload_rollback(BlobUpload *u) MUST_CHECK;
Err fs_upload_complete(BlobUpload *u, const char *sha256, bool only_if_absent, BlobInfo *out) MUST_CHECK;
void fs_upload_free(BlobUpload *u);
Err fs_upload_forget(Blob *b, const char *id) MUST_CHECK;
Err fs_upload_list(Blob *b, Arena *mem, int64_t before_ms, const char *after_id, size_t limit, BlobStale **out,
                   size_t *out_count) MUST_CHECK;
Err fs_sweep(Blob *b, int64_t before_ms, size_t *out_count) MUST_CHECK;
