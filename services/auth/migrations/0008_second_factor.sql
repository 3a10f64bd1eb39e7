CREATE TABLE totp (
    user_id      bigint      PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    secret       bytea       NOT NULL, -- sealed with AUTH_SECRET_KEY: it must be read again, so no hash does
    confirmed_at timestamptz,          -- NULL: not asked for yet
    last_step    bigint      NOT NULL DEFAULT 0, -- no code is good twice
    created_at   timestamptz NOT NULL
);
CREATE TABLE recovery_code (
    user_id bigint NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    hash    bytea  NOT NULL, -- of 80 random bits, so a fast one does
    used_at timestamptz,
    PRIMARY KEY (user_id, hash)
);
CREATE TABLE passkey (
    id            bytea       PRIMARY KEY, -- the credential id
    user_id       bigint      NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    name          text        NOT NULL,
    algorithm     integer     NOT NULL, -- COSE: -7 ES256, -8 EdDSA, -257 RS256
    public_key    bytea       NOT NULL,
    sign_count    bigint      NOT NULL,
    aaguid        uuid,
    created_at    timestamptz NOT NULL,
    last_used_at  timestamptz
);
CREATE INDEX passkey_user_idx ON passkey (user_id);

-- Between two steps: of a login (the password was right) or of a passkey's ceremony.
CREATE TABLE factor_challenge (
    hash       bytea       PRIMARY KEY, -- of what the client holds; of a ceremony that is WebAuthn's challenge
    purpose    text        NOT NULL CHECK (purpose IN ('login', 'passkey_add', 'passkey_login')),
    user_id    bigint      REFERENCES account (id) ON DELETE CASCADE, -- NULL: whoever the passkey belongs to
    profile    text        NOT NULL DEFAULT '', -- of the first step, and which tokens the login gets
    token_set  smallint    NOT NULL DEFAULT 0,
    method     text        NOT NULL DEFAULT '',
    password_hash text,    -- that the password was checked against
    failures   integer     NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL
);
CREATE INDEX factor_challenge_expires_idx ON factor_challenge (expires_at);
