-- Findings that guards hold back: they belong to no incident. A body is the finding and the reason.
CREATE TABLE held_back (
    id        TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    monitor   TEXT   NOT NULL,
    onset     BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    ended     BIGINT,
    body      TEXT   NOT NULL
);
CREATE INDEX held_back_by_onset ON held_back (monitor, onset, id);
