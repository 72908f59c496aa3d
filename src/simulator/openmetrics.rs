//! The shop's history as OpenMetrics text, for `promtool tsdb create-blocks-from openmetrics`.

use std::fmt::Write as _;
use std::io::Write;

use super::shop::{FamilyKind, Shop};
use crate::clock::{DurationMs, Timestamp};
use crate::error::{Code, Error, Result};

/// Text that is ready is passed on from this many bytes on.
const CHUNK: usize = 1 << 16;

impl Shop {
    /// Writes every sample from `from` to `to`, both inclusive, one each `step`: families in order of their
    /// names and each in one piece, within it one metric after another, within that in order of time.
    ///
    /// # Errors
    /// A step that is not a multiple of the scrape interval, or `out` that does not take the text.
    pub fn write_openmetrics(&self, from: Timestamp, to: Timestamp, step: DurationMs, mut out: impl Write) -> Result<()> {
        let interval = self.config().scrape_interval.millis();
        if step == DurationMs::ZERO || step.millis() % interval != 0 {
            let description = format!("{step} is not a multiple of the scrape interval {}", self.config().scrape_interval);
            return Err(Error::invalid("step", description));
        }
        let slots = -(-from.millis()).div_euclid(interval)..to.millis().div_euclid(interval) + 1;
        let every = (step.millis() / interval) as usize;
        let failed = |e: std::io::Error| Error::new(Code::Internal, "cannot write the history").caused_by(e);
        let mut text = String::with_capacity(CHUNK + 4096);
        for family in self.families() {
            let name = family.name.strip_suffix("_total").filter(|_| family.kind == FamilyKind::Counter).unwrap_or(family.name);
            let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {}", family.help, family.kind.as_str());
            let members: Vec<usize> = self.of_family(family.name).collect();
            // All series of one histogram are one metric: their samples of one time stand together.
            let metrics = members.chunk_by(|a, b| {
                let service = |i: usize| self.key(i).get("service");
                family.kind == FamilyKind::Histogram && service(*a) == service(*b)
            });
            for metric in metrics {
                let samples = self.samples(metric, &slots);
                let names: Vec<String> = metric.iter().map(|&i| self.key(i).to_string()).collect();
                for slot in slots.clone().step_by(every) {
                    for (name, samples) in names.iter().zip(&samples) {
                        let place = usize::try_from(slot - samples.first).ok();
                        // A scrape that was missed has none.
                        if let Some(value) = place.and_then(|p| samples.values.get(p)).filter(|v| !v.is_nan()) {
                            let ms = slot * interval;
                            text.push_str(name);
                            // Most values are counts, and whole numbers are written faster.
                            let whole = *value as i64;
                            let _ = if whole as f64 == *value { write!(text, " {whole}") } else { write!(text, " {value}") };
                            let _ = writeln!(text, " {}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000));
                        }
                    }
                    if text.len() >= CHUNK {
                        out.write_all(text.as_bytes()).map_err(failed)?;
                        text.clear();
                    }
                }
            }
        }
        text.push_str("# EOF\n");
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(failed)
    }
}
