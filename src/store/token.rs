//! Page tokens: where the next page begins, opaque and bound to the question that was asked.

use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// The token that continues the list `scope` after the row `(at, id)`.
pub(super) fn write(scope: &str, at: Timestamp, id: &str) -> String {
    let place = format!("{}:{id}", at.millis());
    hex::encode(seal(scope, &place)) + &hex::encode(place)
}

/// The row after which the list `scope` continues.
///
/// # Errors
/// A token that we did not write, or that was written for another filter.
pub(super) fn read(scope: &str, token: &str) -> Result<(i64, String)> {
    place(scope, token).ok_or_else(|| {
        let shown: String = token.chars().take(60).collect();
        Error::invalid(
            "page_token",
            format!("`{shown}` is not a token of this list; pass next_page_token of the page before, with the same filter"),
        )
    })
}

fn place(scope: &str, token: &str) -> Option<(i64, String)> {
    let bytes = hex::decode(token).ok()?;
    let (found, place) = bytes.split_at_checked(4)?;
    let place = std::str::from_utf8(place).ok()?;
    let (ms, id) = place.split_once(':')?;
    (found == seal(scope, place)).then_some((ms.parse().ok()?, id.to_owned()))
}

fn seal(scope: &str, place: &str) -> [u8; 4] {
    let hash = Sha256::new().chain_update(scope).chain_update([0xff]).chain_update(place).finalize();
    [hash[0], hash[1], hash[2], hash[3]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back_only_in_its_scope(ms in 0_i64..10_i64.pow(14), id in "\\PC{0,40}") {
            let token = write("incidents", Timestamp::from_millis(ms), &id);
            prop_assert_eq!(read("incidents", &token).unwrap(), (ms, id));
            prop_assert!(read("events", &token).is_err());
        }

        #[test]
        fn any_other_text_is_refused(token in "\\PC{0,40}") {
            prop_assert!(read("incidents", &token).is_err());
        }
    }
}
