/* bytes_error: errors of the data plane in the dialects' forms, as the gateway tells them for other rpcs. */
#include "atrium/bus.pb-c.h"
#include "atrium/options.pb-c.h"
#include "shared/bytes_internal.h"

enum { UNAVAILABLE_RETRY_AFTER_S = 1 };

typedef struct ErrorLook {
    int http;
    const char *code, *message;
    const Request *rq;
    Slice path, details; /* a JSON object; empty when none */
} ErrorLook;

static void member(StrBuf *out, const char *name, const char *value)
{
    strbuf_append_json(out, slice(name));
    strbuf_append_char(out, ':');
    strbuf_append_json(out, slice(value));
}

/* "profile.tags.3" -> "/profile/tags/3" */
static void write_errors(StrBuf *out, const Request *rq)
{
    strbuf_append_cstr(out, ",\"errors\":[");
    for (size_t i = 0; i < rq->reply.violation_count; i++) {
        const Atrium__Violation *v = rq->reply.violations[i];
        char *pointer = arena_printf(rq->mem, "%s%s", v->field && v->field[0] ? "/" : "", v->field ? v->field : "");

        for (char *c = pointer; *c; c++)
            if (*c == '.')
                *c = '/';
        strbuf_append_cstr(out, i ? ",{" : "{");
        member(out, "pointer", pointer);
        strbuf_append_char(out, ',');
        member(out, "detail", v->text ? v->text : "");
        strbuf_append_char(out, '}');
    }
    strbuf_append_char(out, ']');
}

/* RFC 9457. */
static void write_problem(const ErrorLook *look, StrBuf *out)
{
    strbuf_append_cstr(out, "{\"type\":\"about:blank\",");
    member(out, "title", MHD_get_reason_phrase_for((unsigned)look->http));
    strbuf_printf(out, ",\"status\":%d,", look->http);
    member(out, "detail", look->message);
    strbuf_append_cstr(out, ",\"instance\":");
    strbuf_append_json(out, look->path);
    strbuf_append_char(out, ',');
    member(out, "code", look->code);
    if (look->rq->reply.violation_count)
        write_errors(out, look->rq);
    strbuf_append_char(out, ',');
    member(out, "request_id", look->rq->id);
    if (look->details.len > 2) {
        strbuf_append_char(out, ',');
        strbuf_append(out, slice_of(look->details.ptr + 1, look->details.len - 2));
    }
    strbuf_append_char(out, '}');
}

static void write_mediavault(const ErrorLook *look, StrBuf *out)
{
    strbuf_append_cstr(out, "{\n  \"code\": ");
    strbuf_append_json(out, slice(look->code));
    strbuf_append_cstr(out, ",\n  \"message\": ");
    strbuf_append_json(out, slice(look->message));
    strbuf_append_cstr(out, ",\n  \"details\": ");
    strbuf_append(out, look->details.len ? look->details : SLICE_LIT("null"));
    strbuf_append_cstr(out, "\n}");
}

static void write_retrocast(const ErrorLook *look, StrBuf *out)
{
    strbuf_append_cstr(out, "{\"error\":{");
    member(out, "code", look->code);
    strbuf_append_char(out, ',');
    member(out, "message", look->message);
    strbuf_append_cstr(out, "},");
    member(out, "message", look->message);
    strbuf_append_cstr(out, "}\n");
}

/* The contracts that have bytes; the others are as the first row. */
static const struct {
    int dialect;
    const char *content_type;
    void (*write)(const ErrorLook *look, StrBuf *out);
} FORMS[] = {
    {ATRIUM__DIALECT__ATRIUM, "application/problem+json", write_problem},
    {ATRIUM__DIALECT__MEDIAVAULT, "application/json", write_mediavault},
    {ATRIUM__DIALECT__RETROCAST, "application/json", write_retrocast},
};

static const ReasonVariant *variant_of(const Reason *reason, int dialect)
{
    for (size_t i = 0; i < reason->variant_count; i++)
        if (reason->variants[i].dialect == dialect)
            return &reason->variants[i];
    return NULL;
}

static ErrorLook look_of(BytesExchange *x, const Err *e)
{
    const Reason *reason = e->reason;
    const ReasonVariant *variant = variant_of(reason, x->dialect);
    ErrorLook look = {.http = variant && variant->http ? variant->http : reason->http,
                      .code = variant && variant->code ? variant->code : reason->code,
                      .rq = &x->rq,
                      .path = x->path};

    if (variant && variant->text)
        look.message = variant->text;
    else if (reason->shown && e->text[0])
        look.message = arena_strdup(x->rq.mem, e->text);
    else
        look.message = MHD_get_reason_phrase_for((unsigned)look.http);
    look.details = struct_to_json(x->rq.mem, x->rq.reply.details);
    return look;
}

static void write_answer(BytesExchange *x, const ErrorLook *look)
{
    size_t form = 0;
    StrBuf body = strbuf_new(x->rq.mem, ERROR_MAX_BYTES);

    for (size_t i = 0; i < ARRAY_LEN(FORMS); i++)
        if (FORMS[i].dialect == x->dialect)
            form = i;
    FORMS[form].write(look, &body);
    x->answer = (BytesAnswer){.made = true, .status = look->http};
    answer_header(x, "Content-Type", FORMS[form].content_type);
    answer_header(x, "Cache-Control", "no-store");
    x->answer.body = strbuf_slice(&body);
    x->answer.length = (int64_t)body.len;
}

void answer_failure(BytesExchange *x, Err e)
{
    uint32_t retry_s = x->rq.reply.retry_after_s;
    ErrorLook look = look_of(x, &e);

    answer_close_source(x);
    x->failure = e;
    write_answer(x, &look);
    if (retry_s == 0 && e.reason == &UNAVAILABLE)
        retry_s = UNAVAILABLE_RETRY_AFTER_S;
    if (retry_s)
        answer_header(x, "Retry-After", arena_printf(x->rq.mem, "%u", retry_s));
    if (look.http == 401)
        answer_header(x, "WWW-Authenticate", "Bearer");
}

void answer_bad_head(BytesExchange *x, int status, const char *text)
{
    const ErrorLook look = {
        .http = status, .code = INVALID_BODY.code, .message = text, .rq = &x->rq, .path = SLICE_LIT("")};

    x->failure = err_make(&INVALID_BODY, "%s", text);
    write_answer(x, &look);
}
