-- Actions on incidents: one run for an action and an incident, ever. A body is the run.
CREATE TABLE action_runs (
    action    TEXT   COLLATE "C" NOT NULL,
    incident  TEXT   COLLATE "C" NOT NULL,
    state     TEXT   NOT NULL,
    created   BIGINT NOT NULL,
    -- When it was called; kept apart so that calls can be counted.
    attempted BIGINT,
    -- Raised by every change: who changes a run must have seen the last one.
    version   BIGINT NOT NULL DEFAULT 1,
    body      TEXT   NOT NULL,
    PRIMARY KEY (action, incident)
);
CREATE INDEX action_runs_by_state ON action_runs (state, created);
CREATE INDEX action_runs_by_incident ON action_runs (incident);
CREATE INDEX action_runs_by_attempt ON action_runs (action, attempted);

-- What is remembered of an action itself.
CREATE TABLE action_standings (
    action    TEXT   NOT NULL PRIMARY KEY,
    rehearsed TEXT,
    paused    BIGINT,
    why       TEXT   NOT NULL DEFAULT ''
);

-- What happened to actions: rows are added and never changed. A body is the entry.
CREATE TABLE action_log (
    id       TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    at       BIGINT NOT NULL,
    action   TEXT   NOT NULL,
    incident TEXT   NOT NULL,
    body     TEXT   NOT NULL
);
CREATE INDEX action_log_by_time ON action_log (at, id);
CREATE INDEX action_log_by_incident ON action_log (incident, at);
