/* entity: events, places and organisations as they are kept, and the one way to change them.
 *
 * What is public of an entity stands in its document: JSON by the table of terms, written from a Node, in a column
 * beside what is searched. Whoever changes one does so in a transaction: load (which locks its row), change the struct
 * and its node, save; and calls entity_settled after the commit. A save that changes nothing that can be seen or is
 * kept does nothing. Else it makes a new version: document and card, columns and occurrences, the row of the history,
 * of the change feed and the event on the bus.
 *
 * Locks are taken in the order of ids within a kind, events before places before organisations: who loads several loads
 * them so. Whoever changes a place or an organisation locks no event: documents follow in transactions of their own; a
 * merge locks events before it locks what they name. */
#pragma once
#include "services/events/events.h"
#include "services/events/node.h"

typedef enum Lifecycle {
    LIFECYCLE_DRAFT,
    LIFECYCLE_PENDING_REVIEW,
    LIFECYCLE_PUBLISHED,
    LIFECYCLE_POSTPONED,
    LIFECYCLE_RESCHEDULED,
    LIFECYCLE_SOLD_OUT,
    LIFECYCLE_CANCELLED,
    LIFECYCLE_COMPLETED
} Lifecycle;
const char *lifecycle_word(Lifecycle lifecycle); /* "pending_review" */
bool lifecycle_parse(Slice word, Lifecycle *out);
bool lifecycle_is_public(Lifecycle lifecycle); /* shown to everybody */

/* The eight-hundred-odd kinds of schema.org in seven words: "arts", "music", "culture", "sports", "community",
 * "education", "general". */
bool domain_is_known(Slice word);

typedef enum OccurrenceStatus {
    OCCURRENCE_SCHEDULED,
    OCCURRENCE_CANCELLED,
    OCCURRENCE_POSTPONED,
    OCCURRENCE_RESCHEDULED
} OccurrenceStatus;
const char *occurrence_status_word(OccurrenceStatus status); /* "scheduled" */
bool occurrence_status_parse(Slice word, OccurrenceStatus *out);

/* When and where an event happens. Times are Unix microseconds, 0 for none; texts are never NULL, "" for none. */
typedef struct Occurrence {
    Uuid id; /* nil: it is new */
    int64_t start_us, end_us, door_us;
    const char *timezone; /* IANA */
    Uuid place_id;        /* nil: the event's place, or none when it is online */
    const char *virtual_url, *ticket_url;
    double price_min, price_max; /* NAN: not known */
    const char *price_currency, *availability;
    OccurrenceStatus status;
    int64_t previous_start_us; /* of a rescheduled one */
    int64_t recurrence_us;     /* of one that a series made: where the rule has it */
    bool detached;             /* edited by itself: rule and sources leave it alone */
    int64_t said_us;           /* where its source has it, when it was moved by hand; of a series' also when it was
                                  changed by hand: calendars detach, too */
} Occurrence;

/* It was changed by hand; `before_us`: where it was. Its source is heard of it no more. */
void occurrence_set_edited(Occurrence *o, int64_t before_us);
/* Where its source has it. */
int64_t occurrence_said_us(const Occurrence *o);

/* What all kinds have. */
typedef struct EntityHead {
    Uuid id;         /* nil of a new one: save mints it */
    int64_t version; /* 0: it is new */
    Lifecycle lifecycle;
    /* The public properties, without what is kept beside: of an event location, organizer, subEvent, superEvent, dates,
     * status, attendance mode, license; they are put together by save. Of `mem` of whoever loaded it. */
    Node *node;
    double confidence;          /* 0 to 1 */
    const char *federation_uri; /* "" none: its @id where it comes from; also in sameAs */
    int64_t created_us, updated_us;
    int64_t deleted_us;          /* 0: it is there */
    const char *deletion_reason; /* "" none */
    Uuid superseded_by;          /* nil: nothing */
    struct EntityBefore *before; /* entity's own: as it was loaded */
} EntityHead;

typedef struct EventEntity {
    EntityHead head;
    const char *domain;
    Uuid place_id, organizer_id, series_id; /* nil: none */
    const char *virtual_url, *virtual_name; /* "" none */
    Occurrence *occurrences;                /* by start */
    size_t occurrence_count;
    const char *license_url, *license_status; /* "cc0", "proprietary", "unknown" */
    Slice dedup_hash;                         /* empty: none */
    Uuid origin_node;                         /* nil: here */
    const char *submitter_key;                /* the API key's id; "" none */
    int64_t submitter_user;
    int64_t source_us; /* when its source says that it was last changed; 0 unknown */
    int64_t takedown_us;
    bool status_edited, domain_edited; /* by administration: no submission changes them */
    const char *const *flags;          /* of quality */
    size_t flag_count;
} EventEntity;

typedef struct PlaceEntity {
    EntityHead head;
    const char *timezone; /* IANA; "" not known */
} PlaceEntity;

typedef struct OrganizationEntity {
    EntityHead head;
} OrganizationEntity;

/* Who changes something. */
typedef struct Actor {
    const char *kind; /* "user", "key", "service" */
    const char *id, *name;
} Actor;
Actor actor_of(const Request *rq);     /* its caller */
Actor actor_service(const char *name); /* what we do by ourselves: "housekeeping" */

typedef struct EntityWriter {
    const Events *events;
    Arena *mem;
    DbTx *tx;
    int64_t now_us;
    Actor actor;
} EntityWriter;
EntityWriter entity_writer(Request *rq, DbTx *tx); /* with the request's arena, clock and caller */

/* Locks the row and reads it, deleted ones too. NOT_FOUND. */
Err event_load(const EntityWriter *w, Uuid id, EventEntity *out) MUST_CHECK;
Err place_load(const EntityWriter *w, Uuid id, PlaceEntity *out) MUST_CHECK;
Err organization_load(const EntityWriter *w, Uuid id, OrganizationEntity *out) MUST_CHECK;
/* A new one with its defaults: published, nothing known; `node` is empty. */
void event_init(Arena *mem, EventEntity *out);
void place_init(Arena *mem, PlaceEntity *out);
void organization_init(Arena *mem, OrganizationEntity *out);

/* Writes a new version, unless nothing differs; `out_changed` may be NULL. Afterwards id, version and times of the head
 * and ids of the occurrences are set. `note` goes into the history; "" none. An occurrence needs a place or a virtual
 * address, its own or the event's: OCCURRENCE_LOCATION_REQUIRED.
 * Of a place or organisation: documents of the events that name it are written anew after the commit (rerender.h),
 * without a new version of theirs.
 * Of an event: what it names is locked against changes to the end of the transaction. What was merged leads on; what
 * is deleted cannot be named anew: UNPROCESSABLE, and of a new event UNAVAILABLE, since it was there a moment ago. */
Err event_save(const EntityWriter *w, EventEntity *event, const char *note, bool *out_changed) MUST_CHECK;
Err place_save(const EntityWriter *w, PlaceEntity *place, const char *note, bool *out_changed) MUST_CHECK;
Err organization_save(const EntityWriter *w, OrganizationEntity *organization, const char *note,
                      bool *out_changed) MUST_CHECK;

/* Administration says its status: one that was shown has another now, or one that comes has one of its own. */
void event_edit_status(EventEntity *event, Lifecycle lifecycle);

/* The document of an event is written anew for what it names; nothing when it says the same. */
Err event_render(const EntityWriter *w, Uuid id, EntityKind because) MUST_CHECK;

/* Before a save, of any kind: it is gone from then on, and a tombstone stands in its place; or it is there again.
 * `superseded_by` is nil for nothing. */
void entity_delete(const EntityWriter *w, EntityHead *head, const char *reason, Uuid superseded_by);
void entity_restore(EntityHead *head);

/* What is shown of one that is gone (contract 5.6), whatever the format. */
Node *entity_tombstone(Arena *mem, const Events *events, EntityKind kind, Uuid id, const char *name, int64_t deleted_us,
                       const char *reason, Uuid superseded_by);

/* After the commit: who follows changes hears of it at once. */
void entity_settled(const Events *events);

/* --- ETag and If-Match ------------------------------------------------------------------------------------------- */
/* "7.2-ld": version, what else the bytes depend on ("" nothing), representation. Quotes included. */
char *etag_make(Arena *mem, int64_t version, const char *extra, const char *representation);
/* The request's If-Match (the rpc asks for the header "if-match") against the version that is there:
 * PRECONDITION_FAILED when it names others, PRECONDITION_REQUIRED when there is none and REQUIRE_IF_MATCH is set. */
Err etag_check(const Request *rq, int64_t version) MUST_CHECK;
/* Does the request's If-None-Match ("if-none-match" among the rpc's headers) name it? Then the answer is 304. */
bool etag_is_known(const Request *rq, const char *etag);
