-- Roles grant permissions; accounts and groups hold roles. account.role is the rank (user, operator, admin), which is a
-- role, too. admin has every permission by rule, so that nobody locks the last one out: it has no rows here.
CREATE TABLE role (
    name        text        PRIMARY KEY,
    description text        NOT NULL DEFAULT '',
    builtin     boolean     NOT NULL DEFAULT false,
    updated_at  timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE role_permission (
    role       text NOT NULL REFERENCES role (name) ON DELETE CASCADE,
    permission text NOT NULL, -- "events.review", "events.*", "*"
    PRIMARY KEY (role, permission)
);
CREATE TABLE account_role (
    user_id    bigint      NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    role       text        NOT NULL REFERENCES role (name) ON DELETE CASCADE,
    granted_at timestamptz NOT NULL,
    granted_by bigint      REFERENCES account (id) ON DELETE SET NULL,
    PRIMARY KEY (user_id, role)
);
CREATE INDEX account_role_role_idx ON account_role (role);

-- The group all-users is a row without members: everybody is in it.
CREATE TABLE user_group (
    id           text        PRIMARY KEY, -- a UUID, but for all-users
    name         text        NOT NULL,
    display_name text        NOT NULL,
    description  text        NOT NULL DEFAULT '',
    type         text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT user_group_name_key UNIQUE (name)
);
CREATE TABLE group_member (
    group_id  text        NOT NULL REFERENCES user_group (id) ON DELETE CASCADE,
    user_id   bigint      NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    role      text        NOT NULL DEFAULT 'member' CHECK (role IN ('owner', 'admin', 'member', 'viewer')),
    joined_at timestamptz NOT NULL,
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX group_member_user_idx ON group_member (user_id);
CREATE TABLE group_role (
    group_id text NOT NULL REFERENCES user_group (id) ON DELETE CASCADE,
    role     text NOT NULL REFERENCES role (name) ON DELETE CASCADE,
    PRIMARY KEY (group_id, role)
);

INSERT INTO role (name, description, builtin) VALUES
    ('user', 'everybody with an account', true),
    ('operator', 'runs the platform', true),
    ('admin', 'may everything', true),
    ('viewer', 'reads the administration of events', true),
    ('editor', 'reviews, edits and merges events', true),
    ('agent', 'submits events by API key', true),
    ('developer', 'makes API keys of his own', true),
    ('curator', 'curates collections and channels', true);
INSERT INTO role_permission (role, permission) VALUES
    ('operator', 'auth.users.read'),
    ('operator', 'auth.audit.read'),
    ('operator', 'auth.keys.read'),
    ('operator', 'auth.roles.read'),
    ('operator', 'auth.groups.read'),
    ('viewer', 'events.admin.read'),
    ('editor', 'events.admin.read'),
    ('editor', 'events.review'),
    ('editor', 'events.edit'),
    ('editor', 'events.merge'),
    ('agent', 'events.submit'),
    ('developer', 'auth.keys.own'),
    ('curator', 'rag.curate'),
    ('curator', 'media.curate');
INSERT INTO user_group (id, name, display_name, type) VALUES ('all-users', 'all_users', 'All Users', 'system');
