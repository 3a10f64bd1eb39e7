CREATE TABLE invitation (
    id         uuid        PRIMARY KEY,
    hash       bytea       NOT NULL, -- SHA-256 of the token
    user_id    bigint      REFERENCES account (id) ON DELETE CASCADE, -- of a pending account; NULL: makes a new one
    email      text,       -- NULL: whoever has the link
    role       text        NOT NULL,
    uses_left  integer     NOT NULL CHECK (uses_left >= 0),
    created_by bigint      REFERENCES account (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    CONSTRAINT invitation_hash_key UNIQUE (hash)
);
CREATE INDEX invitation_user_idx ON invitation (user_id);
CREATE INDEX invitation_expires_idx ON invitation (expires_at);

-- Kept for good: the proof that somebody was erased. The number of an account tells nothing without the account.
CREATE TABLE erasure (
    id           uuid        PRIMARY KEY,
    user_id      bigint      NOT NULL,
    requested_by bigint,     -- NULL: by himself
    requested_at timestamptz NOT NULL,
    completed_at timestamptz,
    CONSTRAINT erasure_user_key UNIQUE (user_id)
);
CREATE INDEX erasure_open_idx ON erasure (requested_at) WHERE completed_at IS NULL;
CREATE TABLE erasure_report (
    erasure_id  uuid        NOT NULL REFERENCES erasure (id) ON DELETE CASCADE,
    domain      text        NOT NULL,
    reported_at timestamptz, -- NULL: is waited for
    erased_rows bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (erasure_id, domain)
);

-- What administrators change while the service runs; a setting of the environment holds until there is a row.
CREATE TABLE runtime_setting (
    name       text        PRIMARY KEY, -- "registration"
    value      text        NOT NULL,
    changed_at timestamptz NOT NULL,
    changed_by bigint      REFERENCES account (id) ON DELETE SET NULL
);
