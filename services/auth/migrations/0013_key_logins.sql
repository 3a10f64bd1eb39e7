-- Logins that an API key was exchanged for: they end with it, or before.
ALTER TABLE login ADD COLUMN api_key_id uuid REFERENCES api_key (id) ON DELETE CASCADE;
CREATE INDEX login_api_key_idx ON login (api_key_id) WHERE api_key_id IS NOT NULL;
