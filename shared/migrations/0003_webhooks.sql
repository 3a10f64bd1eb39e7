-- Webhooks (shared/webhook.h): where users want to be told of what happens, and what they are told.
CREATE TABLE webhook (
    id            uuid        PRIMARY KEY,
    owner_id      bigint      NOT NULL,
    url           text        NOT NULL,
    types         text[]      NOT NULL, -- empty: all
    secret        bytea       NOT NULL, -- sealed
    enabled       boolean     NOT NULL DEFAULT true,
    disabled_why  text        NOT NULL DEFAULT '', -- by us; empty: by its owner, or not at all
    failing_since timestamptz, -- none of the tries since then went well
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhook_owner_idx ON webhook (owner_id, id);

-- One message to one of them. What waits is tried again; what cannot be delivered is dead and stays to be seen.
CREATE TABLE webhook_delivery (
    id          uuid        PRIMARY KEY,
    webhook_id  uuid        NOT NULL REFERENCES webhook (id) ON DELETE CASCADE,
    message_id  text        NOT NULL, -- the same for all tries: by it receivers know what they have had already
    type        text        NOT NULL,
    body        text        NOT NULL,
    state       text        NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts    integer     NOT NULL DEFAULT 0,
    due_at      timestamptz NOT NULL DEFAULT now(),
    taken_until timestamptz, -- somebody sends it right now, or died on it
    last_status integer     NOT NULL DEFAULT 0, -- of HTTP; 0: there was no answer
    last_error  text        NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
CREATE INDEX webhook_delivery_due_idx ON webhook_delivery (due_at) WHERE state = 'pending';
CREATE INDEX webhook_delivery_taken_idx ON webhook_delivery (webhook_id, taken_until) WHERE taken_until IS NOT NULL;
CREATE INDEX webhook_delivery_list_idx ON webhook_delivery (webhook_id, created_at DESC, id DESC);
CREATE INDEX webhook_delivery_age_idx ON webhook_delivery (finished_at) WHERE finished_at IS NOT NULL;

-- Tells all that want to know, within the transaction of what happened.
CREATE FUNCTION webhook_emit(owner bigint, type text, data jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO webhook_delivery (id, webhook_id, message_id, type, body)
    SELECT gen_random_uuid(), w.id, m.id, $2,
           jsonb_build_object('type', $2, 'data', $3, 'timestamp',
                              to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::text
    FROM webhook w CROSS JOIN (SELECT 'msg_' || replace(gen_random_uuid()::text, '-', '') AS id) AS m
    WHERE w.owner_id = $1 AND w.enabled AND (cardinality(w.types) = 0 OR $2 = ANY (w.types))
$$;
