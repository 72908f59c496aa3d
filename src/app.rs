//! Builds the parts from one configuration and runs them.
