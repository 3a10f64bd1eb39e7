/* events: the domain events of media, ready for the outbox. Borrowed from `mem`. */
#pragma once
#include "services/media/store.h"

/* Of the item's `generation`, which is to be processed. */
OutboxRow item_uploaded_event(Arena *mem, IdSource *ids, const ItemRow *item);
OutboxRow item_cancelled_event(Arena *mem, IdSource *ids, const ItemRow *item);
OutboxRow item_deleted_event(Arena *mem, IdSource *ids, const ItemRow *item);
