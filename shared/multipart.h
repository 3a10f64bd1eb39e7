/* multipart: a streaming reader of multipart/form-data (RFC 7578 on RFC 2046's framing). Bytes are pushed in pieces of
 * any size; parts come out as events. Wherever the pieces are cut, the events are the same: only the number of `data`
 * calls for one part may differ, never their bytes. Holds one head of a part, and nothing of its content: a file of any
 * size costs MULTIPART_HEAD_MAX_BYTES. Not thread-safe; never blocks by itself. */
#pragma once
#include "shared/err.h"
#include "shared/slice.h"

enum {
    MULTIPART_BOUNDARY_MAX_BYTES = 70, /* RFC 2046, 5.1.1 */
    MULTIPART_HEAD_MAX_BYTES = 8192,   /* all header lines of one part */
    MULTIPART_NAME_MAX_BYTES = 255,    /* of a field, and of a file */
    MULTIPART_PARTS_MAX = 256,
    MULTIPART_SKIP_MAX_BYTES = 8192, /* what may stand before the first delimiter, and behind the last */
};

/* What the head of a part says. Valid while its `part` event runs. */
typedef struct MultipartPart {
    Slice name;         /* of the form's field; UTF-8, no control characters, may be empty */
    Slice filename;     /* the last component of what was sent; the same rules */
    bool is_file;       /* a filename was sent, though it may be empty (a browser's field without a choice) */
    Slice content_type; /* as sent; empty when it was not */
} MultipartPart;

/* Called from multipart_push. What they return other than OK ends the reading, and multipart_push returns it. */
typedef struct MultipartEvents {
    Err (*part)(void *at, const MultipartPart *part);
    Err (*data)(void *at, Slice piece); /* never empty; borrowed from what was pushed, or a constant */
    Err (*part_end)(void *at);          /* after the last `data` of each part, also when there was none */
} MultipartEvents;

typedef struct Multipart Multipart;

/* The boundary that a Content-Type names, borrowed from `mem`. UNSUPPORTED_MEDIA_TYPE when the type is not
 * multipart/form-data; INVALID_BODY when there is no boundary, or none that RFC 2046 allows. */
Err multipart_boundary(Arena *mem, Slice content_type, Slice *out) MUST_CHECK;
/* Lives in `mem`; `events` and `at` are borrowed and outlive it. `boundary` comes from multipart_boundary. */
Multipart *multipart_new(Arena *mem, Slice boundary, const MultipartEvents *events, void *at);
/* INVALID_BODY for what is no multipart/form-data, INVALID_ARGUMENT for a name that is too long, PAYLOAD_TOO_LARGE when
 * another limit of above is passed. After a failure the reader is spent: it returns the same error again. */
Err multipart_push(Multipart *m, Slice piece) MUST_CHECK;
/* The body is complete. INVALID_BODY when its closing delimiter has not come: something was cut off. */
Err multipart_finish(const Multipart *m) MUST_CHECK;
