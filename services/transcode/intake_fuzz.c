/* Fuzz target: events of media as they come (intake.c, before the database). */
#include "services/transcode/intake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t max_bytes)
{
    if (strlen(text) > max_bytes || !utf8_valid(slice(text)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 14);
    JobRow job;

    if (err_failed(intake_read_upload(mem, slice_of(data, size), &job)))
        return 0;
    /* What stands in a path later. */
    if (!job.source_key[0] || job.source_key[0] == '/' || strstr(job.source_key, "/../"))
        abort();
    if (job.generation < 1 || job.kind != TRANSCODE__V1__JOB_KIND__FIRST)
        abort();
    check_text(job.mime_type, TYPE_MAX_BYTES);
    check_text(job.filename, FILENAME_MAX_BYTES);
    return 0;
}
