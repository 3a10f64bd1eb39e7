/* export: archives of a collection. */
#pragma once
#include "services/media/store_collections.h"

/* The URL of an archive of all that is in it. Its owner's is his login's; that of others holds as long as the sharing
 * does and allows downloads, and has what is ready. Borrowed from rq->mem. */
Err export_collection_url(Request *rq, const CollectionRow *collection, char **out) MUST_CHECK;
