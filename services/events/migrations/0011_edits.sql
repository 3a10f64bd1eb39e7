-- What administration decided and no submission undoes (contract 8.1), of what no observation keeps.
ALTER TABLE event ADD COLUMN edited text[] NOT NULL DEFAULT '{}'; -- 'status', 'domain'

-- Where its source has an occurrence that was moved by hand; NULL: where it is.
ALTER TABLE occurrence ADD COLUMN said_at timestamptz;

-- Dates of events that were taken out by hand: sources that list them still do not bring them back.
CREATE TABLE occurrence_taken (
    event_id uuid        NOT NULL REFERENCES event (id) ON DELETE CASCADE,
    start_at timestamptz NOT NULL,
    PRIMARY KEY (event_id, start_at)
);
