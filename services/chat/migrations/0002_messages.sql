-- Seconds between two messages of one user; 0: as often as he likes.
ALTER TABLE channel ADD COLUMN rate_limit_per_user integer NOT NULL DEFAULT 0 CHECK (rate_limit_per_user >= 0);

-- The DM of two people: one, however many of them begin at the same time.
CREATE TABLE direct_pair (
    low_id     bigint NOT NULL, -- the smaller of the two users' ids
    high_id    bigint NOT NULL CHECK (high_id > low_id),
    channel_id bigint NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    PRIMARY KEY (low_id, high_id)
);
CREATE INDEX direct_pair_channel_idx ON direct_pair (channel_id);

-- Whom somebody wants to hear nothing from.
CREATE TABLE block (
    user_id    bigint      NOT NULL, -- who blocks
    blocked_id bigint      NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, blocked_id)
);
CREATE INDEX block_blocked_idx ON block (blocked_id);

-- All that was posted, in channels of all kinds. There is no foreign key: it would lock the channel's row for each post,
-- and deleting a channel would take as long as it has messages (see discarded_channel). When it was posted stands in
-- the id.
CREATE TABLE message (
    channel_id       bigint      NOT NULL,
    id               bigint      NOT NULL,
    guild_id         bigint,     -- NULL: between people
    author_id        bigint      NOT NULL,
    type             smallint    NOT NULL DEFAULT 0,
    reacted          boolean     NOT NULL DEFAULT false, -- there may be reactions: else nobody need look
    attached         boolean     NOT NULL DEFAULT false, -- the same of attachments
    mention_everyone boolean     NOT NULL DEFAULT false,
    reply_to         bigint,
    edited_at        timestamptz,
    pinned_at        timestamptz,
    mentions         bigint[],   -- users; NULL: none
    mention_roles    bigint[],
    content          text        NOT NULL,
    -- What a search looks in: words as they are and their English stems; and the guild, as a word that nobody can write, so
    -- that one index serves all guilds without reading the others'. Whoever writes `content` writes it, too: see post_plain
    -- and WORDS_SQL in services/chat/store_messages.c. (A generated column would be read and planned with each post.)
    words            tsvector,
    PRIMARY KEY (channel_id, id)
);
CREATE INDEX message_words_idx ON message USING gin (words);
CREATE INDEX message_pinned_idx ON message (channel_id, pinned_at DESC) WHERE pinned_at IS NOT NULL;
CREATE INDEX message_author_idx ON message (author_id, id);

-- Who is meant, to be counted for those who have not read it yet.
CREATE TABLE mention (
    channel_id bigint   NOT NULL,
    kind       smallint NOT NULL CHECK (kind IN (0, 1, 2)), -- a user, a role, everyone
    target_id  bigint   NOT NULL, -- 0: everyone
    message_id bigint   NOT NULL,
    PRIMARY KEY (channel_id, kind, target_id, message_id)
);
CREATE INDEX mention_target_idx ON mention (target_id, channel_id) WHERE kind = 0;

CREATE TABLE reaction (
    message_id bigint      NOT NULL,
    emoji      text        NOT NULL CHECK (octet_length(emoji) BETWEEN 1 AND 64),
    user_id    bigint      NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (message_id, emoji, user_id)
);
CREATE INDEX reaction_user_idx ON reaction (user_id);

-- How far somebody has read.
CREATE TABLE read_state (
    user_id         bigint      NOT NULL,
    channel_id      bigint      NOT NULL,
    last_message_id bigint      NOT NULL,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (user_id, channel_id)
);
CREATE INDEX read_state_channel_idx ON read_state (channel_id);

-- When somebody last posted in a channel in slow mode.
CREATE TABLE slow_post (
    channel_id bigint      NOT NULL,
    user_id    bigint      NOT NULL,
    posted_at  timestamptz NOT NULL,
    PRIMARY KEY (channel_id, user_id)
);
CREATE INDEX slow_post_user_idx ON slow_post (user_id);

-- Files that were brought for messages. The bytes are a media item's.
CREATE TABLE attachment (
    id           bigint      PRIMARY KEY, -- its time is in it
    channel_id   bigint      NOT NULL,
    author_id    bigint      NOT NULL,
    message_id   bigint,     -- NULL: of no message yet
    media_id     uuid        NOT NULL,
    filename     text        NOT NULL,
    content_type text        NOT NULL,
    size_bytes   bigint      NOT NULL,
    path         text        NOT NULL, -- of its URL; holds what nobody can guess
    alone        boolean     NOT NULL DEFAULT false -- becomes a message by itself when no other takes it at once
);
CREATE UNIQUE INDEX attachment_media_key ON attachment (media_id);
CREATE INDEX attachment_message_idx ON attachment (message_id, id) WHERE message_id IS NOT NULL;
CREATE INDEX attachment_waiting_idx ON attachment (channel_id, author_id, id) WHERE message_id IS NULL;
CREATE INDEX attachment_age_idx ON attachment (id) WHERE message_id IS NULL;
CREATE INDEX attachment_author_idx ON attachment (author_id);

-- Channels that are gone; their messages follow little by little.
CREATE TABLE discarded_channel (
    channel_id   bigint      PRIMARY KEY,
    discarded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE FUNCTION discard_channel() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO discarded_channel (channel_id) VALUES (OLD.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER channel_discarded AFTER DELETE ON channel FOR EACH ROW EXECUTE FUNCTION discard_channel();

-- The first message of somebody who has never read in a channel that could be new to him: ids begin with milliseconds
-- since 2025 (contracts/chat.md section 10).
CREATE FUNCTION snowflake_at(at timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT greatest(0, least(floor(extract(epoch FROM at) * 1000)::numeric - 1735689600000, 2199023255551))::bigint
           * 4194304
$$;

-- Text that tells its own length, so that lists of anything travel as one text: "3:abc".
CREATE FUNCTION counted(value text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT octet_length(value) || ':' || value
$$;

-- The beginning of all that changes something in a channel: takes its locks (services/chat/dispatch.h: the guild's
-- shared, the channel's exclusively), and then looks, in one round trip. As a function of several statements, since what
-- it reads must be from after the locks. No row: there is no such channel.
CREATE FUNCTION enter_channel(in_channel bigint, in_user bigint)
RETURNS TABLE (guild_id bigint, type smallint, permissions bigint, slow_s integer, last_id bigint,
               username text, display_name text, avatar_hash text, waiting boolean, blocked boolean)
LANGUAGE plpgsql ROWS 1 AS $$
DECLARE
    prefix CONSTANT text := current_schema() || '/lock/outbox/';
    of_guild bigint;
    locked text; -- a lock in an assignment costs no query
BEGIN
    SELECT c.guild_id INTO of_guild FROM channel c WHERE c.id = in_channel;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF of_guild IS NOT NULL THEN
        locked := pg_advisory_xact_lock_shared(hashtextextended(prefix || of_guild, 0));
    END IF;
    locked := pg_advisory_xact_lock(hashtextextended(prefix || in_channel, 0));
    RETURN QUERY
        SELECT c.guild_id, c.type,
               -- As CHANNEL_PERMISSIONS_SQL in services/chat/place.h.
               CASE WHEN c.guild_id IS NULL
                    THEN (SELECT 49155::bigint FROM recipient r WHERE r.channel_id = c.id AND r.user_id = in_user)
                    ELSE (SELECT a.permissions FROM channel_access a WHERE a.channel_id = c.id AND a.user_id = in_user)
                    END,
               c.rate_limit_per_user,
               coalesce((SELECT m.id FROM message m WHERE m.channel_id = c.id ORDER BY m.id DESC LIMIT 1), 0),
               p.username, p.display_name, p.avatar_hash,
               EXISTS (SELECT FROM attachment a
                       WHERE a.channel_id = c.id AND a.author_id = in_user AND a.message_id IS NULL),
               c.type = 1 AND EXISTS (SELECT FROM recipient r JOIN block b ON b.user_id = r.user_id
                                      WHERE r.channel_id = c.id AND b.blocked_id = in_user)
        FROM channel c LEFT JOIN person p ON p.user_id = in_user
        WHERE c.id = in_channel;
END
$$;

-- A message that is text and nothing else, with the row that tells of it: in one statement, which is a transaction. Takes
-- the locks, looks whether its author may post still, and whether its id, drawn before the locks, comes after all that
-- is there. False: not so, and nothing is done. A guild that is being changed is not waited for either: posts of all guilds
-- share transactions (db_write_together), and the slow way has a connection of its own to wait on. A channel's lock is: other
-- posts hold it, and only for a moment.
CREATE FUNCTION post_plain(in_channel bigint, in_guild bigint, in_author bigint, in_id bigint, in_content text,
                           row_id uuid, row_key text, row_subject text, row_type text, row_payload bytea)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    prefix CONSTANT text := current_schema() || '/lock/outbox/';
    locked text;
    allowed bigint;
    last_id bigint;
BEGIN
    IF in_guild IS NOT NULL THEN
        IF NOT pg_try_advisory_xact_lock_shared(hashtextextended(prefix || in_guild, 0)) THEN
            RETURN false;
        END IF;
    END IF;
    locked := pg_advisory_xact_lock(hashtextextended(prefix || in_channel, 0));
    SELECT CASE WHEN in_guild IS NULL -- as in enter_channel
                THEN (SELECT 49155::bigint FROM recipient r WHERE r.channel_id = in_channel AND r.user_id = in_author)
                ELSE (SELECT a.permissions FROM channel_access a
                      WHERE a.channel_id = in_channel AND a.user_id = in_author) END,
           (SELECT m.id FROM message m WHERE m.channel_id = in_channel ORDER BY m.id DESC LIMIT 1)
    INTO allowed, last_id;
    IF allowed IS NULL OR (allowed & 2) = 0 OR last_id >= in_id THEN -- SEND_MESSAGES
        RETURN false;
    END IF;
    INSERT INTO message (channel_id, id, guild_id, author_id, content, words)
    VALUES (in_channel, in_id, in_guild, in_author, in_content,
            CASE WHEN in_guild IS NOT NULL
                 THEN to_tsvector('english', in_content) || to_tsvector('simple', in_content)
                      || array_to_tsvector(ARRAY['#' || in_guild::text]) END);
    INSERT INTO outbox (id, key, subject, ce_type, payload)
    VALUES (row_id, row_key, row_subject, row_type, row_payload);
    RETURN true;
END
$$;

-- Who is meant by @username.
CREATE INDEX person_username_idx ON person (lower(username));
