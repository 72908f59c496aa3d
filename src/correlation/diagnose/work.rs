//! Requests stuck and requests lost, and whose doing they are.
//!
//! By Little's law (Little 1961) requests × extra latency is how many more requests are in the house at a time; requests ×
//! extra failures is how many are lost. A caller holds what its callees hold, so a caller's own part is what goes beyond.

use super::calls::Calls;
use super::deviation::{Deviation, quantile};
use super::kind::Kind;

/// The kinds that users feel and that climb along calls.
pub(super) const SYMPTOMS: [Kind; 2] = [Kind::Latency, Kind::Failures];

/// The extra work of one kind at every service; `None` where it cannot be computed.
pub(super) fn extra(services: &[Vec<Deviation>], kind: Kind) -> Vec<Option<f64>> {
    services.iter().map(|deviations| at_service(deviations, kind)).collect()
}

fn at_service(deviations: &[Deviation], kind: Kind) -> Option<f64> {
    let of_kind = || deviations.iter().filter(|d| d.kind == kind);
    // A mean multiplies with the number of requests. Quantiles do not, but their middle is the next best.
    let means = of_kind().any(|d| d.mean);
    let chosen = || of_kind().filter(|d| d.mean || !means);
    let mut harms: Vec<f64> = chosen().map(|d| d.harm).collect();
    harms.sort_by(f64::total_cmp);
    let harm = (!harms.is_empty()).then(|| quantile(&harms, 0.5))?;
    // A number of failures is work already; a share and a latency have to be multiplied.
    let counted = kind == Kind::Failures && chosen().all(|d| !d.share);
    let requests = deviations.iter().filter(|d| d.kind == Kind::Traffic).map(|d| d.level.max(0.0)).reduce(f64::max);
    let work = if counted { harm } else { harm * requests? };
    work.is_finite().then_some(work)
}

/// The part of the greatest work that begins at each service, 0 to 1: what it has beyond its callees' sum.
/// `None` where it cannot be computed, where no work is extra anywhere, and where no call of the service is known: then what
/// it holds may be another's.
pub(super) fn own_share(calls: &Calls, work: &[Option<f64>]) -> Vec<Option<f64>> {
    let greatest = work.iter().flatten().copied().fold(0.0, f64::max);
    let share = |service: usize| {
        let all = work[service].filter(|_| greatest > 0.0 && calls.knows(service))?;
        let below: f64 = calls.callees(service).filter_map(|c| work[c]).map(|w| w.min(all)).sum();
        Some(((all - below) / greatest).clamp(0.0, 1.0))
    };
    (0..work.len()).map(share).collect()
}
