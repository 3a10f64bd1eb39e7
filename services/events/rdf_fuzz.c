/* Fuzz target: graphs as triples. A line of N-Triples is one statement whatever the texts hold, and Turtle has as many
 * quotes as its texts need. */
#include "services/events/rdf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static Slice written(Arena *mem, const Node *node, RdfSyntax syntax)
{
    StrBuf out = strbuf_new(mem, 64 << 20);
    RdfWriter w = rdf_begin(&out, syntax, ~0U);
    Slice text;

    rdf_write(&w, node);
    check(strbuf_finish(&out, &text) && utf8_valid(text));
    return text;
}

/* Behind the closing mark of what `at` opens; NULL when the line ends before. */
static const char *skip_term(const char *at)
{
    char closing = *at == '<' ? '>' : '"';

    for (at++; *at && *at != '\n' && *at != closing; at++)
        if (closing == '"' && *at == '\\' && at[1])
            at++;
    return *at == closing ? at + 1 : NULL;
}

/* Quotes and angle brackets are closed in the line where they open, and outside of them is next to nothing. */
static void check_lines(const char *at, const char *outside)
{
    while (*at)
        if (*at == '<' || *at == '"') {
            at = skip_term(at);
            check(at != NULL);
        } else
            check(strchr(outside, *at++) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char NAMES[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    Node *node;

    if (!node_read(mem, slice_of(data, len), &node))
        return 0;
    check_lines(written(mem, node, RDF_NTRIPLES).ptr, " .\n^_:b0123456789");
    check_lines(written(mem, node, RDF_TURTLE).ptr, arena_printf(mem, "@:^;,.[] \n%s", NAMES));
    return 0;
}
