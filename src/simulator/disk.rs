//! The disks of the shop's machines: they fill slowly, and logs are rotated every night.

use super::noise::Stream;

/// The machines.
pub(super) const NODES: usize = 3;
/// The bytes of one disk: 100 GiB.
pub(super) const SIZE: f64 = 107_374_182_400.0;

const DAY_MS: f64 = 86_400_000.0;

/// Free bytes on the disk of `node` at `ms` when the shop's history began at `start_ms`.
pub(super) fn available(seed: u64, node: usize, start_ms: i64, ms: i64, slot: i64) -> f64 {
    let days = (ms - start_ms) as f64 / DAY_MS;
    // Rotated at three in the morning, UTC.
    let since_rotation = (ms as f64 / DAY_MS - 0.125).rem_euclid(1.0);
    let noise = Stream::new(seed, "disk").normal(slot, node as u64);
    let used = 0.35 + 0.09 * node as f64 + 0.003 * days + 0.02 * since_rotation + 0.0003 * noise;
    (SIZE * (1.0 - used).clamp(0.02, 1.0) / 4096.0).round() * 4096.0
}
