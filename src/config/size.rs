//! Sizes as Prometheus writes them: `512MB`, `1GiB`.

/// The units; each is 1024 of the one before, as in Prometheus.
const UNITS: [(&str, u32); 11] =
    [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40), ("PiB", 50), ("KB", 10), ("MB", 20), ("GB", 30), ("TB", 40), ("PB", 50), ("B", 0)];

/// The bytes that `text` says; `None` where it says none.
pub(super) fn parse(text: &str) -> Option<u64> {
    let (number, power) = UNITS.iter().find_map(|(unit, power)| Some((text.strip_suffix(unit)?, power)))?;
    let number = number.trim_end();
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(1 << power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_prometheus() {
        for (text, bytes) in [
            ("512MB", Some(512 << 20)),
            ("512MiB", Some(512 << 20)),
            ("1 GiB", Some(1 << 30)),
            ("0B", Some(0)),
            ("16777216PiB", None),
            ("1.5GB", None),
            ("1G", None),
            ("1024", None),
            ("-1GB", None),
            ("GB", None),
            ("", None),
        ] {
            assert_eq!(parse(text), bytes, "{text}");
        }
    }
}
