//! The process dies and comes back; what it knew, it knows.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bellwether::clock::Timestamp;
use bellwether::proto::{CallSource, SeriesStatus};

use super::api::{Api, time};
use super::people::{People, active};
use super::shop::{SERIES, Shop};
use super::until;
use crate::process::Bellwether;
use crate::servers::Alertmanager;

const SOON: Duration = Duration::from_mins(1);

/// Until when the models of all series were trained.
async fn trained(api: &Api) -> Vec<Timestamp> {
    let mut all = api.series("queue").await;
    all.extend(api.series("work").await);
    all.into_iter().map(|series| time(series.trained_until)).collect()
}

/// Moments that look like chance, the same in every run.
struct Moments(u64);

impl Moments {
    /// Kills the process `times` times, each up to two and a half seconds after its start.
    async fn kill(&mut self, bellwether: &mut Bellwether, times: usize) {
        for _ in 0..times {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            tokio::time::sleep(Duration::from_millis((self.0 >> 33) % 2500)).await;
            bellwether.kill();
            bellwether.start();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_twenty_moments_of_an_incident() {
    let shop = Shop::open().await;
    let people = People::listen().await;
    let alertmanager = Alertmanager::start(Some(&people.url()));
    let mut bellwether = shop.watch(Some(&alertmanager.url()));
    let api = Api(bellwether.url());
    until("every series has a model", SOON, async || api.is_fitted().await).await;
    let models = trained(&api).await;
    assert_eq!(models.len() as i32, SERIES);

    // At 20 moments: before it is found, while it lasts, and while it ends.
    let mut moments = Moments(20);
    shop.break_it(true);
    moments.kill(&mut bellwether, 4).await;
    until("the incident is found", SOON, async || !api.open().await.is_empty()).await;
    let incident = api.open().await[0].clone();
    moments.kill(&mut bellwether, 10).await;
    until("everything is watched again", SOON, async || api.is_fitted().await).await;
    assert_eq!(trained(&api).await, models, "the stored models serve on");
    assert_eq!(api.metric("bellwether_models_refused_total").await, 0.0);
    assert!(!bellwether.log().contains("refused"));

    until("the alert is there", SOON, async || active(&alertmanager.url()).await.len() == 1).await;
    let open = api.open().await;
    assert_eq!(open.len(), 1, "{open:#?}");
    assert_eq!((&open[0].id, &open[0].detected), (&incident.id, &incident.detected));
    assert_eq!(open[0].findings.iter().filter(|f| f.ended.is_none()).count(), 2, "one finding a monitor lasts: {:#?}", open[0].findings);

    let graph = api.graph(&incident.id).await.unwrap();
    assert_eq!(
        (graph.services.as_slice(), graph.neighbours.as_slice()),
        (["payment".to_owned()].as_slice(), ["orders".to_owned()].as_slice())
    );
    assert_eq!((graph.calls[0].caller.as_str(), graph.calls[0].source()), ("orders", CallSource::Measured));

    shop.break_it(false);
    moments.kill(&mut bellwether, 6).await;
    until("the alert is over", SOON, async || active(&alertmanager.url()).await.is_empty()).await;
    until("people are told of the end", SOON, async || people.told().await.len() >= 2).await;
    assert_eq!(people.told().await, ["firing", "resolved"].map(|status| (incident.id.clone(), status.to_owned())));
    assert_eq!(api.incidents().await.len(), 1);

    // Over is over: the next start says nothing more.
    assert!(bellwether.stop().success());
    bellwether.start();
    until("everything is watched again", SOON, async || api.is_fitted().await).await;
    assert_eq!((api.open().await.len(), api.incidents().await.len()), (0, 1));
    assert_eq!(people.told().await.len(), 2);
}

/// The stored models of a monitor, by name.
fn files(folder: &Path, monitor: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|p| p.file_name().unwrap().to_str().unwrap().starts_with(monitor)).collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_models_that_are_corrupt_or_foreign_are_refused_by_name_and_fitted_anew() {
    let shop = Shop::open().await;
    let mut bellwether = shop.watch(None);
    let api = Api(bellwether.url());
    let folder = shop.data().join("models");
    until("every series has a model", SOON, async || api.is_fitted().await).await;
    let (queue, work) = (api.series("queue").await, api.series("work").await);
    // What is fitted a step later is trained a step longer.
    until("a step has passed", SOON, async || time(api.series("queue").await[0].last_time) > time(queue[0].last_time)).await;
    assert!(bellwether.stop().success());

    let [corrupt, foreign, short] = files(&folder, "queue").try_into().unwrap();
    let mut bytes = std::fs::read(&corrupt).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&corrupt, bytes).unwrap();
    std::fs::write(&foreign, "PK\u{3}\u{4} not a model").unwrap();
    std::fs::write(&short, &std::fs::read(&short).unwrap()[..19]).unwrap();
    std::fs::write(folder.join("stray.model"), "nobody asked for this").unwrap();
    bellwether.start();
    until("every series has a model", SOON, async || api.is_fitted().await).await;
    assert_eq!(api.metric("bellwether_models_refused_total").await, 4.0);
    let log = bellwether.log();
    for (file, reason) in [(&corrupt, "SHA-256"), (&foreign, "not a Bellwether model"), (&short, "cut short")] {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(log.lines().any(|l| l.contains("refused") && l.contains(name) && l.contains(reason)), "{name} is not refused:\n{log}");
    }
    assert!(log.lines().any(|l| l.contains("refused") && l.contains("stray.model: the manifest does not know it")), "{log}");
    std::fs::remove_file(folder.join("stray.model")).unwrap();
    let anew = api.series("queue").await;
    let until_when = |all: &[SeriesStatus]| all.iter().map(|s| time(s.trained_until)).collect::<Vec<_>>();
    assert!(until_when(&anew).iter().zip(until_when(&queue)).all(|(new, old)| *new > old), "fitted anew");
    assert_eq!(until_when(&api.series("work").await), until_when(&work), "the others serve on");
    assert!(bellwether.stop().success());

    // What was fitted anew is good again; then the manifest is lost.
    bellwether.start();
    until("every series has a model", SOON, async || api.is_fitted().await).await;
    assert_eq!(api.metric("bellwether_models_refused_total").await, 0.0);
    assert_eq!(until_when(&api.series("queue").await), until_when(&anew));
    assert!(bellwether.stop().success());
    std::fs::write(folder.join("manifest.json"), "{\"format_version\": 1").unwrap();
    bellwether.start();
    until("every series has a model", SOON, async || api.is_fitted().await).await;
    assert_eq!(api.metric("bellwether_models_refused_total").await, 1.0);
    assert!(bellwether.log().lines().any(|line| line.contains("refused") && line.contains("manifest.json")));
    assert_eq!(api.monitors().await.iter().map(|m| m.fitted).sum::<i32>(), SERIES);
}
