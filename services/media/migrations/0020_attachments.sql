-- Items that are attachments of chat's messages: served at an address that holds the secret, and taken away when chat
-- says that no message has them any more.
CREATE TABLE attachment (
    media_id uuid PRIMARY KEY REFERENCES item (id) ON DELETE CASCADE,
    secret   text NOT NULL UNIQUE
);
