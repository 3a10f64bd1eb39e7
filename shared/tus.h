/* tus: resumable uploads by the tus protocol, version 1.0.0 (tus.io/protocols/resumable-upload), with its extensions
 * creation, creation-with-upload, creation-defer-length, expiration, checksum, termination and concatenation.
 *
 * The engine: it reads the protocol's headers, keeps one writer at a time, puts bytes into the store's resumable
 * uploads (blob.h) and answers. What an upload is, who may have it and what becomes of it is the service's: its
 * TusRules. Bytes count from when they are durable; how far an upload is, the store alone knows, so that no crash can
 * make the two disagree.
 *
 * A service binds POST and OPTIONS of a path and POST, HEAD, PATCH, DELETE and OPTIONS below it, each to
 *
 *   static Err begin(BytesExchange *x) { return tus_begin(&RULES, x, slice_is_below); }
 *   const BytesHandler media_v1_patch_upload = {begin, tus_data, tus_end, tus_done};
 *
 * POST with X-HTTP-Method-Override is what that says.
 *
 * Answers of the protocol's own are a status with a line of text: 400, 403, 404, 409 (offset), 412 (version), 413, 415,
 * 423 (another writer), 460 (checksum). A rule's failure is answered as any other error of the service. */
#pragma once
#include "shared/blob.h"
#include "shared/bytes.h"

enum {
    TUS_METADATA_MAX_BYTES = 4096, /* of Upload-Metadata */
    TUS_METADATA_KEYS_MAX = 32,
    TUS_KEY_MAX_BYTES = 64,
    TUS_CONCAT_MAX_BYTES = 6144, /* of Upload-Concat: the head of a request is bounded anyhow */
    TUS_CONCAT_PARTS_MAX = 64,
    TUS_DIGEST_MAX_BYTES = 64,
    TUS_LOCK_WAIT_MS = 3000, /* a writer that comes back waits so long for the end of what is left of its last try */
};
#define TUS_UNKNOWN BLOB_UNKNOWN

/* --- headers ----------------------------------------------------------------------------------------------------- */

typedef struct TusPair {
    Slice key, value; /* the value's bytes, whatever they are */
} TusPair;
typedef struct TusMetadata {
    TusPair *pairs;
    size_t count;
} TusMetadata;
/* Upload-Metadata: "filename d29ybGQ=,private". Borrowed from `mem`. INVALID_ARGUMENT: a key that is none or comes
 * twice, no Base64, more than the limits. */
Err tus_read_metadata(Arena *mem, Slice header, TusMetadata *out) MUST_CHECK;
/* Of that key; empty when absent. */
Slice tus_metadata_value(const TusMetadata *metadata, const char *key);

typedef struct TusChecksum {
    const char *algorithm; /* of TUS_CHECKSUM_ALGORITHMS, for libcrypto's names, too; NULL: none was sent */
    uint8_t digest[TUS_DIGEST_MAX_BYTES];
    size_t len;
} TusChecksum;
#define TUS_CHECKSUM_ALGORITHMS "sha1,sha256,sha512,md5"
/* Upload-Checksum: "sha1 Lve95gjOVATpfV8EL5X4nxwjKHE=". INVALID_ARGUMENT: another algorithm, another length. */
Err tus_read_checksum(Arena *mem, Slice header, TusChecksum *out) MUST_CHECK;

typedef struct TusConcat {
    bool partial, final;
    Slice *urls; /* of a final one, as sent: absolute or not */
    size_t count;
} TusConcat;
/* Upload-Concat: "partial" or "final;/files/a /files/b". Borrowed from `mem` and `header`. */
Err tus_read_concat(Arena *mem, Slice header, TusConcat *out) MUST_CHECK;
/* Upload-Length and Upload-Offset: decimal digits alone, up to INT64_MAX. */
bool tus_read_number(Slice header, uint64_t *out);
/* The last segment of a URL's path: what a Location of ours ends with. Empty when there is none. */
Slice tus_url_segment(Slice url);

/* --- what a service says of an upload ------------------------------------------------------------------------------
 */

typedef struct TusUpload {
    const char *url;      /* Location */
    const char *state;    /* of blob_upload_create */
    uint64_t length;      /* TUS_UNKNOWN while it is deferred */
    uint64_t granted;     /* it may grow so far without asking (`grant`); `length`, when that is known */
    const char *metadata; /* Upload-Metadata as it was sent; NULL or "" none */
    const char *concat;   /* Upload-Concat, the same */
    bool partial, final;
    bool complete;      /* it is an object: nothing is appended any more */
    int64_t expires_ms; /* Unix */
    void *own;          /* the service's */
} TusUpload;

typedef struct TusCreation {
    uint64_t length; /* TUS_UNKNOWN: deferred; of a final one the sum of its parts */
    Slice metadata_header, concat_header;
    TusMetadata metadata;
    bool partial;
    const TusUpload *parts; /* of a final one: complete, in order */
    size_t part_count;
} TusCreation;

/* In the exchange's thread, in its Request. None is NULL. `u` is the engine's copy: rules that change something change
 * it there, too. Headers of the service's own (Media-Id) are set by request_set_header. */
typedef struct TusRules {
    Blob *(*blob)(const Request *rq);
    uint64_t (*max_bytes)(const Request *rq); /* of one upload: Tus-Max-Size */
    /* The caller may, the quota has room, it is written down. Of a final one also: its parts were put together, and it
     * is complete. */
    Err (*create)(BytesExchange *x, const TusCreation *what, TusUpload *out);
    /* That of the path. NOT_FOUND: never was, ended, or not for this ticket. */
    Err (*find)(BytesExchange *x, TusUpload *out);
    /* The same for a part of an Upload-Concat, by what tus_url_segment makes of its URL. */
    Err (*find_part)(BytesExchange *x, Slice segment, TusUpload *out);
    /* A sitting begins: this upload is ours alone, whatever the store knows of other instances. CONFLICT: later. */
    Err (*take)(BytesExchange *x, TusUpload *u);
    Err (*check)(BytesExchange *x, TusUpload *u); /* it still is; before bytes become durable */
    void (*leave)(BytesExchange *x, TusUpload *u);
    Err (*set_length)(BytesExchange *x, TusUpload *u, uint64_t length); /* was deferred */
    /* Room for `up_to` bytes in all; writes how much there is now, at least that, into u->granted. */
    Err (*grant)(BytesExchange *x, TusUpload *u, uint64_t up_to);
    /* A sitting ended here, unfinished: it expires later. */
    Err (*touch)(BytesExchange *x, TusUpload *u, uint64_t offset);
    /* All bytes are there and durable: makes it an object (blob_upload_complete) and what else it shall be. May be
     * called again after a crash: the same outcome. */
    Err (*complete)(BytesExchange *x, TusUpload *u, BlobUpload *sitting);
    /* Its bytes are gone already. */
    Err (*remove)(BytesExchange *x, TusUpload *u);
} TusRules;

/* For BytesHandlers. `below` tells the two paths apart: false for the one that creates. */
Err tus_begin(const TusRules *rules, BytesExchange *x, bool below) MUST_CHECK;
Err tus_data(BytesExchange *x, Slice piece) MUST_CHECK;
Err tus_end(BytesExchange *x) MUST_CHECK;
void tus_done(BytesExchange *x);
