/* dialect: see dialect.h. */
#include "services/gateway/dialect.h"

#include "atrium/bus.pb-c.h"

const char *http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } TEXTS[] = {{200, "OK"},
                 {201, "Created"},
                 {202, "Accepted"},
                 {204, "No Content"},
                 {400, "Bad Request"},
                 {401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {406, "Not Acceptable"},
                 {408, "Request Timeout"},
                 {409, "Conflict"},
                 {410, "Gone"},
                 {412, "Precondition Failed"},
                 {413, "Content Too Large"},
                 {415, "Unsupported Media Type"},
                 {416, "Range Not Satisfiable"},
                 {422, "Unprocessable Content"},
                 {426, "Upgrade Required"},
                 {429, "Too Many Requests"},
                 {499, "Client Closed Request"},
                 {500, "Internal Server Error"},
                 {501, "Not Implemented"},
                 {502, "Bad Gateway"},
                 {503, "Service Unavailable"},
                 {504, "Gateway Timeout"},
                 {507, "Insufficient Storage"}};

    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++)
        if (TEXTS[i].status == status)
            return TEXTS[i].text;
    return status < 400 ? "OK" : status < 500 ? "Bad Request" : "Internal Server Error";
}

const char *failure_message(const Failure *f)
{
    if (f->look.text)
        return f->look.text;
    if (f->look.shown && f->text && f->text[0])
        return f->text;
    return http_status_text(f->look.http);
}

/* --- pieces of bodies -------------------------------------------------------------------------------------------- */
static void member(StrBuf *out, const char *name, const char *value)
{
    strbuf_append_json(out, slice(name));
    strbuf_append_char(out, ':');
    strbuf_append_json(out, slice(value));
}

static void more_member(StrBuf *out, const char *name, const char *value)
{
    strbuf_append_char(out, ',');
    member(out, name, value);
}

/* The members of a JSON object, without its braces, behind a comma. */
static void splice_details(StrBuf *out, Slice details)
{
    if (details.len > 2) {
        strbuf_append_char(out, ',');
        strbuf_append(out, slice_of(details.ptr + 1, details.len - 2));
    }
}

/* "profile.tags.3" -> "/profile/tags/3" */
static void write_pointer(StrBuf *out, const Fault *fault)
{
    StrBuf pointer = strbuf_new(out->mem, 1024);

    if (fault->field[0])
        strbuf_append_char(&pointer, '/');
    for (const char *c = fault->field; *c; c++)
        strbuf_append_char(&pointer, *c == '.' ? '/' : *c);
    strbuf_append_json(out, strbuf_slice(&pointer));
}

/* --- ATRIUM: RFC 9457 ------------------------------------------------------------------------------------------------
 */
static void write_problem_head(StrBuf *out, const char *type, const Failure *f)
{
    strbuf_append_char(out, '{');
    member(out, "type", type);
    /* A contract may have a title of its own for a case: it is then among the details. */
    if (json_find(f->details, SLICE_LIT("title")).len == 0)
        more_member(out, "title", http_status_text(f->look.http));
    strbuf_printf(out, ",\"status\":%d", f->look.http);
    more_member(out, "detail", f->message);
    strbuf_append_cstr(out, ",\"instance\":");
    strbuf_append_json(out, f->path);
}

static void write_atrium(const Failure *f, StrBuf *out)
{
    bool limited = f->look.http == 429;

    write_problem_head(out, limited ? "https://iana.org/assignments/http-problem-types#quota-exceeded" : "about:blank",
                       f);
    more_member(out, "code", f->look.code);
    if (f->fault_count) {
        strbuf_append_cstr(out, ",\"errors\":[");
        for (size_t i = 0; i < f->fault_count; i++) {
            strbuf_append_cstr(out, i ? ",{\"pointer\":" : "{\"pointer\":");
            write_pointer(out, &f->faults[i]);
            more_member(out, "detail", f->faults[i].text);
            strbuf_append_char(out, '}');
        }
        strbuf_append_char(out, ']');
    }
    more_member(out, "request_id", f->request_id);
    if (f->trace_id[0])
        more_member(out, "trace_id", f->trace_id);
    splice_details(out, f->details);
    strbuf_append_char(out, '}');
}

/* --- RETROCAST: both of its shapes in one ------------------------------------------------------------------------ */
static void write_retrocast(const Failure *f, StrBuf *out)
{
    strbuf_append_cstr(out, "{\"error\":{");
    member(out, "code", f->look.code);
    more_member(out, "message", f->message);
    strbuf_append_char(out, '}');
    more_member(out, "message", f->message);
    splice_details(out, f->details);
    strbuf_append_char(out, '}');
}

/* --- MEDIAVAULT -------------------------------------------------------------------------------------------------- */
static void write_mediavault(const Failure *f, StrBuf *out)
{
    strbuf_append_cstr(out, "{\n  \"code\": ");
    strbuf_append_json(out, slice(f->look.code));
    strbuf_append_cstr(out, ",\n  \"message\": ");
    strbuf_append_json(out, slice(f->message));
    strbuf_append_cstr(out, ",\n  \"details\": ");
    strbuf_append(out, f->details.len ? f->details : SLICE_LIT("null"));
    strbuf_append_cstr(out, "\n}");
}

#define MEDIAVAULT_EMPTY_TEXT "decode request: request_body: missing request body: missing request body"

/* "size_bytes" -> "SizeBytes": the one contract that quotes names of its implementation. */
static const char *pascal_case(Arena *mem, const char *field)
{
    StrBuf out = strbuf_new(mem, 256);
    bool upper = true;
    Slice text;

    for (const char *c = field; *c; c++) {
        if (*c == '_' || *c == '.') {
            upper = true;
            continue;
        }
        strbuf_append_char(&out, upper && *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c);
        upper = false;
    }
    return strbuf_finish(&out, &text) ? text.ptr : field;
}

static const char *mediavault_fault_text(Arena *mem, const Fault *fault)
{
    if (fault->part != ATRIUM__PART__BODY)
        return arena_printf(mem, "decode request: %s: invalid parameter: %s", fault->field, fault->text);
    if (!fault->field[0])
        return "decode request: the body is no JSON object";
    return arena_printf(mem, "decode request: %s: invalid json parameter: %s", pascal_case(mem, fault->field),
                        fault->text);
}

/* --- STREAMSPACE ------------------------------------------------------------------------------------------------- */
static void write_streamspace(const Failure *f, StrBuf *out)
{
    strbuf_append_char(out, '{');
    member(out, "error", f->message);
    more_member(out, "message", f->message);
    more_member(out, "code", f->look.code);
    if (f->fault_count) {
        StrBuf list = strbuf_new(out->mem, 4096);

        for (size_t i = 0; i < f->fault_count; i++)
            strbuf_printf(&list, "%s%s%s%s", i ? "; " : "", f->faults[i].field, f->faults[i].field[0] ? ": " : "",
                          f->faults[i].text);
        strbuf_append_cstr(out, ",\"details\":");
        strbuf_append_json(out, strbuf_slice(&list));
    }
    if (f->look.http == 413)
        strbuf_printf(out, ",\"max_size_mb\":%.3g", f->max_bytes / 1048576.0);
    splice_details(out, f->details);
    strbuf_append_char(out, '}');
}

/* --- TOGATHER ---------------------------------------------------------------------------------------------------- */
static void write_togather(const Failure *f, StrBuf *out)
{
    write_problem_head(out, arena_printf(out->mem, "https://sel.events/problems/%s", f->look.code), f);
    if (f->fault_count) {
        strbuf_append_cstr(out, ",\"errors\":[");
        for (size_t i = 0; i < f->fault_count; i++) {
            strbuf_append_cstr(out, i ? ",{\"pointer\":" : "{\"pointer\":");
            write_pointer(out, &f->faults[i]);
            more_member(out, "code", f->faults[i].kind);
            more_member(out, "message", f->faults[i].text);
            strbuf_append_char(out, '}');
        }
        strbuf_append_char(out, ']');
    }
    more_member(out, "request_id", f->request_id);
    splice_details(out, f->details);
    strbuf_append_char(out, '}');
}

/* --- YOUTUBETALKER: FastAPI's three shapes ----------------------------------------------------------------------- */
static void write_location(StrBuf *out, const Fault *fault)
{
    static const char *const PARTS[] = {"body", "query", "path", "header"};
    Slice rest = slice(fault->field), word;

    strbuf_printf(out, "[\"%s\"", PARTS[(unsigned)fault->part < ARRAY_LEN(PARTS) ? fault->part : 0]);
    if (strcmp(fault->kind, "json_invalid") == 0)
        strbuf_printf(out, ",%zu", fault->offset);
    while (rest.len) {
        uint64_t position;

        (void)slice_cut(rest, '.', &word, &rest); /* false is the last word */
        strbuf_append_char(out, ',');
        if (slice_to_uint64(word, &position))
            strbuf_append(out, word);
        else
            strbuf_append_json(out, word);
    }
    strbuf_append_char(out, ']');
}

static void write_youtubetalker(const Failure *f, StrBuf *out)
{
    if (f->from_router) {
        strbuf_append_char(out, '{');
        member(out, "detail", f->message);
        strbuf_append_char(out, '}');
        return;
    }
    strbuf_append_cstr(out, "{\"detail\":");
    if (f->fault_count) {
        for (size_t i = 0; i < f->fault_count; i++) {
            const Fault *fault = &f->faults[i];

            strbuf_append_char(out, i ? ',' : '[');
            strbuf_append_char(out, '{');
            member(out, "type", fault->kind);
            strbuf_append_cstr(out, ",\"loc\":");
            write_location(out, fault);
            more_member(out, "msg", fault->text);
            strbuf_append_cstr(out, ",\"input\":");
            strbuf_append(out, fault->input.len ? fault->input : SLICE_LIT("null"));
            if (fault->context.len) {
                strbuf_append_cstr(out, ",\"ctx\":");
                strbuf_append(out, fault->context);
            }
            strbuf_append_char(out, '}');
        }
        strbuf_append_char(out, ']');
    } else {
        strbuf_append_json(out, slice(f->message));
    }
    more_member(out, "error_code", f->look.code);
    more_member(out, "request_id", f->request_id);
    splice_details(out, f->details);
    strbuf_append_char(out, '}');
}

/* --- the table --------------------------------------------------------------------------------------------------- */
#define PROBLEM_JSON "application/problem+json"
#define PLAIN_JSON "application/json"
/* What both of chat's dialects have. */
#define RETROCAST_MANNER                                                                                               \
    .read = {.nocase = true, .ignore_trailing = true, .null_is_empty = true}, .content = CONTENT_JSON_EXACT,           \
    .body_text = "invalid request body", .bad_text_by_name = true, .scheme = SCHEME_BEARER_EXACT,                      \
    .auth_texts = {"missing authorization header", "invalid authorization format", "invalid or expired token"},        \
    .rate_headers = RATE_HEADERS_X, .escape_html = true, .newline = true, .knows_data = true,                          \
    .no_upgrade_text = "Bad Request\n", .error_type = PLAIN_JSON, .error_newline = true,                               \
    .write_error = write_retrocast

static const Dialect DIALECTS[] = {
    [ATRIUM__DIALECT__ATRIUM] = {.name = "atrium",
                                 .content = CONTENT_JSON,
                                 .read = {.null_is_empty = true},
                                 .www_authenticate = true,
                                 .auth_texts = {"a credential is needed", "Authorization must be: Bearer <token>",
                                                "the token is not valid, or no longer"},
                                 .error_type = PROBLEM_JSON,
                                 .write_error = write_atrium},
    [ATRIUM__DIALECT__RETROCAST] = {.name = "retrocast", RETROCAST_MANNER},
    [ATRIUM__DIALECT__RETROCAST_WEB] = {.name = "retrocast-web",
                                        .variant_of = ATRIUM__DIALECT__RETROCAST,
                                        .data_always = true,
                                        RETROCAST_MANNER},
    [ATRIUM__DIALECT__MEDIAVAULT] = {.name = "mediavault",
                                     .read = {.nocase = true, .null_is_empty = true},
                                     .empty_text = MEDIAVAULT_EMPTY_TEXT,
                                     .fault_text = mediavault_fault_text,
                                     .empty_query_is_absent = true,
                                     .newline = true,
                                     .trace_header = "X-Encore-Trace-ID",
                                     .echo_header = "X-Correlation-ID",
                                     .no_route_text = "endpoint not found",
                                     .scheme = SCHEME_OR_BARE,
                                     .auth_texts = {"missing auth param", "invalid session", "invalid session",
                                                    "session expired"},
                                     .error_type = PLAIN_JSON,
                                     .write_error = write_mediavault},
    [ATRIUM__DIALECT__STREAMSPACE] = {.name = "streamspace",
                                      .read = {.nocase = true, .ignore_trailing = true, .null_is_empty = true},
                                      .escape_html = true,
                                      .csrf_cookie = "csrf_token",
                                      .token_in_query = true,
                                      .auth_texts = {"Authorization header required",
                                                     "Invalid authorization header format", "Invalid or expired token"},
                                      .error_type = PLAIN_JSON,
                                      .write_error = write_streamspace},
    [ATRIUM__DIALECT__TOGATHER] = {.name = "togather",
                                   .newline = true,
                                   .error_newline = true,
                                   .cookie = "auth_token",
                                   .csrf_cookie = "csrf",
                                   .www_authenticate = true,
                                   .policy = "default-src 'self'; style-src 'self' 'unsafe-inline'; "
                                             "img-src 'self' data:; frame-ancestors 'none'",
                                   .service_desc =
                                       "</api/v1/openapi.json>; rel=\"service-desc\"; type=\"application/json\"",
                                   .auth_texts = {"a credential is needed",
                                                  "Authorization must be: Bearer <credential>",
                                                  "the credential is not valid, or no longer"},
                                   .error_type = PROBLEM_JSON,
                                   .write_error = write_togather},
    [ATRIUM__DIALECT__YOUTUBETALKER] = {.name = "youtubetalker",
                                        .read = {.lenient_scalars = true, .skip_bom = true},
                                        .content = CONTENT_JSON,
                                        .empty_text = "Field required",
                                        .type_text =
                                            "Input should be a valid dictionary or object to extract fields from",
                                        .bad_utf8_text = "There was an error parsing the body",
                                        .syntax_before_auth = true,
                                        .validates_before_rate = true,
                                        .slash_tolerant = true,
                                        .token_in_query = true,
                                        .www_authenticate = true,
                                        .rate_headers = RATE_HEADERS_TRIPLE,
                                        .auth_texts = {"Not authenticated", "Invalid authentication credentials",
                                                       "Invalid authentication credentials"},
                                        .error_type = PLAIN_JSON,
                                        .write_error = write_youtubetalker},
};

_Static_assert(ARRAY_LEN(DIALECTS) == DIALECT_COUNT, "a dialect without a row, or DIALECT_COUNT is not the last one");

const Dialect *dialect_get(int dialect)
{
    return &DIALECTS[(unsigned)dialect < ARRAY_LEN(DIALECTS) ? dialect : ATRIUM__DIALECT__ATRIUM];
}

int dialect_base(int dialect)
{
    int base = dialect_get(dialect)->variant_of;

    return base ? base : dialect;
}
