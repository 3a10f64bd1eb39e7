#include "product.h"

/* Who may say what on the bus (DESIGN sections 3 and 11), as nats-server reads it. Inboxes are
 * _INBOX.<whose>.<who may answer>.>, so nobody can answer in another's name. There is no allow_responses: it would let
 * a service answer to any subject that a requester names. */
typedef struct Rules {
    Arena *mem;
    StrBuf *out;
    const char *upper; /* the domain in capitals, for streams */
} Rules;

static void put_rule(Rules *r, const char *format, ...) PRINTF_LIKE(2, 3);
static void put_rule(Rules *r, const char *format, ...)
{
    char subject[256];
    va_list args;

    va_start(args, format);
    vsnprintf(subject, sizeof(subject), format, args);
    va_end(args);
    strbuf_printf(r->out, "          \"%s\"\n", subject);
}

static const char *capitals(Arena *mem, const char *name)
{
    char *out = arena_strdup(mem, name);
    for (char *c = out; *c; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
    return out;
}

static void begin_user(Rules *r, const char *name)
{
    r->upper = capitals(r->mem, name);
    strbuf_printf(r->out,
                  "    {\n      user: %s\n      password: $%s_NATS_PASSWORD\n      permissions: {\n"
                  "        publish: [\n",
                  name, r->upper);
}

static void begin_subscribe(Rules *r)
{
    strbuf_append_cstr(r->out, "        ]\n        subscribe: [\n");
}

static void end_user(Rules *r)
{
    strbuf_append_cstr(r->out, "        ]\n      }\n    }\n");
}

/* Reading a stream: its state, its messages, and consumers of one's own. */
static void put_stream_reading(Rules *r, const char *stream)
{
    put_rule(r, "$JS.API.STREAM.INFO.%s", stream);
    put_rule(r, "$JS.API.STREAM.MSG.GET.%s", stream);
    put_rule(r, "$JS.API.DIRECT.GET.%s", stream);
    put_rule(r, "$JS.API.DIRECT.GET.%s.>", stream);
    put_rule(r, "$JS.API.CONSUMER.CREATE.%s", stream);
    put_rule(r, "$JS.API.CONSUMER.CREATE.%s.>", stream);
    put_rule(r, "$JS.API.CONSUMER.INFO.%s.*", stream);
    put_rule(r, "$JS.API.CONSUMER.DELETE.%s.*", stream);
    put_rule(r, "$JS.FC.%s.>", stream);
}

/* Besides, durable consumers, whose messages are fetched and acknowledged. */
static void put_stream_consuming(Rules *r, const char *stream)
{
    put_stream_reading(r, stream);
    put_rule(r, "$JS.API.CONSUMER.DURABLE.CREATE.%s.*", stream);
    put_rule(r, "$JS.API.CONSUMER.MSG.NEXT.%s.*", stream);
    put_rule(r, "$JS.ACK.%s.>", stream);
}

static void put_domain_publish(Rules *r, const Domain *d)
{
    static const char *const OWN[] = {"EVT", "DSP", "JOBS", "DEAD"};

    put_rule(r, "_INBOX.*.%s.>", d->name); /* answers, to whoever asked */
    put_rule(r, "_INBOX.ops.>");           /* answers to discovery */
    for (size_t i = 0; i < d->depend_count; i++)
        put_rule(r, "svc.*.%s.%s.>", d->name, d->depends[i]);
    put_rule(r, "evt.%s.>", d->name);
    put_rule(r, "dsp.%s.>", d->name);
    put_rule(r, "job.%s.>", d->name);
    put_rule(r, "dead.%s.>", d->name);
    put_rule(r, "$JS.API.INFO");
    for (size_t i = 0; i < ARRAY_LEN(OWN); i++)
        put_stream_consuming(r, arena_printf(r->mem, "%s_%s", OWN[i], r->upper));
    for (size_t i = 0; i < d->consume_count; i++)
        if (strcmp(d->consumes[i], d->name) != 0)
            put_stream_consuming(r, arena_printf(r->mem, "EVT_%s", capitals(r->mem, d->consumes[i])));
    /* No making or changing of streams, not even of its own: nats-server would let them take any subject, and so
     * record everyone's requests. The operator makes them (atrium bus setup). */
    put_rule(r, "$JS.API.STREAM.PURGE.DSP_%s", r->upper);       /* numbers that were given out are skipped */
    put_rule(r, "$JS.API.STREAM.MSG.DELETE.DEAD_%s", r->upper); /* a dead letter is dropped */
    put_stream_reading(r, "KV_atrium");
}

static void put_discovery(Rules *r, const char *name)
{
    static const char *const VERBS[] = {"PING", "INFO", "STATS"};

    for (size_t i = 0; i < ARRAY_LEN(VERBS); i++) {
        put_rule(r, "$SRV.%s", VERBS[i]);
        put_rule(r, "$SRV.%s.%s", VERBS[i], name);
        put_rule(r, "$SRV.%s.%s.*", VERBS[i], name);
    }
}

static void put_domain(Rules *r, const Domain *d)
{
    begin_user(r, d->name);
    put_domain_publish(r, d);
    begin_subscribe(r);
    /* With the queue group only: a plain subscription would be a wire-tap on the other instances. */
    put_rule(r, "rpc.*.%s.> %s", d->name, d->name);
    put_rule(r, "svc.*.*.%s.> %s", d->name, d->name);
    put_rule(r, "_INBOX.%s.>", d->name);
    put_discovery(r, d->name);
    put_rule(r, "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.JOBS_%s.>", r->upper);
    end_user(r);
}

static void put_gateway(Rules *r, const Domain *domains, size_t count)
{
    begin_user(r, "gateway");
    put_rule(r, "rpc.>");
    put_rule(r, "_INBOX.ops.>"); /* answers to discovery */
    put_rule(r, "$JS.API.INFO");
    put_stream_reading(r, "EVT_AUTH"); /* ended logins */
    for (size_t i = 0; i < count; i++)
        put_stream_reading(r, arena_printf(r->mem, "DSP_%s", capitals(r->mem, domains[i].name)));
    put_stream_reading(r, "KV_atrium");
    begin_subscribe(r);
    put_rule(r, "_INBOX.gateway.>");
    put_discovery(r, "gateway");
    end_user(r);
}

/* The operator's hands: any rpc that a service may call, discovery, streams, and dead jobs put back to work. */
static void put_ops(Rules *r)
{
    begin_user(r, "ops");
    put_rule(r, "svc.*.ops.>");
    put_rule(r, "$SRV.>");
    put_rule(r, "$JS.API.>");
    put_rule(r, "$JS.ACK.>");
    put_rule(r, "$JS.FC.>");
    put_rule(r, "$KV.atrium.>");
    put_rule(r, "job.>");
    begin_subscribe(r);
    put_rule(r, "_INBOX.ops.>");
    end_user(r);
}

void emit_permissions(const Model *m, Products *out)
{
    StrBuf b = product_begin(out);
    Rules r = {.mem = m->mem, .out = &b};
    Domain *domains;
    size_t count = model_domains(m, &domains);

    strbuf_append_cstr(&b,
                       "# Generated from the protos by protoc-gen-atrium; do not edit. Include it in nats-server's\n"
                       "# configuration; passwords come from variables, here or in the environment.\n"
                       "authorization {\n  users: [\n");
    for (size_t i = 0; i < count; i++)
        put_domain(&r, &domains[i]);
    put_gateway(&r, domains, count);
    put_ops(&r);
    strbuf_append_cstr(&b, "  ]\n}\n");
    product_end(out, "nats-permissions.conf", &b);
}
