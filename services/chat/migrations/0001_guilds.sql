-- What chat shows of accounts: a copy of auth's, brought up to date by its events and asked for when somebody is missing.
CREATE TABLE person (
    user_id      bigint      PRIMARY KEY, -- of auth
    username     text        NOT NULL,
    display_name text        NOT NULL,
    avatar_hash  text,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL DEFAULT '-infinity' -- auth's: what is older than that changes nothing
);

CREATE TABLE guild (
    id           bigint      PRIMARY KEY,
    name         text        NOT NULL,
    icon_hash    text,
    icon_by      bigint, -- who set it: an item of his, or none
    owner_id     bigint      NOT NULL REFERENCES person (user_id),
    member_count integer     NOT NULL DEFAULT 0, -- kept with every membership, under the guild's lock
    created_at   timestamptz NOT NULL
);
CREATE INDEX guild_owner_idx ON guild (owner_id);
CREATE INDEX guild_icon_by_idx ON guild (icon_by) WHERE icon_by IS NOT NULL;

-- All places where messages are: of guilds, and between people.
CREATE TABLE channel (
    id         bigint      PRIMARY KEY,
    guild_id   bigint      REFERENCES guild (id) ON DELETE CASCADE,
    type       smallint    NOT NULL CHECK (type IN (0, 1, 2, 3, 4)), -- text, direct, voice, group, category
    name       text        NOT NULL DEFAULT '',
    position   integer     NOT NULL DEFAULT 0,
    topic      text,
    parent_id  bigint      REFERENCES channel (id) ON DELETE SET NULL,
    owner_id   bigint      REFERENCES person (user_id), -- of groups
    created_at timestamptz NOT NULL,
    CHECK ((guild_id IS NULL) = (type IN (1, 3)))
);
CREATE UNIQUE INDEX channel_name_key ON channel (guild_id, name) WHERE guild_id IS NOT NULL;
CREATE INDEX channel_parent_idx ON channel (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX channel_owner_idx ON channel (owner_id) WHERE owner_id IS NOT NULL;

-- Who is in a direct or group channel.
CREATE TABLE recipient (
    channel_id bigint      NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    user_id    bigint      NOT NULL REFERENCES person (user_id),
    joined_at  timestamptz NOT NULL,
    PRIMARY KEY (channel_id, user_id)
);
CREATE INDEX recipient_user_idx ON recipient (user_id, channel_id);

-- The one that everybody has, @everyone, has the id of its guild: so that it is found without being looked for.
CREATE TABLE role (
    id          bigint  PRIMARY KEY,
    guild_id    bigint  NOT NULL REFERENCES guild (id) ON DELETE CASCADE,
    name        text    NOT NULL,
    color       integer NOT NULL DEFAULT 0,
    permissions bigint  NOT NULL DEFAULT 0,
    position    integer NOT NULL DEFAULT 0
);
CREATE INDEX role_guild_idx ON role (guild_id, position, id);

-- `roles` are the assigned ones. They stand in the row, so that they change all or not at all and come with it; who
-- deletes a role takes it out here, under the guild's lock.
CREATE TABLE member (
    guild_id  bigint      NOT NULL REFERENCES guild (id) ON DELETE CASCADE,
    user_id   bigint      NOT NULL REFERENCES person (user_id),
    nickname  text,
    joined_at timestamptz NOT NULL,
    roles     bigint[]    NOT NULL DEFAULT '{}',
    PRIMARY KEY (guild_id, user_id)
);
CREATE INDEX member_user_idx ON member (user_id, guild_id);
CREATE INDEX member_joined_idx ON member (guild_id, joined_at, user_id);

CREATE TABLE channel_override (
    channel_id bigint NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    role_id    bigint NOT NULL REFERENCES role (id) ON DELETE CASCADE,
    allow      bigint NOT NULL DEFAULT 0,
    deny       bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (channel_id, role_id)
);
CREATE INDEX channel_override_role_idx ON channel_override (role_id);

CREATE TABLE ban (
    guild_id   bigint      NOT NULL REFERENCES guild (id) ON DELETE CASCADE,
    user_id    bigint      NOT NULL REFERENCES person (user_id),
    reason     text,
    created_by bigint      NOT NULL, -- stays when he is gone
    created_at timestamptz NOT NULL,
    PRIMARY KEY (guild_id, user_id)
);
CREATE INDEX ban_user_idx ON ban (user_id);

CREATE TABLE invite (
    code       text        PRIMARY KEY,
    guild_id   bigint      NOT NULL REFERENCES guild (id) ON DELETE CASCADE,
    creator_id bigint      NOT NULL,
    max_uses   integer     NOT NULL DEFAULT 0, -- 0 and below: no limit
    uses       integer     NOT NULL DEFAULT 0,
    expires_at timestamptz, -- NULL: never
    created_at timestamptz NOT NULL
);
CREATE INDEX invite_guild_idx ON invite (guild_id, created_at DESC);
CREATE INDEX invite_creator_idx ON invite (creator_id);

-- Who did what in a guild. `changes` is a message atrium.chat.v1.AuditChanges, written once and only shown.
CREATE TABLE audit_entry (
    id          bigint   PRIMARY KEY, -- its time is in it
    guild_id    bigint   NOT NULL REFERENCES guild (id) ON DELETE CASCADE,
    user_id     bigint   NOT NULL, -- who did it; 0: somebody who is gone
    target_id   bigint   NOT NULL, -- a guild, channel, role, user or message; 0: none
    action_type smallint NOT NULL,
    reason      text,
    changes     bytea    NOT NULL DEFAULT ''
);
CREATE INDEX audit_entry_guild_idx ON audit_entry (guild_id, id DESC);
CREATE INDEX audit_entry_user_idx ON audit_entry (user_id);
CREATE INDEX audit_entry_target_idx ON audit_entry (target_id);

-- ------------------------------------------------------------------------------------------------ permissions
-- The one place where permissions are resolved (contracts/chat.md section 6). Bits: services/chat/permissions.h.

-- Of a member in a channel: what everybody's override denies and allows, then what those of his roles deny and allow;
-- nothing without VIEW_CHANNEL. An administrator has all. (Not STRICT: then it is no part of the statement, but a call.)
CREATE FUNCTION resolve_permissions(base bigint, everyone_deny bigint, everyone_allow bigint, roles_deny bigint,
                                    roles_allow bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN (base & 2147483648) <> 0 THEN 9223372036854775807
                WHEN (((((base & (~everyone_deny)) | everyone_allow) & (~roles_deny)) | roles_allow) & 1) = 0 THEN 0
                ELSE ((((base & (~everyone_deny)) | everyone_allow) & (~roles_deny)) | roles_allow) END
$$;

-- What each member may in his guild, channels apart: everything as owner or administrator.
CREATE VIEW member_access AS
SELECT m.guild_id, m.user_id,
       CASE WHEN g.owner_id = m.user_id OR (base.bits & 2147483648) <> 0 THEN 9223372036854775807
            ELSE base.bits END AS permissions
FROM member m
JOIN guild g ON g.id = m.guild_id
CROSS JOIN LATERAL (
    SELECT coalesce(bit_or(r.permissions), 0) AS bits FROM role r WHERE r.id = ANY (m.guild_id || m.roles)
) base;

-- … and in each of its channels: 0 where he may not even see it.
CREATE VIEW channel_access AS
SELECT c.guild_id, c.id AS channel_id, m.user_id,
       CASE WHEN (SELECT g.owner_id FROM guild g WHERE g.id = m.guild_id) = m.user_id THEN 9223372036854775807
            ELSE resolve_permissions(base.bits, o.everyone_deny, o.everyone_allow, o.roles_deny, o.roles_allow)
       END AS permissions
FROM member m
JOIN channel c ON c.guild_id = m.guild_id
CROSS JOIN LATERAL (
    SELECT coalesce(bit_or(r.permissions), 0) AS bits FROM role r WHERE r.id = ANY (m.guild_id || m.roles)
) base
CROSS JOIN LATERAL (
    SELECT coalesce(bit_or(v.deny) FILTER (WHERE v.role_id = c.guild_id), 0) AS everyone_deny,
           coalesce(bit_or(v.allow) FILTER (WHERE v.role_id = c.guild_id), 0) AS everyone_allow,
           coalesce(bit_or(v.deny) FILTER (WHERE v.role_id <> c.guild_id), 0) AS roles_deny,
           coalesce(bit_or(v.allow) FILTER (WHERE v.role_id <> c.guild_id), 0) AS roles_allow
    FROM channel_override v WHERE v.channel_id = c.id AND v.role_id = ANY (m.guild_id || m.roles)
) o;
