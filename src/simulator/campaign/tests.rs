use std::collections::BTreeSet;

use super::*;

fn draw(seed: u64) -> Campaign {
    let services = layered::services(seed, 50);
    let from: Timestamp = "2026-01-05T00:00:00Z".parse().unwrap();
    Campaign::draw(seed, &services, &Plan { faults: 40, changes: 30, from, to: from + DurationMs::DAY * 14 })
}

#[test]
fn a_campaign_has_what_was_asked_for() {
    for seed in 1..6 {
        let campaign = draw(seed);
        assert_eq!(campaign.faults.len(), 40);
        let kinds: BTreeSet<FaultKind> = campaign.faults.iter().map(|f| f.kind).collect();
        assert_eq!(kinds.len(), 8);
        let caused = campaign.faults.iter().filter(|f| f.change.is_some()).count();
        assert!((12..=28).contains(&caused), "{caused} of 40 follow a change");
        assert_eq!(campaign.changes.len(), 30 + caused);
        let ids: BTreeSet<&String> = campaign.changes.iter().map(|e| &e.id).collect();
        assert_eq!(ids.len(), campaign.changes.len());
        let overlaps = campaign.faults.windows(2).filter(|w| w[1].onset < w[0].end).count();
        assert!(overlaps >= 5, "{overlaps} overlap");
        let nights = campaign.faults.iter().filter(|f| f.onset.millis() / 3_600_000 % 24 < 6).count();
        assert!(nights >= 3, "{nights} at night");
        for fault in &campaign.faults {
            let lasts = fault.end.since(fault.onset).seconds() / 60.0;
            assert!((15.0..=90.0).contains(&lasts) && (0.35..=1.0).contains(&fault.size));
            assert!(fault.touches.iter().any(|t| t.service == fault.root && t.from == fault.onset), "{fault:?}");
        }
    }
    assert_eq!(draw(3), draw(3));
}

#[test]
fn trouble_climbs_and_thins_out() {
    let services = layered::services(7, 50);
    let from: Timestamp = "2026-01-05T00:00:00Z".parse().unwrap();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    for _ in 0..20 {
        let mut spread = Spread::new(&services, from, from + DurationMs::HOUR, &mut random);
        let root = spread.begin(FaultKind::BadDeployment, 1.0).unwrap();
        let (touches, _) = spread.finish();
        let of = |name: &str| services.iter().position(|s| s.name == name).unwrap();
        for touch in touches.iter().filter(|t| t.metric == MetricKind::Errors && t.service != root) {
            assert!(of(&touch.service) < of(&root), "{} is above {root}", touch.service);
            assert!(services[of(&touch.service)].calls.iter().any(|(callee, _)| touches.iter().any(|t| t.service == *callee)));
        }
    }
}
