/* reading: a document as readers get it, whatever the format it is then written in: found, visible, with what depends
 * on the time. */
#pragma once
#include "services/events/store_read.h"

/* The entity of a path's id. INVALID_ID; NOT_FOUND, also for what the caller may not see; WITHHELD. One that is gone
 * comes with deleted_us. */
Err document_find(Request *rq, EntityKind kind, const char *id, Document *out) MUST_CHECK;
/* Its JSON, of one that is gone its tombstone's. `context`: a whole first member, or empty; `more`: further members, or
 * empty. */
void document_write(StrBuf *out, const Events *events, const Document *d, Slice context, Slice more);
/* The same document, or card, with days of its schedules as IRIs of schema.org (5.3). `shown`: SHOWN_DETAIL or
 * SHOWN_LISTS, as it is. Of `mem`, or as it was where it has none. */
Slice document_with_iris(Arena *mem, Slice doc, unsigned shown);
/* The context that its document has in itself. */
Slice document_context(const Events *events, const Document *d);
/* Of its version and of what it shows of the time. `representation`: "json", "ld", "ttl" … */
char *document_etag(Arena *mem, const Document *d, const char *representation);
/* Sets ETag, Last-Modified and Cache-Control; true: the caller has it already, and the answer is 304. */
bool document_is_known(Request *rq, const Document *d, const char *representation);

/* The body of an rpc that returns atrium.HttpBody; `content_type` is a constant. INTERNAL when it did not fit. */
Err answer_body(StrBuf *body, const char *content_type, Atrium__HttpBody *out) MUST_CHECK;
