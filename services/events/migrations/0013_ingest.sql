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
-- and is put in order more than a hundred events at a time, where the same leaf is written once and not four times. A
-- reader looks through two megabytes at most of what is not in order yet.
CREATE INDEX event_search_idx ON event
    USING gin (words, name_norm public.gin_trgm_ops, haystack public.gin_trgm_ops)
    WITH (fastupdate = on, gin_pending_list_limit = 2048);
