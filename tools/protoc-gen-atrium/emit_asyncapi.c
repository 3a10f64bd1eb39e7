/* AsyncAPI 3.0 of the domain events, a channel per event, and of WebSockets, a channel per path. */
#include "product.h"
#include "schema.h"

typedef struct Document {
    Arena *mem;
    JsonOut *json;
} Document;

static const char *event_key(Arena *mem, const Message *e)
{
    const char *open = strchr(e->event->subject, '{');
    return open ? arena_strndup(mem, open + 1, strcspn(open + 1, "}")) : "";
}

/* The CloudEvents attributes are headers of the NATS message ("binary mode"). */
static void put_header(JsonOut *j, const char *name, const char *description, const char *fixed)
{
    json_object(j, name);
    json_text(j, "type", "string");
    json_text(j, "description", description);
    if (fixed)
        json_text(j, "const", fixed);
    json_end_object(j);
}

static void put_headers(JsonOut *j, const Message *e)
{
    static const char *const REQUIRED[] = {"ce-specversion", "ce-id", "ce-source", "ce-type", "Nats-Msg-Id"};

    json_object(j, "headers");
    json_text(j, "type", "object");
    json_object(j, "properties");
    put_header(j, "ce-specversion", "Version of CloudEvents.", "1.0");
    put_header(j, "ce-id", "Unique per event; a repeated delivery has the same.", NULL);
    put_header(j, "ce-source", "Where it comes from.", NULL);
    put_header(j, "ce-type", "What happened.", e->event->type);
    put_header(j, "ce-time", "When, as in RFC 3339.", NULL);
    put_header(j, "content-type", "Of the body.", "application/protobuf");
    put_header(j, "Nats-Msg-Id", "The same as ce-id: by it JetStream drops what comes twice.", NULL);
    put_header(j, "traceparent", "The trace that led to it.", NULL);
    json_end_object(j);
    json_array(j, "required");
    for (size_t i = 0; i < ARRAY_LEN(REQUIRED); i++)
        json_text(j, NULL, REQUIRED[i]);
    json_end_array(j);
    json_end_object(j);
}

static void put_channel(const Document *d, const Message *e)
{
    const char *key = event_key(d->mem, e), *name = schema_name(e);
    const Field *f = message_field(e, key);

    json_object(d->json, name);
    json_text(d->json, "address", e->event->subject);
    put_description(d->json, d->mem, e->comment);
    json_object(d->json, "parameters");
    json_object(d->json, key);
    json_text(d->json, "description", f && *f->comment ? f->comment : "The key: events of one key come in order.");
    json_end_object(d->json);
    json_end_object(d->json);
    json_object(d->json, "messages");
    json_object(d->json, name);
    json_text(d->json, "$ref", arena_printf(d->mem, "#/components/messages/%s", name));
    json_end_object(d->json);
    json_end_object(d->json);
    json_end_object(d->json);
}

static void put_operation(const Document *d, const Message *e)
{
    const char *name = schema_name(e);

    json_object(d->json, arena_printf(d->mem, "send.%s", name));
    json_text(d->json, "action", "send");
    json_object(d->json, "channel");
    json_text(d->json, "$ref", arena_printf(d->mem, "#/channels/%s", name));
    json_end_object(d->json);
    json_text(d->json, "summary", comment_summary(d->mem, e->comment));
    json_array(d->json, "messages");
    json_object(d->json, NULL);
    json_text(d->json, "$ref", arena_printf(d->mem, "#/channels/%s/messages/%s", name, name));
    json_end_object(d->json);
    json_end_array(d->json);
    json_end_object(d->json);
}

static void put_message(const Document *d, const Message *e)
{
    json_object(d->json, schema_name(e));
    json_text(d->json, "name", e->event->type);
    json_text(d->json, "title", base_name(e->full_name));
    json_text(d->json, "summary", comment_summary(d->mem, e->comment));
    json_text(d->json, "contentType", "application/protobuf");
    put_headers(d->json, e);
    json_object(d->json, "payload");
    json_text(d->json, "$ref", arena_printf(d->mem, "#/components/schemas/%s", schema_name(e)));
    json_end_object(d->json);
    json_array(d->json, "examples");
    json_object(d->json, NULL);
    example_of_message(d->json, "payload", e);
    json_end_object(d->json);
    json_end_array(d->json);
    json_end_object(d->json);
}

/* --- WebSockets: what is said on them is between the client and the service, so any JSON ------------------------- */
static const char *socket_name(Arena *mem, const RpcAt *at, size_t number)
{
    return number ? arena_printf(mem, "%s.%s%zu", at->file->domain, at->rpc->name, number + 1)
                  : arena_printf(mem, "%s.%s", at->file->domain, at->rpc->name);
}

static void put_reference(JsonOut *j, const char *name, const char *to)
{
    json_object(j, name);
    json_text(j, "$ref", to);
    json_end_object(j);
}

static void put_socket_channel(const Document *d, const RpcAt *at, size_t number)
{
    const char *name = socket_name(d->mem, at, number);
    JsonOut *j = d->json;

    json_object(j, name);
    json_text(j, "address", at->rpc->bindings[number].path);
    put_description(j, d->mem, at->rpc->comment);
    json_array(j, "servers");
    put_reference(j, NULL, "#/servers/edge");
    json_end_array(j);
    json_object(j, "messages");
    put_reference(j, "frame", "#/components/messages/SocketFrame");
    json_end_object(j);
    json_object(j, "bindings");
    json_object(j, "ws");
    json_text(j, "method", "GET");
    json_text(j, "bindingVersion", "0.1.0");
    json_end_object(j);
    json_end_object(j);
    json_end_object(j);
}

static void put_socket_operations(const Document *d, const RpcAt *at, size_t number)
{
    static const char *const ACTIONS[] = {"send", "receive"};
    const char *name = socket_name(d->mem, at, number);

    for (size_t i = 0; i < ARRAY_LEN(ACTIONS); i++) {
        json_object(d->json, arena_printf(d->mem, "%s.%s", ACTIONS[i], name));
        json_text(d->json, "action", ACTIONS[i]);
        put_reference(d->json, "channel", arena_printf(d->mem, "#/channels/%s", name));
        json_text(d->json, "summary", comment_summary(d->mem, at->rpc->comment));
        json_array(d->json, "messages");
        put_reference(d->json, NULL, arena_printf(d->mem, "#/channels/%s/messages/frame", name));
        json_end_array(d->json);
        json_end_object(d->json);
    }
}

static void put_socket_message(JsonOut *j)
{
    json_object(j, "SocketFrame");
    json_text(j, "name", "frame");
    json_text(j, "title", "A frame");
    json_text(j, "summary", "One JSON document in a text frame.");
    json_text(j, "contentType", "application/json");
    json_object(j, "payload");
    json_text(j, "type", "object");
    json_text(j, "description", "As the contract of the path has it.");
    json_end_object(j);
    json_array(j, "examples");
    json_object(j, NULL);
    json_object(j, "payload");
    json_end_object(j);
    json_end_object(j);
    json_end_array(j);
    json_end_object(j);
}

static bool has_sockets(const Model *m)
{
    for (RpcAt at = rpc_first(m); at.rpc; rpc_next(m, &at))
        if (at.rpc->rules->socket)
            return true;
    return false;
}

static void each_socket(const Document *d, const Model *m, void (*put)(const Document *, const RpcAt *, size_t number))
{
    for (RpcAt at = rpc_first(m); at.rpc; rpc_next(m, &at))
        for (size_t i = 0; at.rpc->rules->socket && i < at.rpc->binding_count; i++)
            put(d, &at, i);
}

static void put_servers(JsonOut *j, bool sockets)
{
    json_object(j, "servers");
    json_object(j, "bus");
    json_text(j, "host", "localhost:4222");
    json_text(j, "protocol", "nats");
    json_text(j, "description", "nats-server with JetStream.");
    json_end_object(j);
    if (sockets) {
        json_object(j, "edge");
        json_text(j, "host", "localhost:8080");
        json_text(j, "protocol", "ws");
        json_text(j, "description", "The gateway: WebSocket, RFC 6455.");
        json_end_object(j);
    }
    json_end_object(j);
}

static void put_head(JsonOut *j, bool sockets)
{
    json_text(j, "asyncapi", "3.0.0");
    json_object(j, "info");
    json_text(j, "title", "Atrium's domain events");
    json_text(j, "version", "1.0.0");
    json_text(j, "description",
              "What happened, for anyone with a credential that may read it: CloudEvents in binary mode over NATS "
              "JetStream. Bodies are protobuf messages; the schemas show their JSON form.");
    json_object(j, "license");
    json_text(j, "name", "Apache-2.0");
    json_text(j, "url", "https://www.apache.org/licenses/LICENSE-2.0");
    json_end_object(j);
    json_end_object(j);
    json_text(j, "defaultContentType", "application/protobuf");
    put_servers(j, sockets);
}

/* Calls `put` for each event of the files to generate. */
static void each_event(const Document *d, const Model *m, void (*put)(const Document *, const Message *))
{
    for (size_t i = 0; i < m->file_count; i++)
        for (size_t k = 0; m->files[i].generate && k < m->files[i].message_count; k++)
            if (m->files[i].messages[k]->event)
                put(d, m->files[i].messages[k]);
}

static Reach reach_events(const Model *m)
{
    Reach reach = reach_new(m);
    for (size_t i = 0; i < m->file_count; i++)
        for (size_t k = 0; m->files[i].generate && k < m->files[i].message_count; k++)
            if (m->files[i].messages[k]->event)
                reach_add(&reach, m->files[i].messages[k]);
    return reach;
}

void emit_asyncapi(const Model *m, Products *out)
{
    StrBuf b = product_begin(out);
    JsonOut json = json_begin(&b);
    Document d = {.mem = m->mem, .json = &json};
    Reach reach = reach_events(m);

    json_object(&json, NULL);
    put_head(&json, has_sockets(m));
    json_object(&json, "channels");
    each_event(&d, m, put_channel);
    each_socket(&d, m, put_socket_channel);
    json_end_object(&json);
    json_object(&json, "operations");
    each_event(&d, m, put_operation);
    each_socket(&d, m, put_socket_operations);
    json_end_object(&json);
    json_object(&json, "components");
    json_object(&json, "messages");
    each_event(&d, m, put_message);
    if (has_sockets(m))
        put_socket_message(&json);
    json_end_object(&json);
    json_object(&json, "schemas");
    schema_put_all(&json, m->mem, &reach);
    json_end_object(&json);
    json_end_object(&json);
    json_end_object(&json);
    strbuf_append_char(&b, '\n');
    product_end(out, "asyncapi.json", &b);
}
