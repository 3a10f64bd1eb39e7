-- What searches fall back to where nothing has the words: similar words in names.
--
-- extension: pg_trgm

CREATE INDEX event_similar_idx ON event USING gin (name_norm public.gin_trgm_ops) WITH (fastupdate = off);

-- Each word must be similar to one of the name's; a swap of two letters is.
CREATE FUNCTION similar_events(asked text) RETURNS TABLE (id uuid)
    LANGUAGE sql STABLE PARALLEL SAFE SET pg_trgm.word_similarity_threshold = 0.45 AS $$
    SELECT e.id FROM event e
    WHERE e.deleted_at IS NULL AND name_norm(asked) <> ''
        AND (SELECT bool_and(word OPERATOR(public.<%) e.name_norm)
             FROM regexp_split_to_table(name_norm(asked), ' ') AS word)
        -- For the index: any of them.
        AND e.name_norm OPERATOR(public.%>) split_part(name_norm(asked), ' ', 1)
    LIMIT 1000
$$;

-- An event brings hundreds of letter groups: they are put in order some hundred events at a time. A reader looks through
-- half a megabyte at most of what is not in order yet.
ALTER INDEX event_haystack_idx SET (fastupdate = on, gin_pending_list_limit = 512);
