-- Calendars that were imported (contract 11.2, B22): what each had last time, so that what is missing next time is
-- cancelled, and what is the same is not looked at again.
CREATE TABLE calendar (
    id         uuid        PRIMARY KEY,
    source_id  uuid        NOT NULL REFERENCES source (id),
    name       text        NOT NULL, -- its URL, or what an upload was called
    etag       text        NOT NULL DEFAULT '', -- of the last answer, and when that was modified
    modified   text        NOT NULL DEFAULT '',
    read_at    timestamptz NOT NULL,
    UNIQUE (source_id, name)
);
CREATE TABLE calendar_entry (
    calendar_id uuid    NOT NULL REFERENCES calendar (id) ON DELETE CASCADE,
    uid         text    NOT NULL,
    event_id    uuid    NOT NULL,
    hash        bytea   NOT NULL, -- of what it said
    read        bigint  NOT NULL, -- in which reading it was there last
    gone        boolean NOT NULL DEFAULT false,
    PRIMARY KEY (calendar_id, uid)
);
