/* Fuzz target: cursors of lists. The first byte is the sort, the next the direction; the rest is the cursor. What one
 * says is written again and read again the same. */
#include "services/media/answers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* This target is the lists' store: it takes what was asked for, and the list goes on there. */
static ItemFilter asked;

Err media_store_list(Request *rq, const ItemFilter *filter, ItemList *out)
{
    ItemRow *last = ARENA_NEW(rq->mem, ItemRow);

    asked = *filter;
    last->ordinal = filter->cursor_ordinal;
    *out = (ItemList){.items = last,
                      .count = 1,
                      .more = true,
                      .last_text = filter->cursor_text,
                      .last_number = filter->cursor_number};
    return OK;
}

Media__V1__Item **answer_items(Request *rq, const ItemRow *rows, size_t count)
{
    (void)rows;
    return ARENA_ARRAY(rq->mem, Media__V1__Item *, count);
}

static Err list(Request *rq, const char *sort, char *cursor, Media__V1__ListItemsReply *out)
{
    Media__V1__ListItemsRequest in = MEDIA__V1__LIST_ITEMS_REQUEST__INIT;

    media__v1__list_items_reply__init(out);
    in.sort = (char *)sort;
    in.cursor = cursor;
    return media_v1_list_items(rq, &in, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const SORTS[] = {"created", "title", "size", "duration"};
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    Request rq = {.mem = mem, .clock = &SYSTEM_CLOCK, .caller = {.kind = CALLER_PERSON, .user_id = 1}};
    Media__V1__ListItemsReply out;
    ItemFilter first;
    const char *sort;

    if (len < 2)
        return 0;
    sort = arena_printf(mem, "%s%s", data[1] & 1 ? "" : "-", SORTS[data[0] % ARRAY_LEN(SORTS)]);
    if (err_failed(list(&rq, sort, slice_cstr(mem, slice_of(data + 2, len - 2)), &out)))
        return 0;
    check(asked.has_cursor && asked.owner_id == 1 && utf8_valid(slice(asked.cursor_text)) && out.next_cursor);
    first = asked;
    check(!err_failed(list(&rq, sort, out.next_cursor, &out)));
    check(asked.cursor_ordinal == first.cursor_ordinal && asked.cursor_number == first.cursor_number &&
          strcmp(asked.cursor_text, first.cursor_text) == 0);
    return 0;
}
