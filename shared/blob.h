/* blob: a store of objects by key. Two drivers behind one interface: `fs`, files in a folder, and `s3`, any store that
 * speaks S3 with signature version 4 (path style). An object is never whole in memory; it appears under its key whole
 * and durable, or not at all; what is under a key is never changed in place, only replaced.
 *
 * A Blob is thread-safe. Writers, readers and uploads belong to one thread at a time. Calls block: on the disk, or on
 * the network for as long as bytes move (BLOB_STALL_MS without any ends a call as UNAVAILABLE; a request that failed is
 * repeated a bounded number of times first). Never from an event loop.
 *
 * Keys: slash-separated UTF-8, such as "original/<user id>/<media id>/<file name>": 1 to BLOB_KEY_MAX_BYTES bytes, at
 * most BLOB_SEGMENTS_MAX segments of 1 to BLOB_SEGMENT_MAX_BYTES bytes, none of them "." or "..", no control
 * characters, and the first does not begin with a dot (that is ours). Others are INVALID_ARGUMENT. No key is the folder
 * of another one: with an object "a/b" there is no "a/b/c" (fs answers CONFLICT; s3 would take it, so do not count on
 * either).
 *
 * Errors of both drivers, beside those that a function names:
 *   NOT_FOUND             there is no such object or upload
 *   UNAVAILABLE           the store cannot be reached or does not answer, the disk fails: the same again may succeed
 *   INSUFFICIENT_STORAGE  less than BLOB_MIN_FREE_BYTES would stay free, or the disk or a quota is full
 *   INTERNAL              the store refuses us (keys, bucket) or answers what nobody understands; the text says which
 * No text holds a secret, a presigned URL or a path of this machine.
 *
 * Digests are SHA-256, in lower-case hex. Both drivers compute them while bytes come in. `fs` keeps digest and content
 * type in extended attributes of the file, so that they change together with the content; a backup must keep those (tar
 * --xattrs, rsync -X), or objects are restored without. `s3` keeps the digest of what was put in one request, not of
 * multipart uploads. Services have digest and type in their own tables; the store's are a help.
 *
 * `fs` and instances: every instance needs the same folder, by a file system that they share, if need be. With one disk
 * per host, one instance; more of them need `s3`. (That two hosts have two disks cannot be seen from here.) */
#pragma once
#include "shared/clock.h"
#include "shared/err.h"
#include "shared/log.h"
#include "shared/slice.h"

enum {
    BLOB_KEY_MAX_BYTES = 700,
    BLOB_SEGMENTS_MAX = 16,
    BLOB_SEGMENT_MAX_BYTES = 240,
    BLOB_TYPE_MAX_BYTES = 255, /* content type; a longer one, or one with control characters, is INVALID_ARGUMENT */
    BLOB_ETAG_MAX_BYTES = 80,
    BLOB_LIST_MAX = 1000,  /* items of a page */
    BLOB_STATE_BYTES = 64, /* of an upload's state text, NUL included */
    BLOB_STALL_MS = 30000,
    BLOB_PRESIGN_MAX_S = 604800, /* as S3 has it */
    BLOB_CONCAT_MAX = 1000,
    BLOB_PARTS_MAX = 10000 /* of an upload, as S3 has it */
};
#define BLOB_UNKNOWN UINT64_MAX /* a length that nobody said */
#define BLOB_TO_END UINT64_MAX

/* ---------------------------------------------------------------------------------------------------- the store */

typedef struct Blob Blob;
typedef struct BlobOptions {
    const char *driver; /* "fs" or "s3" */
    const char *dir;    /* made when it is missing, its parent is not */
    int64_t min_free_bytes;
    const char *s3_endpoint, *s3_public_endpoint, *s3_access_key, *s3_secret_key, *s3_bucket, *s3_region;
    bool s3_use_ssl;
    const Clock *clock; /* NULL: SYSTEM_CLOCK */
    Log *log;           /* may be NULL */
} BlobOptions;
/* Of a settings struct that includes shared/settings_blob.def; clock and log are set beside. */
#define BLOB_OPTIONS(settings)                                                                                         \
    .driver = (settings)->blob_driver, .dir = (settings)->blob_dir, .min_free_bytes = (settings)->blob_min_free_bytes, \
    .s3_endpoint = (settings)->s3_endpoint, .s3_public_endpoint = (settings)->s3_public_endpoint,                      \
    .s3_access_key = (settings)->s3_access_key, .s3_secret_key = (settings)->s3_secret_key,                            \
    .s3_bucket = (settings)->s3_bucket, .s3_region = (settings)->s3_region, .s3_use_ssl = (settings)->s3_use_ssl

/* For a service's check_settings: what is wrong is INVALID_ARGUMENT with the setting's name. Touches nothing. */
Err blob_options_check(const BlobOptions *options) MUST_CHECK;
/* Texts are copied. fs: makes its folders. s3: does not connect, so that a service starts while the store is away; its
 * readiness says so. Owned by the caller. */
Err blob_open(const BlobOptions *options, Blob **out) MUST_CHECK;
/* After all writers, readers and uploads are gone. NULL is fine. */
void blob_close(Blob *b);
CLEANUP_FN(Blob, blob_close)
/* Shutdown: transfers with the network end within a second, as UNAVAILABLE; so do later ones. */
void blob_stop(Blob *b);
/* Readiness: fs: the folder can be written and the guard on free space lets a byte through; s3: the bucket answers to
 * our keys. One try, at most five seconds. */
Err blob_check(Blob *b) MUST_CHECK;
/* fs: false, clients get tickets for our own data plane; s3: true, they may speak to the store itself (blob_presign).
 */
bool blob_presigns(const Blob *b);
bool blob_key_valid(Slice key);

typedef struct BlobInfo {
    uint64_t size_bytes;
    int64_t modified_ms;
    char etag[BLOB_ETAG_MAX_BYTES + 1]; /* strong, without its quotes; differs whenever the content does */
    char sha256[65];                    /* "" where the store does not know */
    char content_type[BLOB_TYPE_MAX_BYTES + 1];
} BlobInfo;

Err blob_stat(Blob *b, const char *key, BlobInfo *out) MUST_CHECK;
/* Nothing under that key is fine, too: a delete can be repeated. */
Err blob_delete(Blob *b, const char *key) MUST_CHECK;
/* Replaces what is under `to`. fs: the same file under a second name, at no cost; each is deleted by itself. s3: within
 * the store. CONFLICT with `only_if_absent` when there is something under `to`. */
Err blob_copy(Blob *b, const char *from, const char *to, bool only_if_absent) MUST_CHECK;

typedef struct BlobListItem {
    const char *key;
    uint64_t size_bytes;
    int64_t modified_ms;
} BlobListItem;
typedef struct BlobList {
    BlobListItem *items;
    size_t count;
    const char *next; /* `after` of the next page; NULL at the end */
} BlobList;
/* Objects whose keys begin with `prefix` ("" is all; "a/b" also finds "a/bc"), in the order of the keys' bytes, those
 * behind `after` (NULL or "": from the start); 1 to BLOB_LIST_MAX of them. What is put or deleted meanwhile may be in
 * it or not; the rest is there exactly once. Borrowed from `mem`. */
Err blob_list(Blob *b, Arena *mem, const char *prefix, const char *after, size_t limit, BlobList *out) MUST_CHECK;
/* Deletes up to `limit` objects below `prefix`, which ends with a slash; `*out_more`: call again. For trash and
 * erasure: stopped anywhere, the same call goes on. */
Err blob_delete_prefix(Blob *b, const char *prefix, size_t limit, bool *out_more) MUST_CHECK;

/* ---------------------------------------------------------------------------------------------------- putting */

typedef struct BlobPut {
    const char *key;
    const char *content_type; /* NULL or "": application/octet-stream */
    uint64_t length;          /* BLOB_UNKNOWN, or what must come: less is INVALID_BODY, more PAYLOAD_TOO_LARGE */
    uint64_t max_bytes;       /* more is PAYLOAD_TOO_LARGE; 0: as much as there is room for */
    const char *sha256;       /* NULL, or what must come out: else CHECKSUM_MISMATCH */
    /* CONFLICT at the commit when there is an object by then (s3: as sure as the store makes If-None-Match). */
    bool only_if_absent;
} BlobPut;

/* A streamed put. What is not committed leaves nothing behind, and what a crash leaves blob_sweep takes away.
 *   CLEANUP(blob_writer_free_at) BlobWriter *w = NULL;
 *   TRY(blob_writer_new(b, &put, &w));  … TRY(blob_writer_write(w, piece)); …  TRY(blob_writer_commit(w, &info)); */
typedef struct BlobWriter BlobWriter;
/* The texts of `put` are copied. INSUFFICIENT_STORAGE already here when `length` says so. */
Err blob_writer_new(Blob *b, const BlobPut *put, BlobWriter **out) MUST_CHECK;
/* The limit holds while bytes arrive: a piece that goes beyond is refused whole. After a failure only free. */
Err blob_writer_write(BlobWriter *w, Slice piece) MUST_CHECK;
uint64_t blob_writer_written(const BlobWriter *w);
/* Length and digest are compared, then the object is under its key, durable. Once; then only free. */
Err blob_writer_commit(BlobWriter *w, BlobInfo *out) MUST_CHECK;
void blob_writer_free(BlobWriter *w);
CLEANUP_FN(BlobWriter, blob_writer_free)

/* For what is in memory anyhow: playlists, pictures. `length` and `max_bytes` of `put` are not looked at. */
Err blob_put_bytes(Blob *b, const BlobPut *put, Slice bytes, BlobInfo *out) MUST_CHECK;
/* The whole local file, as it is at the call; `length` must fit or be BLOB_UNKNOWN. NOT_FOUND: no such file. */
Err blob_put_file(Blob *b, const BlobPut *put, const char *path, BlobInfo *out) MUST_CHECK;
/* The content of all `from`, one behind the other, as one object; `from` stays. Costs a read and a write of all of it.
 */
Err blob_concat(Blob *b, const BlobPut *put, const char *const *from, size_t count, BlobInfo *out) MUST_CHECK;

/* ---------------------------------------------------------------------------------------------------- getting */

/* A reader has one version of the object: replacing or deleting it meanwhile does not mix contents (s3: a read may then
 * end as NOT_FOUND; fs reads on). */
typedef struct BlobReader BlobReader;
Err blob_reader_new(Blob *b, const char *key, BlobReader **out) MUST_CHECK;
const BlobInfo *blob_reader_info(const BlobReader *r);
/* What to read; without it, all. Also later, and again. Beyond the end is INVALID_ARGUMENT; BLOB_TO_END as a length is
 * the rest. (HTTP's ranges are the caller's business: it knows size_bytes by now.) */
Err blob_reader_range(BlobReader *r, uint64_t offset, uint64_t length) MUST_CHECK;
/* The next bytes of the range, as many as come at once; `*out_len` is 0 at its end only. s3: a broken transfer goes on
 * where it broke, a bounded number of times. */
Err blob_reader_read(BlobReader *r, void *bytes, size_t max_bytes, size_t *out_len) MUST_CHECK;
/* fs: the open file, for sendfile, mmap or a child process; read-only, its position is nobody's. Borrowed: lives as
 * long as `r`; dup it for longer. s3: -1. */
int blob_reader_fd(const BlobReader *r);
void blob_reader_free(BlobReader *r);
CLEANUP_FN(BlobReader, blob_reader_free)

/* All of it, borrowed from `mem`; larger than `max_bytes` is PAYLOAD_TOO_LARGE. `info` may be NULL. */
Err blob_get_bytes(Blob *b, Arena *mem, const char *key, size_t max_bytes, Slice *out, BlobInfo *info) MUST_CHECK;
/* Into a new local file, which must not be there yet (mode 0600; removed again on failure; not synced). fs: a copy
 * within the file system, shared where that is supported; never a second name of the object, which a process could then
 * change. `info` may be NULL. */
Err blob_get_file(Blob *b, const char *key, const char *path, BlobInfo *info) MUST_CHECK;

/* ---------------------------------------------------------------------------------------------------- resumable
 * uploads */

/* An upload takes bytes in any number of sittings, over restarts and crashes, and becomes an object at its end. It is
 * named by a state text, made once at its creation and kept by the caller (in its table); how far it is, the store
 * knows: the durable offset is what survives everything. The digest goes along with it, so that nothing is ever read
 * twice.
 *
 *   blob_upload_create → state → any number of { open, append …, flush, free } → open, complete, free → forget
 *
 * One sitting at a time: a second open is CONFLICT while the first lasts (fs: by a lock on the file, gone with the
 * process, also across hosts on a file system that locks; s3: within this process; across instances the caller's row is
 * the lock). */
typedef struct BlobUpload BlobUpload;
typedef struct BlobUploadOptions {
    const char *key; /* of the object that it will be */
    const char *content_type;
    uint64_t length;    /* BLOB_UNKNOWN, or all of it; s3: decides the size of parts. No need to be right for fs */
    uint64_t max_bytes; /* 0: as much as there is room for (s3: 160 GB when the length is not known) */
} BlobUploadOptions;
/* Durable when it returns. */
Err blob_upload_create(Blob *b, const BlobUploadOptions *options, char out_state[BLOB_STATE_BYTES]) MUST_CHECK;

typedef struct BlobUploadStat {
    uint64_t offset; /* durable */
    bool complete;
} BlobUploadStat;
/* Without a sitting, also while another one has it. A text that is none of ours is INVALID_ARGUMENT (all functions). */
Err blob_upload_stat(Blob *b, const char *state, BlobUploadStat *out) MUST_CHECK;
Err blob_upload_open(Blob *b, const char *state, BlobUpload **out) MUST_CHECK;
/* Where the next byte goes: what is durable and what was appended since. */
uint64_t blob_upload_offset(const BlobUpload *u);
/* PAYLOAD_TOO_LARGE: the piece is refused whole, the upload stays good. After another failure only free: the next open
 * finds what is durable. While much is appended, what came so far is made durable every now and then (64 MiB). */
Err blob_upload_append(BlobUpload *u, Slice piece) MUST_CHECK;
/* From here to the next flush or rollback nothing becomes durable by itself: for pieces that have a checksum of their
 * own. Flushes first. */
Err blob_upload_hold(BlobUpload *u) MUST_CHECK;
/* Everything that was appended is durable. s3: what does not fill a part is written again by the next flush, so once
 * per sitting is the measure. */
Err blob_upload_flush(BlobUpload *u) MUST_CHECK;
/* Back to what is durable; the sitting goes on. */
Err blob_upload_rollback(BlobUpload *u) MUST_CHECK;
/* Flushes; then the object is under its key, as with a writer's commit: `length` (BLOB_UNKNOWN: any) and `sha256`
 * (NULL: any) are compared first, and the upload stays as it is when they differ (INVALID_BODY, CHECKSUM_MISMATCH). May
 * be repeated, after a crash too, with the same answer, until the upload is forgotten. Then only free. */
Err blob_upload_complete(BlobUpload *u, uint64_t length, const char *sha256, bool only_if_absent,
                         BlobInfo *out) MUST_CHECK;
/* Ends the sitting. What was not flushed may be lost or not. */
void blob_upload_free(BlobUpload *u);
CLEANUP_FN(BlobUpload, blob_upload_free)
/* Everything that the store has of this upload goes, but the object that it became stays. Unfinished: that is the
 * abort. What is not there is fine. CONFLICT while a sitting lasts (of this process: end it; of another one: later). */
Err blob_upload_forget(Blob *b, const char *state) MUST_CHECK;

typedef struct BlobStale {
    const char *state;
    uint64_t offset;
    int64_t touched_ms; /* last flush */
} BlobStale;
/* Uploads that nothing was flushed to since `before_ms`, completed ones too, for those who collect: what their tables
 * do not know either, they forget. In the order of their states, behind `after` (NULL: from the start), up to `limit`
 * (1 to BLOB_LIST_MAX) of them; fewer: that was the end. Borrowed from `mem`. */
Err blob_upload_list_stale(Blob *b, Arena *mem, int64_t before_ms, const char *after, size_t limit, BlobStale **out,
                           size_t *out_count) MUST_CHECK;
/* What crashed writers left since before then: files without a name, parts of nothing. `out_count` may be NULL. */
Err blob_sweep(Blob *b, int64_t before_ms, size_t *out_count) MUST_CHECK;

/* ---------------------------------------------------------------------------------------------------- presigned URLs
 */

typedef struct BlobHeader {
    const char *name, *value;
} BlobHeader;
typedef struct BlobPresign {
    const char *method; /* "GET", "HEAD" or "PUT" */
    const char *key;
    int64_t expires_s; /* 1 to BLOB_PRESIGN_MAX_S */
    /* PUT: what is said here is signed: the client must send exactly these headers, or the store refuses. */
    const char *content_type;
    uint64_t length; /* BLOB_UNKNOWN: any */
    const char *sha256;
    bool only_if_absent;
    /* GET: what the answer shall say; NULL is what the object has. */
    const char *response_disposition, *response_type;
} BlobPresign;
typedef struct BlobSigned {
    const char *url;           /* whoever has it may do it: never in a log */
    const BlobHeader *headers; /* that the client must send along, but for Host and Content-Length */
    size_t header_count;
} BlobSigned;
/* Borrowed from `mem`. fs: UNIMPLEMENTED. */
Err blob_presign(Blob *b, Arena *mem, const BlobPresign *what, BlobSigned *out) MUST_CHECK;

/* Parts of an upload that a client sends to the store itself (s3; fs: UNIMPLEMENTED). `number` is 1 to 10000. Such an
 * upload is completed by blob_upload_complete_parts, never opened; forgetting it is its abort. */
Err blob_presign_part(Blob *b, Arena *mem, const char *state, int number, uint64_t length, const char *sha256,
                      int64_t expires_s, BlobSigned *out) MUST_CHECK;
typedef struct BlobPart {
    int number;
    const char *etag; /* with or without quotes */
    uint64_t size_bytes;
} BlobPart;
/* What has arrived, by number. Borrowed from `mem`. */
Err blob_upload_parts(Blob *b, Arena *mem, const char *state, BlobPart **out, size_t *out_count) MUST_CHECK;
/* In ascending order; sizes are not looked at. INVALID_BODY: a part is missing, too small or another one. Nobody knows
 * the digest then. */
Err blob_upload_complete_parts(Blob *b, const char *state, const BlobPart *parts, size_t count,
                               BlobInfo *out) MUST_CHECK;
