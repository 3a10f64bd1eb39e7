/* Fuzz target: captions that users bring. What is made holds no markup but WebVTT's, and made of itself it is the same.
 */
#include "services/media/vtt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    Slice made, again;
    const char *language;
    Err e = vtt_make(mem, slice_of(data, len), &made);

    if (vtt_language(mem, slice_of(data, len), &language))
        check(strlen(language) == len && len <= VTT_LANGUAGE_MAX_BYTES && !strpbrk(language, "./\"%\n"));
    if (err_failed(e))
        return 0;
    check(utf8_valid(made) && slice_starts_with(made, SLICE_LIT("WEBVTT\n\n")));
    check(slice_find(made, SLICE_LIT("<script")) < 0 && slice_find(made, SLICE_LIT("\n\nSTYLE")) < 0);
    if (made.len > VTT_MAX_BYTES)
        return 0;
    e = vtt_make(mem, made, &again);
    check(!err_failed(e) && slice_eq(made, again));
    return 0;
}
