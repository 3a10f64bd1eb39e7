-- Who is connected, what others see of that, and who is in voice. All of it but the secret may be lost: it comes again with
-- the connections.

-- What session ids are signed with, in all instances.
CREATE TABLE live_secret (
    id     boolean PRIMARY KEY DEFAULT true CHECK (id), -- one row
    secret bytea   NOT NULL CHECK (length(secret) = 32)
);
INSERT INTO live_secret (secret) VALUES (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

-- Gateways that live. One that does not say so again in time is gone, and its connections with it.
CREATE TABLE edge (
    name       text        PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX edge_expires_idx ON edge (expires_at);

-- Connections that have identified themselves. `status` is what that session has chosen: 1 online, 2 idle, 3 dnd,
-- 4 invisible.
CREATE TABLE connection (
    name    text     PRIMARY KEY, -- "<edge>.<number>"
    edge    text     NOT NULL,
    user_id bigint   NOT NULL,
    status  smallint NOT NULL CHECK (status BETWEEN 1 AND 4)
);
CREATE INDEX connection_user_idx ON connection (user_id);
CREATE INDEX connection_edge_idx ON connection (edge);

-- What others see of a user: 0 offline, 1 online, 2 idle, 3 dnd. Written under the user's lock (dispatch.h). A row is there
-- as long as he is connected, and until `offline_at` afterwards.
CREATE TABLE presence (
    user_id    bigint      PRIMARY KEY,
    status     smallint    NOT NULL CHECK (status BETWEEN 0 AND 3),
    offline_at timestamptz -- NULL while he has connections
);
CREATE INDEX presence_offline_idx ON presence (offline_at) WHERE offline_at IS NOT NULL;

-- Who is in which voice channel: one of each guild.
CREATE TABLE voice_state (
    guild_id   bigint      NOT NULL REFERENCES guild (id) ON DELETE CASCADE,
    user_id    bigint      NOT NULL,
    channel_id bigint      NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    self_mute  boolean     NOT NULL,
    self_deaf  boolean     NOT NULL,
    joined_at  timestamptz NOT NULL,
    PRIMARY KEY (guild_id, user_id)
);
CREATE INDEX voice_state_channel_idx ON voice_state (channel_id, joined_at);
CREATE INDEX voice_state_user_idx ON voice_state (user_id);

-- What the voice server has to be told, until it was: to throw somebody out of a room, or (no user) to end it.
CREATE TABLE voice_order (
    id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    room    text        NOT NULL,
    user_id bigint,
    tries   integer     NOT NULL DEFAULT 0,
    due_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX voice_order_due_idx ON voice_order (due_at);
