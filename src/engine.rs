//! What is due, run it, keep it, tell it.
