-- Places and organisations whose name, address or point has changed: documents of the events that name them are written
-- anew, in the order of the events' ids. A row a change: writers do not wait for whoever works one off.
CREATE TABLE rerender (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind      text   NOT NULL CHECK (kind IN ('place', 'organization')),
    entity_id uuid   NOT NULL,
    after_id  uuid   NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'
);
CREATE INDEX rerender_entity_idx ON rerender (entity_id);
