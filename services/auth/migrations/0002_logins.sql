-- One row per login. A login made in the place of another (refresh by long token) belongs to the same family.
CREATE TABLE login (
    id           uuid        PRIMARY KEY,
    family_id    uuid        NOT NULL,
    user_id      bigint      NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    token_jti    text,       -- of the long JWT that may be refreshed
    opaque_hash  bytea,      -- SHA-256 of rag's token
    profile      text        NOT NULL,
    user_agent   text        NOT NULL,
    address      text        NOT NULL,
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    end_reason   smallint,
    CONSTRAINT login_opaque_hash_key UNIQUE (opaque_hash)
);
CREATE INDEX login_live_idx ON login (user_id) WHERE ended_at IS NULL;
CREATE INDEX login_family_idx ON login (family_id) WHERE ended_at IS NULL;
CREATE INDEX login_expires_idx ON login (expires_at);
CREATE INDEX login_ended_idx ON login (ended_at) WHERE ended_at IS NOT NULL;

-- Used ones stay until they expire, so that a second use is noticed.
CREATE TABLE refresh_token (
    hash        bytea       PRIMARY KEY,
    login_id    uuid        NOT NULL REFERENCES login (id) ON DELETE CASCADE,
    parent_hash bytea,      -- the token it came in exchange for
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz
);
CREATE INDEX refresh_token_login_idx ON refresh_token (login_id);
CREATE INDEX refresh_token_parent_idx ON refresh_token (parent_hash) WHERE parent_hash IS NOT NULL;
CREATE INDEX refresh_token_expires_idx ON refresh_token (expires_at);
