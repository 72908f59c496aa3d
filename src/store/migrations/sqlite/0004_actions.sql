-- Actions on incidents: one run for an action and an incident, ever. A body is the run.
CREATE TABLE action_runs (
    action    TEXT    NOT NULL,
    incident  TEXT    NOT NULL,
    state     TEXT    NOT NULL,
    created   INTEGER NOT NULL,
    -- When it was called; kept apart so that calls can be counted.
    attempted INTEGER,
    -- Raised by every change: who changes a run must have seen the last one.
    version   INTEGER NOT NULL DEFAULT 1,
    body      TEXT    NOT NULL,
    PRIMARY KEY (action, incident)
) STRICT;
CREATE INDEX action_runs_by_state ON action_runs (state, created);
CREATE INDEX action_runs_by_incident ON action_runs (incident);
CREATE INDEX action_runs_by_attempt ON action_runs (action, attempted);

-- What is remembered of an action itself.
CREATE TABLE action_standings (
    action    TEXT    NOT NULL PRIMARY KEY,
    rehearsed TEXT,
    paused    INTEGER,
    why       TEXT    NOT NULL DEFAULT ''
) STRICT;

-- What happened to actions: rows are added and never changed. A body is the entry.
CREATE TABLE action_log (
    id       TEXT    NOT NULL PRIMARY KEY,
    at       INTEGER NOT NULL,
    action   TEXT    NOT NULL,
    incident TEXT    NOT NULL,
    body     TEXT    NOT NULL
) STRICT;
CREATE INDEX action_log_by_time ON action_log (at, id);
CREATE INDEX action_log_by_incident ON action_log (incident, at);
