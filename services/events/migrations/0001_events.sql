-- Events, places and organisations, and what all parts of the service share about them.
--
-- extension: pg_trgm
-- extension: unaccent
--
-- Their key is a ULID, kept as the 128 bits that it stands for: uuids sort as the ULIDs' texts do.

-- Letters without case and accents, for what is searched and compared.
CREATE FUNCTION fold(words text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS $$
    SELECT public.unaccent('public.unaccent', lower(normalize(words, NFKC)))
$$;

-- By which names are the same (contract 8): "and" for &, punctuation is space, one space, no case, no accents.
CREATE FUNCTION name_norm(name text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS $$
    SELECT btrim(regexp_replace(fold(replace(name, '&', ' and ')), '[^[:alnum:]]+', ' ', 'g'))
$$;

-- Who tells us of events: of one key, from one host.
CREATE TABLE source (
    id         uuid        PRIMARY KEY,
    key_id     text        NOT NULL DEFAULT '', -- of the API key; '' none
    host       text        NOT NULL DEFAULT '', -- scheme and host of its addresses; '' none
    name       text        NOT NULL,
    type       text        NOT NULL CHECK (type IN ('api', 'scraper', 'ical', 'federation', 'manual')),
    base_url   text        NOT NULL DEFAULT '',
    trust      integer     NOT NULL DEFAULT 5 CHECK (trust BETWEEN 1 AND 10),
    license    text        NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    UNIQUE (key_id, host, type)
);

CREATE TABLE place (
    id              uuid             PRIMARY KEY,
    version         bigint           NOT NULL DEFAULT 1,
    name            text             NOT NULL,
    name_norm       text             NOT NULL,
    description     text             NOT NULL DEFAULT '',
    street_address  text             NOT NULL DEFAULT '',
    locality        text             NOT NULL DEFAULT '',
    region          text             NOT NULL DEFAULT '',
    postal_code     text             NOT NULL DEFAULT '',
    country         text             NOT NULL DEFAULT '',
    latitude        double precision CHECK (latitude BETWEEN -90 AND 90),
    longitude       double precision CHECK (longitude BETWEEN -180 AND 180),
    telephone       text             NOT NULL DEFAULT '',
    email           text             NOT NULL DEFAULT '',
    url             text             NOT NULL DEFAULT '',
    timezone        text             NOT NULL DEFAULT '', -- '' not known
    lifecycle       text             NOT NULL DEFAULT 'published',
    confidence      double precision NOT NULL DEFAULT 1,
    federation_uri  text             UNIQUE,
    doc             text             NOT NULL, -- its public document (entity.h)
    rendered        bigint           NOT NULL DEFAULT 1,
    haystack        text             NOT NULL, -- what q is looked for in, folded
    created_at      timestamptz      NOT NULL,
    updated_at      timestamptz      NOT NULL,
    deleted_at      timestamptz,
    deletion_reason text             NOT NULL DEFAULT '',
    superseded_by   uuid             -- another place, when merged into it
);
CREATE INDEX place_name_idx ON place (name, id) WHERE deleted_at IS NULL;
CREATE INDEX place_created_idx ON place (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX place_norm_idx ON place (name_norm) WHERE deleted_at IS NULL;
CREATE INDEX place_similar_idx ON place USING gin (name_norm public.gin_trgm_ops) WHERE deleted_at IS NULL;
CREATE INDEX place_haystack_idx ON place USING gin (haystack public.gin_trgm_ops) WHERE deleted_at IS NULL;
CREATE INDEX place_point_idx ON place USING gist (point(longitude, latitude))
    WHERE deleted_at IS NULL AND latitude IS NOT NULL AND longitude IS NOT NULL;

CREATE TABLE organization (
    id              uuid             PRIMARY KEY,
    version         bigint           NOT NULL DEFAULT 1,
    name            text             NOT NULL,
    name_norm       text             NOT NULL,
    legal_name      text             NOT NULL DEFAULT '',
    description     text             NOT NULL DEFAULT '',
    street_address  text             NOT NULL DEFAULT '',
    locality        text             NOT NULL DEFAULT '',
    region          text             NOT NULL DEFAULT '',
    postal_code     text             NOT NULL DEFAULT '',
    country         text             NOT NULL DEFAULT '',
    telephone       text             NOT NULL DEFAULT '',
    email           text             NOT NULL DEFAULT '',
    url             text             NOT NULL DEFAULT '',
    lifecycle       text             NOT NULL DEFAULT 'published',
    confidence      double precision NOT NULL DEFAULT 1,
    federation_uri  text             UNIQUE,
    doc             text             NOT NULL,
    rendered        bigint           NOT NULL DEFAULT 1,
    haystack        text             NOT NULL,
    created_at      timestamptz      NOT NULL,
    updated_at      timestamptz      NOT NULL,
    deleted_at      timestamptz,
    deletion_reason text             NOT NULL DEFAULT '',
    superseded_by   uuid
);
CREATE INDEX organization_name_idx ON organization (name, id) WHERE deleted_at IS NULL;
CREATE INDEX organization_created_idx ON organization (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX organization_norm_idx ON organization (name_norm) WHERE deleted_at IS NULL;
CREATE INDEX organization_similar_idx ON organization USING gin (name_norm public.gin_trgm_ops) WHERE deleted_at IS NULL;
CREATE INDEX organization_haystack_idx ON organization USING gin (haystack public.gin_trgm_ops) WHERE deleted_at IS NULL;

-- Names that what was merged away had: what is submitted under one is the survivor's.
CREATE TABLE alias (
    kind      text        NOT NULL CHECK (kind IN ('place', 'organization')),
    name_norm text        NOT NULL,
    locality  text        NOT NULL DEFAULT '', -- folded
    region    text        NOT NULL DEFAULT '',
    id        uuid        NOT NULL, -- the survivor
    made_at   timestamptz NOT NULL,
    PRIMARY KEY (kind, name_norm, locality, region)
);

-- A rule that makes occurrences.
CREATE TABLE series (
    id           uuid        PRIMARY KEY,
    source_id    uuid        NOT NULL REFERENCES source (id),
    external_key text        NOT NULL,
    name         text        NOT NULL DEFAULT '',
    rrule        text        NOT NULL DEFAULT '',
    added        text        NOT NULL DEFAULT '', -- dates as they were said, comma-separated: one without a time is no instant
    taken        text        NOT NULL DEFAULT '',
    timezone     text        NOT NULL,
    starts_at    timestamptz,
    ends_at      timestamptz, -- of the first one, as door_at
    door_at      timestamptz,
    extended_at  timestamptz, -- when occurrences were made of it last; NULL: nobody has any
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    UNIQUE (source_id, external_key)
);
CREATE INDEX series_extended_idx ON series (extended_at) WHERE extended_at IS NOT NULL;

CREATE TABLE event (
    id               uuid        PRIMARY KEY,
    version          bigint      NOT NULL DEFAULT 1,
    lifecycle        text        NOT NULL CHECK (lifecycle IN ('draft', 'pending_review', 'published', 'postponed',
        'rescheduled', 'sold_out', 'cancelled', 'completed')),
    name             text        NOT NULL,
    name_norm        text        NOT NULL,
    description      text        NOT NULL DEFAULT '',
    domain           text        NOT NULL CHECK (domain IN ('arts', 'music', 'culture', 'sports', 'community', 'education',
        'general')),
    mode             text        NOT NULL CHECK (mode IN ('offline', 'online', 'mixed')),
    place_id         uuid        REFERENCES place (id), -- the venue of occurrences that have none of their own
    virtual_url      text        NOT NULL DEFAULT '',
    virtual_name     text        NOT NULL DEFAULT '',
    organizer_id     uuid        REFERENCES organization (id),
    series_id        uuid        REFERENCES series (id),
    keywords         text[]      NOT NULL DEFAULT '{}',
    license_url      text        NOT NULL,
    license_status   text        NOT NULL CHECK (license_status IN ('cc0', 'proprietary', 'unknown')),
    confidence       double precision NOT NULL DEFAULT 1,
    flags            text[]      NOT NULL DEFAULT '{}', -- of quality
    dedup_hash       bytea,      -- contract 8, layer 1
    federation_uri   text        UNIQUE,
    origin_node      uuid,       -- the node that it came from; NULL is here
    submitter_key    text        NOT NULL DEFAULT '', -- id of the API key that it came by
    submitter_user   bigint      NOT NULL DEFAULT 0,
    source_us        bigint      NOT NULL DEFAULT 0, -- when its source says that it was last changed, Unix microseconds; 0 unknown
    occurrence_count integer     NOT NULL DEFAULT 0,
    first_start      timestamptz,
    last_end         timestamptz,
    price_min        double precision,
    doc              text        NOT NULL, -- its public document, without what depends on the time (entity.h)
    card             text        NOT NULL, -- what lists show of it, the same
    rendered         bigint      NOT NULL DEFAULT 1, -- counts how often doc was written: also when its place was renamed
    words            tsvector    NOT NULL,
    haystack         text        NOT NULL, -- name and description, folded
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    published_at     timestamptz,
    deleted_at       timestamptz,
    deletion_reason  text        NOT NULL DEFAULT '',
    superseded_by    uuid,
    takedown_at      timestamptz -- whoever has rights in it asked for that
);
CREATE INDEX event_lifecycle_idx ON event (lifecycle, id) WHERE deleted_at IS NULL;
CREATE INDEX event_place_idx ON event (place_id);
CREATE INDEX event_organizer_idx ON event (organizer_id);
CREATE INDEX event_series_idx ON event (series_id);
CREATE INDEX event_updated_idx ON event (updated_at) WHERE deleted_at IS NULL;
CREATE INDEX event_hash_idx ON event (dedup_hash);
CREATE INDEX event_words_idx ON event USING gin (words) WITH (fastupdate = off);
CREATE INDEX event_haystack_idx ON event USING gin (haystack public.gin_trgm_ops) WITH (fastupdate = off);

-- When and where. Lists go through this table alone: what they filter by is copied here from the event and the place.
CREATE TABLE occurrence (
    id                uuid        PRIMARY KEY,
    event_id          uuid        NOT NULL REFERENCES event (id) ON DELETE CASCADE,
    start_at          timestamptz NOT NULL,
    end_at            timestamptz CHECK (end_at >= start_at), -- NULL: not known
    timezone          text        NOT NULL,
    door_at           timestamptz,
    place_id          uuid        REFERENCES place (id), -- its own, or the event's; NULL: it is online
    own_place         boolean     NOT NULL DEFAULT false, -- place_id was said of the occurrence itself
    virtual_url       text        NOT NULL DEFAULT '',
    ticket_url        text        NOT NULL DEFAULT '',
    price_min         double precision,
    price_max         double precision,
    price_currency    text        NOT NULL DEFAULT '',
    availability      text        NOT NULL DEFAULT '',
    status            text        NOT NULL DEFAULT 'scheduled'
        CHECK (status IN ('scheduled', 'cancelled', 'postponed', 'rescheduled')),
    previous_start_at timestamptz, -- of a rescheduled one
    recurrence_at     timestamptz, -- of one that a series made: where the rule has it
    detached          boolean     NOT NULL DEFAULT false, -- edited by itself: the rule leaves it alone
    -- copies
    listed            boolean     NOT NULL, -- the event is there for everybody
    lifecycle         text        NOT NULL,
    earlier_at        timestamptz NOT NULL DEFAULT '-infinity', -- the start before this one, of the same event
    domain            text        NOT NULL,
    organizer_id      uuid,
    mode              text        NOT NULL,
    keywords          text[]      NOT NULL DEFAULT '{}', -- in lower case
    locality          text        NOT NULL DEFAULT '', -- folded
    latitude          double precision,
    longitude         double precision,
    asked_price       double precision, -- the occurrence's, or the least of the event's offers
    CHECK (place_id IS NOT NULL OR virtual_url <> '')
);
CREATE INDEX occurrence_event_idx ON occurrence (event_id, start_at);
CREATE INDEX occurrence_start_idx ON occurrence (start_at, event_id) WHERE listed;
CREATE INDEX occurrence_domain_idx ON occurrence (domain, start_at, event_id) WHERE listed;
CREATE INDEX occurrence_locality_idx ON occurrence (locality, start_at, event_id) WHERE listed;
CREATE INDEX occurrence_organizer_idx ON occurrence (organizer_id, start_at, event_id) WHERE listed;
CREATE INDEX occurrence_place_idx ON occurrence (place_id, start_at, event_id);
CREATE INDEX occurrence_keywords_idx ON occurrence USING gin (keywords) WITH (fastupdate = off) WHERE listed;
CREATE INDEX occurrence_point_idx ON occurrence USING gist (point(longitude, latitude))
    WHERE listed AND latitude IS NOT NULL AND longitude IS NOT NULL;

-- What a source sent, as it was.
CREATE TABLE event_source (
    event_id        uuid        NOT NULL REFERENCES event (id),
    source_id       uuid        NOT NULL REFERENCES source (id),
    source_event_id text        NOT NULL DEFAULT '', -- '' none
    source_url      text        NOT NULL DEFAULT '',
    payload         text        NOT NULL,
    payload_hash    bytea       NOT NULL,
    confidence      double precision NOT NULL DEFAULT 1,
    license         text        NOT NULL DEFAULT '',
    submitter_key   text        NOT NULL DEFAULT '',
    submitter_user  bigint      NOT NULL DEFAULT 0,
    retrieved_at    timestamptz NOT NULL,
    PRIMARY KEY (event_id, source_id, source_event_id)
);
CREATE INDEX event_source_key_idx ON event_source (source_id, source_event_id);

-- Every version that there was.
CREATE TABLE revision (
    entity_id  uuid        NOT NULL,
    version    bigint      NOT NULL,
    kind       text        NOT NULL CHECK (kind IN ('event', 'place', 'organization')),
    doc        text        NOT NULL,
    lifecycle  text        NOT NULL,
    pointers   text[]      NOT NULL, -- what differs from the one before
    actor_kind text        NOT NULL, -- 'user', 'key', 'service'
    actor_id   text        NOT NULL DEFAULT '',
    actor_name text        NOT NULL DEFAULT '',
    note       text        NOT NULL DEFAULT '',
    made_at    timestamptz NOT NULL,
    PRIMARY KEY (entity_id, version)
);
