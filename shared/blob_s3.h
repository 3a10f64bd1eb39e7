/* blob_s3: what the files of the driver `s3` share.
 *
 *   <key>                       an object; x-amz-meta-sha256 has its digest when it was put in one request
 *   .atrium/uploads/<id>        an upload: its record (BlobRecord), and behind it the bytes that fill no part yet
 *
 * An upload's whole parts are parts of a multipart upload, which is begun with the first of them: what stays small is
 * put whole. The record alone says which parts count, so that one request makes a flush: parts beyond are sent again.
 */
#pragma once
#include <curl/curl.h>
#include <pthread.h>

#include "shared/blob_internal.h"
#include "shared/sigv4.h"

enum {
    S3_MIB = 1024 * 1024,
    S3_PART_MIN_BYTES = 8 * S3_MIB,      /* S3 takes 5 and more */
    S3_PART_DEFAULT_BYTES = 16 * S3_MIB, /* of what has no known length: 160 GB in all */
    S3_PART_MAX_BYTES = 64 * S3_MIB,     /* a part is in memory: 640 GB in all */
    S3_CONNECTIONS_IDLE = 32,            /* that are kept; in use: as many as there are calls */
    S3_CONNECT_MS = 5000,
    S3_CHECK_MS = 5000,
    S3_POLL_MS = 250, /* how soon a stop is noticed */
    S3_TRIES = 4,
    S3_BACKOFF_FIRST_MS = 100,
    S3_REPLY_MAX_BYTES = 4 * S3_MIB, /* of a page of keys, or of parts */
    S3_REPLY_HEADERS_MAX = 64,
    S3_REPLY_HEADERS_MAX_BYTES = 32 * 1024,
    S3_READ_BUFFER_BYTES = 256 * 1024,
    S3_XML_ROWS_MAX = 1000,
    S3_XML_FIELDS_MAX = 16, /* of a row, and of the whole */
    S3_XML_DEPTH_MAX = 8,
    S3_XML_VALUE_MAX_BYTES = 4096,
    S3_ORPHANS_MAX = 100000 /* uploads that a sweep compares with */
};
#define S3_UPLOADS ".atrium/uploads/"

typedef struct S3Sitting {
    struct S3Sitting *next;
    char id[BLOB_UPLOAD_ID_BYTES];
} S3Sitting;

/* One easy handle in its own multi handle, which has the connections: a transfer may be left and taken up again. */
typedef struct S3Connection {
    CURLM *multi;
    CURL *easy;
} S3Connection;

typedef struct S3 {
    Blob base;        /* first */
    char *url, *host; /* "http://127.0.0.1:9000", "127.0.0.1:9000" */
    char *public_url, *public_host;
    char *access_key, *secret_key, *bucket, *region;
    atomic_bool stopped;
    pthread_mutex_t lock; /* of what follows */
    S3Connection idle[S3_CONNECTIONS_IDLE];
    size_t idle_count;
    S3Sitting *sittings;
} S3;

typedef struct S3Call {
    const char *method;
    const char *key; /* NULL: the bucket itself */
    const SigV4Pair *query;
    size_t query_count;
    const SigV4Pair *headers; /* beside those of every request; signed. At most 8 */
    size_t header_count;
    Slice body;
    const char *body_sha256; /* NULL: computed */
    int tries;               /* 0: S3_TRIES */
    int64_t timeout_ms;      /* for all of it; 0: none but the stall */
} S3Call;

typedef struct S3Reply {
    int status;
    int tries; /* it took */
    Slice body;
    const SigV4Pair *headers; /* names in lower case */
    size_t header_count;
} S3Reply;

/* blob_s3_http.c. A success is 2xx; other answers are errors, by the store's own code:
 * NOT_FOUND; CONFLICT (412, 409 of conditions); INVALID_BODY (parts); INSUFFICIENT_STORAGE; UNAVAILABLE after the
 * tries; INTERNAL. `out` is borrowed from `mem`. */
Err s3_call(S3 *s3, Arena *mem, const S3Call *call, S3Reply *out) MUST_CHECK;
const char *s3_header(const S3Reply *reply, const char *name); /* "" when it is not there */
/* The reason of an error answer; `body` may be empty. */
Err s3_error(int status, Slice body) MUST_CHECK;
void s3_connections_free(S3 *s3);

/* A GET whose body is pulled. */
typedef struct S3Stream S3Stream;
/* `etag` (in quotes) must still match: NOT_FOUND else. `length` is at least 1. Sends nothing yet. */
S3Stream *s3_stream_new(S3 *s3, const char *key, const char *etag, uint64_t offset, uint64_t length);
Err s3_stream_read(S3Stream *s, void *bytes, size_t max_bytes, size_t *out_len) MUST_CHECK; /* never 0 bytes */
void s3_stream_free(S3Stream *s);

/* blob_s3_xml.c. Answers are shallow: a root with fields, and rows with fields. Elements with a given name below the
 * root are rows; what is deeper in them is left out. Borrowed from `mem`. */
typedef struct S3Field {
    const char *name;
    const char *value;
} S3Field;
typedef struct S3Row {
    S3Field fields[S3_XML_FIELDS_MAX];
    size_t count;
} S3Row;
typedef struct S3Xml {
    const char *root;
    S3Row top;
    S3Row *rows;
    size_t count;
} S3Xml;
bool s3_xml_parse(Arena *mem, Slice text, const char *row, S3Xml *out);
const char *s3_xml_get(const S3Row *row, const char *name); /* "" when it is not there */
uint64_t s3_xml_number(const S3Row *row, const char *name); /* 0 when it is none */
int64_t s3_xml_time_ms(const S3Row *row, const char *name);

/* blob_s3.c */
Err s3_stat(Blob *b, const char *key, BlobInfo *out) MUST_CHECK;
/* What was made is answered from the answer, not asked for: another one may have deleted it by then. */
Err s3_put_whole(S3 *s3, const char *key, const char *content_type, const char *sha256, bool only_if_absent,
                 Slice bytes, BlobInfo *out) MUST_CHECK;
Err s3_made(const S3Reply *reply, const char *etag, const char *content_type, uint64_t size, BlobInfo *out) MUST_CHECK;
Err s3_list_page(S3 *s3, Arena *mem, const char *prefix, const char *after, size_t max, S3Xml *out) MUST_CHECK;
Err s3_get_head(S3 *s3, Arena *mem, const char *key, size_t max_bytes, S3Reply *out) MUST_CHECK;

/* Multipart uploads, blob_s3_upload.c. */
Err s3_multipart_begin(S3 *s3, const char *key, const char *content_type, char *out_id, size_t out_bytes) MUST_CHECK;
Err s3_multipart_put(S3 *s3, const char *key, const char *id, uint64_t number, Slice bytes) MUST_CHECK;
/* The parts 1 to `count` as they are in the store, which together have `size` bytes. */
Err s3_multipart_end(S3 *s3, const char *key, const char *id, uint64_t count, uint64_t size, bool only_if_absent,
                     const char *content_type, BlobInfo *out) MUST_CHECK;
Err s3_multipart_abort(S3 *s3, const char *key, const char *id) MUST_CHECK;
/* Zero: too long for parts that fit into memory. */
uint64_t s3_part_bytes(uint64_t length, uint64_t max_bytes);

/* Collects bytes until a part is full. */
typedef struct S3Part {
    char *bytes;
    size_t len, cap;
} S3Part;
/* As much of `piece` as fits; returns how much. */
size_t s3_part_add(S3Part *p, Slice piece, size_t part_bytes);

Err s3_upload_create(Blob *b, const char *id, uint64_t length, BlobRecord *r) MUST_CHECK;
Err s3_upload_stat(Blob *b, const char *id, BlobUploadStat *out) MUST_CHECK;
Err s3_upload_open(Blob *b, const char *id, BlobUpload **out) MUST_CHECK;
Err s3_upload_append(BlobUpload *u, Slice piece) MUST_CHECK;
Err s3_upload_flush(BlobUpload *u) MUST_CHECK;
Err s3_upload_rollback(BlobUpload *u) MUST_CHECK;
Err s3_upload_complete(BlobUpload *u, const char *sha256, bool only_if_absent, BlobInfo *out) MUST_CHECK;
void s3_upload_free(BlobUpload *u);
Err s3_upload_forget(Blob *b, const char *id) MUST_CHECK;
Err s3_upload_list(Blob *b, Arena *mem, int64_t before_ms, const char *after_id, size_t limit, BlobStale **out,
                   size_t *out_count) MUST_CHECK;
Err s3_sweep(Blob *b, int64_t before_ms, size_t *out_count) MUST_CHECK;
Err s3_upload_parts(Blob *b, Arena *mem, const char *id, BlobPart **out, size_t *out_count) MUST_CHECK;
Err s3_complete_parts(Blob *b, const char *id, const BlobPart *parts, size_t count, BlobInfo *out) MUST_CHECK;
/* The multipart upload of `id`, begun if need be. `out_key` and `out_id` are borrowed from `mem`. */
Err s3_upload_for_parts(S3 *s3, Arena *mem, const char *id, const char **out_key, const char **out_id) MUST_CHECK;
