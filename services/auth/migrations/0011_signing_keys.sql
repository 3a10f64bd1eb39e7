-- Keys that tokens are signed with, in JWKS mode. One signs; those before verify until their last token is dead.
CREATE TABLE signing_key (
    kid         text        PRIMARY KEY,
    algorithm   text        NOT NULL CHECK (algorithm IN ('EdDSA', 'ES256')),
    public_key  bytea       NOT NULL,
    private_key bytea       NOT NULL, -- sealed with AUTH_SECRET_KEY
    created_at  timestamptz NOT NULL,
    signs_from  timestamptz NOT NULL, -- a little later: gateways have it by then
    retires_at  timestamptz  -- NULL: signs
);
