/* store: items in the database, and what they are made of: objects, quotas. All SQL of media stands in store*.c.
 *
 * Who makes an item, completes it or moves bytes of a quota has the owner's row locked (media_store_lock_owner does,
 * and so do the functions that say so): lock it before any row of his items, so that two transactions of one user never
 * wait for each other crosswise. */
#pragma once
#include "services/media/media.h"

/* Columns of an item. Texts are never NULL unless said. */
typedef struct ItemRow {
    Uuid id; /* nil: there is none */
    int64_t owner_id, ordinal;
    const char *title, *original_filename, *mime_type;
    int64_t size_bytes;
    Slice sha256;           /* 32 bytes; empty until the bytes are complete */
    const char *object_key; /* "" the same */
    char **tags;
    size_t tag_count;
    Media__V1__ItemStatus status;
    int64_t generation;        /* of the latest processing; 0: none yet */
    int64_t access_generation; /* of tickets */
    Uuid leader_id;            /* nil: is processed by itself */
    Uuid rendition_media_id;   /* nil: nothing plays yet */
    int64_t rendition_generation;
    int32_t width, height; /* 0: not known */
    int64_t duration_ms;   /* -1: not known */
    const char *thumbhash; /* "" not known */
    char **warnings;
    size_t warning_count;
    const char *failure_code, *failure_message; /* "" none */
    bool failure_retryable;
    int64_t created_us;
    int64_t deleted_us; /* 0: not in the trash */
} ItemRow;

const char *item_status_word(Media__V1__ItemStatus status); /* "ready" */
bool item_status_parse(Slice word, Media__V1__ItemStatus *out);

/* --- lists ------------------------------------------------------------------------------------------------------- */
typedef enum ItemSort { SORT_CREATED, SORT_TITLE, SORT_SIZE, SORT_DURATION } ItemSort;

typedef struct ItemFilter {
    int64_t owner_id;
    const char *status;          /* "" any; a word that is none finds nothing */
    const Slice *tags;           /* any of them */
    size_t tag_count;            /* 0 any */
    const char *words;           /* "" any */
    const char *type;            /* "video", "audio", "image", "other"; "" any */
    int64_t after_us, before_us; /* created at or after, and before; 0 open */
    int64_t min_ms, max_ms;      /* duration; -1 open */
    ItemSort sort;
    bool ascending;
    /* Where to begin: behind this place when `has_cursor`, else at `offset`. */
    bool has_cursor;
    int64_t offset;
    const char *cursor_text; /* of the last item: its title in lower case when sorted by that, else "" */
    int64_t cursor_number;   /* its size or duration when sorted by that, else 0 */
    int64_t cursor_ordinal;
    int64_t limit;
} ItemFilter;

typedef struct ItemList {
    ItemRow *items;
    size_t count;
    int64_t total;         /* of all that match */
    bool more;             /* there is an item behind the last */
    const char *last_text; /* by which the last one is sorted, for a cursor; NULL of empty lists */
    int64_t last_number;
} ItemList;

/* Not those in the trash. Unless anything but owner and status is asked for, it costs the same whatever the offset.
 * Borrowed from rq->mem. */
Err media_store_list(Request *rq, const ItemFilter *filter, ItemList *out) MUST_CHECK;

/* The columns that read_item takes, in its order, of `i`. For the other stores. */
#define ITEM_COLUMNS                                                                                                   \
    "i.id, i.owner_id, i.ordinal, i.title, i.original_filename, i.mime_type, i.size_bytes, i.sha256, i.object_key,"    \
    " cardinality(i.tags), array_to_string(i.tags, E'\\x01'), i.status, i.generation, i.access_generation,"            \
    " i.leader_id, i.rendition_media_id, i.rendition_generation, i.width, i.height, coalesce(i.duration_ms, -1),"      \
    " i.thumbhash, cardinality(i.warnings), array_to_string(i.warnings, E'\\x01'), i.failure_code,"                    \
    " i.failure_message, i.failure_retryable, i.created_at, i.deleted_at"
enum { ITEM_COLUMN_COUNT = 28 };
/* Of a row whose first item column is `first`. */
void media_store_read_item(Arena *mem, const DbRows *rows, int row, int first, ItemRow *out);
