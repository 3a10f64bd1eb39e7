-- Batches of submissions. Each item is worked off in a transaction that also writes down what became of it: a batch
-- that is interrupted goes on where it was.
CREATE TABLE batch (
    id             uuid        PRIMARY KEY, -- a ULID's bits
    number         bigint      GENERATED ALWAYS AS IDENTITY,
    item_count     integer     NOT NULL,
    submitter_key  text        NOT NULL DEFAULT '', -- id of the API key
    submitter_user bigint      NOT NULL DEFAULT 0,
    submitter_name text        NOT NULL,
    submitter_edits boolean    NOT NULL DEFAULT false, -- may bring back what was deleted
    submitted_at   timestamptz NOT NULL,
    completed_at   timestamptz
);
CREATE INDEX batch_submitted_idx ON batch (submitted_at);

CREATE TABLE batch_item (
    batch_id uuid    NOT NULL REFERENCES batch (id) ON DELETE CASCADE,
    position integer NOT NULL,
    payload  text    NOT NULL, -- '' once it is done
    status   text    CHECK (status IN ('created', 'duplicate', 'failed')), -- NULL: it waits
    event_id uuid,
    review   boolean NOT NULL DEFAULT false,
    error    text    NOT NULL DEFAULT '',
    PRIMARY KEY (batch_id, position)
);
