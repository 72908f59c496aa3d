//! What a metric measures, and how its values are shown.

use crate::words::words;

words! {
    /// What a metric measures; suggestions are matched on it.
    MetricKind {
        /// Requests, messages or jobs per second.
        Traffic = "traffic",
        /// Failures: a rate or a ratio.
        Errors = "errors",
        /// How long something takes.
        Latency = "latency",
        /// Processor use or throttling.
        Cpu = "cpu",
        /// Memory in use.
        Memory = "memory",
        /// Disk space or disk load.
        Disk = "disk",
        /// Network traffic, drops, connections.
        Network = "network",
        /// Work that waits: queue length, lag, backlog.
        Queue = "queue",
        /// How full a bounded resource is: pools, threads, file descriptors, connections.
        Saturation = "saturation",
        /// Accelerators.
        Gpu = "gpu",
        /// Replicas, targets, health: how much of something is there.
        Availability = "availability",
        /// Anything else.
        Other = "other",
    }
}

words! {
    /// The unit of a monitor's values, for showing them.
    Unit {
        /// No unit, or one we do not know.
        None = "none",
        /// Seconds.
        Seconds = "seconds",
        /// Bytes.
        Bytes = "bytes",
        /// A share from 0 to 1.
        Ratio = "ratio",
        /// Per second.
        PerSecond = "per_second",
    }
}

impl Unit {
    /// `value` as a person reads it: `312ms`, `1.4GiB`, `2.5%`, `120/s`.
    pub fn show(self, value: f64) -> String {
        self.show_to(value, 3)
    }

    /// The same to `significant` digits, for values that lie close together.
    pub fn show_to(self, value: f64, significant: u8) -> String {
        if !value.is_finite() {
            return "none".to_owned();
        }
        match self {
            Self::None => digits(value, significant),
            Self::PerSecond => format!("{}/s", digits(value, significant)),
            Self::Ratio => format!("{}%", digits(value * 100.0, significant)),
            Self::Seconds => {
                scaled(value, significant, &[(86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs")])
            }
            Self::Bytes => scaled(
                value,
                significant,
                &[(1024_f64.powi(4), "TiB"), (1024_f64.powi(3), "GiB"), (1024_f64.powi(2), "MiB"), (1024.0, "KiB"), (1.0, "B")],
            ),
        }
    }
}

/// `significant` digits, plainly written between 0.001 and 10 million.
fn digits(value: f64, significant: u8) -> String {
    let wanted = i32::from(significant.clamp(1, 15));
    let size = value.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if !(1e-3..1e7).contains(&size) {
        format!("{value:.*e}", wanted as usize - 1)
    } else {
        let decimals = (wanted - 1 - size.log10().floor() as i32).clamp(0, wanted + 2) as usize;
        let text = format!("{value:.decimals$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    }
}

fn scaled(value: f64, significant: u8, scales: &[(f64, &str)]) -> String {
    let smallest = scales.len() - 1;
    let (scale, unit) = scales[scales.iter().position(|(scale, _)| value.abs() >= *scale).unwrap_or(smallest)];
    if value == 0.0 {
        format!("0{}", scales.iter().find(|(s, _)| *s == 1.0).map_or(unit, |s| s.1))
    } else {
        format!("{}{unit}", digits(value / scale, significant))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_well() {
        for (unit, value, text) in [
            (Unit::Seconds, 0.3124, "312ms"),
            (Unit::Seconds, 0.0, "0s"),
            (Unit::Bytes, 1_503_238_553.0, "1.4GiB"),
            (Unit::Ratio, 0.025, "2.5%"),
            (Unit::PerSecond, 120.04, "120/s"),
            (Unit::None, 1234.0, "1234"),
            (Unit::None, 1e-9, "1.00e-9"),
            (Unit::None, -0.5, "-0.5"),
            (Unit::None, f64::NAN, "none"),
        ] {
            assert_eq!(unit.show(value), text);
        }
    }
}
