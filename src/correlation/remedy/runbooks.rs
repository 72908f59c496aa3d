//! The runbooks that come with the engine, which serves them at `/runbooks/<id>`.

/// Lists runbooks with their text from `docs/runbooks`.
macro_rules! runbooks {
    ($($id:literal),+ $(,)?) => { &[$(($id, include_str!(concat!("../../../docs/runbooks/", $id, ".md")))),+] };
}

/// In order of their ids.
const RUNBOOKS: &[(&str, &str)] = runbooks![
    "after-change",
    "autoscaling",
    "availability",
    "batch-job",
    "cache",
    "capacity",
    "certificates-and-dns",
    "configuration-change",
    "control-plane",
    "cpu",
    "cpu-throttling",
    "crash-loop",
    "data-drift",
    "database",
    "dead-letters",
    "dependency",
    "disk-io",
    "disk-space",
    "errors",
    "feature-flag",
    "file-descriptors",
    "first-look",
    "garbage-collection",
    "gpu",
    "latency",
    "limits",
    "memory-drop",
    "memory-growth",
    "model-quality",
    "network",
    "node",
    "oom",
    "pools",
    "queue",
    "quotas",
    "rate-limiting",
    "traffic-drop",
    "traffic-surge",
    "unusual-pattern",
];

/// The Markdown of a runbook.
pub fn runbook(id: &str) -> Option<&'static str> {
    RUNBOOKS.iter().find(|(known, _)| *known == id).map(|(_, text)| *text)
}

/// Id and title of every runbook, in order of their ids.
pub fn runbooks() -> impl Iterator<Item = (&'static str, &'static str)> {
    RUNBOOKS.iter().map(|(id, text)| (*id, text.lines().next().unwrap_or(id).trim_start_matches("# ")))
}
