//! A column as it comes in, and why two of them cannot be compared.

use std::fmt;

/// One column of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name, by which it is found in the other data set.
    pub name: String,
    /// What is in it.
    pub values: Values,
}

/// The values of a column, one for each row.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Measurements. NaN and infinities stand for nothing and are left out.
    Numeric(Vec<f64>),
    /// Whole numbers: categories if the current column has no more than ten different ones, as Evidently takes them, else
    /// measurements.
    Integer(Vec<i64>),
    /// Categories.
    Categorical(Categories),
}

/// A column of categories: each row has a place in a list of names, or none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Categories {
    names: Vec<String>,
    codes: Vec<Option<u32>>,
}

impl Column {
    /// A column.
    pub fn new(name: impl Into<String>, values: Values) -> Self {
        Self { name: name.into(), values }
    }
}

impl Values {
    /// How many rows there are, with those that hold nothing.
    pub fn rows(&self) -> usize {
        match self {
            Self::Numeric(values) => values.len(),
            Self::Integer(values) => values.len(),
            Self::Categorical(categories) => categories.codes.len(),
        }
    }

    /// How many rows hold a value.
    pub fn present(&self) -> usize {
        match self {
            Self::Numeric(values) => values.iter().filter(|v| v.is_finite()).count(),
            Self::Integer(values) => values.len(),
            Self::Categorical(categories) => {
                categories.codes.iter().flatten().filter(|code| (**code as usize) < categories.names.len()).count()
            }
        }
    }

    /// What kind of values these are, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Numeric(_) | Self::Integer(_) => "numeric",
            Self::Categorical(_) => "categorical",
        }
    }
}

impl Categories {
    /// Rows as places in `names`. A row whose place is beyond the names has none.
    pub fn new(names: Vec<String>, codes: Vec<Option<u32>>) -> Self {
        Self { names, codes }
    }

    /// How often each name occurs, in the order of the names; each name once, and none that does not occur.
    pub(super) fn counts(&self) -> Vec<(&str, usize)> {
        let mut counts = vec![0; self.names.len()];
        for code in self.codes.iter().flatten() {
            if let Some(count) = counts.get_mut(*code as usize) {
                *count += 1;
            }
        }
        let mut named: Vec<_> = self.names.iter().map(String::as_str).zip(counts).filter(|(_, count)| *count > 0).collect();
        named.sort_unstable();
        named.dedup_by(|next, first| {
            let same = next.0 == first.0;
            if same {
                first.1 += next.1;
            }
            same
        });
        named
    }
}

impl<S: AsRef<str>> FromIterator<Option<S>> for Categories {
    fn from_iter<I: IntoIterator<Item = Option<S>>>(rows: I) -> Self {
        let mut known = std::collections::HashMap::new();
        let mut categories = Self::default();
        for row in rows {
            let code = row.map(|name| {
                let name = name.as_ref();
                known.get(name).copied().unwrap_or_else(|| {
                    let code = categories.names.len() as u32;
                    categories.names.push(name.to_owned());
                    known.insert(name.to_owned(), code);
                    code
                })
            });
            categories.codes.push(code);
        }
        categories
    }
}

/// Which of the two data sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What is taken as usual.
    Reference,
    /// What is held against it.
    Current,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reference => "reference",
            Self::Current => "current",
        })
    }
}

/// Why nothing can be said about a column.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CannotCompare {
    /// There are no rows.
    #[error("the {0} column is empty; at least one row is needed")]
    Empty(Side),
    /// There are rows, and none holds a value.
    #[error("none of the {1} rows of the {0} column holds a value; at least one must")]
    NoValues(Side, usize),
    /// The test needs more values.
    #[error("the {side} column has {values} values; the test {test} needs at least {needed}")]
    TooFew {
        /// Which data set.
        side: Side,
        /// How many values there are.
        values: usize,
        /// The test's name.
        test: &'static str,
        /// How many it takes.
        needed: usize,
    },
    /// The values are too far apart, or too near each other, to compute with.
    #[error("the values from {least:e} to {most:e} are out of the range in which {test} can be computed")]
    OutOfRange {
        /// The least value of both sides.
        least: f64,
        /// The greatest.
        most: f64,
        /// The test's name.
        test: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_are_counted_by_name() {
        let rows: Categories = [Some("b"), None, Some("a"), Some("b")].into_iter().collect();
        assert_eq!((rows.counts(), rows.codes.len()), (vec![("a", 1), ("b", 2)], 4));
        // A name twice in the list, one that no row has, and a place that there is not.
        let odd = Categories::new(vec!["x".into(), "y".into(), "x".into()], vec![Some(0), Some(2), Some(9), None]);
        assert_eq!(odd.counts(), [("x", 2)]);
        assert_eq!((Values::Categorical(odd.clone()).rows(), Values::Categorical(odd).present()), (4, 2));
    }
}
