/* Fuzz target: fragments and codecs of MP4 files (boxes.c), and the playlists made of them (hls.c). */
#include "services/transcode/boxes.h"
#include "services/transcode/hls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool read_bytes(void *data, uint64_t offset, void *to, size_t len)
{
    const Slice *bytes = data;

    if (offset > bytes->len || len > bytes->len - offset)
        return false;
    memcpy(to, bytes->ptr + offset, len);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 16);
    Slice bytes = slice_of(data, size), playlist, master;
    const BoxFile file = {.read = read_bytes, .data = &bytes, .size_bytes = size};
    Transcode__V1__Rendition rendition = TRANSCODE__V1__RENDITION__INIT, *list[1] = {&rendition};
    Cmaf cmaf;

    if (err_failed(cmaf_read(&file, mem, &cmaf)))
        return 0;
    for (size_t i = 0; i < cmaf.count; i++)
        if (cmaf.fragments[i].offset + cmaf.fragments[i].size_bytes > size || cmaf.fragments[i].duration == 0)
            abort(); /* a range outside of the file */
    if (err_failed(hls_media_playlist(mem, &cmaf, "x.mp4", &rendition, &playlist)))
        return 0;
    if (rendition.average <= 0 || rendition.peak <= 0)
        abort();
    SET(&rendition, kind, cmaf.video ? TRANSCODE__V1__RENDITION_KIND__VIDEO : TRANSCODE__V1__RENDITION_KIND__AUDIO);
    rendition.uri = arena_strdup(mem, "x.m3u8");
    rendition.name = arena_strdup(mem, "x");
    if (err_failed(hls_master(mem, list, 1, &master)))
        abort();
    return 0;
}
