/* uploads: what all ways of bringing bytes have in common (put, tus, form, parts). An upload is opened: an item in
 * `uploading`, a row, bytes of the quota set aside. Bytes go to the object store, how is the way's own business. It is
 * finished: the item has its object and waits to be processed. What is neither finished nor heard of any more, is swept
 * away. */
#pragma once
#include "atrium/media/v1/uploads.pb-c.h"
#include "services/media/store_uploads.h"
#include "shared/blob.h"

enum {
    SIGN_TTL_MS = 15 * 60 * 1000,               /* contracts/media.md section 5.1 */
    UPLOAD_LIFE_MAX_MS = 7 * 24 * 3600 * 1000,  /* of a resumable one, however often it is gone on with */
    COMPLETE_UPLOAD_KEEP_MS = 24 * 3600 * 1000, /* a client may ask how far it is when it is over */
    GRANT_STEP_BYTES = 64 * 1024 * 1024,        /* of uploads whose length nobody said */
};
#define UPLOAD_NO_SIZE (-1)

typedef struct UploadWish {
    const char *kind;
    bool partial; /* of a tus concatenation: no item */
    Slice filename;
    const char *content_type, *title; /* "" nothing was said */
    int64_t size_bytes;               /* or UPLOAD_NO_SIZE */
    int64_t part_bytes;               /* of kind "parts"; else 0 */
    Slice sha256;                     /* 32 bytes, or empty */
    int64_t ttl_ms;
    const char *tus_metadata, *tus_concat;
    const char *const *tags;
    size_t tag_count;
    const UploadRow *parts; /* of a tus concatenation: what they had set aside is this one's from now on */
    size_t part_count;
} UploadWish;

/* The wish's texts and sizes: INVALID_ARGUMENT, PAYLOAD_TOO_LARGE. */
Err uploads_check(const Request *rq, const UploadWish *wish) MUST_CHECK;
/* For rq->caller. QUOTA_EXCEEDED. */
Err uploads_open(Request *rq, const UploadWish *wish, UploadRow *out) MUST_CHECK;
/* It may become `up_to` bytes long, or more: u->reserved_bytes says how long. QUOTA_EXCEEDED, PAYLOAD_TOO_LARGE. */
Err uploads_grant(Request *rq, UploadRow *u, int64_t up_to) MUST_CHECK;
/* Its length is known now. The same errors. */
Err uploads_set_size(Request *rq, UploadRow *u, int64_t size_bytes) MUST_CHECK;
Err uploads_touch(Request *rq, UploadRow *u) MUST_CHECK;

/* Its bytes are an object, under u->object_key. The item has it, its type is what the bytes say, and it is queued. May
 * be repeated, by several at a time. `title`: NULL or "" leaves it. NOT_FOUND: the item was deleted meanwhile.
 * CHECKSUM_MISMATCH: not what was said of them; some stores take signed digests and look at none. */
Err uploads_finish(Request *rq, UploadRow *u, const BlobInfo *info, const char *title) MUST_CHECK;
/* The same of a part of a concatenation: it is an object, and nobody's. */
Err uploads_finish_part(Request *rq, UploadRow *u, const BlobInfo *info) MUST_CHECK;
/* Row, item, reserved bytes, and what the store has of it; of complete ones only what is not the item's. */
Err uploads_drop(Request *rq, const UploadRow *u) MUST_CHECK;

/* Of an item that is deleted before it had its bytes: at once, or when who writes to it is through. None is fine. */
Err uploads_drop_of_item(Request *rq, Uuid media_id) MUST_CHECK;
/* All of an account that goes. Stopped anywhere, the next call goes on. CONFLICT: somebody writes still; his login has
 * ended, so that is over within a second. */
Err uploads_drop_of_owner(Request *rq, int64_t owner_id, int64_t *out_count) MUST_CHECK;
/* A transfer came to nothing: no more stays set aside than was said beforehand, or lies in the store. Another transfer
 * of the same upload may have been counting on more; what it brings is granted anew when it is confirmed. */
Err uploads_give_back(Request *rq, const UploadRow *u) MUST_CHECK;

/* What nobody goes on with. Under a lease, now and then. Stops after a bounded number: `*out_more`. */
Err uploads_sweep(Request *rq, bool *out_more) MUST_CHECK;

/* Headers that a client must send along with bytes for the store itself. */
Media__V1__UploadHeader **uploads_headers(Arena *mem, const BlobSigned *what);
/* "/media/upload/put/", kind "put": a URL for this upload, for as long as the caller's login lasts. */
Err uploads_url(Request *rq, const UploadRow *u, const char *path, const char *kind, int64_t expires_ms,
                char **out) MUST_CHECK;
/* The same with a ticket of the caller's own making. */
Err uploads_ticket_url(Request *rq, const char *path, const Ticket *ticket, char **out) MUST_CHECK;
/* An upload of this owner that goes on, by its id. NOT_FOUND. */
Err uploads_of_owner(Request *rq, Slice id, int64_t owner_id, UploadRow *out) MUST_CHECK;
/* The upload that a ticket of this kind is for. NOT_FOUND: there is none any more. */
struct BytesExchange;
Err uploads_of_ticket(struct BytesExchange *x, Slice text, const char *kind, UploadRow *out) MUST_CHECK;
