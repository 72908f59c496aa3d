//! What belongs together, what caused it, what to do.
