-- What an event costs that is handed in. Figures: docs/performance.md.
--
-- extension: pg_trgm
-- extension: unaccent

-- Most texts are ASCII, or composed already: finding that out takes a fiftieth of normalising them again. What unaccent
-- knows is not ASCII.
CREATE OR REPLACE FUNCTION fold(words text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
BEGIN
    IF octet_length(words) = char_length(words) THEN
        RETURN lower(words);
    END IF;
    IF words IS NOT NFKC NORMALIZED THEN
        words := normalize(words, NFKC);
    END IF;
    RETURN public.unaccent('public.unaccent', lower(words));
END
$$;

-- One index of words, letter groups of names and letter groups of all, instead of three: what is new waits in one list
-- and is put in order some two hundred events at a time, where the same leaf is then written once and not four times. A
-- reader looks through two megabytes at most of what is not in order yet.
CREATE INDEX event_search_idx ON event
    USING gin (words, name_norm public.gin_trgm_ops, haystack public.gin_trgm_ops)
    WITH (fastupdate = on, gin_pending_list_limit = 2048);
DROP INDEX event_words_idx;
DROP INDEX event_similar_idx;
DROP INDEX event_haystack_idx;

-- Packing a document by the default method takes twenty times as long. A server that was built without the other one
-- goes on as before.
DO $$
DECLARE
    packed record;
BEGIN
    FOR packed IN SELECT * FROM (VALUES ('event', 'description'), ('event', 'doc'), ('event', 'card'),
            ('event', 'words'), ('event', 'haystack'), ('change', 'entry'), ('change', 'snapshot'),
            ('revision', 'doc'), ('event_source', 'payload'), ('observation', 'facts'), ('batch_item', 'payload'))
            AS columns (of_table, name)
    LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET COMPRESSION lz4', packed.of_table, packed.name);
    END LOOP;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END
$$;
