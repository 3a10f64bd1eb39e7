-- One row per person, whichever API he came by. A username is always there: one is made for an e-mail account.
CREATE TABLE account (
    id            bigint      PRIMARY KEY,
    username      text        COLLATE "C" NOT NULL,
    email         text,
    password_hash text,       -- argon2id in its own text form; NULL for accounts that sign in elsewhere
    display_name  text        NOT NULL,
    avatar_hash   text,
    role          smallint    NOT NULL DEFAULT 1 CHECK (role BETWEEN 1 AND 3),
    active        boolean     NOT NULL DEFAULT true,
    provider      text        NOT NULL DEFAULT 'local',
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    last_login_at timestamptz,
    CONSTRAINT account_username_key UNIQUE (username)
);

-- Kept as typed, told apart without regard to case.
CREATE UNIQUE INDEX account_email_key ON account (lower(email));
