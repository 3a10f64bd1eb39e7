/* Fuzz target: Accept headers. What is chosen was offered; a refusal stays one when the header grows by nonsense. */
#include "services/events/negotiate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const Format OFFERED[] = {FORMAT_HTML, FORMAT_TURTLE, FORMAT_JSONLD};
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    const char *accept = slice_cstr(mem, slice_of(data, len));
    Format format = FORMAT_COUNT;
    Slice name = slice(accept);

    if (negotiate_page(accept, OFFERED, ARRAY_LEN(OFFERED), &format) && format != FORMAT_HTML &&
        format != FORMAT_TURTLE && format != FORMAT_JSONLD)
        abort();
    format = negotiate_api(accept, OFFERED, ARRAY_LEN(OFFERED));
    if (format != FORMAT_JSON && format != FORMAT_HTML && format != FORMAT_TURTLE && format != FORMAT_JSONLD)
        abort();
    if (format_by_suffix(&name, &format) && name.len >= len)
        abort();
    return 0;
}
