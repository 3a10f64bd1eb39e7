-- Webhooks are told of items by the rows themselves: whichever way they change.
CREATE FUNCTION item_tell() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    i    item := coalesce(NEW, OLD);
    what text;
BEGIN
    IF TG_OP = 'DELETE' THEN
        what := 'deleted';
    ELSIF OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL THEN
        what := 'trashed';
    ELSIF OLD.deleted_at IS NOT NULL AND NEW.deleted_at IS NULL THEN
        what := 'restored';
    ELSE
        what := NEW.status;
    END IF;
    PERFORM webhook_emit(i.owner_id, 'media.item.' || what, jsonb_strip_nulls(jsonb_build_object(
        'media_id', i.id, 'status', i.status, 'mime_type', nullif(i.mime_type, ''), 'size_bytes', i.size_bytes,
        'duration_ms', i.duration_ms, 'width', i.width, 'height', i.height,
        'failure', CASE WHEN i.status = 'failed' THEN jsonb_build_object('code', i.failure_code,
                                                                         'retryable', i.failure_retryable) END)));
    RETURN NULL;
END
$$;
CREATE TRIGGER item_told_changed AFTER UPDATE OF status, deleted_at ON item FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status OR (OLD.deleted_at IS NULL) IS DISTINCT FROM (NEW.deleted_at IS NULL))
    EXECUTE FUNCTION item_tell();
CREATE TRIGGER item_told_gone AFTER DELETE ON item FOR EACH ROW WHEN (OLD.status <> 'uploading')
    EXECUTE FUNCTION item_tell();
