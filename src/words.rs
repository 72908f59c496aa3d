//! Closed sets of words: enums that are read, shown and stored as one fixed text each.

/// A text that is none of a closed set's words.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{found}` is not one of {}", allowed.join(", "))]
pub struct UnknownWord {
    /// The text that was given.
    pub found: String,
    /// The words there are.
    pub allowed: &'static [&'static str],
}

/// Declares an enum whose variants each have one text, with `as_str`, `WORDS`, `Display`, `FromStr` and serde.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "&'static str")]
        pub enum $name { $($(#[$variant_meta])* $variant,)+ }

        impl $name {
            /// Every word, in order of declaration.
            pub const WORDS: &'static [&'static str] = &[$($text),+];

            /// The word for this value.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::words::UnknownWord;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::words::UnknownWord { found: text.to_owned(), allowed: Self::WORDS }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::words::UnknownWord;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for &'static str {
            fn from(word: $name) -> Self {
                word.as_str()
            }
        }
    };
}

pub(crate) use words;

#[cfg(test)]
mod tests {
    use crate::finding::Direction;

    #[test]
    fn words_read_back_and_others_are_named() {
        assert_eq!("up".parse(), Ok(Direction::Up));
        assert_eq!("sideways".parse::<Direction>().unwrap_err().to_string(), "`sideways` is not one of up, down");
        assert_eq!(serde_json::to_string(&Direction::Down).unwrap(), "\"down\"");
        assert!(serde_json::from_str::<Direction>("\"x\"").is_err());
    }
}
