/* lists: the caller's items, by page or cursor, filtered and sorted. */
#include "services/media/answers.h"

enum { CURSOR_MAX_BYTES = 1024 };

static const char *const SORTS[] = {"created", "title", "size", "duration"};

/* --- cursors -------------------------------------------------------------------------------------------------------
 */
/* base64url of "<sort><direction>:<ordinal>:<number>:<text>": where a list ended, good for the same sort only. They
 * grant nothing: whose items are listed is the caller's matter. */
static char *write_cursor(Arena *mem, const ItemFilter *f, const ItemList *list)
{
    return base64url_encode(
        mem, slice(arena_printf(mem, "%d%c:%" PRId64 ":%" PRId64 ":%s", (int)f->sort, f->ascending ? '+' : '-',
                                list->items[list->count - 1].ordinal, list->last_number, list->last_text)));
}

static bool read_cursor(Arena *mem, Slice cursor, ItemFilter *f)
{
    Slice text, head, ordinal, number;

    if (cursor.len > CURSOR_MAX_BYTES || !base64_decode(mem, cursor, &text) || !utf8_valid(text))
        return false;
    if (!slice_cut(text, ':', &head, &text) || !slice_cut(text, ':', &ordinal, &text) ||
        !slice_cut(text, ':', &number, &text))
        return false;
    if (!slice_eq_cstr(head, arena_printf(mem, "%d%c", (int)f->sort, f->ascending ? '+' : '-')))
        return false;
    if (memchr(text.ptr, 0, text.len) || !slice_to_int64(ordinal, &f->cursor_ordinal) ||
        !slice_to_int64(number, &f->cursor_number))
        return false;
    f->cursor_text = slice_cstr(mem, text);
    f->has_cursor = true;
    return true;
}

/* --- the request ---------------------------------------------------------------------------------------------------
 */
int64_t page_size_of(bool has, int64_t wanted)
{
    return has && wanted >= 1 && wanted <= PAGE_SIZE_MAX ? wanted : PAGE_SIZE_DEFAULT;
}

static bool read_sort(Slice word, ItemFilter *f)
{
    if (word.len == 0)
        return true;
    f->ascending = word.ptr[0] != '-';
    if (!f->ascending)
        word = slice_skip(word, 1);
    for (size_t i = 0; i < ARRAY_LEN(SORTS); i++)
        if (slice_eq_cstr(word, SORTS[i])) {
            f->sort = (ItemSort)i;
            return true;
        }
    return false;
}

static bool type_known(const char *type)
{
    return strcmp(type, "video") == 0 || strcmp(type, "audio") == 0 || strcmp(type, "image") == 0 ||
           strcmp(type, "other") == 0;
}

static int64_t time_us(const Google__Protobuf__Timestamp *t)
{
    return t ? t->seconds * 1000000 + t->nanos / 1000 : 0;
}

static Err read_tags(Request *rq, const Media__V1__ListItemsRequest *in, ItemFilter *f)
{
    Slice *tags = ARENA_ARRAY(rq->mem, Slice, in->n_tags + 1);

    if (in->n_tags > FILTER_TAGS_MAX)
        return err_make(&INVALID_ARGUMENT, "tags: at most %d", FILTER_TAGS_MAX);
    for (size_t i = 0; i < in->n_tags; i++)
        tags[i] = slice(in->tags[i]);
    f->tags = tags;
    f->tag_count = in->n_tags;
    return OK;
}

static Err read_filter(Request *rq, const Media__V1__ListItemsRequest *in, ItemFilter *f)
{
    *f = (ItemFilter){.owner_id = rq->caller.user_id,
                      .status = in->status ? in->status : "",
                      .words = in->q ? in->q : "",
                      .type = in->type ? in->type : "",
                      .after_us = time_us(in->created_after),
                      .before_us = time_us(in->created_before),
                      .min_ms = in->has_min_duration_ms ? in->min_duration_ms : -1,
                      .max_ms = in->has_max_duration_ms ? in->max_duration_ms : -1,
                      .cursor_text = "",
                      .limit = page_size_of(in->has_page_size, in->page_size)};
    if (utf8_length(slice(f->words)) > SEARCH_MAX_CHARS)
        return err_make(&INVALID_ARGUMENT, "q: at most %d characters", SEARCH_MAX_CHARS);
    if (f->type[0] && !type_known(f->type))
        return err_make(&INVALID_ARGUMENT, "type: video, audio, image or other");
    if (!read_sort(slice(in->sort), f))
        return err_make(&INVALID_ARGUMENT, "sort: created, title, size or duration, with a minus for downwards");
    TRY(read_tags(rq, in, f));
    if (in->cursor && !read_cursor(rq->mem, slice(in->cursor), f))
        return err_make(&INVALID_ARGUMENT, "cursor: none of this list");
    return OK;
}

Err media_v1_list_items(Request *rq, const Media__V1__ListItemsRequest *in, Media__V1__ListItemsReply *out)
{
    int64_t page = in->has_page && in->page > 1 ? in->page : 1;
    ItemFilter filter;
    ItemList list;

    TRY(read_filter(rq, in, &filter));
    filter.offset = page - 1 > INT64_MAX / filter.limit ? INT64_MAX : (page - 1) * filter.limit;
    TRY(media_store_list(rq, &filter, &list));
    out->items = answer_items(rq, list.items, list.count);
    out->n_items = list.count;
    SET(out, total_count, list.total);
    SET(out, page, page);
    SET(out, page_size, filter.limit);
    if (list.more)
        out->next_cursor = write_cursor(rq->mem, &filter, &list);
    return OK;
}
