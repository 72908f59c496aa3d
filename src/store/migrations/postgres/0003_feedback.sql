-- What people said of incidents. It outlives them, so it refers to none. A body is the whole of it.
CREATE TABLE feedback (
    id        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    incident  TEXT             NOT NULL,
    given_at  BIGINT           NOT NULL,
    undone_at BIGINT,
    body      TEXT             NOT NULL
);
CREATE INDEX feedback_by_time ON feedback (given_at, id);
CREATE INDEX feedback_by_incident ON feedback (incident, given_at, id);
