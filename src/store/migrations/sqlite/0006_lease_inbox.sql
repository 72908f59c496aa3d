-- Which of the replicas that share a store leads. A term is counted up with each new leader; whoever writes what only
-- the leader may write holds this row with its term. A file has one process and no use for it.
CREATE TABLE lease (
    name    TEXT    NOT NULL PRIMARY KEY,
    holder  TEXT    NOT NULL,
    term    INTEGER NOT NULL,
    -- By the clock of the database.
    expires INTEGER NOT NULL
) STRICT;

-- Events that came to a replica that does not lead, until the one that leads takes them in.
CREATE TABLE inbox (
    id       TEXT    NOT NULL PRIMARY KEY,
    received INTEGER NOT NULL,
    body     TEXT    NOT NULL
) STRICT;
CREATE INDEX inbox_by_time ON inbox (received, id);

-- Which incidents changed lately is asked again and again.
CREATE INDEX incidents_by_update ON incidents (updated, id);
