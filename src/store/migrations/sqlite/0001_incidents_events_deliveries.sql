-- "BWLR": tells our files from those of other programs.
PRAGMA application_id = 0x42574C52;

-- All times are milliseconds since the epoch; a body is the JSON of the whole thing.
CREATE TABLE incidents (
    id       TEXT    NOT NULL PRIMARY KEY,
    state    TEXT    NOT NULL,
    service  TEXT    NOT NULL,
    started  INTEGER NOT NULL,
    updated  INTEGER NOT NULL,
    resolved INTEGER,
    body     TEXT    NOT NULL
) STRICT;
CREATE INDEX incidents_by_start ON incidents (started, id);
CREATE INDEX incidents_by_state ON incidents (state, started, id);

CREATE TABLE events (
    id        TEXT    NOT NULL PRIMARY KEY,
    kind      TEXT    NOT NULL,
    service   TEXT,
    -- Names what an alert is about (source and labels), so that one occurrence is one row.
    subject   TEXT,
    starts_at INTEGER NOT NULL,
    ends_at   INTEGER,
    -- The last instant it covers: ends_at, or for ever for an alert, or starts_at.
    until     INTEGER NOT NULL,
    body      TEXT    NOT NULL
) STRICT;
CREATE INDEX events_by_start ON events (starts_at, id);
CREATE INDEX events_by_end ON events (until);
CREATE INDEX events_ongoing ON events (subject) WHERE ends_at IS NULL AND subject IS NOT NULL;

-- The outbox: what each sink is still to be told of each incident.
CREATE TABLE deliveries (
    sink              TEXT    NOT NULL,
    incident          TEXT    NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    alert             TEXT    NOT NULL,
    resolved          INTEGER NOT NULL,
    version           INTEGER NOT NULL DEFAULT 1,
    delivered_version INTEGER NOT NULL DEFAULT 0,
    rejected          INTEGER NOT NULL DEFAULT 0,
    next_send         INTEGER NOT NULL,
    attempts          INTEGER NOT NULL DEFAULT 0,
    last_error        TEXT,
    delivered_at      INTEGER,
    PRIMARY KEY (sink, incident)
) STRICT;
CREATE INDEX deliveries_due ON deliveries (sink, rejected, next_send);
CREATE INDEX deliveries_by_incident ON deliveries (incident);
