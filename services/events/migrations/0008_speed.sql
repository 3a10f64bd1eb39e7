-- What loading a hundred thousand events costs.
--
-- extension: unaccent

-- In SQL these were parsed and planned anew in each statement that calls them, since what may not be called immutable
-- (unaccent) is not put in place of the call. PL/pgSQL keeps the plan for the session.
CREATE OR REPLACE FUNCTION fold(words text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
BEGIN
    RETURN public.unaccent('public.unaccent', lower(normalize(words, NFKC)));
END
$$;

CREATE OR REPLACE FUNCTION name_norm(name text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
BEGIN
    RETURN btrim(regexp_replace(fold(replace(name, '&', ' and ')), '[^[:alnum:]]+', ' ', 'g'));
END
$$;

-- An event has some sixty words and twenty letter groups of its name: as those of its whole text, they are put in order
-- some hundred events at a time.
ALTER INDEX event_words_idx SET (fastupdate = on, gin_pending_list_limit = 256);
ALTER INDEX event_similar_idx SET (fastupdate = on, gin_pending_list_limit = 128);
ALTER INDEX occurrence_keywords_idx SET (fastupdate = on, gin_pending_list_limit = 64);
