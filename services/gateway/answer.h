/* answer: what a data plane answers over HTTP/1.1, read as it comes: the head, and bodies in chunks. A peer of ours,
 * but it passes on what users gave, so that nothing is believed of it: everything is bounded, and what is ambiguous
 * about where the body ends is broken. Pure functions; one thread each. */
#pragma once
#include "shared/slice.h"

enum {
    ANSWER_HEAD_MAX_BYTES = 16 * 1024,
    ANSWER_HEADERS_MAX = 32,
    ANSWER_CHUNK_LINE_MAX_BYTES = 256, /* a chunk's size with its extensions */
    ANSWER_TRAILERS_MAX_BYTES = 8192
};

typedef struct AnswerHeader {
    const char *name, *value; /* C strings in the buffer; name as it came, value without white space at its ends */
} AnswerHeader;

typedef enum AnswerBody {
    ANSWER_NO_BODY,  /* to HEAD; 1xx, 204, 304 */
    ANSWER_LENGTH,   /* `length` bytes */
    ANSWER_CHUNKED,  /* see answer_chunk */
    ANSWER_TO_CLOSE, /* all until the connection ends */
} AnswerBody;

typedef struct AnswerHead {
    int status;
    AnswerHeader headers[ANSWER_HEADERS_MAX];
    size_t header_count;
    AnswerBody body;
    bool has_length; /* also of answers to HEAD, which have no body */
    uint64_t length;
    bool keep_alive; /* the connection may be used again after the body */
} AnswerHead;

typedef enum AnswerResult { ANSWER_MORE, ANSWER_DONE, ANSWER_BROKEN } AnswerResult;

/* Looks at the head at the beginning of `buffer`, which is changed once that is complete: the strings of `out` lie in
 * it. `out_used` is the head's length. `to_head`: the request was HEAD. */
AnswerResult answer_head(char *buffer, size_t len, bool to_head, AnswerHead *out, size_t *out_used);

/* Is it between two hops only: named so in RFC 9110, or by this answer's own Connection header? */
bool answer_is_hop_header(const AnswerHead *head, const char *name);
/* Does a Connection header's list have it? */
bool header_list_has(Slice list, Slice name);

typedef struct AnswerChunks { /* zeroed: before the first chunk */
    enum { CHUNK_SIZE, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILERS, CHUNK_END } state;
    uint64_t left;     /* of this chunk */
    size_t line, read; /* bytes of this line, of all trailers */
    bool digits, extension, cr;
} AnswerChunks;

/* Takes the framing off: `out_piece` is body (in `in`, maybe empty), `out_used` how much of `in` is done with. MORE:
 * give it the rest of `in`, or what comes next; DONE: the body is complete. Trailers are dropped. */
AnswerResult answer_chunk(AnswerChunks *c, Slice in, Slice *out_piece, size_t *out_used);
