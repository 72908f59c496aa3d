//! Random numbers that depend only on where they are drawn: a stream, a time slot and a lane.

use std::f64::consts::TAU;

/// One source of randomness, named.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream(u64);

/// The finalizer of `SplitMix64` (Steele, Lea and Flood, 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Stream {
    /// The stream `name` of `seed`.
    pub(super) fn new(seed: u64, name: &str) -> Self {
        // FNV-1a.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        Self(mix(hash ^ mix(seed.wrapping_add(0x9e37_79b9_7f4a_7c15))))
    }

    fn bits(self, slot: i64, lane: u64) -> u64 {
        mix(mix(self.0 ^ (slot as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)) ^ lane.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    /// Uniform on the open interval (0, 1).
    pub(super) fn uniform(self, slot: i64, lane: u64) -> f64 {
        ((self.bits(slot, lane) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller (1958).
    pub(super) fn normal(self, slot: i64, lane: u64) -> f64 {
        let bits = self.bits(slot, lane);
        let scale = f64::from(1_u32 << 16) * f64::from(1_u32 << 16);
        let u = ((bits >> 32) as f64 + 0.5) / scale;
        let v = (bits & 0xffff_ffff) as f64 / scale;
        (-2.0 * u.ln()).sqrt() * (TAU * v).cos()
    }

    /// Poisson with this mean: by inversion where it is small, by the normal approximation from 30 on.
    pub(super) fn poisson(self, mean: f64, slot: i64, lane: u64) -> f64 {
        if mean.is_nan() || mean <= 0.0 {
            return 0.0;
        }
        if mean >= 30.0 {
            return (mean + mean.sqrt() * self.normal(slot, lane)).round().max(0.0);
        }
        let u = self.uniform(slot, lane);
        let (mut k, mut p) = (0.0, (-mean).exp());
        let mut cumulative = p;
        while u > cumulative && k < 200.0 {
            k += 1.0;
            p *= mean / k;
            cumulative += p;
        }
        k
    }
}

/// A first-order autoregression: noise with memory.
#[derive(Clone, Debug)]
pub(super) struct Wobble {
    stream: Stream,
    phi: f64,
    kick: f64,
    state: f64,
}

impl Wobble {
    /// With standard deviation `sigma` and a memory of `memory_s` seconds, before slot `first` of `slot_s`
    /// seconds. It has run for forty memories by then, so that where it began makes no difference.
    pub(super) fn new(stream: Stream, sigma: f64, memory_s: f64, slot_s: f64, first: i64) -> Self {
        let phi = (-slot_s / memory_s).exp();
        let mut wobble = Self { stream, phi, kick: sigma * (1.0 - phi * phi).sqrt(), state: 0.0 };
        let warm_up = (40.0 * memory_s / slot_s).ceil() as i64;
        for slot in first - warm_up..first {
            wobble.step(slot);
        }
        wobble
    }

    /// Its value at `slot`; to be called once for each slot in turn.
    pub(super) fn step(&mut self, slot: i64) -> f64 {
        self.state = self.phi * self.state + self.kick * self.stream.normal(slot, u64::MAX);
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(draw: impl Fn(i64) -> f64) -> (f64, f64) {
        let n = 20_000;
        let values: Vec<f64> = (0..n).map(draw).collect();
        let mean = values.iter().sum::<f64>() / n as f64;
        (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64)
    }

    #[test]
    fn distributions_have_their_moments() {
        let stream = Stream::new(7, "test");
        let (mean, variance) = moments(|i| stream.normal(i, 0));
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
        for rate in [0.05, 3.0, 29.0, 400.0] {
            let (mean, variance) = moments(|i| stream.poisson(rate, i, 1));
            assert!((mean / rate - 1.0).abs() < 0.1 && (variance / rate - 1.0).abs() < 0.15, "{rate}: {mean} {variance}");
        }
        assert_eq!(stream.poisson(f64::NAN, 0, 0), 0.0);
    }

    #[test]
    fn a_wobble_does_not_depend_on_where_it_began() {
        let stream = Stream::new(7, "test");
        let (mut early, mut late) = (Wobble::new(stream, 0.1, 600.0, 60.0, 0), Wobble::new(stream, 0.1, 600.0, 60.0, 500));
        for slot in 0..500 {
            early.step(slot);
        }
        for slot in 500..600 {
            assert!((early.step(slot) - late.step(slot)).abs() < 1e-15);
        }
    }
}
