-- 0010 gave the sources of nodes the trust of their node: what was decided by the trust they had before is decided anew.
INSERT INTO trust_change (source_id) SELECT id FROM source WHERE type = 'federation'
    ON CONFLICT (source_id) DO UPDATE SET after_id = '00000000-0000-0000-0000-000000000000';
