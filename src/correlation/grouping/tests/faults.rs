//! Days of a shop with known faults.

use super::shop::Shop;
use super::*;
use crate::correlation::topology::{Call, CallSource};
use judge::Fit;

fn fit(seed: u64, knows: bool) -> Fit {
    let mut shop = Shop::new(seed);
    let day = shop.day(8, 6, 3.0);
    let call = |a: usize, b: usize| Call { caller: shop.names[a].clone(), callee: shop.names[b].clone(), source: CallSource::Measured };
    let calls = shop.calls.iter().filter(|_| knows).map(|(a, b, _)| call(*a, *b));
    let topology = Topology::new(calls).unwrap();
    judge::play(&day, SLACK, |now, open, findings| update(open, &Tick { now, topology: &topology, ..tick(0, findings, &[]) }))
}

#[test]
fn incidents_are_faults() {
    let fits: Vec<Fit> = (100..106).chain(300..306).map(|seed| fit(seed, true)).collect();
    let mean = |of: fn(&Fit) -> f64| fits.iter().map(of).sum::<f64>() / fits.len() as f64;
    assert!(mean(|fit| fit.f1) >= 0.85, "{fits:?}");
    assert!(fits.iter().all(|fit| fit.f1 >= 0.65), "{fits:?}");
    assert!(mean(|fit| fit.precision) >= 0.8, "{fits:?}");
    assert!(mean(|fit| fit.per_fault) <= 1.8, "{fits:?}");
    assert!(mean(|fit| fit.recall) >= 0.8, "{fits:?}");
    assert!(fits.iter().all(|fit| fit.merged > 0 && fit.merged < fit.incidents), "{fits:?}");
    let blind = fit(300, false);
    assert!(blind.f1 < fits[0].f1 - 0.1, "{blind:?}");
}
