//! A series: which one it is ([`SeriesKey`]) and its values on a regular step ([`Window`]).

mod key;
mod window;

pub use key::SeriesKey;
pub use window::{InvalidWindow, Window};

/// A named window of values.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Which series it is.
    pub key: SeriesKey,
    /// Its values.
    pub window: Window,
}
