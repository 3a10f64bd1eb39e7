-- Mail to be sent. The body holds links with tokens, so it is emptied once it was sent or given up.
CREATE TABLE mail (
    id         uuid        PRIMARY KEY,
    kind       text        NOT NULL, -- "verification", "reset", "invitation", "new_login", "impersonated"
    user_id    bigint      REFERENCES account (id) ON DELETE CASCADE,
    recipient  text        NOT NULL,
    subject    text        NOT NULL,
    body       text        NOT NULL,
    attempts   integer     NOT NULL DEFAULT 0,
    next_at    timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    sent_at    timestamptz,
    failed_at  timestamptz -- given up
);
CREATE INDEX mail_due_idx ON mail (next_at) WHERE sent_at IS NULL AND failed_at IS NULL;
CREATE INDEX mail_created_idx ON mail (created_at);

CREATE TABLE mail_token (
    hash       bytea       PRIMARY KEY, -- SHA-256
    user_id    bigint      NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    purpose    text        NOT NULL CHECK (purpose IN ('verify_email', 'reset_password')),
    email      text        NOT NULL, -- that it was sent to, and that it verifies
    expires_at timestamptz NOT NULL
);
CREATE INDEX mail_token_user_idx ON mail_token (user_id);
CREATE INDEX mail_token_expires_idx ON mail_token (expires_at);
