#include "product.h"
#include "reach.h"
#include "shared/message.h" /* SET */

enum { TABLES_FORMAT = 1 };

/* protobuf-c's repeated fields are arrays of pointers; these have all that they can need from the start. */
#define NEW(mem, T, init)                                                                                              \
    ({                                                                                                                 \
        T *new_ = ARENA_NEW((mem), T);                                                                                 \
        init(new_);                                                                                                    \
        new_;                                                                                                          \
    })
/* protobuf-c's structs want char *, and only read them. */
#define TEXT(s) ((char *)(s))

static Atrium__FieldRow *field_row(Arena *mem, const Reach *reach, const Field *f)
{
    Atrium__FieldRow *row = NEW(mem, Atrium__FieldRow, atrium__field_row__init);

    SET(row, number, f->number);
    row->name = TEXT(f->name);
    row->json_name = TEXT(f->json_name);
    SET(row, type, f->type);
    if (f->repeated)
        SET(row, repeated, true);
    if (f->packed)
        SET(row, packed, true);
    if (f->message)
        SET(row, ref, reach_message(reach, f->message));
    if (f->enumeration)
        SET(row, ref, reach_enum(reach, f->enumeration));
    if (f->oneof)
        SET(row, oneof, f->oneof);
    if (f->rules->has_null)
        SET(row, null, f->rules->null);
    if (f->rules->has_absent)
        SET(row, absent, f->rules->absent);
    row->n_absent_in = f->rules->n_absent_in;
    row->absent_in = f->rules->absent_in;
    if (f->rules->has_int64)
        SET(row, int64, f->rules->int64);
    if (f->rules->secret)
        SET(row, secret, true);
    if (f->rules->internal)
        SET(row, internal, true);
    if (f->rules->has_sse)
        SET(row, sse, f->rules->sse);
    return row;
}

static Atrium__TypeRow *type_row(Arena *mem, const Reach *reach, const Message *message)
{
    Atrium__TypeRow *row = NEW(mem, Atrium__TypeRow, atrium__type_row__init);

    row->name = TEXT(message->full_name);
    row->fields = ARENA_ARRAY(mem, Atrium__FieldRow *, message->field_count);
    for (size_t i = 0; i < message->field_count; i++)
        row->fields[row->n_fields++] = field_row(mem, reach, &message->fields[i]);
    if (message->well_known)
        SET(row, well_known, message->well_known);
    if (message->map_entry)
        SET(row, map_entry, true);
    return row;
}

static Atrium__EnumRow *enum_row(Arena *mem, const Enum *e)
{
    Atrium__EnumRow *row = NEW(mem, Atrium__EnumRow, atrium__enum_row__init);

    row->name = TEXT(e->full_name);
    row->values = ARENA_ARRAY(mem, Atrium__EnumValueRow *, e->value_count);
    for (size_t i = 0; i < e->value_count; i++) {
        Atrium__EnumValueRow *value = NEW(mem, Atrium__EnumValueRow, atrium__enum_value_row__init);
        SET(value, number, e->values[i].number);
        value->name = TEXT(e->values[i].name);
        value->json = TEXT(e->values[i].json_name);
        row->values[row->n_values++] = value;
    }
    return row;
}

static Atrium__RouteRow *route_row(Arena *mem, const Reach *reach, const File *file, const Rpc *rpc, const Binding *b)
{
    Atrium__RouteRow *row = NEW(mem, Atrium__RouteRow, atrium__route_row__init);

    row->method = TEXT(b->method);
    row->path = TEXT(b->path);
    row->domain = TEXT(file->domain);
    row->version = TEXT(file->version);
    row->rpc = TEXT(rpc->name);
    SET(row, request, reach_message(reach, rpc->request));
    SET(row, reply, reach_message(reach, rpc->reply));
    row->body = *b->body ? TEXT(b->body) : NULL;
    row->response_body = *b->response_body ? TEXT(b->response_body) : NULL;
    SET(row, caller, rpc->caller);
    SET(row, timeout_ms, rpc->timeout_ms);
    row->rate = TEXT(b->rate);
    SET(row, dialect, b->dialect);
    SET(row, profile_dialect, b->profile_dialect);
    SET(row, status, b->status);
    SET(row, max_bytes, rpc->rules->max_bytes);
    row->n_headers = rpc->rules->n_headers;
    row->headers = rpc->rules->headers;
    SET(row, data_envelope, rpc->rules->data_envelope);
    SET(row, idempotency, rpc->rules->idempotency);
    SET(row, streams, rpc->streams);
    if (rpc->rules->bytes)
        SET(row, bytes, true);
    if (rpc->rules->lenient_body)
        SET(row, lenient_body, true);
    row->socket = rpc->rules->socket;
    row->permission = rpc->rules->permission;
    row->cookie = rpc->rules->cookie;
    row->events_rpc = rpc->rules->events_rpc;
    return row;
}

static void add_routes(const Model *m, const Reach *reach, Atrium__Tables *tables)
{
    size_t count = 0;

    for (RpcAt at = rpc_first(m); at.rpc; rpc_next(m, &at))
        count += at.rpc->binding_count;
    tables->routes = ARENA_ARRAY(m->mem, Atrium__RouteRow *, count);
    for (RpcAt at = rpc_first(m); at.rpc; rpc_next(m, &at))
        for (size_t i = 0; i < at.rpc->binding_count; i++)
            tables->routes[tables->n_routes++] = route_row(m->mem, reach, at.file, at.rpc, &at.rpc->bindings[i]);
}

static bool has_socket(const Model *m, const char *domain)
{
    for (RpcAt at = rpc_first(m); at.rpc; rpc_next(m, &at))
        if (at.rpc->rules->socket && strcmp(at.file->domain, domain) == 0)
            return true;
    return false;
}

static void add_streams(const Model *m, const Reach *reach, Atrium__Tables *tables)
{
    size_t count = 0;

    for (RpcAt at = rpc_first(m); at.rpc; rpc_next(m, &at))
        count += at.rpc->streams;
    tables->streams = ARENA_ARRAY(m->mem, Atrium__StreamRow *, count);
    for (RpcAt at = rpc_first(m); at.rpc; rpc_next(m, &at)) {
        Atrium__StreamRow *row;
        if (!at.rpc->streams || !has_socket(m, at.file->domain))
            continue;
        row = NEW(m->mem, Atrium__StreamRow, atrium__stream_row__init);
        row->domain = TEXT(at.file->domain);
        row->version = TEXT(at.file->version);
        row->rpc = TEXT(at.rpc->name);
        SET(row, reply, reach_message(reach, at.rpc->reply));
        SET(row, timeout_ms, at.rpc->timeout_ms);
        tables->streams[tables->n_streams++] = row;
    }
}

static Atrium__ReasonRow *reason_row(Arena *mem, const File *file, const EnumValue *v)
{
    Atrium__ReasonRow *row = NEW(mem, Atrium__ReasonRow, atrium__reason_row__init);
    Atrium__ReasonRules *rules = arena_memdup(mem, v->reason, sizeof(*v->reason));

    if (!rules->code)
        rules->code = TEXT(v->name);
    row->key = *file->domain ? arena_printf(mem, "%s.%s.%s", file->domain, file->version, v->name) : TEXT(v->name);
    row->rules = rules;
    return row;
}

/* The reasons of imported files too: the common ones are in one that domains may not name. */
static void add_reasons(const Model *m, Atrium__Tables *tables)
{
    size_t count = 0;

    for (size_t i = 0; i < m->file_count; i++)
        for (size_t j = 0; j < m->files[i].enum_count; j++)
            count += m->files[i].enums[j]->value_count;
    tables->reasons = ARENA_ARRAY(m->mem, Atrium__ReasonRow *, count);
    for (size_t i = 0; i < m->file_count; i++)
        for (size_t j = 0; j < m->files[i].enum_count; j++) {
            const Enum *e = m->files[i].enums[j];
            for (size_t k = 0; e->reasons && k < e->value_count; k++)
                tables->reasons[tables->n_reasons++] = reason_row(m->mem, &m->files[i], &e->values[k]);
        }
}

static void add_rates(const Model *m, Atrium__Tables *tables)
{
    size_t count = 0;

    for (size_t i = 0; i < m->file_count; i++)
        count += m->files[i].rules->n_rates;
    tables->rates = ARENA_ARRAY(m->mem, Atrium__RateClass *, count);
    for (size_t i = 0; i < m->file_count; i++)
        for (size_t j = 0; j < m->files[i].rules->n_rates; j++)
            tables->rates[tables->n_rates++] = m->files[i].rules->rates[j];
}

static void add_domains(const Model *m, Atrium__Tables *tables)
{
    Domain *domains;
    size_t count = model_domains(m, &domains);

    tables->domains = ARENA_ARRAY(m->mem, Atrium__DomainRow *, count);
    for (size_t i = 0; i < count; i++) {
        Atrium__DomainRow *row = NEW(m->mem, Atrium__DomainRow, atrium__domain_row__init);
        row->name = TEXT(domains[i].name);
        row->n_depends = domains[i].depend_count;
        row->depends = (char **)domains[i].depends;
        SET(row, event_retention_s, domains[i].event_retention_s);
        tables->domains[tables->n_domains++] = row;
    }
}

/* What the gateway reads besides requests and replies. */
static const char *const ALWAYS[] = {"atrium.Status", "atrium.Violation"};

static Reach reach_all(const Model *m)
{
    Reach reach = reach_new(m);

    for (RpcAt at = rpc_first(m); at.rpc; rpc_next(m, &at)) {
        reach_add(&reach, at.rpc->request);
        reach_add(&reach, at.rpc->reply);
    }
    for (size_t i = 0; i < ARRAY_LEN(ALWAYS); i++)
        reach_add(&reach, model_message(m, ALWAYS[i]));
    /* Frames name any message of their domain (atrium.FrameMessage). */
    for (size_t i = 0; i < m->file_count; i++)
        for (size_t j = 0; m->files[i].generate && has_socket(m, m->files[i].domain) && j < m->files[i].message_count;
             j++)
            reach_add(&reach, m->files[i].messages[j]);
    return reach;
}

void emit_tables(const Model *m, Products *out)
{
    Reach reach = reach_all(m);
    Atrium__Tables *tables = NEW(m->mem, Atrium__Tables, atrium__tables__init);
    StrBuf b = product_begin(out);
    size_t size;
    char *room;

    SET(tables, format, TABLES_FORMAT);
    tables->types = ARENA_ARRAY(m->mem, Atrium__TypeRow *, reach.message_count);
    for (size_t i = 0; i < reach.message_count; i++)
        tables->types[tables->n_types++] = type_row(m->mem, &reach, reach.messages[i]);
    tables->enums = ARENA_ARRAY(m->mem, Atrium__EnumRow *, reach.enum_count);
    for (size_t i = 0; i < reach.enum_count; i++)
        tables->enums[tables->n_enums++] = enum_row(m->mem, reach.enums[i]);
    add_routes(m, &reach, tables);
    add_streams(m, &reach, tables);
    add_reasons(m, tables);
    add_rates(m, tables);
    add_domains(m, tables);

    size = atrium__tables__get_packed_size(tables);
    room = strbuf_reserve(&b, size);
    if (room) {
        atrium__tables__pack(tables, (uint8_t *)room);
        strbuf_advance(&b, size);
    }
    product_end(out, "gateway.tables", &b);
}
