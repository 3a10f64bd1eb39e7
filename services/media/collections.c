/* collections: sets of items, as their owner keeps them and as others see them. */
#include "atrium/media/v1/collections.service.h"
#include "services/media/answers.h"
#include "services/media/export.h"
#include "services/media/permit.h"
#include "services/media/store_items.h"

/* --- the owner's
 * ------------------------------------------------------------------------------------------------------- */
static void answer_collection(Request *rq, const CollectionRow *row, Media__V1__Collection *out)
{
    out->id = uuid_text(rq->mem, row->id);
    out->title = (char *)row->title;
    out->description = (char *)row->description;
    SET(out, is_public, row->is_public);
    out->share_token = uuid_text(rq->mem, row->share_token);
    out->created_at = answer_time(rq->mem, row->created_us);
}

static Err check_texts(const char *title, const char *description)
{
    if (utf8_length(slice(title)) > TITLE_MAX_CHARS)
        return err_make(&INVALID_ARGUMENT, "title: at most %d characters", TITLE_MAX_CHARS);
    if (utf8_length(slice(description)) > DESCRIPTION_MAX_CHARS)
        return err_make(&INVALID_ARGUMENT, "description: at most %d characters", DESCRIPTION_MAX_CHARS);
    return OK;
}

Err media_v1_create_collection(Request *rq, const Media__V1__CreateCollectionRequest *in, Media__V1__Collection *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    const Media *media = rq->service;
    CollectionRow row = {.id = uuid_v7(media->ids),
                         .owner_id = rq->caller.user_id,
                         .title = in->title,
                         .description = in->description ? in->description : "",
                         .share_token = uuid_v4(),
                         .created_us = clock_unix_us(rq->clock)};

    if (slice(in->title).len == 0)
        return err_make(&INVALID_ARGUMENT, "title is required");
    TRY(check_texts(in->title, in->description));
    TRY(db_tx_begin(rq, &tx));
    TRY(media_store_insert_collection(&tx, &row));
    TRY(db_tx_commit(&tx));
    answer_collection(rq, &row, out);
    return OK;
}

Err media_v1_list_collections(Request *rq, const Media__V1__ListCollectionsRequest *in,
                              Media__V1__ListCollectionsReply *out)
{
    CollectionRow *rows;
    size_t count;
    (void)in;

    TRY(media_store_list_collections(rq, rq->caller.user_id, &rows, &count));
    out->collections = ARENA_ARRAY(rq->mem, Media__V1__Collection *, count + 1);
    for (size_t i = 0; i < count; i++) {
        out->collections[i] = MESSAGE_NEW(rq->mem, Media__V1__Collection, media__v1__collection__init);
        answer_collection(rq, &rows[i], out->collections[i]);
    }
    out->n_collections = count;
    return OK;
}

Err media_v1_update_collection(Request *rq, const Media__V1__UpdateCollectionRequest *in, Media__V1__Collection *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    CollectionRow row;

    TRY(db_tx_begin(rq, &tx));
    TRY(permit_collection(rq, &tx, in->collection_id, &row));
    TRY(check_texts(in->title, in->description));
    if (in->title)
        row.title = in->title;
    if (in->description)
        row.description = in->description;
    TRY(media_store_update_collection(&tx, &row));
    TRY(db_tx_commit(&tx));
    answer_collection(rq, &row, out);
    return OK;
}

Err media_v1_delete_collection(Request *rq, const Media__V1__DeleteCollectionRequest *in, Media__V1__Done *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    CollectionRow row;

    TRY(db_tx_begin(rq, &tx));
    TRY(permit_collection(rq, &tx, in->collection_id, &row));
    TRY(media_store_delete_collection(&tx, row.id));
    TRY(db_tx_commit(&tx));
    SET(out, success, true);
    return OK;
}

/* --- what is in it
 * ----------------------------------------------------------------------------------------------------- */
static Err item_to_add(Request *rq, const char *id, ItemRow *out)
{
    Err e = permit_item(rq, NULL, id, out);

    return e.reason == &PERMISSION_DENIED ? err_make(&PERMISSION_DENIED, "not authorized to add this media") : e;
}

Err media_v1_add_to_collection(Request *rq, const Media__V1__AddToCollectionRequest *in, Media__V1__Done *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    CollectionRow row;
    ItemRow item;
    bool room;

    TRY(permit_collection(rq, NULL, in->collection_id, &row));
    TRY(item_to_add(rq, in->media_id, &item));
    TRY(db_tx_begin(rq, &tx));
    TRY(permit_collection(rq, &tx, in->collection_id, &row));
    TRY(media_store_add_to_collection(&tx, row.id, item.id, clock_unix_us(rq->clock), &room));
    if (!room)
        return err_make(&CONFLICT, "at most %d items in a collection", COLLECTION_ITEMS_MAX);
    TRY(db_tx_commit(&tx));
    SET(out, success, true);
    return OK;
}

Err media_v1_remove_from_collection(Request *rq, const Media__V1__RemoveFromCollectionRequest *in, Media__V1__Done *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    CollectionRow row;
    Uuid media_id;

    TRY(db_tx_begin(rq, &tx));
    TRY(permit_collection(rq, &tx, in->collection_id, &row));
    if (!uuid_parse(slice(in->media_id), &media_id))
        return err_make(&NOT_FOUND, "media not found");
    TRY(media_store_remove_from_collection(&tx, row.id, media_id));
    TRY(db_tx_commit(&tx));
    SET(out, success, true);
    return OK;
}

/* --- seen
 * --------------------------------------------------------------------------------------------------------------- */
static bool was_unlocked(Request *rq, const CollectionRow *row, const char *access)
{
    const Media *media = rq->service;
    Ticket ticket;

    return access && media->tickets &&
           !err_failed(ticket_verify(media->tickets, rq->clock, rq->mem, slice(access), TICKET_ACCESS, &ticket)) &&
           strcmp(ticket.resource, uuid_text(rq->mem, row->id)) == 0 &&
           ticket.generation == (uint64_t)row->share_generation;
}

static Err may_see(Request *rq, const Media__V1__GetCollectionRequest *in, const CollectionRow *row)
{
    Struct *details;

    if (row->owner_id == rq->caller.user_id || row->is_public)
        return OK;
    if (!slice_eq_secret(slice(in->token), slice(uuid_text(rq->mem, row->share_token))) ||
        !share_link_lives(row, clock_unix_us(rq->clock)))
        return err_make(&PERMISSION_DENIED, "access denied");
    if (!row->password_hash[0] || was_unlocked(rq, row, in->access))
        return OK;
    details = struct_new(rq->mem);
    struct_set_bool(rq->mem, details, "password_required", true);
    request_set_details(rq, details);
    return err_make(&PASSWORD_REQUIRED, "access denied");
}

static void answer_shown(Request *rq, const CollectionItemRow *row, const Played *played,
                         Media__V1__CollectionItem *out)
{
    out->id = uuid_text(rq->mem, row->item.id);
    out->title = (char *)row->item.title;
    out->original_filename = (char *)row->item.original_filename;
    out->mime_type = (char *)row->item.mime_type;
    SET(out, status, row->item.status);
    out->stream_url = (char *)played->stream_url;
    out->added_at = answer_time(rq->mem, row->added_us);
    out->playback = played->playback;
    out->download_url = (char *)played->download_url;
}

static Err answer_items_of(Request *rq, const CollectionRow *row, bool is_owner, Media__V1__CollectionView *out)
{
    CollectionItemRow *rows;
    ItemRow *items;
    Played *played;
    size_t count;

    TRY(media_store_collection_items(rq, row->id, &rows, &count));
    items = ARENA_ARRAY(rq->mem, ItemRow, count + 1);
    for (size_t i = 0; i < count; i++)
        items[i] = rows[i].item;
    TRY(permit_play(rq, items, count, is_owner ? NULL : row, &played));
    out->items = ARENA_ARRAY(rq->mem, Media__V1__CollectionItem *, count + 1);
    for (size_t i = 0; i < count; i++) {
        out->items[i] = MESSAGE_NEW(rq->mem, Media__V1__CollectionItem, media__v1__collection_item__init);
        answer_shown(rq, &rows[i], &played[i], out->items[i]);
    }
    out->n_items = count;
    SET(out, item_count, (int64_t)count);
    return OK;
}

static bool any_downloads(const Media__V1__CollectionView *view)
{
    for (size_t i = 0; i < view->n_items; i++)
        if (view->items[i]->download_url && *view->items[i]->download_url)
            return true;
    return false;
}

static Err count_view(Request *rq, const CollectionRow *row)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(media_store_count_view(&tx, row->id));
    return db_tx_commit(&tx);
}

Err media_v1_get_collection(Request *rq, const Media__V1__GetCollectionRequest *in, Media__V1__CollectionView *out)
{
    bool is_owner;
    CollectionRow row;
    Uuid id;

    if (!uuid_parse(slice(in->collection_id), &id))
        return err_make(&NOT_FOUND, "collection not found");
    TRY(media_store_collection(rq, NULL, id, &row));
    if (row.owner_id == 0)
        return err_make(&NOT_FOUND, "collection not found");
    TRY(may_see(rq, in, &row));
    is_owner = row.owner_id == rq->caller.user_id;
    if (!is_owner)
        TRY(count_view(rq, &row));
    out->id = uuid_text(rq->mem, row.id);
    out->title = (char *)row.title;
    out->description = (char *)row.description;
    SET(out, is_public, row.is_public);
    SET(out, is_owner, is_owner);
    out->created_at = answer_time(rq->mem, row.created_us);
    SET(out, allow_download, is_owner || row.allow_download);
    TRY(answer_items_of(rq, &row, is_owner, out));
    if (out->allow_download && any_downloads(out))
        TRY(export_collection_url(rq, &row, &out->export_url));
    return OK;
}
