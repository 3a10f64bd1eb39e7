/* media: the context that handlers get, and the service's limits. */
#pragma once
#include "atrium/media/v1/collections.pb-c.h"
#include "atrium/media/v1/events.atrium.h"
#include "atrium/media/v1/events.pb-c.h"
#include "atrium/media/v1/media.atrium.h"
#include "atrium/media/v1/media.pb-c.h"
#include "atrium/media/v1/media.service.h"
#include "atrium/media/v1/processing.pb-c.h"
#include "shared/blob.h"
#include "shared/config.h"
#include "shared/outbox.h"
#include "shared/rpc.h"
#include "shared/ticket.h"
#include "shared/webhook.h"

enum {
    TITLE_MAX_CHARS = 500,
    DESCRIPTION_MAX_CHARS = 5000,
    FILENAME_MAX_CHARS = 255,
    MIME_TYPE_MAX_CHARS = 127,
    TAG_MAX_CHARS = 100,
    TAGS_MAX = 100, /* of an item, and in a request */
    PAGE_SIZE_DEFAULT = 20,
    PAGE_SIZE_MAX = 100,
    SEARCH_MAX_CHARS = 200,
    FILTER_TAGS_MAX = 20,
    COLLECTIONS_MAX = 1000, /* of a user */
    COLLECTION_ITEMS_MAX = 5000,
    DIGESTS_MAX = 1000,
    WATCHERS_MAX = 64,               /* of processings, a thread each; one more is told to come later */
    SHARE_PASSWORD_MAX_BYTES = 1024, /* hashing takes its time with every byte */
    SHARE_ACCESS_MS = 3600000        /* how long a password that was told once opens a collection */
};

typedef struct MediaSettings {
#define SETTING CONFIG_MEMBER
#include "services/media/settings.def"
#undef SETTING
} MediaSettings;

/* Made in main.c; read-only while serving. */
typedef struct Media {
    const MediaSettings *settings;
    IdSource *ids;
    OutboxRelay *outbox; /* may be NULL: nothing is nudged */
    Blob *blob;          /* may be NULL: nothing is taken away (tests) */
    struct Sniffer *sniffer;
    struct Writers *writers; /* may be NULL where nothing is uploaded (tests) */
    struct AccessCache *access;
    struct Watchers *watchers; /* may be NULL where nobody watches (tests) */
    const TicketKeys *tickets; /* sign the URLs of the data plane; may be NULL: nothing plays (tests) */
    const char *bytes_url;     /* which begin with this */
    WebhookKeys *webhook_keys; /* NULL: there are no webhooks */
    WebhookSender *webhooks;   /* the same */
} Media;
