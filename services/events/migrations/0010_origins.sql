-- What kind of source each is (contract 13): all were called "api". Sources of nodes have the node's id for a key, and
-- are trusted as the node is; those that only calendars of their key came from are calendars.
UPDATE source s SET type = 'federation', trust = n.trust_level FROM federation_node n
    WHERE s.type = 'api' AND s.key_id = n.id::text;
UPDATE source s SET type = 'ical' WHERE s.type = 'api' AND EXISTS (
        SELECT FROM event_source e JOIN calendar_entry c ON c.event_id = e.event_id
        JOIN calendar k ON k.id = c.calendar_id AND k.owner = s.key_id WHERE e.source_id = s.id)
    AND NOT EXISTS (
        SELECT FROM event_source e WHERE e.source_id = s.id AND NOT EXISTS (
            SELECT FROM calendar_entry c JOIN calendar k ON k.id = c.calendar_id AND k.owner = s.key_id
            WHERE c.event_id = e.event_id));

-- Ids of nodes that were deleted: registered again, a domain is the node that it was, and what came from it is its own
-- still.
CREATE TABLE federation_domain (
    domain  text PRIMARY KEY,
    node_id uuid NOT NULL
);

-- When a batch was handed to a worker last: one whose job was given up is handed out again.
ALTER TABLE batch ADD COLUMN handed_at timestamptz;
CREATE INDEX batch_open_idx ON batch (submitted_at) WHERE completed_at IS NULL;
