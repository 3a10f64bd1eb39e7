-- Finished requests that came with an Idempotency-Key: claim, work and stored reply commit together (shared/idempotency.h).
-- A key belongs to its caller and rpc. Kept for 24 hours.
CREATE TABLE idempotency (
    caller      text        NOT NULL,
    rpc         text        NOT NULL,
    key         text        NOT NULL,
    fingerprint bytea       NOT NULL,
    http_status integer     NOT NULL,
    headers     text        NOT NULL,
    reply       bytea       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (caller, rpc, key)
);
CREATE INDEX idempotency_created_at ON idempotency (created_at);
