//! The identity of a series: its labels.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The labels of a series, in order of their names; `__name__` among them where the query kept it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SeriesKey(BTreeMap<String, String>);

impl SeriesKey {
    /// The key with these labels; a label without a value is no label, as in Prometheus.
    pub fn new(labels: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(labels.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }

    /// All labels in order of their names.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// The value of the label `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The key of these labels alone, as far as it has them.
    #[must_use]
    pub fn only(&self, labels: &[String]) -> Self {
        Self(labels.iter().filter_map(|name| Some((name.clone(), self.0.get(name)?.clone()))).collect())
    }

    /// Sixteen hexadecimal digits that are the same for the same labels on every machine and in
    /// every release: they name files and rows.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for (name, value) in &self.0 {
            hash.update(name.as_bytes());
            hash.update([0xff]);
            hash.update(value.as_bytes());
            hash.update([0xff]);
        }
        hex::encode(&hash.finalize()[..8])
    }

    /// A number from 0 to 1 that is the same for the same labels: spreads what would else happen all at once.
    pub fn spread(&self) -> f64 {
        u64::from_str_radix(&self.fingerprint(), 16).unwrap_or(0) as f64 / u64::MAX as f64
    }
}

/// As a PromQL selector: `http_requests_total{code="500",service="cart"}`.
impl fmt::Display for SeriesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.get("__name__").unwrap_or_default();
        f.write_str(name)?;
        if !name.is_empty() && self.0.len() == 1 {
            return Ok(());
        }
        f.write_str("{")?;
        for (i, (name, value)) in self.0.iter().filter(|(name, _)| *name != "__name__").enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(labels: &[(&str, &str)]) -> SeriesKey {
        SeriesKey::new(labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn shows_a_selector() {
        assert_eq!(key(&[("__name__", "up"), ("job", "a\"b")]).to_string(), r#"up{job="a\"b"}"#);
        assert_eq!(key(&[("service", "cart"), ("empty", "")]).to_string(), r#"{service="cart"}"#);
        assert_eq!(key(&[("__name__", "up")]).to_string(), "up");
        assert_eq!(key(&[]).to_string(), "{}");
    }

    #[test]
    fn the_fingerprint_is_frozen() {
        assert_eq!(key(&[("service", "cart")]).fingerprint(), key(&[("service", "cart")]).fingerprint());
        assert_ne!(key(&[("a", "bc")]).fingerprint(), key(&[("ab", "c")]).fingerprint());
        assert_eq!(key(&[]).fingerprint(), "e3b0c44298fc1c14");
    }
}
