-- Findings that guards hold back: they belong to no incident. A body is the finding and the reason.
CREATE TABLE held_back (
    id        TEXT    NOT NULL PRIMARY KEY,
    monitor   TEXT    NOT NULL,
    onset     INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    ended     INTEGER,
    body      TEXT    NOT NULL
) STRICT;
CREATE INDEX held_back_by_onset ON held_back (monitor, onset, id);
