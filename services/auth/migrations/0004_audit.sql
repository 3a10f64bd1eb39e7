-- Who changed what, kept when the account is gone: no foreign keys, and no private text in `detail`. Erasure takes the
-- actor out of his rows.
CREATE TABLE audit_entry (
    id           uuid        PRIMARY KEY, -- version 7: ordered by time
    at           timestamptz NOT NULL,
    actor_id     bigint,     -- NULL: the operator's own tool, the service itself, or an erased account
    actor_key_id uuid,       -- when it was an API key
    action       text        NOT NULL, -- "user.deactivated"
    target_kind  text        NOT NULL, -- "user"
    target_id    text        NOT NULL,
    detail       jsonb       NOT NULL DEFAULT '{}',
    address      text        NOT NULL DEFAULT '',
    request_id   text        NOT NULL DEFAULT ''
);
CREATE INDEX audit_entry_actor_idx ON audit_entry (actor_id, id);
CREATE INDEX audit_entry_target_idx ON audit_entry (target_kind, target_id, id);
