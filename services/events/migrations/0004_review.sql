-- What waits for somebody to look at it, and what was decided (contract 9). An event has at most one entry that waits.
CREATE TABLE review_entry (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id        uuid        NOT NULL REFERENCES event (id),
    source_id       uuid,
    source_event_id text        NOT NULL DEFAULT '',
    status          text        NOT NULL DEFAULT 'pending'
                    CHECK (status IN ('pending', 'approved', 'rejected', 'merged', 'dismissed')),
    warnings        text        NOT NULL DEFAULT '[]', -- JSON: field, code, message
    changes         text        NOT NULL DEFAULT '[]', -- JSON: field, original, corrected, reason
    original        text        NOT NULL DEFAULT '{}', -- JSON, as it came
    normalized      text        NOT NULL DEFAULT '{}', -- JSON, what was made of it
    twins           uuid[]      NOT NULL DEFAULT '{}', -- events that it may be the same as
    duplicate_of    uuid,
    fingerprint     bytea       NOT NULL DEFAULT '',   -- of what is wrong with it: the same again is known by it
    notes           text        NOT NULL DEFAULT '',
    reason          text        NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL,
    reviewed_at     timestamptz,
    reviewer_id     bigint,
    reviewer_name   text
);
CREATE UNIQUE INDEX review_entry_waiting_idx ON review_entry (event_id) WHERE status = 'pending';
CREATE INDEX review_entry_status_idx ON review_entry (status, id);
CREATE INDEX review_entry_event_idx ON review_entry (event_id);
CREATE INDEX review_entry_rejected_idx ON review_entry (source_id, source_event_id) WHERE status = 'rejected';
CREATE INDEX review_entry_reviewed_idx ON review_entry (reviewed_at) WHERE status <> 'pending';
CREATE INDEX review_entry_reviewer_idx ON review_entry (reviewer_id) WHERE reviewer_id IS NOT NULL;

-- Pairs of whatever kind that somebody said are not the same; never proposed again.
CREATE TABLE not_duplicate (
    low_id     uuid        NOT NULL,
    high_id    uuid        NOT NULL,
    said_by    bigint,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (low_id, high_id),
    CHECK (low_id < high_id)
);
CREATE INDEX not_duplicate_high_idx ON not_duplicate (high_id);

-- What was done in administration. Outlives the accounts it names: they become 0.
CREATE TABLE audit_entry (
    id           uuid        PRIMARY KEY, -- version 7: in order of time
    at           timestamptz NOT NULL,
    actor_id     bigint      NOT NULL,
    actor_key_id uuid,
    action       text        NOT NULL,
    target_kind  text        NOT NULL,
    target_id    text        NOT NULL,
    before_hash  bytea,
    after_hash   bytea,
    request_id   text        NOT NULL DEFAULT ''
);
CREATE INDEX audit_entry_actor_idx ON audit_entry (actor_id, id);
CREATE INDEX audit_entry_target_idx ON audit_entry (target_id, id);

-- What each source said of an entity, all of it, also what did not win. `chosen` names the members of the document that
-- stand as this source said them. Several rows of one source are its submissions: the last is not superseded.
CREATE TABLE observation (
    entity_id     uuid        NOT NULL,
    source_id     uuid        NOT NULL REFERENCES source (id),
    observed_at   timestamptz NOT NULL,
    superseded_at timestamptz,
    confidence    float8      NOT NULL,
    facts         text        NOT NULL,            -- a document, as JSON
    chosen        text        NOT NULL DEFAULT '', -- "name startDate"
    PRIMARY KEY (entity_id, source_id, observed_at)
);
CREATE INDEX observation_source_idx ON observation (source_id, entity_id) WHERE superseded_at IS NULL;

-- Sources whose trust has changed: every entity that they and others speak of is decided anew, in order of the ids.
CREATE TABLE trust_change (
    source_id uuid PRIMARY KEY REFERENCES source (id),
    after_id  uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'
);

-- Administration, as a source: what it writes, no other source overwrites.
INSERT INTO source (id, name, type, trust, created_at)
    VALUES ('00000000-0000-4000-8000-000000000001', 'administration', 'manual', 10, now());

-- Whose traces an erasure takes away.
CREATE INDEX event_submitter_idx ON event (submitter_user) WHERE submitter_user <> 0;
CREATE INDEX event_source_submitter_idx ON event_source (submitter_user) WHERE submitter_user <> 0;
CREATE INDEX revision_actor_idx ON revision (actor_id) WHERE actor_kind = 'user' AND actor_id <> '';
CREATE INDEX not_duplicate_said_idx ON not_duplicate (said_by) WHERE said_by IS NOT NULL;
-- What was merged or consolidated leads on.
CREATE INDEX event_superseded_idx ON event (superseded_by) WHERE superseded_by IS NOT NULL;
CREATE INDEX place_superseded_idx ON place (superseded_by) WHERE superseded_by IS NOT NULL;
CREATE INDEX organization_superseded_idx ON organization (superseded_by) WHERE superseded_by IS NOT NULL;
