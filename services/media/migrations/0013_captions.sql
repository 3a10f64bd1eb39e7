-- Captions that users bring, as WebVTT of our own making.
CREATE TABLE caption (
    media_id   uuid        NOT NULL REFERENCES item (id) ON DELETE CASCADE,
    language   text        NOT NULL, -- BCP 47
    owner_id   bigint      NOT NULL,
    label      text        NOT NULL,
    is_default boolean     NOT NULL DEFAULT false,
    content    text        NOT NULL,
    size_bytes bigint      NOT NULL, -- of the owner's quota
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (media_id, language)
);

-- However they go, with the item or alone. Who deletes items has the owner's row locked.
CREATE FUNCTION caption_release() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE owner SET used_bytes = greatest(used_bytes - OLD.size_bytes, 0) WHERE owner_id = OLD.owner_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER caption_gone AFTER DELETE ON caption FOR EACH ROW EXECUTE FUNCTION caption_release();
