-- A key is 256 random bits with a checksum; the row has its HMAC-SHA-256 under the pepper, so that the table alone is
-- worth nothing. The id is the "login" of what it does: ending it cuts the key everywhere (evt.auth.login.ended).
CREATE TABLE api_key (
    id           uuid        PRIMARY KEY,
    hash         bytea       NOT NULL,
    prefix       text        NOT NULL, -- shown: the scheme and the first letters
    owner_id     bigint      NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    name         text        NOT NULL,
    kind         text        NOT NULL CHECK (kind IN ('commons', 'developer', 'personal')), -- by whose routes it was made
    role         text,       -- what it may; NULL with scopes
    scopes       text[],     -- of personal keys: permissions, or "full"
    tier         text        NOT NULL DEFAULT 'agent',
    source_id    text,       -- of events' provenance
    rotated_from uuid        REFERENCES api_key (id) ON DELETE SET NULL,
    created_at   timestamptz NOT NULL,
    created_by   bigint      REFERENCES account (id) ON DELETE SET NULL,
    expires_at   timestamptz, -- NULL: never
    last_used_at timestamptz, -- to the minute
    revoked_at   timestamptz,
    CONSTRAINT api_key_hash_key UNIQUE (hash),
    CHECK ((role IS NULL) <> (scopes IS NULL))
);
CREATE INDEX api_key_owner_idx ON api_key (owner_id) WHERE revoked_at IS NULL;
CREATE INDEX api_key_created_idx ON api_key (created_at, id);

-- How many keys a developer may have; the setting's number where there is no row.
CREATE TABLE key_allowance (
    user_id  bigint PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    max_keys integer NOT NULL CHECK (max_keys BETWEEN 0 AND 1000)
);

CREATE TABLE api_key_usage (
    key_id   uuid   NOT NULL REFERENCES api_key (id) ON DELETE CASCADE,
    day      date   NOT NULL,
    requests bigint NOT NULL DEFAULT 0,
    errors   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (key_id, day)
);
CREATE INDEX api_key_usage_day_idx ON api_key_usage (day);

-- Reports of gateways that were counted, so that one that comes twice counts once. Rows stay an hour.
CREATE TABLE api_key_report (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL
);
CREATE INDEX api_key_report_at_idx ON api_key_report (at);
