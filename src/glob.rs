//! Patterns of names.

use serde::{Deserialize, Serialize};

/// A text in which `*` stands for any run of characters; it must cover all of what it is matched with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Glob(pub String);

impl Glob {
    /// Whether it covers all of `text`.
    pub fn matches(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
        let mut parts: Vec<&str> = parts.collect();
        let Some(last) = parts.pop() else { return rest.is_empty() };
        // The shortest stretch for each star leaves the most for what follows.
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }

    /// One that is found anywhere in a text in small letters.
    pub fn within(part: &str) -> Self {
        Self(format!("*{}*", part.to_ascii_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_glob_covers_all_of_the_text() {
        for (glob, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("", "", true),
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "ac", true),
            ("a*a", "a", false),
            ("a*b*c", "a-b-b-c", true),
            ("*ab*ab", "ab", false),
            ("5*", "429", false),
            ("*é*", "café!", true),
        ] {
            assert_eq!(Glob(glob.into()).matches(text), expected, "{glob} on {text}");
        }
        assert!(Glob::within("Thr*tled").matches("cfs_throttled_periods"));
    }

    proptest! {
        #[test]
        fn a_glob_is_as_the_plain_definition_says(glob in "[ab*]{0,6}", text in "[ab]{0,8}") {
            fn plain(glob: &[u8], text: &[u8]) -> bool {
                match (glob, text) {
                    ([], text) => text.is_empty(),
                    ([b'*', rest @ ..], text) => (0..=text.len()).any(|i| plain(rest, &text[i..])),
                    ([a, glob @ ..], [b, text @ ..]) => a == b && plain(glob, text),
                    _ => false,
                }
            }
            prop_assert_eq!(Glob(glob.clone()).matches(&text), plain(glob.as_bytes(), text.as_bytes()));
        }
    }
}
