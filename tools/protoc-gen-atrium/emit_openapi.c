/* OpenAPI 3.1 of everything that is bound to a path. */
#include "dialect_docs.h"
#include "product.h"
#include "schema.h"

enum { QUERY_MAX_DEPTH = 3 };

/* One binding of one rpc, as an operation. */
typedef struct Operation {
    RpcAt at;
    const Binding *binding;
    size_t number;      /* among the rpc's bindings, from 0 */
    const char **names; /* of its path parameters, in order: its own, or those of the first on the same path */
    bool done;
} Operation;

typedef struct Document {
    Arena *mem;
    JsonOut *json;
    Operation *operations;
    size_t operation_count;
    bool dialects[DIALECT_COUNT];
} Document;

/* ------------------------------------------------------------------------------------------- paths */

/* Names for the wildcards of a template: the variable's, numbered where it has several. */
static const char **parameter_names(Arena *mem, const Template *t)
{
    const char **names = ARENA_ARRAY(mem, const char *, t->segment_count);
    size_t count = 0, of_variable = 0;

    for (size_t i = 0; i < t->segment_count; i++) {
        const Segment *s = &t->segments[i];
        bool same = i > 0 && s->variable && t->segments[i - 1].variable == s->variable;
        if (!same)
            of_variable = 0;
        if (s->kind == SEGMENT_LITERAL)
            continue;
        of_variable++;
        if (!s->variable)
            names[count++] = arena_printf(mem, "segment_%zu", i + 1);
        else
            names[count++] = of_variable == 1 ? s->variable : arena_printf(mem, "%s_%zu", s->variable, of_variable);
    }
    return names;
}

static const char *openapi_path(Arena *mem, const Template *t, const char *const *names)
{
    const char *path = t->segment_count ? "" : "/";
    size_t count = 0;

    for (size_t i = 0; i < t->segment_count; i++)
        path = t->segments[i].kind == SEGMENT_LITERAL ? arena_printf(mem, "%s/%s", path, t->segments[i].text)
                                                      : arena_printf(mem, "%s/{%s}", path, names[count++]);
    return t->suffix ? arena_printf(mem, "%s%s", path, t->suffix) : path;
}

/* ------------------------------------------------------------------------------------------- parameters */

static void begin_parameter(JsonOut *j, Arena *mem, const char *name, const char *in, const char *comment)
{
    json_object(j, NULL);
    json_text(j, "name", name);
    json_text(j, "in", in);
    if (strcmp(in, "path") == 0)
        json_bool(j, "required", true);
    put_description(j, mem, comment);
}

static void put_path_parameters(const Document *d, const Operation *o)
{
    const Template *t = &o->binding->pattern;
    size_t count = 0;

    for (size_t i = 0; i < t->segment_count; i++) {
        const Segment *s = &t->segments[i];
        const Field *f = s->variable ? message_field_at(o->at.rpc->request, s->variable) : NULL;
        /* A variable of several segments is text, part by part. */
        bool whole = s->variable && (i == 0 || t->segments[i - 1].variable != s->variable) &&
                     (i + 1 == t->segment_count || t->segments[i + 1].variable != s->variable);
        if (s->kind == SEGMENT_LITERAL)
            continue;
        begin_parameter(d->json, d->mem, o->names[count++], "path", f ? f->comment : "");
        if (f && whole) {
            schema_of_field(d->json, d->mem, "schema", f);
            example_of_field(d->json, "example", f);
        } else {
            json_object(d->json, "schema");
            json_text(d->json, "type", "string");
            json_end_object(d->json);
        }
        json_end_object(d->json);
    }
}

static bool in_path(const Binding *b, const char *dotted)
{
    for (size_t i = 0; i < b->pattern.variable_count; i++)
        if (strcmp(b->pattern.variables[i], dotted) == 0)
            return true;
    return false;
}

/* A query can say values, lists of them, and members of messages by a dotted name. */
static bool fits_query(const Field *f)
{
    return !f->message || (!f->repeated && (f->message->well_known == ATRIUM__WELL_KNOWN__TIMESTAMP ||
                                            f->message->well_known == ATRIUM__WELL_KNOWN__DURATION ||
                                            f->message->well_known == ATRIUM__WELL_KNOWN__FIELD_MASK ||
                                            f->message->well_known == ATRIUM__WELL_KNOWN__WRAPPER));
}

static void put_query(const Document *d, const Operation *o, const Message *m, const char *names, const char *shown,
                      int depth)
{
    for (size_t i = 0; i < m->field_count; i++) {
        const Field *f = &m->fields[i];
        const char *name = arena_printf(d->mem, "%s%s", names, f->name);
        const char *json_name = arena_printf(d->mem, "%s%s", shown, f->json_name);

        if (f->rules->internal || in_path(o->binding, name) || strcmp(name, o->binding->body) == 0)
            continue;
        if (fits_query(f)) {
            begin_parameter(d->json, d->mem, json_name, "query", f->comment);
            schema_of_field(d->json, d->mem, "schema", f);
            json_end_object(d->json);
        } else if (!f->repeated && !f->message->well_known && depth < QUERY_MAX_DEPTH) {
            put_query(d, o, f->message, arena_printf(d->mem, "%s.", name), arena_printf(d->mem, "%s.", json_name),
                      depth + 1);
        }
    }
}

static void put_header(const Document *d, const char *name, const char *comment)
{
    begin_parameter(d->json, d->mem, name, "header", comment);
    json_object(d->json, "schema");
    json_text(d->json, "type", "string");
    json_end_object(d->json);
    json_end_object(d->json);
}

/* OpenAPI says these elsewhere, or every client sends them anyway. */
static bool header_is_usual(const char *name)
{
    static const char *const USUAL[] = {"accept", "authorization", "content-type", "content-length",
                                        "cookie", "user-agent",    "host"};
    for (size_t i = 0; i < ARRAY_LEN(USUAL); i++)
        if (strcmp(USUAL[i], name) == 0)
            return true;
    return false;
}

static bool is_raw(const Message *m)
{
    return m->well_known == ATRIUM__WELL_KNOWN__HTTP_BODY;
}

static void put_parameters(const Document *d, const Operation *o)
{
    const Rpc *rpc = o->at.rpc;

    json_array(d->json, "parameters");
    put_path_parameters(d, o);
    if (rpc->rules->bytes || rpc->rules->socket) {
        json_end_array(d->json);
        return;
    }
    if (strcmp(o->binding->body, "*") != 0 && !is_raw(rpc->request))
        put_query(d, o, rpc->request, "", "", 0);
    for (size_t i = 0; i < rpc->rules->n_headers; i++)
        if (!header_is_usual(rpc->rules->headers[i]))
            put_header(d, rpc->rules->headers[i], "");
    if (rpc->rules->idempotency == ATRIUM__IDEMPOTENCY__KEY)
        put_header(d, "Idempotency-Key", "The same key again gives the answer of the first time.");
    json_end_array(d->json);
}

/* ------------------------------------------------------------------------------------------- bodies */

/* "content" for bytes that bypass the transcoder. */
static void put_raw_content(JsonOut *j)
{
    json_object(j, "content");
    json_object(j, "*/*");
    json_object(j, "schema");
    json_text(j, "type", "string");
    json_text(j, "format", "binary");
    json_end_object(j);
    json_end_object(j);
    json_end_object(j);
}

/* A message, or one field of it, with an example. */
static void put_content_value(const Document *d, const Message *m, const Field *f)
{
    if (f) {
        schema_of_field(d->json, d->mem, "schema", f);
        example_of_field(d->json, "example", f);
    } else {
        schema_of_message(d->json, d->mem, "schema", m);
        example_of_message(d->json, "example", m);
    }
}

static bool takes_bytes(const char *method)
{
    return strcmp(method, "PUT") == 0 || strcmp(method, "POST") == 0 || strcmp(method, "PATCH") == 0;
}

static void put_request_body(const Document *d, const Operation *o)
{
    const Message *m = o->at.rpc->request;
    const char *body = o->binding->body;
    const Field *f = strcmp(body, "*") == 0 ? NULL : message_field(m, body);

    if (o->at.rpc->rules->bytes && takes_bytes(o->binding->method)) {
        json_object(d->json, "requestBody");
        put_raw_content(d->json);
        json_end_object(d->json);
    }
    if (!*body)
        return;
    json_object(d->json, "requestBody");
    if (dialect_needs_body(o->binding->dialect))
        json_bool(d->json, "required", true);
    if (is_raw(f && f->message ? f->message : m)) {
        put_raw_content(d->json);
    } else {
        json_object(d->json, "content");
        json_object(d->json, "application/json");
        put_content_value(d, m, f);
        json_end_object(d->json);
        json_end_object(d->json);
    }
    json_end_object(d->json);
}

/* {"data": …} around the answer. */
static void put_enveloped(const Document *d, const Message *m, const Field *f)
{
    JsonOut *j = d->json;

    json_object(j, "schema");
    json_text(j, "type", "object");
    json_object(j, "properties");
    if (f)
        schema_of_field(j, d->mem, "data", f);
    else
        schema_of_message(j, d->mem, "data", m);
    json_end_object(j);
    json_end_object(j);
    json_object(j, "example");
    if (f)
        example_of_field(j, "data", f);
    else
        example_of_message(j, "data", m);
    json_end_object(j);
}

static void put_reply(const Document *d, const Operation *o)
{
    const Rpc *rpc = o->at.rpc;
    const Field *f = *o->binding->response_body ? message_field(rpc->reply, o->binding->response_body) : NULL;

    if (o->binding->status == 204 || rpc->rules->socket)
        return;
    if (rpc->rules->bytes || is_raw(f && f->message ? f->message : rpc->reply)) {
        put_raw_content(d->json);
        return;
    }
    json_object(d->json, "content");
    json_object(d->json, rpc->streams ? "text/event-stream" : "application/json");
    if (rpc->rules->data_envelope && dialect_knows_data(o->binding->dialect))
        put_enveloped(d, rpc->reply, f);
    else
        put_content_value(d, rpc->reply, f);
    json_end_object(d->json);
    json_end_object(d->json);
}

static void put_responses(const Document *d, const Operation *o)
{
    static const char *const FAILURES[] = {"4XX", "default"};
    const char *failure = arena_printf(d->mem, "#/components/responses/%s", dialect_error_name(o->binding->dialect));

    json_object(d->json, "responses");
    json_object(d->json, o->at.rpc->rules->bytes    ? "2XX"
                         : o->at.rpc->rules->socket ? "101"
                                                    : arena_printf(d->mem, "%u", o->binding->status));
    json_text(d->json, "description",
              o->at.rpc->rules->socket    ? "From here on a WebSocket; the AsyncAPI document has its channel"
              : o->binding->status == 204 ? "Done; there is nothing to say"
                                          : "Done");
    put_reply(d, o);
    json_end_object(d->json);
    for (size_t i = 0; i < ARRAY_LEN(FAILURES); i++) {
        json_object(d->json, FAILURES[i]);
        json_text(d->json, "$ref", failure);
        json_end_object(d->json);
    }
    json_end_object(d->json);
}

/* ------------------------------------------------------------------------------------------- operations */

static void put_security(JsonOut *j, Atrium__CallerPolicy caller)
{
    json_array(j, "security");
    if (caller == ATRIUM__CALLER_POLICY__OPTIONAL) { /* nothing is one of the choices */
        json_object(j, NULL);
        json_end_object(j);
    }
    if (caller != ATRIUM__CALLER_POLICY__ANYONE) {
        json_object(j, NULL);
        json_array(j, "bearer");
        json_end_array(j);
        json_end_object(j);
    }
    json_end_array(j);
}

/* "authLogin"; further bindings of the rpc are numbered. */
static const char *operation_id(Arena *mem, const Operation *o)
{
    const char *id = arena_printf(mem, "%s%s", o->at.file->domain, o->at.rpc->name);
    return o->number ? arena_printf(mem, "%s%zu", id, o->number + 1) : id;
}

static const char *who_may(Atrium__CallerPolicy caller)
{
    return caller == ATRIUM__CALLER_POLICY__OPERATOR ? "Operators and administrators only."
           : caller == ATRIUM__CALLER_POLICY__ADMIN  ? "Administrators only."
                                                     : "";
}

static const char *description(Arena *mem, const Rpc *rpc)
{
    const char *who = who_may(rpc->caller);
    const char *text =
        *who ? arena_printf(mem, "%s%s%s", rpc->comment, *rpc->comment ? "\n\n" : "", who) : rpc->comment;

    if (rpc->rules->permission && *rpc->rules->permission)
        text = arena_printf(mem, "%s%sNeeds the permission %s.", text, *text ? "\n\n" : "", rpc->rules->permission);
    return text;
}

static const char *method_key(Arena *mem, const char *method)
{
    static const char *const KNOWN[] = {"get", "put", "post", "delete", "options", "head", "patch", "trace"};
    char *lower = arena_strdup(mem, method);

    for (char *c = lower; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    for (size_t i = 0; i < ARRAY_LEN(KNOWN); i++)
        if (strcmp(lower, KNOWN[i]) == 0)
            return lower;
    return arena_printf(mem, "x-%s", lower); /* OpenAPI has no other methods */
}

static void put_operation(const Document *d, const Operation *o)
{
    const Rpc *rpc = o->at.rpc;
    const char *summary = comment_summary(d->mem, rpc->comment);

    json_object(d->json, method_key(d->mem, o->binding->method));
    json_text(d->json, "operationId", operation_id(d->mem, o));
    json_array(d->json, "tags");
    json_text(d->json, NULL, o->at.file->domain);
    json_end_array(d->json);
    json_text(d->json, "summary", *summary ? summary : rpc->name);
    put_description(d->json, d->mem, description(d->mem, rpc));
    put_security(d->json, rpc->caller);
    put_parameters(d, o);
    put_request_body(d, o);
    put_responses(d, o);
    json_end_object(d->json);
}

/* Paths of one shape are one path item, whatever their variables are called. */
static void put_path(Document *d, size_t first)
{
    const Operation *head = &d->operations[first];

    json_object(d->json, openapi_path(d->mem, &head->binding->pattern, head->names));
    for (size_t i = first; i < d->operation_count; i++) {
        Operation *o = &d->operations[i];
        if (strcmp(o->binding->pattern.shape, head->binding->pattern.shape) != 0)
            continue;
        o->names = head->names;
        o->done = true;
        put_operation(d, o);
    }
    json_end_object(d->json);
}

/* ------------------------------------------------------------------------------------------- the document */

/* What bodies refer to; a query's fields are described where they stand. */
static void reach_bodies(Reach *reach, const Rpc *rpc, const Binding *b)
{
    const Field *in = message_field(rpc->request, b->body), *out = message_field(rpc->reply, b->response_body);

    if (rpc->rules->bytes || rpc->rules->socket)
        return;
    if (*b->body)
        reach_add(reach, in ? in->message : rpc->request);
    if (b->status != 204)
        reach_add(reach, out ? out->message : rpc->reply);
}

static Reach collect(Document *d, const Model *m)
{
    Reach reach = reach_new(m);
    size_t count = 0;

    for (RpcAt at = rpc_first(m); at.rpc; rpc_next(m, &at))
        count += at.rpc->binding_count;
    d->operations = ARENA_ARRAY(d->mem, Operation, count);
    for (RpcAt at = rpc_first(m); at.rpc; rpc_next(m, &at))
        for (size_t i = 0; i < at.rpc->binding_count; i++) {
            const Binding *b = &at.rpc->bindings[i];
            d->operations[d->operation_count++] =
                (Operation){.at = at, .binding = b, .number = i, .names = parameter_names(d->mem, &b->pattern)};
            d->dialects[b->dialect] = true;
            reach_bodies(&reach, at.rpc, b);
        }
    return reach;
}

static void put_head(JsonOut *j)
{
    json_text(j, "openapi", "3.1.0");
    json_object(j, "info");
    json_text(j, "title", "Atrium");
    json_text(j, "version", "1.0.0");
    json_text(j, "description",
              "Every operation of the platform that has a path. Each family of routes keeps the manner of the contract "
              "that it comes from; its errors show which.");
    json_object(j, "license");
    json_text(j, "name", "Apache-2.0");
    json_text(j, "identifier", "Apache-2.0");
    json_end_object(j);
    json_end_object(j);
    json_array(j, "servers");
    json_object(j, NULL);
    json_text(j, "url", "/");
    json_text(j, "description", "Where this document was read from");
    json_end_object(j);
    json_end_array(j);
}

/* A tag per domain, described by the comment on its first service. */
static void put_tags(const Document *d, const Model *m)
{
    Domain *domains;
    size_t count = model_domains(m, &domains);

    json_array(d->json, "tags");
    for (size_t i = 0; i < count; i++) {
        const char *comment = "";
        for (RpcAt at = rpc_first(m); at.rpc && !*comment; rpc_next(m, &at))
            if (strcmp(at.file->domain, domains[i].name) == 0)
                comment = at.service->comment;
        json_object(d->json, NULL);
        json_text(d->json, "name", domains[i].name);
        put_description(d->json, d->mem, *comment ? comment : domains[i].name);
        json_end_object(d->json);
    }
    json_end_array(d->json);
}

static void put_components(const Document *d, const Reach *reach)
{
    JsonOut *j = d->json;

    json_object(j, "components");
    json_object(j, "securitySchemes");
    json_object(j, "bearer");
    json_text(j, "type", "http");
    json_text(j, "scheme", "bearer");
    json_text(j, "description", "An access token, from a login.");
    json_end_object(j);
    json_end_object(j);
    json_object(j, "responses");
    dialect_put_responses(j, d->mem, d->dialects);
    json_end_object(j);
    json_object(j, "schemas");
    dialect_put_schemas(j, d->dialects);
    schema_put_all(j, d->mem, reach);
    json_end_object(j);
    json_end_object(j);
}

void emit_openapi(const Model *m, Products *out)
{
    StrBuf b = product_begin(out);
    JsonOut json = json_begin(&b);
    Document d = {.mem = m->mem, .json = &json};
    Reach reach = collect(&d, m);

    json_object(&json, NULL);
    put_head(&json);
    put_tags(&d, m);
    json_object(&json, "paths");
    for (size_t i = 0; i < d.operation_count; i++)
        if (!d.operations[i].done)
            put_path(&d, i);
    json_end_object(&json);
    put_components(&d, &reach);
    json_end_object(&json);
    strbuf_append_char(&b, '\n');
    product_end(out, "openapi.json", &b);
}
