-- Bytes on their way in. How far an upload is, the object store knows; here stands whose it is and what it will be.
CREATE TABLE upload (
    id             uuid        PRIMARY KEY,
    owner_id       bigint      NOT NULL,
    media_id       uuid        UNIQUE, -- NULL: a part of a tus concatenation
    kind           text        NOT NULL CHECK (kind IN ('put', 'tus', 'form')),
    -- open: bytes may come; complete: its bytes are an object, and the item's, if there is one
    state          text        NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'complete')),
    object_key     text        NOT NULL, -- where the bytes are put together; the item's own only when it is complete
    blob_state     text        NOT NULL DEFAULT '', -- of a resumable one: blob_upload_create's
    size_bytes     bigint      CHECK (size_bytes >= 0), -- as declared; of complete ones the true one
    content_type   text        NOT NULL DEFAULT '',     -- as declared
    sha256         bytea       CHECK (length(sha256) = 32), -- as declared
    title          text        NOT NULL DEFAULT '',
    tus_metadata   text        NOT NULL DEFAULT '', -- headers of tus, to be told as they were sent
    tus_concat     text        NOT NULL DEFAULT '',
    reserved_bytes bigint      NOT NULL DEFAULT 0 CHECK (reserved_bytes >= 0), -- of the owner's quota
    created_at     timestamptz NOT NULL,
    expires_at     timestamptz NOT NULL -- open ones are then thrown away, complete ones forgotten
);
CREATE INDEX upload_expires_idx ON upload (expires_at);
CREATE INDEX upload_owner_idx ON upload (owner_id);
