-- Who else vouches for an account. `subject` is the provider's own, immutable id; names and addresses are for show.
CREATE TABLE identity (
    id             uuid        PRIMARY KEY,
    user_id        bigint      NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    provider       text        NOT NULL, -- "discord", "github", or a name of OIDC_CONFIG
    issuer         text        NOT NULL DEFAULT '', -- iss of OpenID providers
    subject        text        COLLATE "C" NOT NULL,
    name           text        NOT NULL DEFAULT '',
    email          text,
    email_verified boolean     NOT NULL DEFAULT false, -- says the provider
    avatar_url     text        NOT NULL DEFAULT '',
    created_at     timestamptz NOT NULL,
    last_used_at   timestamptz,
    CONSTRAINT identity_subject_key UNIQUE (provider, issuer, subject)
);
CREATE INDEX identity_user_idx ON identity (user_id);

-- A sign-in on its way: taken (deleted) by the first callback that shows the state in the browser that began.
CREATE TABLE signin_state (
    hash         bytea       PRIMARY KEY, -- SHA-256 of the state
    browser_hash bytea       NOT NULL,    -- of the cookie
    provider     text        NOT NULL,
    nonce        text        NOT NULL,
    verifier     text        NOT NULL,    -- PKCE
    return_to    text        NOT NULL,
    link_user_id bigint      REFERENCES account (id) ON DELETE CASCADE, -- NULL: a login
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL
);
CREATE INDEX signin_state_expires_idx ON signin_state (expires_at);

-- A finished sign-in whose tokens are still to be fetched: an address never carries tokens, but for media's contract.
CREATE TABLE signin_code (
    hash       bytea       PRIMARY KEY,
    user_id    bigint      NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    method     text        NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX signin_code_expires_idx ON signin_code (expires_at);
