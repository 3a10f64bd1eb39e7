CREATE TABLE collection (
    id               uuid        PRIMARY KEY,
    owner_id         bigint      NOT NULL,
    title            text        NOT NULL,
    description      text        NOT NULL DEFAULT '',
    is_public        boolean     NOT NULL DEFAULT false,
    share_token      uuid        NOT NULL,
    -- Of what was opened by the link: all of an earlier one is worthless. Counts each change that takes rights away.
    share_generation bigint      NOT NULL DEFAULT 1,
    link_enabled     boolean     NOT NULL DEFAULT true,
    link_expires_at  timestamptz,
    password_hash    text, -- argon2id; NULL: none is asked for
    allow_download   boolean     NOT NULL DEFAULT false,
    view_count       bigint      NOT NULL DEFAULT 0,
    created_at       timestamptz NOT NULL
);
CREATE INDEX collection_owner_idx ON collection (owner_id, created_at DESC, id DESC);

CREATE TABLE collection_item (
    collection_id uuid        NOT NULL REFERENCES collection (id) ON DELETE CASCADE,
    media_id      uuid        NOT NULL REFERENCES item (id) ON DELETE CASCADE,
    added_at      timestamptz NOT NULL,
    PRIMARY KEY (collection_id, media_id)
);
CREATE INDEX collection_item_order_idx ON collection_item (collection_id, added_at DESC, media_id);
CREATE INDEX collection_item_media_idx ON collection_item (media_id);
