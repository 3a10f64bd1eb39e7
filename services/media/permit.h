/* permit: who may see an item, and the tickets of what plays it.
 *
 * Tickets: kind "stream" (the parts that an item plays by) or "get" (its original). The owner's have the media id as
 * their resource and the item's access_generation; those of a shared or public collection "<media id>/<collection id>"
 * and the collection's share_generation, and hold as long as the sharing does. permit_ticket is for every request that
 * comes with one. */
#pragma once
#include "services/media/store_collections.h"
#include "services/media/store_processing.h"

#define TICKET_STREAM "stream"
#define TICKET_GET "get"
#define TICKET_ACCESS "access" /* to a collection whose password was told */

/* The caller's own item: "media not found", or "not authorized" for somebody else's. What is in the trash is not found.
 * With `tx` it is locked, and its owner. */
Err permit_item(Request *rq, DbTx *tx, const char *id, ItemRow *out) MUST_CHECK;
/* The same, also in the trash. */
Err permit_item_anywhere(Request *rq, DbTx *tx, const char *id, ItemRow *out) MUST_CHECK;
/* The caller's own collection: "collection not found", or "not authorized". */
Err permit_collection(Request *rq, DbTx *tx, const char *id, CollectionRow *out) MUST_CHECK;

/* A verified ticket of kind "stream" or "get": what it is for now, or PERMISSION_DENIED when that has been taken back.
 */
Err permit_ticket(Request *rq, const Ticket *ticket, ItemRow *out) MUST_CHECK;

/* Where a ready item plays. `share`: NULL for its owner. */
typedef struct Played {
    const char *stream_url; /* NULL none */
    const char *download_url;
    Media__V1__Playback *playback; /* NULL none */
} Played;
/* Of each of the items; all but ready ones get nothing. Two questions to the database, however many. */
Err permit_play(Request *rq, const ItemRow *items, size_t count, const CollectionRow *share, Played **out) MUST_CHECK;
