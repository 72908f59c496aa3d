//! An isolation forest.
