#include "product.h"

/* A field of a CSV line; quoted where it has to be. */
static void put_cell(StrBuf *b, const char *text)
{
    if (!strpbrk(text, ",\"\n")) {
        strbuf_append_cstr(b, text);
        return;
    }
    strbuf_append_char(b, '"');
    for (const char *c = text; *c; c++) {
        if (*c == '"')
            strbuf_append_char(b, '"');
        strbuf_append_char(b, *c);
    }
    strbuf_append_char(b, '"');
}

static const char *policy_name(Atrium__CallerPolicy caller)
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(&atrium__caller_policy__descriptor, (int)caller);
    return v ? v->name : "";
}

/* One row per rpc: what the matrix of callers has to have a row of expected results for. */
void emit_callers(const Model *m, Products *out)
{
    StrBuf b = product_begin(out);

    strbuf_append_cstr(&b, "domain,rpc,policy,permission,routes,kind\n");
    for (RpcAt at = rpc_first(m); at.rpc; rpc_next(m, &at)) {
        StrBuf routes = product_begin(out);
        Slice text;
        for (size_t i = 0; i < at.rpc->binding_count; i++)
            strbuf_printf(&routes, "%s%s %s", i ? "; " : "", at.rpc->bindings[i].method, at.rpc->bindings[i].path);
        strbuf_printf(&b, "%s,%s,%s,%s,", at.file->domain, at.rpc->name, policy_name(at.rpc->caller),
                      at.rpc->rules->permission ? at.rpc->rules->permission : "");
        put_cell(&b, strbuf_finish(&routes, &text) ? text.ptr : "");
        strbuf_printf(&b, ",%s\n",
                      at.rpc->rules->bytes    ? "bytes"
                      : at.rpc->rules->socket ? "socket"
                      : at.rpc->streams       ? "stream"
                                              : "call");
    }
    product_end(out, "callers.csv", &b);
}
