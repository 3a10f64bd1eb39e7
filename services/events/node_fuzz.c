/* Fuzz target: documents as JSON. What is read is written, and reads again as the same graph and the same bytes. */
#include "services/events/node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static Slice written(Arena *mem, const Node *node)
{
    static const unsigned ALL = SHOWN_LISTS | SHOWN_DETAIL | SHOWN_PROVENANCE | SHOWN_TOMBSTONE;
    StrBuf out = strbuf_new(mem, 64 << 20);
    Slice text;

    node_write_json(&out, node, &(NodeWriting){.shown = ALL});
    check(strbuf_finish(&out, &text) && utf8_valid(text));
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    Node *node, *again;
    Slice first, *pointers;

    if (!node_read(mem, slice_of(data, len), &node))
        return 0;
    first = written(mem, node);
    if (first.len > NODE_MAX_BYTES) /* escapes have grown it */
        return 0;
    check(node_read(mem, first, &again) && node_equal(node, again));
    check(slice_eq(first, written(mem, again)));
    check(node_diff(mem, node, again, &pointers) == 0);
    return 0;
}
