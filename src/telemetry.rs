//! Own logs, metrics and traces.
