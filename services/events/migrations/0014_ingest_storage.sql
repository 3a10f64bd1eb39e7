-- What follows needs several tables for itself, for a moment: apart from the index that takes long to build, which it
-- replaces. It came out together with what made these tables, so nobody works on them yet; later changes of this kind
-- take one table a file.

DROP INDEX event_words_idx;
DROP INDEX event_similar_idx;
DROP INDEX event_haystack_idx;

-- Each place and organiser that nobody knows by its name is looked for by similar ones first: by default that looks
-- through four megabytes of what is not in order yet.
ALTER INDEX place_similar_idx SET (gin_pending_list_limit = 64);
ALTER INDEX organization_similar_idx SET (gin_pending_list_limit = 64);

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
