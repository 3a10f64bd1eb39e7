-- Webhooks of the commons of events: everybody with an account may be told, and agents by their keys.
INSERT INTO role_permission (role, permission) VALUES
    ('user', 'events.subscribe'),
    ('viewer', 'events.subscribe'),
    ('editor', 'events.subscribe'),
    ('agent', 'events.subscribe')
ON CONFLICT DO NOTHING;
