/* events: the context that handlers get, the service's limits, and the words of its domain. */
#pragma once
#include "atrium/events/v1/events.atrium.h"
#include "atrium/events/v1/events.pb-c.h"
#include "services/events/context.h"
#include "shared/config.h"
#include "shared/outbox.h"
#include "shared/rpc.h"
#include "shared/webhook.h"
#include "shared/zone.h"

/* Characters are code points. */
enum {
    NAME_MAX_CHARS = 500,
    DESCRIPTION_MAX_CHARS = 10000,
    URL_MAX_BYTES = 2048,
    KEYWORDS_MAX = 100,
    OCCURRENCES_MAX = 1000, /* of one event */
    PAGE_DEFAULT = 50,
    PAGE_MAX = 200,
    QUERY_MAX_CHARS = 200,
    DOC_MAX_BYTES = 1024 * 1024 /* a stored document */
};

typedef struct EventsSettings {
#define SETTING CONFIG_MEMBER
#include "services/events/settings.def"
#undef SETTING
} EventsSettings;

typedef struct BuildFacts {
    const char *version, *commit, *slot;
    int64_t started_us;
} BuildFacts;

/* Made in main.c; read-only while serving. */
typedef struct Events {
    const EventsSettings *settings;
    IdSource *ids;
    BuildFacts build; /* for stats */
    const Contexts *contexts;
    Zones *zones;
    const struct Boundary *boundary; /* where our events are; NULL: anywhere */
    struct Shapes *shapes;           /* of lists (store_list.h) */
    struct Rendered *rendered;       /* documents that were read (rendered.h); may be NULL: none are kept */
    OutboxRelay *outbox;             /* may be NULL: nothing is nudged (tests) */
    struct Feed *feed;               /* the same */
    WebhookKeys *webhook_keys;       /* NULL: there are no webhooks */
    WebhookSender *webhooks;
} Events;

typedef enum EntityKind { ENTITY_EVENT, ENTITY_PLACE, ENTITY_ORGANIZATION } EntityKind;
const char *entity_word(EntityKind kind);       /* "event": in tables and subjects */
const char *entity_collection(EntityKind kind); /* "events": in addresses */
/* The canonical URI: BASE/events/ULID. */
char *entity_uri(Arena *mem, const Events *events, EntityKind kind, Uuid id);
/* The ULID of a URI that entity_uri made; false for any other. */
bool entity_of_uri(const Events *events, EntityKind kind, Slice uri, Uuid *out);

/* Events, places and organisations have one key: a ULID, kept as its 128 bits. */
char *ulid_text(Arena *mem, Uuid id);
bool ulid_parse(Slice text, Uuid *out); /* either case */
Uuid ulid_next(IdSource *ids);
/* Of a path: INVALID_ID with a violation when it is none. */
Err ulid_of_path(Request *rq, const char *text, Uuid *out) MUST_CHECK;

/* Of a closed set. */
bool word_is_among(const char *word, const char *const *words, size_t count);

/* May the caller see what is not public: drafts, what waits for review? */
bool caller_sees_all(const Request *rq);

/* "2026-07-04T20:00:00Z"; a fraction only where there is one. */
char *utc_text(Arena *mem, int64_t unix_us);
