-- What is kept of a user. Whoever makes an item or moves bytes of a quota has this row locked: so items of a user are
-- numbered in the order of their commits, and nobody overshoots.
CREATE TABLE owner (
    owner_id       bigint      PRIMARY KEY, -- of auth
    quota_bytes    bigint      CHECK (quota_bytes >= 0), -- NULL: the default
    used_bytes     bigint      NOT NULL DEFAULT 0, -- of his objects, each once
    reserved_bytes bigint      NOT NULL DEFAULT 0, -- for uploads that are not complete
    next_ordinal   bigint      NOT NULL DEFAULT 1,
    last_created   timestamptz NOT NULL DEFAULT '-infinity'
);

-- An original in the object store; items of the same owner with the same content share one.
CREATE TABLE object (
    key        text        PRIMARY KEY,
    owner_id   bigint      NOT NULL,
    sha256     bytea       NOT NULL CHECK (length(sha256) = 32),
    size_bytes bigint      NOT NULL CHECK (size_bytes >= 0),
    refs       integer     NOT NULL CHECK (refs > 0),
    created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX object_content_key ON object (owner_id, sha256);

-- Words of texts, also those that stand within names of files.
CREATE FUNCTION item_words(owner_id bigint, title text, filename text, tags text[]) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT setweight(to_tsvector('simple', left(title, 500)), 'A')
        || setweight(to_tsvector('simple', left(array_to_string(tags, ' '), 20000)), 'B')
        || setweight(to_tsvector('simple', left(filename, 1000) || ' ' || translate(left(filename, 1000), '._-+/', '     ')), 'C')
        -- Whose it is, as a word that nobody can write: so that one index serves everybody without reading the others'.
        || array_to_tsvector(ARRAY['#' || owner_id])
$$;

-- All of the words, or their beginnings; NULL where there is none.
CREATE FUNCTION item_query(owner_id bigint, words text) RETURNS tsquery
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (string_agg('''' || replace(replace(word, '\', '\\'), '''', '''''') || ''':*', ' & ')
            || ' & ''#' || owner_id || '''')::tsquery
    FROM unnest(tsvector_to_array(to_tsvector('simple', translate(left(words, 500), '._-+/', '     ')))) AS word
$$;

-- A user's tags, for an index over everybody's.
CREATE FUNCTION item_tag_keys(owner_id bigint, tags text[]) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(owner_id || ':' || tag), '{}') FROM unnest(tags) AS tag
$$;

CREATE TABLE item (
    id                   uuid        PRIMARY KEY,
    owner_id             bigint      NOT NULL REFERENCES owner (owner_id),
    ordinal              bigint      NOT NULL, -- among the owner's, from 1: the order of lists
    title                text        NOT NULL DEFAULT '',
    original_filename    text        NOT NULL DEFAULT '',
    mime_type            text        NOT NULL DEFAULT '',
    size_bytes           bigint      NOT NULL DEFAULT 0,
    sha256               bytea       CHECK (length(sha256) = 32), -- NULL until the bytes are complete
    object_key           text        REFERENCES object (key),     -- the same
    tags                 text[]      NOT NULL DEFAULT '{}',
    status               text        NOT NULL DEFAULT 'uploading'
        CHECK (status IN ('uploading', 'queued', 'processing', 'ready', 'failed')),
    generation           bigint      NOT NULL DEFAULT 0, -- of the latest processing; 0: none yet
    access_generation    bigint      NOT NULL DEFAULT 1, -- of tickets: those of an earlier one are worthless
    leader_id            uuid,       -- has the same content and is being processed: what comes of that is this item's, too
    rendition_media_id   uuid,       -- what it plays: see rendition
    rendition_generation bigint,
    width                integer,
    height               integer,
    duration_ms          bigint,
    thumbhash            text,
    warnings             text[]      NOT NULL DEFAULT '{}',
    failure_code         text,
    failure_message      text,
    failure_retryable    boolean,
    created_at           timestamptz NOT NULL,
    deleted_at           timestamptz, -- in the trash since
    words                tsvector    GENERATED ALWAYS AS (item_words(owner_id, title, original_filename, tags)) STORED
);
-- Lists go by it in both directions.
CREATE UNIQUE INDEX item_shelf_idx ON item (owner_id, ordinal) WHERE deleted_at IS NULL;
CREATE INDEX item_status_idx ON item (owner_id, status, ordinal) WHERE deleted_at IS NULL;
CREATE INDEX item_words_idx ON item USING gin (words);
CREATE INDEX item_tags_idx ON item USING gin (item_tag_keys(owner_id, tags)) WHERE deleted_at IS NULL;
CREATE INDEX item_trash_idx ON item (deleted_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX item_owner_trash_idx ON item (owner_id, deleted_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX item_object_idx ON item (object_key);
CREATE INDEX item_leader_idx ON item (leader_id) WHERE leader_id IS NOT NULL;
CREATE INDEX item_rendition_idx ON item (rendition_media_id, rendition_generation) WHERE rendition_media_id IS NOT NULL;

-- How many items of each status lie between ordinals shelf * 256 and shelf * 256 + 255, the trash aside. A page by its
-- number is found by adding these up, and so is the total: the last page of 100,000 items costs what the first does.
CREATE TABLE shelf (
    owner_id bigint  NOT NULL,
    shelf    bigint  NOT NULL,
    status   text    NOT NULL,
    items    integer NOT NULL,
    PRIMARY KEY (owner_id, shelf, status)
) WITH (fillfactor = 70);

CREATE FUNCTION shelf_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- In the order of their keys, so that two of these never wait for each other.
    INSERT INTO shelf AS s (owner_id, shelf, status, items)
    SELECT change.owner_id, change.shelf, change.status, sum(change.n)
    FROM (
        SELECT OLD.owner_id, OLD.ordinal / 256 AS shelf, OLD.status, -1 AS n
        WHERE TG_OP <> 'INSERT' AND OLD.deleted_at IS NULL
        UNION ALL
        SELECT NEW.owner_id, NEW.ordinal / 256, NEW.status, 1 WHERE TG_OP <> 'DELETE' AND NEW.deleted_at IS NULL
    ) AS change
    GROUP BY 1, 2, 3 HAVING sum(change.n) <> 0 ORDER BY 1, 2, 3
    ON CONFLICT (owner_id, shelf, status) DO UPDATE SET items = s.items + excluded.items;
    RETURN NULL;
END
$$;
CREATE TRIGGER item_shelf_new AFTER INSERT OR DELETE ON item FOR EACH ROW EXECUTE FUNCTION shelf_count();
CREATE TRIGGER item_shelf_moved AFTER UPDATE OF status, deleted_at ON item FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status OR (OLD.deleted_at IS NULL) IS DISTINCT FROM (NEW.deleted_at IS NULL))
    EXECUTE FUNCTION shelf_count();

-- Objects that nothing refers to any more; deleted from the store soon, then from here. A key that ends with a slash is
-- all that begins with it.
CREATE TABLE discarded_object (
    key          text        PRIMARY KEY,
    discarded_at timestamptz NOT NULL
);
CREATE INDEX discarded_object_age_idx ON discarded_object (discarded_at);
