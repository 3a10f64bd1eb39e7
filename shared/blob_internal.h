/* blob_internal: what blob.c and its drivers share. blob.c checks what callers say, counts, hashes and compares; a
 * driver puts bytes somewhere. */
#pragma once
#include <stdatomic.h>

#include "shared/blob.h"
#include "shared/sha256.h"

enum {
    BLOB_COPY_BYTES = 256 * 1024,             /* of the buffers that copy */
    BLOB_CHECKPOINT_BYTES = 64 * 1024 * 1024, /* what an upload may lose at most, when nobody flushes */
    BLOB_UPLOAD_ID_BYTES = 33,                /* 32 digits of hex */
    BLOB_RECORD_MAX_BYTES = 4096              /* of an upload's record */
};
#define BLOB_TYPE_FALLBACK "application/octet-stream"

/* What the store knows of an upload, durable beside its bytes: written at creation and with each flush. */
typedef struct BlobRecord {
    char key[BLOB_KEY_MAX_BYTES + 1];
    char content_type[BLOB_TYPE_MAX_BYTES + 1];
    uint64_t max_bytes;
    uint64_t offset;
    Sha256 sha;
    /* s3 */
    char upload_id[1025]; /* "" with fs */
    uint64_t part_bytes;
    uint64_t parts; /* whole ones; behind them, up to `offset`, the tail */
    uint64_t created_ms;
    uint64_t complete; /* s3: 1 once it became an object */
} BlobRecord;
/* Text lines, ended by an empty one; `out_len` bytes of at most BLOB_RECORD_MAX_BYTES. */
size_t blob_record_format(const BlobRecord *r, char out[BLOB_RECORD_MAX_BYTES]);
/* `*out_len`: where the record ends and other bytes may begin. False: damaged, or of another version. */
bool blob_record_parse(Slice text, BlobRecord *out, size_t *out_len);

struct BlobWriter {
    Blob *store;
    BlobPut put; /* its texts are the writer's own */
    Sha256 sha;
    uint64_t written;
    bool failed, committed;
};

struct BlobReader {
    Blob *store;
    char *key;
    BlobInfo info;
    uint64_t at, end; /* what is still to be read */
};

struct BlobUpload {
    Blob *store;
    char id[BLOB_UPLOAD_ID_BYTES];
    BlobRecord durable; /* as it is in the store */
    Sha256 sha;         /* with what was appended since */
    uint64_t offset;
    bool held, failed, complete;
};

/* A driver's functions get checked arguments. Its writers, readers and uploads begin with the structs above, whose
 * fields blob.c fills and frees; `new` and `open` allocate the whole, `free` releases it. */
typedef struct BlobDriver {
    const char *name;
    bool presigns;
    Err (*check)(Blob *b);
    void (*stop)(Blob *b);
    void (*close)(Blob *b);
    Err (*stat)(Blob *b, const char *key, BlobInfo *out);
    Err (*delete)(Blob *b, const char *key);
    Err (*copy)(Blob *b, const char *from, const char *to, bool only_if_absent);
    Err (*list)(Blob *b, Arena *mem, const char *prefix, const char *after, size_t limit, BlobList *out);
    Err (*delete_all)(Blob *b, const BlobListItem *items, size_t count);

    Err (*writer_new)(Blob *b, const BlobPut *put, BlobWriter **out);
    Err (*writer_write)(BlobWriter *w, Slice piece);
    Err (*writer_commit)(BlobWriter *w, const char *sha256, BlobInfo *out);
    void (*writer_free)(BlobWriter *w);

    Err (*reader_new)(Blob *b, const char *key, BlobReader **out);
    void (*reader_range)(BlobReader *r); /* at and end were set; NULL: nothing to do */
    Err (*reader_read)(BlobReader *r, void *bytes, size_t max_bytes, size_t *out_len);
    int (*reader_fd)(const BlobReader *r);
    void (*reader_free)(BlobReader *r);

    /* Makes what `r` describes; sets what the driver needs in it. */
    Err (*upload_create)(Blob *b, const char *id, uint64_t length, BlobRecord *r);
    Err (*upload_stat)(Blob *b, const char *id, BlobUploadStat *out);
    Err (*upload_open)(Blob *b, const char *id, BlobUpload **out);
    Err (*upload_append)(BlobUpload *u, Slice piece);
    /* Makes offset and sha of `u` durable. */
    Err (*upload_flush)(BlobUpload *u);
    Err (*upload_rollback)(BlobUpload *u);
    Err (*upload_complete)(BlobUpload *u, const char *sha256, bool only_if_absent, BlobInfo *out);
    void (*upload_free)(BlobUpload *u);
    Err (*upload_forget)(Blob *b, const char *id);
    Err (*upload_list)(Blob *b, Arena *mem, int64_t before_ms, const char *after_id, size_t limit, BlobStale **out,
                       size_t *out_count);
    Err (*sweep)(Blob *b, int64_t before_ms, size_t *out_count);

    /* Only where `presigns`. */
    Err (*presign)(Blob *b, Arena *mem, const BlobPresign *what, BlobSigned *out);
    Err (*presign_part)(Blob *b, Arena *mem, const char *id, int number, uint64_t length, const char *sha256,
                        int64_t expires_s, BlobSigned *out);
    Err (*upload_parts)(Blob *b, Arena *mem, const char *id, BlobPart **out, size_t *out_count);
    Err (*complete_parts)(Blob *b, const char *id, const BlobPart *parts, size_t count, BlobInfo *out);
} BlobDriver;

struct Blob {
    const BlobDriver *driver;
    const Clock *clock;
    Log *log;
};

Err blob_fs_open(const BlobOptions *options, Blob **out) MUST_CHECK;
Err blob_s3_open(const BlobOptions *options, Blob **out) MUST_CHECK;
Err blob_s3_check_options(const BlobOptions *options) MUST_CHECK;

/* "fs.<id>", the state text of an upload. */
void blob_state_format(const Blob *b, const char *id, char out[BLOB_STATE_BYTES]);
