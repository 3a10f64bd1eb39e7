-- Mail to be sent. What a reset or a verification links to is made when it is sent, so it is not in here.
CREATE TABLE mail (
    id         uuid        PRIMARY KEY,
    kind       text        NOT NULL CHECK (kind IN ('verification', 'reset', 'invitation', 'new_login')),
    user_id    bigint      REFERENCES account (id) ON DELETE CASCADE,
    recipient  text        NOT NULL, -- of a reset: as it was asked for, whether there is such an account or not
    detail     bytea,                -- what the text needs besides, sealed; emptied once it was sent or given up
    attempts   integer     NOT NULL DEFAULT 0,
    next_at    timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL, -- given up then
    sent_at    timestamptz,
    failed_at  timestamptz           -- given up, or there was nobody to send it to
);
CREATE INDEX mail_due_idx ON mail (next_at) WHERE sent_at IS NULL AND failed_at IS NULL;
CREATE INDEX mail_created_idx ON mail (created_at);
CREATE INDEX mail_recipient_idx ON mail (lower(recipient), kind, created_at);
CREATE INDEX mail_user_idx ON mail (user_id);

CREATE TABLE mail_token (
    hash       bytea       PRIMARY KEY, -- SHA-256
    user_id    bigint      NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    purpose    text        NOT NULL CHECK (purpose IN ('verify_email', 'reset_password')),
    email      text,       -- that it was sent to, and that it verifies; NULL: an administrator passed it on
    expires_at timestamptz NOT NULL
);
CREATE INDEX mail_token_user_idx ON mail_token (user_id);
CREATE INDEX mail_token_expires_idx ON mail_token (expires_at);
