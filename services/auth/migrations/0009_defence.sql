-- Failed tries, by a keyed hash of what was tried: nobody reads names that do not exist out of it. Not logged: after a
-- crash counting starts anew. For how long a key has to wait follows from the two, by the rules in defence.c.
CREATE UNLOGGED TABLE login_failure (
    key      bytea       PRIMARY KEY, -- of (name, network), (name) or (network)
    failures integer     NOT NULL,
    last_at  timestamptz NOT NULL
);
CREATE INDEX login_failure_last_idx ON login_failure (last_at);

-- Networks from which somebody has logged in: what others do to his name from elsewhere does not keep him out.
CREATE TABLE known_network (
    user_id bigint      NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    hash    bytea       NOT NULL, -- keyed, of the /24 or /64
    last_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, hash)
);
CREATE INDEX known_network_last_idx ON known_network (last_at);
