-- Plain posts of all guilds may share one transaction, so that none of them waits while its guild is being changed: it is told
-- false, as when it may not post, and goes the slow way, which has a connection of its own to wait on. A channel's lock is
-- waited for: other posts hold it, and only for a moment.
CREATE OR REPLACE FUNCTION post_plain(in_channel bigint, in_guild bigint, in_author bigint, in_id bigint, in_content text,
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
