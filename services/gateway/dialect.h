/* dialect: the manner of each API family as a row of a table, with small functions where text is not enough. A new
 * contract is a new row. */
#pragma once
#include "services/gateway/tables.h"
#include "shared/json.h"

/* One thing that is wrong with a request. */
typedef struct Fault {
    int part;          /* Atrium__Part */
    const char *field; /* dotted proto names; "" is the whole part */
    const char *kind;  /* "missing", "string_type" … */
    const char *text;
    Slice context; /* JSON object; empty when none */
    Slice input;   /* JSON value; empty when unknown or secret */
    size_t offset; /* into the body, of syntax faults */
} Fault;

typedef struct Failure {
    const char *key; /* of the reason */
    int bus_status;  /* 0 unless a service said so */
    const char *text;
    const Fault *faults;
    size_t fault_count;
    Slice details; /* further members of the error body: a JSON object; empty when none */
    uint32_t retry_after_s;
    bool from_router; /* no such path, wrong method: nobody's failure in particular */
    int http;         /* instead of the reason's; 0 leaves that */
    /* Filled on the way out. */
    ReasonLook look;
    const char *message; /* what callers are told */
    const char *request_id, *trace_id;
    Slice path;
    uint32_t max_bytes; /* of PAYLOAD_TOO_LARGE */
} Failure;

typedef enum AuthFault { AUTH_FAULT_MISSING, AUTH_FAULT_MALFORMED, AUTH_FAULT_INVALID, AUTH_FAULT_COUNT } AuthFault;

typedef enum SchemeRule {
    SCHEME_BEARER,       /* "Bearer" in any case, one token */
    SCHEME_BEARER_EXACT, /* "Bearer" as it stands here */
    SCHEME_OR_BARE       /* "Bearer" in any case, or the token alone */
} SchemeRule;

typedef enum ContentRule {
    CONTENT_ANY,        /* Content-Type is not looked at */
    CONTENT_JSON,       /* JSON, *+json or absent */
    CONTENT_JSON_EXACT, /* application/json in lower case; forms bind nothing */
} ContentRule;

typedef enum EmptyRule { EMPTY_IS_OBJECT, EMPTY_IS_FAULT } EmptyRule;
typedef enum RateHeaders {
    RATE_HEADERS_NONE,
    RATE_HEADERS_X,
    RATE_HEADERS_TRIPLE
} RateHeaders; /* besides the IETF pair */

typedef struct Dialect {
    const char *name;
    JsonReadOptions read;
    ContentRule content;
    EmptyRule empty;
    bool empty_query_is_absent;
    bool syntax_before_auth;    /* broken JSON is told even to strangers */
    bool validates_before_rate; /* what is refused as invalid does not count against a limit */
    bool slash_tolerant;        /* a path answers with and without a slash at its end */
    bool escape_html, newline;
    bool knows_data;  /* {"data": …} where the rpc says so */
    bool data_always; /* … and everywhere, no-content answers included */
    SchemeRule scheme;
    const char *cookie; /* that may hold the credential; NULL none */
    bool www_authenticate;
    RateHeaders rate_headers;
    const char *auth_texts[AUTH_FAULT_COUNT];
    const char *body_text;  /* for bodies that cannot be read; NULL tells what is wrong */
    const char *error_type; /* Content-Type */
    void (*write_error)(const Failure *f, StrBuf *out);
} Dialect;

/* `dialect` is Atrium__Dialect; unknown ones are ATRIUM. */
const Dialect *dialect_get(int dialect);
/* What callers are told: the dialect's text, the service's when it may be shown, or the status in words. */
const char *failure_message(const Failure *f);
const char *http_status_text(int status);
