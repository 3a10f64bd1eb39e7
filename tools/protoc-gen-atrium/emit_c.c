#include "c_names.h"
#include "product.h"

enum { MAX_COLUMN = 120 };

/* What a file has that needs C of ours. */
typedef struct Contents {
    bool reasons, events, rpcs, bytes;
} Contents;

/* Of an rpc with option bytes, which has no subject on the bus. */
static bool is_bytes(const Rpc *rpc)
{
    return rpc->rules->bytes;
}

static Contents contents_of(const File *file)
{
    Contents has = {0};
    for (size_t i = 0; i < file->enum_count; i++)
        has.reasons |= file->enums[i]->reasons;
    for (size_t i = 0; i < file->message_count; i++)
        has.events |= file->messages[i]->event != NULL;
    for (size_t i = 0; i < file->service_count; i++)
        for (size_t j = 0; j < file->services[i].rpc_count; j++)
            *(is_bytes(&file->services[i].rpcs[j]) ? &has.bytes : &has.rpcs) = true;
    return has;
}

static void put_banner(StrBuf *b, const File *file, const char *what)
{
    strbuf_printf(b, "/* Generated from %s; do not edit.\n * %s */\n", file->name, what);
}

/* "AUTH_V1_LOGIN": an rpc's row, an event's with _EVENT behind, a service's table. */
static const char *constant(Arena *mem, const File *file, const char *name)
{
    return arena_printf(mem, "%s_%s", c_upper(mem, c_prefix(mem, file)), c_upper(mem, name));
}

/* "auth_v1_login" */
static const char *function(Arena *mem, const File *file, const Rpc *rpc)
{
    return arena_printf(mem, "%s_%s", c_prefix(mem, file), c_snake(mem, rpc->name));
}

/* `name(arguments)`, continued under the parenthesis where a line would pass 120 columns. */
static void put_signature(StrBuf *b, const char *name, const char *const *arguments, size_t count, const char *end)
{
    size_t indent = strlen("Err ") + strlen(name) + 1, column = indent;

    strbuf_printf(b, "Err %s(", name);
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(arguments[i]) + 1 + (i + 1 == count ? strlen(end) : 0);
        if (i > 0 && column + 1 + len > MAX_COLUMN) {
            strbuf_printf(b, "\n%*s", (int)indent, "");
            column = indent;
        } else if (i > 0) {
            strbuf_append_char(b, ' ');
            column++;
        }
        strbuf_printf(b, "%s%s", arguments[i], i + 1 < count ? "," : ")");
        column += len;
    }
    strbuf_append_cstr(b, end);
}

/* ------------------------------------------------------------------------------------------- <stem>.atrium.h */

static void put_stub_signature(StrBuf *b, Arena *mem, const File *file, const Rpc *rpc, const char *end)
{
    const char *in = arena_printf(mem, "const %s *in", c_type(mem, rpc->request));
    if (rpc->streams) {
        const char *arguments[] = {"Client *c", "const CallOptions *options", in, "ClientStream **out"};
        put_signature(b, arena_printf(mem, "%s_open", function(mem, file, rpc)), arguments, ARRAY_LEN(arguments), end);
    } else {
        const char *out = arena_printf(mem, "%s **out", c_type(mem, rpc->reply));
        const char *arguments[] = {"Client *c", "const CallOptions *options", "Arena *mem", in, out};
        put_signature(b, arena_printf(mem, "%s_call", function(mem, file, rpc)), arguments, ARRAY_LEN(arguments), end);
    }
}

static void put_next_signature(StrBuf *b, Arena *mem, const File *file, const Rpc *rpc, const char *end)
{
    const char *out = arena_printf(mem, "%s **out", c_type(mem, rpc->reply));
    const char *arguments[] = {"ClientStream *s", "Arena *mem", out};
    put_signature(b, arena_printf(mem, "%s_next", function(mem, file, rpc)), arguments, ARRAY_LEN(arguments), end);
}

static void put_reason_declarations(StrBuf *b, const File *file)
{
    for (size_t i = 0; i < file->enum_count; i++) {
        const Enum *e = file->enums[i];
        if (!e->reasons)
            continue;
        strbuf_append_char(b, '\n');
        for (size_t j = 0; j < e->value_count; j++) {
            c_comment(b, 0, e->values[j].comment);
            strbuf_printf(b, "extern const Reason %s;\n", e->values[j].name);
        }
    }
}

static void put_event_declarations(StrBuf *b, Arena *mem, const File *file)
{
    for (size_t i = 0; i < file->message_count; i++) {
        const Message *e = file->messages[i];
        if (!e->event)
            continue;
        strbuf_append_char(b, '\n');
        c_comment(b, 0, e->comment);
        strbuf_printf(b, "extern const EventType %s_EVENT;\n", constant(mem, file, base_name(e->full_name)));
    }
}

static void put_stub_declarations(StrBuf *b, Arena *mem, const File *file)
{
    for (size_t i = 0; i < file->service_count; i++) {
        for (size_t j = 0; j < file->services[i].rpc_count; j++) {
            const Rpc *rpc = &file->services[i].rpcs[j];
            if (is_bytes(rpc))
                continue;
            strbuf_append_char(b, '\n');
            c_comment(b, 0, rpc->comment);
            strbuf_printf(b, "extern const RpcMethod %s;\n", constant(mem, file, rpc->name));
            put_stub_signature(b, mem, file, rpc, " MUST_CHECK;\n");
            if (rpc->streams)
                put_next_signature(b, mem, file, rpc, " MUST_CHECK;\n");
        }
    }
}

static void emit_public_header(const File *file, Products *out)
{
    Contents has = contents_of(file);
    StrBuf b = product_begin(out);

    put_banner(&b, file, "For everyone: reasons, events, and stubs to call its rpcs.");
    strbuf_append_cstr(&b, "#pragma once\n");
    if (has.events || has.rpcs)
        strbuf_printf(&b, "#include \"%s.pb-c.h\"\n", c_stem(out->mem, file));
    if (has.rpcs)
        strbuf_append_cstr(&b, "#include \"shared/client.h\"\n");
    if (has.reasons || !has.rpcs)
        strbuf_append_cstr(&b, "#include \"shared/err.h\"\n");
    if (has.events)
        strbuf_append_cstr(&b, "#include \"shared/outbox.h\"\n");
    put_reason_declarations(&b, file);
    put_event_declarations(&b, out->mem, file);
    put_stub_declarations(&b, out->mem, file);
    product_end(out, arena_printf(out->mem, "%s.atrium.h", c_stem(out->mem, file)), &b);
}

/* ------------------------------------------------------------------------------------------- <stem>.atrium.c */

/* On the bus a domain's reasons carry its name and version. */
static const char *reason_key(Arena *mem, const File *file, const char *name)
{
    return *file->domain ? arena_printf(mem, "%s.%s.%s", file->domain, file->version, name) : name;
}

static void put_variants(StrBuf *b, Arena *mem, const Atrium__ReasonRules *rules)
{
    if (rules->n_in == 0)
        return;
    strbuf_append_cstr(b, "    .variants = (const ReasonVariant[]){\n");
    for (size_t i = 0; i < rules->n_in; i++) {
        const Atrium__ReasonIn *in = rules->in[i];

        strbuf_printf(b, "        {.dialect = %d, .code = %s, .text = %s, .http = %u},\n", (int)in->dialect,
                      in->code ? c_literal(mem, in->code) : "NULL", in->text ? c_literal(mem, in->text) : "NULL",
                      in->http);
    }
    strbuf_printf(b, "    },\n    .variant_count = %zu,\n", rules->n_in);
}

static void put_reasons(StrBuf *b, Arena *mem, const File *file)
{
    for (size_t i = 0; i < file->enum_count; i++) {
        const Enum *e = file->enums[i];
        for (size_t j = 0; e->reasons && j < e->value_count; j++) {
            const EnumValue *v = &e->values[j];
            strbuf_printf(b,
                          "\nconst Reason %s = {\n    .key = %s,\n    .code = %s,\n    .http = %u,\n    .bus = %u,\n"
                          "    .shown = %s,\n    .retry = %s,\n",
                          v->name, c_literal(mem, reason_key(mem, file, v->name)),
                          c_literal(mem, v->reason->code ? v->reason->code : v->name), v->reason->http, v->reason->bus,
                          v->reason->shown ? "true" : "false", v->reason->retry ? "true" : "false");
            put_variants(b, mem, v->reason);
            strbuf_append_cstr(b, "};\n");
        }
    }
    strbuf_append_cstr(b, "\nstatic const Reason *const REASONS[] = {\n");
    for (size_t i = 0; i < file->enum_count; i++)
        for (size_t j = 0; file->enums[i]->reasons && j < file->enums[i]->value_count; j++)
            strbuf_printf(b, "    &%s,\n", file->enums[i]->values[j].name);
    strbuf_append_cstr(b, "};\n\n__attribute__((constructor)) static void add_reasons(void)\n{\n"
                          "    reasons_add(REASONS, ARRAY_LEN(REASONS));\n}\n");
}

static void put_events(StrBuf *b, Arena *mem, const File *file)
{
    for (size_t i = 0; i < file->message_count; i++) {
        const Message *e = file->messages[i];
        if (!e->event)
            continue;
        strbuf_printf(b,
                      "\nconst EventType %s_EVENT = {\n    .subject = %s,\n    .type = %s,\n"
                      "    .body = &%s__descriptor,\n};\n",
                      constant(mem, file, base_name(e->full_name)),
                      c_literal(mem, arena_strndup(mem, e->event->subject, strcspn(e->event->subject, "{"))),
                      c_literal(mem, e->event->type), c_lower(mem, e));
    }
}

static const char *caller_constant(Atrium__CallerPolicy caller)
{
    static const char *const NAMES[] = {"0",         "RPC_ANYONE",  "RPC_OPTIONAL", "RPC_USER", "RPC_OPERATOR",
                                        "RPC_ADMIN", "RPC_SERVICE", "RPC_GATEWAY"};
    return (size_t)caller < ARRAY_LEN(NAMES) ? NAMES[caller] : "0";
}

static const char *idempotency_constant(Atrium__Idempotency idempotency)
{
    static const char *const NAMES[] = {"RPC_IDEMPOTENCY_NONE", "RPC_IDEMPOTENCY_SAFE", "RPC_IDEMPOTENCY_KEY"};
    return (size_t)idempotency < ARRAY_LEN(NAMES) ? NAMES[idempotency] : NAMES[0];
}

static void put_method(StrBuf *b, Arena *mem, const File *file, const Rpc *rpc)
{
    strbuf_printf(b, "\nconst RpcMethod %s = {\n", constant(mem, file, rpc->name));
    strbuf_printf(b, "    .domain = %s,\n    .version = %s,\n    .name = %s,\n", c_literal(mem, file->domain),
                  c_literal(mem, file->version), c_literal(mem, rpc->name));
    strbuf_printf(b, "    .request = &%s__descriptor,\n", c_lower(mem, rpc->request));
    strbuf_printf(b, "    .reply = &%s__descriptor,\n", c_lower(mem, rpc->reply));
    /* The edge asks for credentials at a socket's handshake; some of its requests are of no person. */
    strbuf_printf(b, "    .caller = %s,\n",
                  caller_constant(rpc->rules->socket ? ATRIUM__CALLER_POLICY__OPTIONAL : rpc->caller));
    strbuf_printf(b, "    .permission = %s,\n",
                  c_literal(mem, rpc->rules->permission && !rpc->rules->socket ? rpc->rules->permission : ""));
    strbuf_printf(b, "    .timeout_ms = %u,\n    .lane = %s,\n", rpc->timeout_ms, c_literal(mem, rpc->rules->lane));
    strbuf_printf(b, "    .idempotency = %s,\n    .max_bytes = %u,\n    .streams = %s,\n};\n",
                  idempotency_constant(rpc->rules->idempotency), rpc->rules->max_bytes,
                  rpc->streams ? "true" : "false");
}

static void put_stub(StrBuf *b, Arena *mem, const File *file, const Rpc *rpc)
{
    const char *row = constant(mem, file, rpc->name), *reply = c_type(mem, rpc->reply);

    strbuf_append_char(b, '\n');
    put_stub_signature(b, mem, file, rpc, "\n");
    if (!rpc->streams) {
        strbuf_printf(b,
                      "{\n    ProtobufCMessage *reply = NULL;\n\n"
                      "    TRY(client_call(c, options, mem, &%s, &in->base, &reply));\n"
                      "    *out = (%s *)reply;\n    return OK;\n}\n",
                      row, reply);
        return;
    }
    strbuf_printf(b, "{\n    return client_stream_open(c, options, &%s, &in->base, out);\n}\n\n", row);
    put_next_signature(b, mem, file, rpc, "\n");
    strbuf_printf(b,
                  "{\n    ProtobufCMessage *message = NULL;\n\n    TRY(client_stream_next(s, mem, &message));\n"
                  "    *out = (%s *)message;\n    return OK;\n}\n",
                  reply);
}

static void emit_public_source(const File *file, Products *out)
{
    Contents has = contents_of(file);
    StrBuf b = product_begin(out);

    put_banner(&b, file, "Reasons, events and client stubs.");
    strbuf_printf(&b, "#include \"%s.atrium.h\"\n", c_stem(out->mem, file));
    if (has.reasons)
        put_reasons(&b, out->mem, file);
    put_events(&b, out->mem, file);
    for (size_t i = 0; i < file->service_count; i++) {
        for (size_t j = 0; j < file->services[i].rpc_count; j++) {
            const Rpc *rpc = &file->services[i].rpcs[j];
            if (is_bytes(rpc))
                continue;
            put_method(&b, out->mem, file, rpc);
            put_stub(&b, out->mem, file, rpc);
        }
    }
    product_end(out, arena_printf(out->mem, "%s.atrium.c", c_stem(out->mem, file)), &b);
}

/* ------------------------------------------------------------------------------------------- <stem>.service.{h,c} */

static void put_handler_signature(StrBuf *b, Arena *mem, const File *file, const Rpc *rpc, const char *end)
{
    const char *arguments[] = {"Request *rq", arena_printf(mem, "const %s *in", c_type(mem, rpc->request)),
                               rpc->streams ? "RpcStream *out" : arena_printf(mem, "%s *out", c_type(mem, rpc->reply))};
    put_signature(b, function(mem, file, rpc), arguments, ARRAY_LEN(arguments), end);
}

/* How many of a service's rpcs are served by the data plane. */
static size_t count_bytes(const Service *s)
{
    size_t count = 0;
    for (size_t i = 0; i < s->rpc_count; i++)
        count += is_bytes(&s->rpcs[i]);
    return count;
}

static void emit_service_header(const File *file, Products *out)
{
    const char *stem = c_stem(out->mem, file);
    StrBuf b = product_begin(out);

    put_banner(&b, file, "For the service: the handlers that it has to write, and its table of rpcs.");
    strbuf_printf(&b, "#pragma once\n#include \"%s.atrium.h\"\n", stem);
    if (contents_of(file).bytes)
        strbuf_append_cstr(&b, "#include \"shared/bytes.h\"\n");
    strbuf_append_cstr(&b, "#include \"shared/rpc.h\"\n");
    for (size_t i = 0; i < file->service_count; i++) {
        const Service *s = &file->services[i];
        for (size_t j = 0; j < s->rpc_count; j++) {
            strbuf_append_char(&b, '\n');
            c_comment(&b, 0, s->rpcs[j].comment);
            if (is_bytes(&s->rpcs[j]))
                strbuf_printf(&b, "extern const BytesHandler %s;\n", function(out->mem, file, &s->rpcs[j]));
            else
                put_handler_signature(&b, out->mem, file, &s->rpcs[j], ";\n");
        }
        strbuf_append_char(&b, '\n');
        c_comment(&b, 0, s->comment);
        strbuf_printf(&b, "extern const RpcService %s;\n", constant(out->mem, file, s->name));
        if (count_bytes(s))
            strbuf_printf(&b, "extern const BytesService %s_BYTES;\n", constant(out->mem, file, s->name));
    }
    product_end(out, arena_printf(out->mem, "%s.service.h", stem), &b);
}

/* Handlers have their own types, the table has none: between them stands a function that casts. */
static void put_thunk(StrBuf *b, Arena *mem, const File *file, const Rpc *rpc)
{
    const char *name = c_snake(mem, rpc->name), *handler = function(mem, file, rpc);
    const char *in = arena_printf(mem, "(const %s *)in", c_type(mem, rpc->request));
    const char *out = rpc->streams ? "out" : arena_printf(mem, "(%s *)out", c_type(mem, rpc->reply));
    size_t column = strlen("    return (rq, , );") + strlen(handler) + strlen(in) + strlen(out);
    const char *gap = column <= MAX_COLUMN ? " " : arena_printf(mem, "\n%*s", 12 + (int)strlen(handler), "");

    strbuf_printf(b, "\nstatic Err %s_%s(Request *rq, const ProtobufCMessage *in, %s *out)\n{\n",
                  rpc->streams ? "stream" : "call", name, rpc->streams ? "RpcStream" : "ProtobufCMessage");
    strbuf_printf(b, "    return %s(rq, %s,%s%s);\n}\n", handler, in, gap, out);
}

/* A row per path, as the gateway has them. */
static void put_bytes_rows(StrBuf *b, Arena *mem, const File *file, const Rpc *rpc)
{
    for (size_t i = 0; i < rpc->binding_count; i++) {
        const Binding *at = &rpc->bindings[i];
        const ProtobufCEnumValue *dialect =
            protobuf_c_enum_descriptor_get_value(&atrium__dialect__descriptor, (int)at->dialect);

        strbuf_printf(b, "    {\n        .method = %s,\n        .path = %s,\n        .rpc = %s,\n",
                      c_literal(mem, at->method), c_literal(mem, at->path),
                      c_literal(mem, arena_printf(mem, "%s.%s.%s", file->domain, file->version, rpc->name)));
        strbuf_printf(b, "        .caller = %s,\n        .permission = %s,\n        .dialect = ATRIUM__DIALECT__%s,\n",
                      caller_constant(rpc->caller),
                      c_literal(mem, rpc->rules->permission ? rpc->rules->permission : ""),
                      dialect ? dialect->name : "ATRIUM");
        strbuf_printf(b, "        .handler = &%s,\n    },\n", function(mem, file, rpc));
    }
}

static void put_bytes_service(StrBuf *b, Arena *mem, const File *file, const Service *s)
{
    const char *rows = arena_printf(mem, "%s_BYTES_ROWS", c_upper(mem, s->name));

    strbuf_printf(b, "\nstatic const BytesRow %s[] = {\n", rows);
    for (size_t i = 0; i < s->rpc_count; i++)
        if (is_bytes(&s->rpcs[i]))
            put_bytes_rows(b, mem, file, &s->rpcs[i]);
    strbuf_printf(b,
                  "};\n\nconst BytesService %s_BYTES = {\n    .name = %s,\n    .domain = %s,\n    .rows = %s,\n"
                  "    .row_count = ARRAY_LEN(%s),\n};\n",
                  constant(mem, file, s->name), c_literal(mem, s->full_name), c_literal(mem, file->domain), rows, rows);
}

static void put_service(StrBuf *b, Arena *mem, const File *file, const Service *s)
{
    const char *handlers = arena_printf(mem, "%s_HANDLERS", c_upper(mem, s->name));
    size_t bytes = count_bytes(s), calls = s->rpc_count - bytes;

    for (size_t i = 0; i < s->rpc_count; i++)
        if (!is_bytes(&s->rpcs[i]))
            put_thunk(b, mem, file, &s->rpcs[i]);
    if (calls > 0) {
        strbuf_printf(b, "\nstatic const RpcHandler %s[] = {\n", handlers);
        for (size_t i = 0; i < s->rpc_count; i++) {
            if (is_bytes(&s->rpcs[i]))
                continue;
            const char *kind = s->rpcs[i].streams ? "stream" : "call";
            strbuf_printf(b, "    {.method = &%s, .%s = %s_%s},\n", constant(mem, file, s->rpcs[i].name), kind, kind,
                          c_snake(mem, s->rpcs[i].name));
        }
        strbuf_append_cstr(b, "};\n");
    }
    strbuf_printf(b, "\nconst RpcService %s = {\n    .name = %s,\n    .domain = %s,\n", constant(mem, file, s->name),
                  c_literal(mem, s->full_name), c_literal(mem, file->domain));
    if (calls > 0)
        strbuf_printf(b, "    .handlers = %s,\n    .handler_count = ARRAY_LEN(%s),\n", handlers, handlers);
    strbuf_append_cstr(b, "};\n");
    if (bytes > 0)
        put_bytes_service(b, mem, file, s);
}

static void emit_service_source(const File *file, Products *out)
{
    const char *stem = c_stem(out->mem, file);
    StrBuf b = product_begin(out);

    put_banner(&b, file, "The table of its rpcs. A handler that is missing does not link.");
    strbuf_printf(&b, "#include \"%s.service.h\"\n", stem);
    for (size_t i = 0; i < file->service_count; i++)
        put_service(&b, out->mem, file, &file->services[i]);
    product_end(out, arena_printf(out->mem, "%s.service.c", stem), &b);
}

void emit_c(const Model *m, Products *out)
{
    for (size_t i = 0; i < m->file_count; i++) {
        const File *file = &m->files[i];
        if (!file->generate)
            continue;
        emit_public_header(file, out);
        emit_public_source(file, out);
        if (file->service_count > 0) {
            emit_service_header(file, out);
            emit_service_source(file, out);
        }
    }
}
