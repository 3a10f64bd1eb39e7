/* items: one item, as its owner changes it, throws it away and takes it back. */
#include "services/media/answers.h"
#include "services/media/permit.h"
#include "services/media/store_items.h"
#include "services/media/uploads.h"

/* With where it plays. */
static Err answer_whole(Request *rq, const ItemRow *row, Media__V1__Item *out)
{
    Played *played;

    answer_item(rq, row, out);
    if (row->deleted_us)
        return OK;
    TRY(permit_play(rq, row, 1, NULL, &played));
    out->stream_url = (char *)played->stream_url;
    out->download_url = (char *)played->download_url;
    out->playback = played->playback;
    return OK;
}

Err media_v1_get_item(Request *rq, const Media__V1__GetItemRequest *in, Media__V1__Item *out)
{
    ItemRow item;

    TRY(permit_item(rq, NULL, in->media_id, &item));
    return answer_whole(rq, &item, out);
}

/* --- changing
 * ---------------------------------------------------------------------------------------------------------- */
static bool has_controls(Slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return true;
    return false;
}

Err media_v1_update_item(Request *rq, const Media__V1__UpdateItemRequest *in, Media__V1__Item *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Slice filename = slice(in->original_filename);
    ItemRow item;

    if (utf8_length(slice(in->title)) > TITLE_MAX_CHARS)
        return err_make(&INVALID_ARGUMENT, "title: at most %d characters", TITLE_MAX_CHARS);
    if (in->original_filename && (filename.len == 0 || utf8_length(filename) > FILENAME_MAX_CHARS ||
                                  has_controls(filename) || slice_find_char(filename, '/') >= 0))
        return err_make(&INVALID_ARGUMENT, "original_filename: 1 to %d characters, no slashes or controls",
                        FILENAME_MAX_CHARS);
    TRY(db_tx_begin(rq, &tx));
    TRY(permit_item(rq, &tx, in->media_id, &item));
    if (in->title)
        item.title = in->title;
    if (in->original_filename)
        item.original_filename = in->original_filename;
    TRY(media_store_rename(&tx, item.id, item.title, item.original_filename));
    TRY(db_tx_commit(&tx));
    return answer_whole(rq, &item, out);
}

/* --- tags
 * -------------------------------------------------------------------------------------------------------------- */
static size_t find_tag(char *const *tags, size_t count, const char *tag)
{
    size_t i = 0;

    while (i < count && strcmp(tags[i], tag) != 0)
        i++;
    return i;
}

/* As the original: a name that cannot be stored is skipped. */
static bool tag_fits(const char *tag)
{
    return utf8_length(slice(tag)) <= TAG_MAX_CHARS && !has_controls(slice(tag));
}

static Err change_tags(const Media__V1__UpdateTagsRequest *in, char *tags[static 2 * TAGS_MAX], size_t *count)
{
    if (in->n_add_tags > TAGS_MAX || in->n_remove_tags > TAGS_MAX)
        return err_make(&INVALID_ARGUMENT, "tags: at most %d", TAGS_MAX);
    for (size_t i = 0; i < in->n_add_tags; i++)
        if (tag_fits(in->add_tags[i]) && find_tag(tags, *count, in->add_tags[i]) == *count)
            tags[(*count)++] = in->add_tags[i];
    for (size_t i = 0; i < in->n_remove_tags; i++) {
        size_t at = find_tag(tags, *count, in->remove_tags[i]);

        if (at < *count)
            memmove(&tags[at], &tags[at + 1], (--*count - at) * sizeof(*tags));
    }
    return *count > TAGS_MAX ? err_make(&INVALID_ARGUMENT, "tags: at most %d", TAGS_MAX) : OK;
}

Err media_v1_update_tags(Request *rq, const Media__V1__UpdateTagsRequest *in, Media__V1__ItemTags *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    char **tags = ARENA_ARRAY(rq->mem, char *, 2 * TAGS_MAX);
    size_t count;
    ItemRow item;

    TRY(db_tx_begin(rq, &tx));
    TRY(permit_item(rq, &tx, in->media_id, &item));
    count = MIN(item.tag_count, (size_t)TAGS_MAX);
    memcpy(tags, item.tags, count * sizeof(*tags));
    TRY(change_tags(in, tags, &count));
    TRY(media_store_set_tags(&tx, item.id, tags, count));
    TRY(db_tx_commit(&tx));
    out->media_id = in->media_id;
    out->tags = tags;
    out->n_tags = count;
    return OK;
}

/* --- the trash
 * --------------------------------------------------------------------------------------------------------- */
Err media_v1_delete_item(Request *rq, const Media__V1__DeleteItemRequest *in, Media__V1__Done *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    const Media *media = rq->service;
    ItemRow item;

    TRY(db_tx_begin(rq, &tx));
    TRY(in->permanent ? permit_item_anywhere(rq, &tx, in->media_id, &item) : permit_item(rq, &tx, in->media_id, &item));
    if (in->permanent || media->settings->trash_days == 0 || item.status == MEDIA__V1__ITEM_STATUS__UPLOADING)
        TRY(media_store_purge(rq, &tx, &item));
    else
        TRY(media_store_trash(rq, &tx, &item));
    TRY(db_tx_commit(&tx));
    if (item.status == MEDIA__V1__ITEM_STATUS__UPLOADING)
        err_ignore(uploads_drop_of_item(rq, item.id)); /* else it expires */
    outbox_nudge(media->outbox);
    SET(out, success, true);
    return OK;
}

Err media_v1_restore_item(Request *rq, const Media__V1__RestoreItemRequest *in, Media__V1__Item *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    const Media *media = rq->service;
    ItemRow item;

    TRY(db_tx_begin(rq, &tx));
    TRY(permit_item_anywhere(rq, &tx, in->media_id, &item));
    if (item.deleted_us)
        TRY(media_store_restore(rq, &tx, &item));
    TRY(db_tx_commit(&tx));
    outbox_nudge(media->outbox);
    return answer_whole(rq, &item, out);
}

static bool read_trash_cursor(Arena *mem, Slice cursor, int64_t *out_us, Uuid *out_id)
{
    Slice text, time, id;

    return cursor.len <= 128 && base64_decode(mem, cursor, &text) && slice_cut(text, ':', &time, &id) &&
           slice_to_int64(time, out_us) && *out_us > 0 && uuid_parse(id, out_id);
}

Err media_v1_list_trash(Request *rq, const Media__V1__ListTrashRequest *in, Media__V1__ListTrashReply *out)
{
    int64_t before_us = 0;
    Uuid before_id = {{0}};
    Trash trash;

    if (in->cursor && !read_trash_cursor(rq->mem, slice(in->cursor), &before_us, &before_id))
        return err_make(&INVALID_ARGUMENT, "cursor: none of this list");
    TRY(media_store_list_trash(rq, rq->caller.user_id, before_us, before_id,
                               page_size_of(in->has_page_size, in->page_size), &trash));
    out->items = answer_items(rq, trash.items, trash.count);
    out->n_items = trash.count;
    if (trash.more) {
        const ItemRow *last = &trash.items[trash.count - 1];

        out->next_cursor = base64url_encode(
            rq->mem, slice(arena_printf(rq->mem, "%" PRId64 ":%s", last->deleted_us, uuid_text(rq->mem, last->id))));
    }
    return OK;
}
