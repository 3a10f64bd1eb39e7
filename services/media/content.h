/* content: objects of the store as answers of the data plane. */
#pragma once
#include "shared/blob.h"
#include "shared/bytes.h"

typedef struct ContentLook {
    const char *content_type;  /* NULL: the object's */
    const char *disposition;   /* NULL none */
    const char *cache_control; /* NULL: the data plane's */
} ContentLook;
/* With ranges and conditions; by sendfile where the object is a file. NOT_FOUND. */
Err content_answer(BytesExchange *x, Blob *blob, const char *key, const ContentLook *look) MUST_CHECK;
/* A text of our own making, of the request's memory: the same way, with a tag of its bytes. */
Err content_answer_text(BytesExchange *x, Slice text, const ContentLook *look) MUST_CHECK;
#define CONTENT_VTT "text/vtt; charset=utf-8"
