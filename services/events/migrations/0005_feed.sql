-- The change feed (contract section 14). Writers add rows without a number and never wait for each other; one sequencer
-- at a time (feed_tail.c) numbers what has been committed, so that nobody sees n + 1 before n.
CREATE TABLE change (
    id             uuid             PRIMARY KEY,
    pos            bigint           GENERATED ALWAYS AS IDENTITY, -- per entity the order of commits: its row is locked
    sequence       bigint           UNIQUE, -- NULL: committed or not, nobody sees it yet
    entity         text             NOT NULL CHECK (entity IN ('event', 'place', 'organization')),
    entity_id      uuid             NOT NULL,
    path           text             NOT NULL, -- of its URI: "events/01J…"
    action         text             NOT NULL CHECK (action IN ('create', 'update', 'delete')),
    entry          text             NOT NULL, -- JSON members of the entry that depend on nothing but the change
    snapshot       text             NOT NULL, -- the document of that moment, or the tombstone
    federation_uri text             NOT NULL DEFAULT '', -- of what came from another node
    changed_at     timestamptz      NOT NULL,
    domain         text             NOT NULL DEFAULT '', -- from here on what webhooks are chosen by
    keywords       text[]           NOT NULL DEFAULT '{}',
    latitude       double precision,
    longitude      double precision
);
CREATE INDEX change_waiting_idx ON change (pos) WHERE sequence IS NULL;
CREATE INDEX change_time_idx ON change (changed_at);

-- The last number given.
CREATE TABLE feed_head (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    last bigint NOT NULL
);
INSERT INTO feed_head (last) VALUES (0);

-- Which changes a webhook (shared/webhook.h) wants; nothing is any.
CREATE TABLE webhook_filter (
    webhook_id uuid             PRIMARY KEY REFERENCES webhook (id) ON DELETE CASCADE,
    domains    text[]           NOT NULL DEFAULT '{}',
    keywords   text[]           NOT NULL DEFAULT '{}', -- folded, as those of changes
    west       double precision, -- a box; west > east: across the antimeridian
    south      double precision,
    east       double precision,
    north      double precision,
    CHECK ((west IS NULL) = (south IS NULL) AND (west IS NULL) = (east IS NULL) AND (west IS NULL) = (north IS NULL))
);

-- Other nodes of the federation (section 15.1).
CREATE TABLE federation_node (
    id                uuid        PRIMARY KEY,
    domain            text        NOT NULL, -- lower case; of the URIs that it may speak for
    name              text        NOT NULL,
    base_url          text        NOT NULL,
    api_version       text        NOT NULL,
    geographic_scope  text        NOT NULL,
    trust_level       integer     NOT NULL CHECK (trust_level BETWEEN 1 AND 10),
    status            text        NOT NULL CHECK (status IN ('pending', 'active', 'paused', 'blocked')),
    sync_enabled      boolean     NOT NULL,
    sync_direction    text        NOT NULL CHECK (sync_direction IN ('bidirectional', 'pull_only', 'push_only', 'disabled')),
    last_sync_at      timestamptz,
    last_success_at   timestamptz,
    sync_cursor       text        NOT NULL DEFAULT '',
    requires_auth     boolean     NOT NULL,
    contact_email     text        NOT NULL,
    contact_name      text        NOT NULL,
    online            boolean     NOT NULL DEFAULT false,
    last_health_at    timestamptz,
    last_error_at     timestamptz,
    last_error        text        NOT NULL DEFAULT '',
    notes             text        NOT NULL,
    key_ids           uuid[]      NOT NULL, -- API keys that speak for it
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    CONSTRAINT federation_node_domain_key UNIQUE (domain)
);

-- What came from other nodes: by their URI, what it is here. `modified_at` is the source's word on its version, so that
-- an older one that comes late changes nothing.
CREATE TABLE federation_copy (
    uri         text        PRIMARY KEY,
    node_id     uuid        NOT NULL REFERENCES federation_node (id) ON DELETE CASCADE,
    event_id    uuid        NOT NULL,
    modified_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL
);
CREATE INDEX federation_copy_node_idx ON federation_copy (node_id);
CREATE INDEX federation_copy_event_idx ON federation_copy (event_id);
