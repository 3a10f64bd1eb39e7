/* pages: see pages.h. */
#include "services/auth/pages.h"

Err page_parse(Request *rq, bool has_limit, int32_t limit, const char *after, Page *out)
{
    Page page = {.limit = has_limit ? limit : PAGE_DEFAULT};
    Slice bytes;

    if (page.limit < 1 || page.limit > PAGE_MAX)
        return err_make(&INVALID_ARGUMENT, "limit: 1 to %d", PAGE_MAX);
    if (after && after[0]) {
        if (strlen(after) > UUID_TEXT_BYTES || !base64_decode(rq->mem, slice(after), &bytes) ||
            bytes.len != sizeof(page.after.bytes))
            return err_make(&INVALID_ARGUMENT, "after: not a cursor of this list");
        memcpy(page.after.bytes, bytes.ptr, bytes.len);
    }
    *out = page;
    return OK;
}

char *page_next(Arena *mem, const Page *page, size_t count, Uuid last)
{
    if (count <= (size_t)page->limit)
        return arena_strdup(mem, "");
    return base64url_encode(mem, slice_of(last.bytes, sizeof(last.bytes)));
}

size_t page_shown(const Page *page, size_t count)
{
    return MIN(count, (size_t)page->limit);
}

bool user_id_parse(Slice text, int64_t *out)
{
    uint64_t number;
    Uuid id;

    if (slice_to_uint64(text, &number) && number > 0 && number < UINT64_C(1) << 53) {
        *out = (int64_t)number;
        return true;
    }
    return uuid_parse(text, &id) && uuid_to_user_id(id, out);
}

char *user_id_text(Arena *mem, int64_t user_id)
{
    return uuid_text(mem, uuid_from_user_id(user_id));
}
