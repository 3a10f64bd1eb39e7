-- Uploads that come in parts, each put by itself.
ALTER TABLE upload ADD COLUMN part_bytes bigint CHECK (part_bytes > 0);
ALTER TABLE upload DROP CONSTRAINT upload_kind_check;
ALTER TABLE upload ADD CONSTRAINT upload_kind_check CHECK (kind IN ('put', 'tus', 'form', 'parts'));
