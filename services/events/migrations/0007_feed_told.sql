-- How far webhooks have been told of the change feed: numbers come first, and messages behind them at their own pace.
ALTER TABLE feed_head ADD COLUMN told bigint NOT NULL DEFAULT 0;
UPDATE feed_head SET told = last;

-- What has been said of an event, and to whom: a takedown takes its document out of both.
CREATE INDEX change_entity_idx ON change (entity_id);
CREATE INDEX webhook_delivery_message_idx ON webhook_delivery (message_id);
