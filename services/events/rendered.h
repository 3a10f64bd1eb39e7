/* rendered: documents and cards as they were read last, so that the database need not find, unpack and send them again.
 *
 * A row says how often its document was written (`rendered`), in the same statement and transaction. What is kept
 * counts only for the number that the database names with each read: a text of another number is another text, and it
 * makes no difference which instance wrote it. So nobody has to be told when something changes, and a kept text is
 * never shown after the change has been committed. Of the least recently used the oldest go when there is no room. Any
 * thread. */
#pragma once
#include "shared/arena.h"
#include "shared/id.h"

typedef struct Rendered Rendered;
typedef enum RenderedForm { RENDERED_DOC, RENDERED_CARD } RenderedForm;

/* NULL where there is nothing to be kept: the functions below then find and keep nothing. */
Rendered *rendered_new(size_t max_bytes);
void rendered_free(Rendered *r); /* NULL is fine */
/* The number of the text that is kept, above 0, and its copy in `mem`; 0: there is none. */
int64_t rendered_find(Rendered *r, Arena *mem, RenderedForm form, Uuid id, Slice *out);
/* Copies `text`, instead of what was kept before. Larger ones than an eighth of the room are not kept. */
void rendered_keep(Rendered *r, RenderedForm form, Uuid id, int64_t number, Slice text);
