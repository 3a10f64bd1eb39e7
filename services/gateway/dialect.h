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
    const char *code; /* the same; NULL leaves that */
    /* Filled on the way out. */
    ReasonLook look;
    const char *message; /* what callers are told */
    const char *request_id, *trace_id;
    Slice path;
    uint32_t max_bytes; /* of PAYLOAD_TOO_LARGE */
} Failure;

typedef enum AuthFault {
    AUTH_FAULT_MISSING,
    AUTH_FAULT_MALFORMED,
    AUTH_FAULT_INVALID,
    AUTH_FAULT_EXPIRED,
    AUTH_FAULT_COUNT
} AuthFault;

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

typedef enum RateHeaders {
    RATE_HEADERS_NONE,
    RATE_HEADERS_X,
    RATE_HEADERS_TRIPLE
} RateHeaders; /* besides the IETF pair */

enum { DIALECT_COUNT = ATRIUM__DIALECT__YOUTUBETALKER + 1 };

typedef struct Dialect {
    const char *name;
    int variant_of; /* Atrium__Dialect: see dialect_base */
    /* Reading. */
    JsonReadOptions read;
    ContentRule content;
    bool empty_query_is_absent;
    bool syntax_before_auth;    /* broken JSON is told even to strangers */
    bool validates_before_rate; /* what is refused as invalid does not count against a limit */
    bool slash_tolerant;        /* a path answers with and without a slash at its end */
    const char *empty_text;     /* an empty body is a fault, told so; NULL: it is as {} */
    const char *type_text;      /* of a wrong Content-Type; NULL is ours */
    const char *bad_utf8_text;  /* a body that is not UTF-8 is a 400 in the router's form; NULL: a fault as others */
    const char *body_text;      /* for bodies that cannot be read; NULL tells what is wrong */
    bool bad_text_by_name; /* but a member whose text may not be (NUL) is told with a code of its own: INVALID_NAME */
    /* What is wrong with a member of the body or a parameter, in the contract's words; NULL: as it stands in the fault,
     * with the member's name before it in the message. */
    const char *(*fault_text)(Arena *mem, const Fault *fault);
    /* Credentials and limits. */
    SchemeRule scheme;
    const char *cookie;      /* that may hold the credential; NULL none */
    const char *csrf_cookie; /* that tells a token for writing by cookie, as the header does; NULL: none are told */
    bool token_in_query;     /* a WebSocket's handshake may have the credential as ?token=, which is looked at first */
    bool www_authenticate;
    const char *auth_texts[AUTH_FAULT_COUNT]; /* EXPIRED: NULL where it is told as INVALID */
    RateHeaders rate_headers;
    /* Answers. */
    bool escape_html, newline;
    bool knows_data;             /* {"data": …} where the rpc says so */
    bool data_always;            /* … and everywhere, no-content answers included */
    const char *trace_header;    /* that tells the trace id of an rpc, in base 32; NULL none */
    const char *echo_header;     /* of an rpc's request, that its answer repeats; NULL none */
    const char *policy;          /* Content-Security-Policy of answers that bring none of their own; NULL none */
    const char *service_desc;    /* Link to what describes the service, of every answer under /api; NULL none */
    const char *no_upgrade_text; /* told with 400 to whoever asks for a WebSocket without an upgrade; NULL: 426 */
    const char *no_route_text;   /* of unknown paths and wrong methods; NULL: the status in words */
    const char *error_type;      /* Content-Type */
    bool error_newline;
    void (*write_error)(const Failure *f, StrBuf *out);
} Dialect;

/* `dialect` is Atrium__Dialect; unknown ones are ATRIUM. */
const Dialect *dialect_get(int dialect);
/* The dialect that this one is a variant of, or itself. A variant is only ever chosen by a profile: there, the routes
 * of its base answer in it. Reasons look as in the base where the variant has no look of its own. */
int dialect_base(int dialect);
/* What callers are told: the dialect's text, the service's when it may be shown, or the status in words. */
const char *failure_message(const Failure *f);
const char *http_status_text(int status);
