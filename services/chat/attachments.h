/* attachments: files that messages carry. The bytes are media items: media takes them in (its rpc UploadAttachment,
 * which asks here first whether its caller may, and tells what came of it) and serves them, at a URL that nobody can
 * guess. Here is which message has which. What no message takes within an hour is given back. */
#pragma once
#include "services/chat/messages.h"

enum {
    FILENAME_MAX_BYTES = 255,
    CONTENT_TYPE_MAX_BYTES = 128,
    ATTACHMENT_PATH_MAX_BYTES = 1024,
    ATTACHMENT_LIFE_MS = 3600 * 1000, /* of one that no message takes */
    ALONE_AFTER_MS = 3000,            /* contracts/chat.md section 12: dialect W */
};

/* As a URL of our own origin; clients put the server's address before it. */
char *attachment_url(Request *rq, const char *path);

/* For `message`, which is about to be posted: those with these ids, or, when there are none, what its author has
 * brought to the channel lately. Fills its list. INVALID_ATTACHMENT: one of them is not the author's, not of this
 * channel, or of another message. Under the channel's lock. */
Err attachments_claim(DbTx *tx, Request *rq, const int64_t *ids, size_t count, Chat__V1__Message *message) MUST_CHECK;
/* Of messages that are deleted: media is told. */
Err attachments_release(DbTx *tx, Request *rq, const int64_t *message_ids, size_t count) MUST_CHECK;
/* Nobody needs these items any more: media is told. */
Err attachments_announce_released(DbTx *tx, Request *rq, const Uuid *items, size_t count) MUST_CHECK;
