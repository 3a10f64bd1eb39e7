-- What is to be done on media items, and how far it got.
CREATE TABLE job (
    id            uuid        PRIMARY KEY,
    media_id      uuid        NOT NULL,
    generation    bigint      NOT NULL,
    kind          smallint    NOT NULL, -- transcode.v1.JobKind
    owner_id      bigint      NOT NULL,
    source_key    text        NOT NULL, -- of the original, in the blob store
    mime_type     text        NOT NULL, -- as media knows it: a hint
    filename      text        NOT NULL, -- its ending is a hint
    size_bytes    bigint      NOT NULL,
    state         text        NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'dead', 'cancelled')),
    attempt       integer     NOT NULL DEFAULT 0,
    attempts_left integer     NOT NULL, -- an operator's requeueing gives new ones
    error_code    text,
    error_text    text,
    created_at    timestamptz NOT NULL,
    started_at    timestamptz, -- of the latest attempt
    finished_at   timestamptz
);
-- A generation of an item has one job of a kind: an event that comes twice makes no second one.
CREATE UNIQUE INDEX job_media_idx ON job (media_id, generation, kind);
CREATE INDEX job_dead_idx ON job (finished_at) WHERE state = 'dead';
CREATE INDEX job_open_idx ON job (kind, created_at) WHERE state IN ('queued', 'running');
CREATE INDEX job_owner_idx ON job (owner_id);

-- Steps that are complete, each with what it made (a transcode.v1.JobFinished of its part): the next attempt goes on
-- behind them.
CREATE TABLE step (
    job_id  uuid        NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    name    text        NOT NULL,
    result  bytea       NOT NULL,
    done_at timestamptz NOT NULL,
    PRIMARY KEY (job_id, name)
);
