//! Which seasons a series really has.
