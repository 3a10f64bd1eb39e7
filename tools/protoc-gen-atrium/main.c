/* protoc-gen-atrium: reads a CodeGeneratorRequest from stdin, writes a CodeGeneratorResponse to stdout. The parameter
 * says which products: "c" or "platform" (README.md). */
#include <unistd.h>

#include "google/protobuf/compiler/plugin.pb-c.h"
#include "product.h"
#include "source.h"

enum { INPUT_MAX_BYTES = 256 * 1024 * 1024, READ_BYTES = 64 * 1024 };

StrBuf product_begin(const Products *p)
{
    return strbuf_new(p->mem, PRODUCT_MAX_BYTES);
}

void product_end(Products *p, const char *name, StrBuf *content)
{
    Slice done;
    if (!strbuf_finish(content, &done) || p->count == p->room) {
        fprintf(stderr, "protoc-gen-atrium: %s: too much output\n", name);
        exit(1);
    }
    p->list[p->count++] = (Product){.name = name, .content = done};
}

static bool read_input(Arena *mem, Slice *out)
{
    StrBuf input = strbuf_new(mem, INPUT_MAX_BYTES);
    for (;;) {
        char *room = strbuf_reserve(&input, READ_BYTES);
        ssize_t got = room ? read(STDIN_FILENO, room, READ_BYTES) : -1;
        if (got < 0)
            return false;
        if (got == 0)
            return strbuf_finish(&input, out);
        strbuf_advance(&input, (size_t)got);
    }
}

/* The response by hand: protobuf-c's strings end at a NUL, and the gateway's tables are full of them. */
enum { RESPONSE_ERROR = 1, RESPONSE_FILE = 15, FILE_NAME = 1, FILE_CONTENT = 15 };

static void put_varint(StrBuf *b, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        strbuf_append_char(b, (char)(value | 0x80));
    strbuf_append_char(b, (char)value);
}

static void put_bytes(StrBuf *b, unsigned field, Slice bytes)
{
    put_varint(b, field << 3 | 2);
    put_varint(b, bytes.len);
    strbuf_append(b, bytes);
}

static bool write_response(const Model *m, const Products *products)
{
    StrBuf response = strbuf_new(m->mem, 2 * (size_t)PRODUCT_MAX_BYTES);
    Slice bytes;

    if (m->problems.len > 0) {
        /* A line break first, since protoc writes its own words in front. */
        const char *text = arena_printf(m->mem, "\n" SLICE_FMT, SLICE_ARG(slice_trim(strbuf_slice(&m->problems))));
        put_bytes(&response, RESPONSE_ERROR, slice(text));
    }
    for (size_t i = 0; i < products->count && m->problems.len == 0; i++) {
        StrBuf file = strbuf_new(m->mem, PRODUCT_MAX_BYTES + 4096);
        put_bytes(&file, FILE_NAME, slice(products->list[i].name));
        put_bytes(&file, FILE_CONTENT, products->list[i].content);
        put_bytes(&response, RESPONSE_FILE, strbuf_slice(&file));
    }
    if (!strbuf_finish(&response, &bytes))
        return false;
    return fwrite(bytes.ptr, 1, bytes.len, stdout) == bytes.len && fflush(stdout) == 0;
}

/* protoc grumbles on stderr at bytes that are no UTF-8, though it keeps them; so the tables can go past it. */
static void write_tables(Model *m, const char *path, Products *products)
{
    const Slice tables = products->list[--products->count].content;
    FILE *file = fopen(path, "wb");
    bool written = file && fwrite(tables.ptr, 1, tables.len, file) == tables.len;

    if (file && fclose(file) != 0)
        written = false;
    if (!written)
        strbuf_printf(&m->problems, "%s: cannot be written\n", path);
}

static void make_products(Model *m, const char *parameter, Products *products)
{
    static const char WITH_TABLES[] = "platform,tables=";
    bool tables_apart = strncmp(parameter, WITH_TABLES, sizeof(WITH_TABLES) - 1) == 0;

    check_files(m);
    if (strcmp(parameter, "c") == 0) {
        if (m->problems.len == 0)
            emit_c(m, products);
    } else if (strcmp(parameter, "platform") == 0 || tables_apart) {
        check_platform(m);
        if (m->problems.len > 0)
            return;
        emit_tables(m, products);
        if (tables_apart)
            write_tables(m, parameter + sizeof(WITH_TABLES) - 1, products);
        emit_openapi(m, products);
        emit_asyncapi(m, products);
        emit_permissions(m, products);
        emit_callers(m, products);
    } else {
        strbuf_printf(&m->problems,
                      "--atrium_out=<what>:<folder>: <what> is c, platform or platform,tables=<file>, not \"%s\"\n",
                      parameter);
    }
}

int main(void)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024 * 1024);
    ProtobufCAllocator allocator = source_allocator(mem);
    Google__Protobuf__Compiler__CodeGeneratorRequest *request;
    Products products = {.mem = mem};
    Slice input;
    Model *m;

    if (!read_input(mem, &input)) {
        fprintf(stderr, "protoc-gen-atrium: cannot read the request\n");
        return 1;
    }
    request =
        google__protobuf__compiler__code_generator_request__unpack(&allocator, input.len, (const uint8_t *)input.ptr);
    if (!request) {
        fprintf(stderr, "protoc-gen-atrium: stdin is no CodeGeneratorRequest; run it through protoc\n");
        return 1;
    }
    m = model_new(mem, request->proto_file, request->n_proto_file, request->file_to_generate,
                  request->n_file_to_generate);
    products.room = 4 * request->n_file_to_generate + 8;
    products.list = ARENA_ARRAY(mem, Product, products.room);
    make_products(m, request->parameter ? request->parameter : "", &products);
    if (!write_response(m, &products)) {
        fprintf(stderr, "protoc-gen-atrium: cannot write the response\n");
        return 1;
    }
    return 0;
}
