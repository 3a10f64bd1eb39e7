/* store_entity: the rows behind entity.h. Only entity*.c calls it. */
#pragma once
#include "services/events/entity.h"

/* Locks the row, and reads it with its occurrences; `out_doc` is the document as it stands. id is nil when there is
 * none. */
Err events_store_lock_event(DbTx *tx, Arena *mem, Uuid id, EventEntity *out, Slice *out_doc) MUST_CHECK;
Err events_store_lock_place(DbTx *tx, Arena *mem, Uuid id, PlaceEntity *out, Slice *out_doc) MUST_CHECK;
Err events_store_lock_organization(DbTx *tx, Arena *mem, Uuid id, OrganizationEntity *out, Slice *out_doc) MUST_CHECK;

/* What an event's document says of other entities. */
typedef struct Referred {
    char kind; /* 'p', 'o', 's': place, organisation, series */
    Uuid id;
    Slice doc;        /* a series: its name */
    const char *zone; /* of a place; "" not known */
    bool waits;       /* for a public event that names it */
    bool gone;        /* deleted, or merged: then it has another id to lead to */
    Uuid superseded_by;
} Referred;
typedef struct Referring {
    const Uuid *places;
    size_t place_count;
    Uuid organizer, series; /* nil: none */
    bool publishes;         /* what waits is about to be changed: it is locked for that at once */
} Referring;
/* Places and organisations stay as they are until the transaction ends. */
Err events_store_referred(DbTx *tx, Arena *mem, const Referring *from, Referred **out, size_t *out_count) MUST_CHECK;

/* What is put together for a row besides the entity's own members. */
typedef struct EventText {
    const char *name, *description;
    const char *mode; /* "offline", "online", "mixed" */
    Slice doc, card;
    const Slice *keywords; /* in lower case */
    size_t keyword_count;
    const char *others; /* names of place and organiser, for the search */
    double price_min;   /* of the offers; NAN unknown */
} EventText;
Err events_store_write_event(DbTx *tx, Arena *mem, const EventEntity *event, const EventText *text,
                             bool is_new) MUST_CHECK;
/* All of them; those that are not among them any more go. `had`: there may be some. */
Err events_store_write_occurrences(DbTx *tx, Arena *mem, const EventEntity *event, const EventText *text,
                                   bool had) MUST_CHECK;

/* Columns of a place or an organisation, out of its node. */
typedef struct EntityText {
    const char *name, *legal_name, *description, *street, *locality, *region, *postal_code, *country;
    const char *telephone, *email, *url;
    bool located;
    double latitude, longitude;
    Slice doc;
} EntityText;
/* Sent later (db_later.h): what fails is told by the next statement that waits, at the latest by the commit. */
Err events_store_write_place(DbTx *tx, const PlaceEntity *place, const EntityText *text, bool is_new) MUST_CHECK;
Err events_store_write_organization(DbTx *tx, const OrganizationEntity *organization, const EntityText *text,
                                    bool is_new) MUST_CHECK;
/* Where an event's occurrences are listed, by what their places say now. */
Err events_store_copy_places(DbTx *tx, Uuid event) MUST_CHECK;
/* Documents that name it are to be written anew (rerender.h). */
Err events_store_want_render(DbTx *tx, EntityKind kind, Uuid id) MUST_CHECK;
/* The document was written anew, in the same version. */
Err events_store_rerender(DbTx *tx, const EventEntity *event, const EventText *text) MUST_CHECK;

typedef struct RevisionRow {
    EntityKind kind;
    const EntityHead *head;
    Slice doc;
    const Slice *pointers;
    size_t pointer_count;
    Actor actor;
    const char *note;
} RevisionRow;
Err events_store_insert_revision(DbTx *tx, const RevisionRow *row) MUST_CHECK;
