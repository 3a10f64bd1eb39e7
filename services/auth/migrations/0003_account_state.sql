-- What the parts of auth share about accounts and logins.
ALTER TABLE account
    ADD COLUMN email_verified_at   timestamptz, -- NULL: nobody has shown that he reads it
    ADD COLUMN pending_email       text,        -- takes the place of `email` once it is verified
    ADD COLUMN password_changed_at timestamptz,
    ADD COLUMN must_change_password boolean     NOT NULL DEFAULT false, -- the password was made by somebody else
    ADD COLUMN activated_at        timestamptz, -- NULL with active = false: invited, and not here yet
    ADD COLUMN deactivated_at      timestamptz;

-- How a login began, and what is known of it since.
ALTER TABLE login
    ADD COLUMN method          text    NOT NULL DEFAULT 'password', -- or the provider's name, "passkey", "impersonation"
    ADD COLUMN second_factor   text,                                -- "totp", "recovery", "passkey"
    ADD COLUMN impersonator_id bigint  REFERENCES account (id) ON DELETE SET NULL;
CREATE INDEX login_impersonator_idx ON login (impersonator_id) WHERE impersonator_id IS NOT NULL;
