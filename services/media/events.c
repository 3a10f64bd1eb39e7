/* events: the domain events of media, ready for the outbox. */
#include "services/media/events.h"

OutboxRow item_uploaded_event(Arena *mem, IdSource *ids, const ItemRow *item)
{
    Media__V1__ItemUploaded body = MEDIA__V1__ITEM_UPLOADED__INIT;

    body.media_id = uuid_text(mem, item->id);
    body.s3_key = (char *)item->object_key;
    SET(&body, owner_id, item->owner_id);
    SET(&body, generation, item->generation);
    body.mime_type = (char *)item->mime_type;
    SET(&body, size_bytes, item->size_bytes);
    body.has_sha256 = true;
    body.sha256 = (ProtobufCBinaryData){.len = item->sha256.len, .data = (uint8_t *)item->sha256.ptr};
    body.filename = (char *)item->original_filename;
    return outbox_event(mem, ids, &MEDIA_V1_ITEM_UPLOADED_EVENT, body.media_id, &body.base);
}

OutboxRow item_cancelled_event(Arena *mem, IdSource *ids, const ItemRow *item)
{
    Media__V1__ItemCancelled body = MEDIA__V1__ITEM_CANCELLED__INIT;

    body.media_id = uuid_text(mem, item->id);
    SET(&body, owner_id, item->owner_id);
    SET(&body, generation, item->generation);
    return outbox_event(mem, ids, &MEDIA_V1_ITEM_CANCELLED_EVENT, body.media_id, &body.base);
}

OutboxRow item_deleted_event(Arena *mem, IdSource *ids, const ItemRow *item)
{
    Media__V1__ItemDeleted body = MEDIA__V1__ITEM_DELETED__INIT;

    body.media_id = uuid_text(mem, item->id);
    SET(&body, owner_id, item->owner_id);
    SET(&body, generation, item->generation);
    return outbox_event(mem, ids, &MEDIA_V1_ITEM_DELETED_EVENT, body.media_id, &body.base);
}
