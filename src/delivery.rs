//! Telling Alertmanager.
