/* json_tool: the JSON codec as a filter, for the property tests. Each request on standard input: the length of the
 * rest (4 bytes, little-endian), one letter ("r": JSON to wire, "w": wire to JSON), the length of the type's name (one
 * byte), the name, the text or bytes. Each answer on standard output: the length of the rest, "+" and the result, or
 * "-" and a line for each problem. */
#include "atrium/tables.pb-c.h"
#include "shared/json.h"

enum { REQUEST_MAX_BYTES = 64 << 20 };

typedef struct Tool {
    const TypeTables *tables;
    Arena *mem;
} Tool;

static Slice read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t size = 0, cap = 1 << 16, got;
    char *bytes = xmalloc(cap);

    if (!file) {
        perror(path);
        exit(2);
    }
    while ((got = fread(bytes + size, 1, cap - size, file)) > 0) {
        size += got;
        if (size == cap)
            bytes = xrealloc(bytes, cap *= 2);
    }
    (void)fclose(file); /* read only */
    return slice_of(bytes, size);
}

static void answer(char verdict, Slice rest)
{
    uint32_t len = (uint32_t)rest.len + 1;
    unsigned char head[] = {(unsigned char)len, (unsigned char)(len >> 8), (unsigned char)(len >> 16),
                            (unsigned char)(len >> 24), (unsigned char)verdict};

    if (fwrite(head, 1, sizeof(head), stdout) != sizeof(head) || fwrite(rest.ptr, 1, rest.len, stdout) != rest.len ||
        fflush(stdout) != 0)
        exit(1);
}

static void answer_problems(Arena *mem, const JsonProblems *problems)
{
    StrBuf out = strbuf_new(mem, REQUEST_MAX_BYTES);

    for (size_t i = 0; i < problems->count; i++) {
        const JsonProblem *p = &problems->list[i];
        strbuf_printf(&out, "kind %d at %zu path \"%s\" expected %s\n", (int)p->kind, p->offset, p->path,
                      p->expected ? p->expected : "-");
    }
    answer('-', strbuf_slice(&out));
}

static void serve(const Tool *tool, Slice request)
{
    StrBuf out = strbuf_new(tool->mem, REQUEST_MAX_BYTES);
    size_t name_len = request.len > 1 ? (unsigned char)request.ptr[1] : 0;
    Slice name = slice_take(slice_skip(request, 2), name_len), body = slice_skip(request, 2 + name_len);
    const MessageType *type = types_find(tool->tables, name);
    JsonProblems problems;

    if (!type) {
        answer('-', SLICE_LIT("unknown type"));
    } else if (request.ptr[0] == 'r') {
        if (json_to_wire(&(JsonReadOptions){.refuse_unknown = true}, type, body, &out, &problems))
            answer('+', strbuf_slice(&out));
        else
            answer_problems(tool->mem, &problems);
    } else if (wire_to_json(&(JsonWriteOptions){0}, type, body, &out)) {
        answer('+', strbuf_slice(&out));
    } else {
        answer('-', SLICE_LIT("no such message"));
    }
}

static bool read_request(Tool *tool, Slice *out)
{
    unsigned char head[4];
    uint32_t len;
    char *bytes;

    if (fread(head, 1, sizeof(head), stdin) != sizeof(head))
        return false;
    len = head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 24;
    if (len > REQUEST_MAX_BYTES)
        return false;
    bytes = arena_alloc_raw(tool->mem, len, 1);
    *out = slice_of(bytes, len);
    return fread(bytes, 1, len, stdin) == len;
}

int main(int argc, char **argv)
{
    CLEANUP(arena_free_at) Arena *tables_mem = arena_new(1 << 16), *mem = arena_new(1 << 16);
    Tool tool = {.mem = mem};
    Atrium__Tables *file;
    Slice bytes, request;
    Err e;

    if (argc != 2) {
        (void)fprintf(stderr, "usage: json_tool gateway.tables\n");
        return 2;
    }
    bytes = read_file(argv[1]);
    file = atrium__tables__unpack(NULL, bytes.len, (const uint8_t *)bytes.ptr);
    if (!file) {
        (void)fprintf(stderr, "%s: not a tables file\n", argv[1]);
        return 2;
    }
    e = types_load(tables_mem, file, &tool.tables);
    atrium__tables__free_unpacked(file, NULL);
    free((char *)(uintptr_t)bytes.ptr);
    if (err_failed(e)) {
        (void)fprintf(stderr, "%s: %s\n", argv[1], e.text);
        return 2;
    }
    for (; read_request(&tool, &request); arena_reset(mem))
        serve(&tool, request);
    return 0;
}
