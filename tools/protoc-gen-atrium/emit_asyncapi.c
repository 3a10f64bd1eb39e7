/* AsyncAPI 3.0 of the domain events: a channel per event. */
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

static void put_head(JsonOut *j)
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
    json_object(j, "servers");
    json_object(j, "bus");
    json_text(j, "host", "localhost:4222");
    json_text(j, "protocol", "nats");
    json_text(j, "description", "nats-server with JetStream.");
    json_end_object(j);
    json_end_object(j);
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
    put_head(&json);
    json_object(&json, "channels");
    each_event(&d, m, put_channel);
    json_end_object(&json);
    json_object(&json, "operations");
    each_event(&d, m, put_operation);
    json_end_object(&json);
    json_object(&json, "components");
    json_object(&json, "messages");
    each_event(&d, m, put_message);
    json_end_object(&json);
    json_object(&json, "schemas");
    schema_put_all(&json, m->mem, &reach);
    json_end_object(&json);
    json_end_object(&json);
    json_end_object(&json);
    strbuf_append_char(&b, '\n');
    product_end(out, "asyncapi.json", &b);
}
