/* cors: which pages may use the API from other origins; one row per contract. */
#pragma once
#include "services/gateway/profiles.h"

enum { HEADERS_MAX = 50 };

/* Headers of an answer under construction; values are borrowed until it is sent. */
typedef struct HeaderList {
    struct {
        const char *name, *value;
    } list[HEADERS_MAX];
    size_t count;
} HeaderList;
/* What does not fit is dropped: HEADERS_MAX covers all of ours and 32 of a data plane's
 * (ANSWER_HEADERS_MAX). */
void header_add(HeaderList *h, const char *name, const char *value);
/* Appends to a header of this name, comma-separated, or adds it. */
void header_join(Arena *mem, HeaderList *h, const char *name, const char *value);

bool header_has(const HeaderList *h, const char *name);

typedef struct Cors Cors; /* immutable */
/* `origins` and `more` are lists ("*" is any); `development`: profile events lets any origin in. */
const Cors *cors_new(Arena *mem, const char *origins, const char *more, bool development);

typedef struct CorsRequest {
    const char *origin;           /* NULL: not from a page, or from one of our own */
    const char *method, *headers; /* Access-Control-Request-…; NULL when absent */
    bool with_credentials;        /* a cookie or an Authorization header came along */
} CorsRequest;
/* Is this origin one whose pages may act with a user's cookies? */
bool cors_origin_listed(const Cors *c, const char *origin);
/* May a page of this origin open a WebSocket here? `host` is what it asked for; `by_cookie`: the browser adds the
 * credential by itself, wherever the page comes from. Browsers ask nobody before, so the edge has to look. */
bool cors_may_connect(const Cors *c, CorsFlavour flavour, const char *origin, const char *host, bool by_cookie);
/* Headers for an ordinary answer. */
void cors_headers(const Cors *c, CorsFlavour flavour, const CorsRequest *rq, Arena *mem, HeaderList *out);

typedef struct CorsAnswer {
    int status;
    const char *body;
} CorsAnswer;
/* The answer to a preflight. */
CorsAnswer cors_preflight(const Cors *c, CorsFlavour flavour, const CorsRequest *rq, Arena *mem, HeaderList *out);
