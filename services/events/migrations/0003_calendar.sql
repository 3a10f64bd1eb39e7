-- Calendars that were imported (contract 11.2, B22): what each had last time, so that what is missing next time is
-- cancelled, and what is the same is not looked at again.
CREATE TABLE calendar (
    id       uuid        PRIMARY KEY,
    owner    text        NOT NULL, -- who imports it: an API key, or "user:17"
    name     text        NOT NULL, -- its URL, or what an upload is called
    etag     text        NOT NULL DEFAULT '', -- of the last answer that was taken in as a whole
    reading  bigint      NOT NULL DEFAULT 0,  -- how often it was read
    read_at  timestamptz NOT NULL,
    UNIQUE (owner, name)
);
CREATE TABLE calendar_entry (
    calendar_id uuid    NOT NULL REFERENCES calendar (id) ON DELETE CASCADE,
    uid         text    NOT NULL,
    event_id    uuid    NOT NULL,
    hash        text    NOT NULL, -- of what it said
    reading     bigint  NOT NULL, -- in which it was there last
    gone        boolean NOT NULL DEFAULT false,
    PRIMARY KEY (calendar_id, uid)
);
