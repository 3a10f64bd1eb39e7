/* attachments: what chat tells of them. */
#pragma once
#include "services/media/media.h"

typedef struct AttachmentEvents {
    const Media *media;
    Db *db;
    const Clock *clock;
    Log *log;
} AttachmentEvents;
#define ATTACHMENT_EVENTS_STREAM "EVT_CHAT"
#define ATTACHMENT_EVENTS_FILTER "evt.chat.attachment.released.*"
#define ATTACHMENT_EVENTS_DURABLE "media-chat-attachments"
/* An EventHandler (outbox.h); `context` is an AttachmentEvents. An item that no message has any more is purged; one
 * that is no attachment is left alone, whatever is said of it. */
Err attachment_events_take(void *context, Arena *mem, const Event *event) MUST_CHECK;
