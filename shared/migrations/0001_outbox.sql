-- The outbox: events, dispatches and jobs that commit with the change they tell of. The relay publishes rows by `pos`
-- and notes where the stream stored them; a stream that was restored from an older state gets the later ones again.
CREATE TABLE outbox (
    id          uuid PRIMARY KEY,
    pos         bigint GENERATED ALWAYS AS IDENTITY,
    key         text NOT NULL,
    subject     text NOT NULL,
    ce_type     text NOT NULL,
    payload     bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    acked_at    timestamptz,
    ack_stream  text,
    ack_seq     bigint,
    ack_epoch   bigint -- when the stream was created, nanoseconds: a stream made anew counts from 1 again
);
CREATE INDEX outbox_waiting ON outbox (pos) WHERE acked_at IS NULL;
CREATE INDEX outbox_acked ON outbox (acked_at) WHERE acked_at IS NOT NULL;
-- Rows live for minutes and are updated once: vacuum early, keep room in the page for the update.
ALTER TABLE outbox SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
