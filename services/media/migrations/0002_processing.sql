-- What one processing of an item made; several items of the same content play the same.
CREATE TABLE rendition (
    media_id   uuid    NOT NULL, -- that was processed; it may be gone
    generation bigint  NOT NULL,
    refs       integer NOT NULL CHECK (refs > 0),
    PRIMARY KEY (media_id, generation)
);

CREATE TABLE asset (
    media_id     uuid    NOT NULL,
    generation   bigint  NOT NULL,
    name         text    NOT NULL, -- below derived/<media_id>/<generation>/
    kind         text    NOT NULL, -- transcode's AssetKind, in lower case
    key          text    NOT NULL, -- in the object store
    content_type text    NOT NULL,
    size_bytes   bigint  NOT NULL,
    width        integer,
    height       integer,
    codecs       text,
    language     text,
    is_default   boolean NOT NULL DEFAULT false,
    is_forced    boolean NOT NULL DEFAULT false,
    PRIMARY KEY (media_id, generation, name),
    FOREIGN KEY (media_id, generation) REFERENCES rendition ON DELETE CASCADE
);

-- The latest processing of an item, as its owner sees it.
CREATE TABLE processing (
    media_id          uuid        PRIMARY KEY REFERENCES item (id) ON DELETE CASCADE,
    generation        bigint      NOT NULL,
    job_id            text,
    state             text        NOT NULL CHECK (state IN ('pending', 'processing', 'completed', 'failed')),
    step              text        NOT NULL DEFAULT '',
    progress          integer     NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
    attempt           integer     NOT NULL DEFAULT 0,
    error_code        text,
    error_message     text,
    error_retryable   boolean,
    updated_at        timestamptz NOT NULL,
    version           bigint      NOT NULL DEFAULT 1 -- of this row: the ids of what watchers are told
);
