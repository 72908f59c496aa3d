-- All times are milliseconds since the epoch; a body is the JSON of the whole thing. What lists are ordered by
-- has the collation of SQLite.
CREATE TABLE incidents (
    id       TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    state    TEXT   NOT NULL,
    service  TEXT   NOT NULL,
    started  BIGINT NOT NULL,
    updated  BIGINT NOT NULL,
    resolved BIGINT,
    body     TEXT   NOT NULL
);
-- Tells our databases from those of other programs.
COMMENT ON TABLE incidents IS 'Bellwether';
CREATE INDEX incidents_by_start ON incidents (started, id);
CREATE INDEX incidents_by_state ON incidents (state, started, id);

CREATE TABLE events (
    id        TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    kind      TEXT   NOT NULL,
    service   TEXT,
    -- Names what an alert is about (source and labels), so that one occurrence is one row.
    subject   TEXT,
    starts_at BIGINT NOT NULL,
    ends_at   BIGINT,
    -- The last instant it covers: ends_at, or for ever for an alert, or starts_at.
    until     BIGINT NOT NULL,
    body      TEXT   NOT NULL
);
CREATE INDEX events_by_start ON events (starts_at, id);
CREATE INDEX events_by_end ON events (until);
CREATE INDEX events_ongoing ON events (subject) WHERE ends_at IS NULL AND subject IS NOT NULL;

-- The outbox: what each sink is still to be told of each incident.
CREATE TABLE deliveries (
    sink              TEXT    COLLATE "C" NOT NULL,
    incident          TEXT    COLLATE "C" NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    alert             TEXT    NOT NULL,
    resolved          BOOLEAN NOT NULL,
    version           BIGINT  NOT NULL DEFAULT 1,
    delivered_version BIGINT  NOT NULL DEFAULT 0,
    rejected          BOOLEAN NOT NULL DEFAULT FALSE,
    next_send         BIGINT  NOT NULL,
    attempts          BIGINT  NOT NULL DEFAULT 0,
    last_error        TEXT,
    delivered_at      BIGINT,
    PRIMARY KEY (sink, incident)
);
CREATE INDEX deliveries_due ON deliveries (sink, rejected, next_send);
CREATE INDEX deliveries_by_incident ON deliveries (incident);
