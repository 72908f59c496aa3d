//! `AnalysisService.Correlate`: the request as it must be, and what is answered.

use super::Api;
use crate::clock::Timestamp;
use crate::correlation::diagnose::{About, Cause, Diagnosis, Evidence, MetricSeries, diagnose};
use crate::correlation::topology::{Call, CallSource, MOST_CALLS, Topology};
use crate::engine::diagnosing::Scene;
use crate::error::{Code, Error, Result};
use crate::proto as pb;
use crate::series::Series;
use crate::service::convert;

const DEFAULT_CAUSES: usize = 5;
const MOST_CAUSES: i32 = 1000;
const MOST_METRICS: usize = 100;

/// What is asked, without the data.
pub(super) struct Asked {
    at: Timestamp,
    symptom: Option<String>,
    causes: usize,
}

impl Asked {
    /// Checks all but the data.
    ///
    /// # Errors
    /// The field that is wrong.
    pub(super) fn read(request: &pb::CorrelateRequest) -> Result<Self> {
        let at = request.at.as_ref().ok_or_else(|| Error::invalid("at", "is missing; say when trouble was noticed"))?;
        let causes = match request.max_causes {
            0 => DEFAULT_CAUSES,
            n @ 1..=MOST_CAUSES => n as usize,
            n => return Err(Error::invalid("max_causes", format!("{n}; 1 to {MOST_CAUSES} are told, and {DEFAULT_CAUSES} when it is 0"))),
        };
        let symptom = Some(request.symptom.clone()).filter(|symptom| !symptom.is_empty());
        Ok(Self { at: convert::read_time("at", at)?, symptom, causes })
    }

    /// Ranks the services of a scene.
    ///
    /// # Errors
    /// The symptom is no service of the scene, or the instant lies outside its metrics.
    pub(super) fn answer(&self, scene: Scene) -> Result<pb::CorrelateResponse> {
        scene.check(self.at, self.symptom.as_deref(), ["at", "symptom", "metrics"])?;
        let Scene { metrics, calls, warnings } = scene;
        let Diagnosis { symptom, mut causes } = diagnose(&metrics, &calls, self.at, self.symptom.as_deref());
        causes.truncate(self.causes);
        Ok(pb::CorrelateResponse { symptom: symptom.unwrap_or_default(), causes: causes.into_iter().map(cause).collect(), warnings })
    }
}

impl Api {
    /// What a request gives, and for what it leaves out what the engine knows.
    ///
    /// # Errors
    /// A field is wrong, or Prometheus does not answer.
    pub(super) async fn scene(&self, request: pb::CorrelateRequest, asked: &Asked) -> Result<Scene> {
        let scene = if request.metrics.is_empty() { self.engine.scene(asked.at).await? } else { self.given(request.metrics).await? };
        if request.calls.is_empty() {
            return Ok(scene.with_calls(&self.engine.topology()));
        }
        Ok(scene.with_calls(&read_calls(request.calls)?))
    }

    async fn given(&self, metrics: Vec<pb::ServiceMetrics>) -> Result<Scene> {
        if metrics.len() > MOST_METRICS {
            return Err(Error::invalid("metrics", format!("{}; at most {MOST_METRICS} are taken in one request", metrics.len())));
        }
        let (mut scene, mut points) = (Scene::default(), 0);
        for (i, one) in metrics.into_iter().enumerate() {
            let (series, warnings) = self.read(one.input).await.map_err(|e| e.within(&format!("metrics[{i}]")))?;
            points += series.iter().map(|series| series.window.len()).sum::<usize>();
            if points > self.limits.max_points {
                let what = format!("more than {} points with metrics[{i}]; fewer are taken in one request", self.limits.max_points);
                return Err(Error::new(Code::ResourceExhausted, what));
            }
            let label = if one.service_label.is_empty() { "service" } else { &one.service_label };
            for series in &series {
                scene.metrics.push(named(series, &one.metric, label).map_err(|e| e.within(&format!("metrics[{i}]")))?);
            }
            scene.warnings.extend(warnings);
        }
        Ok(scene)
    }
}

/// A series under the name of its metric and of its service.
fn named(series: &Series, metric: &str, label: &str) -> Result<MetricSeries> {
    let key = &series.key;
    let Some(service) = key.get(label) else {
        return Err(Error::invalid("service_label", format!("the series {key} has no label `{label}` that names its service")));
    };
    let name = if metric.is_empty() { key.get("__name__").unwrap_or_default() } else { metric };
    if name.is_empty() {
        return Err(Error::invalid("metric", format!("is missing, and the series {key} has no `__name__`; say what is measured")));
    }
    Ok(MetricSeries::of(service.to_owned(), name.to_owned(), &series.window))
}

fn read_calls(calls: Vec<pb::Call>) -> Result<Topology> {
    if calls.len() > MOST_CALLS {
        return Err(Error::invalid("calls", format!("{}; at most {MOST_CALLS} are taken", calls.len())));
    }
    let call = |call: pb::Call| Call { caller: call.caller, callee: call.callee, source: CallSource::Configured };
    Topology::new(calls.into_iter().map(call)).map_err(Error::violations)
}

fn cause(cause: Cause) -> pb::ServiceCause {
    pb::ServiceCause {
        service: cause.service,
        probability: cause.probability,
        score: cause.score,
        onset: cause.onset.map(convert::time),
        onset_earliest: cause.onset_low.map(convert::time),
        onset_latest: cause.onset_high.map(convert::time),
        evidence: cause.evidence.into_iter().map(evidence).collect(),
    }
}

fn evidence(evidence: Evidence) -> pb::CauseEvidence {
    let about = match evidence.about {
        About::Metric => pb::EvidenceAbout::Metric,
        About::Callers => pb::EvidenceAbout::Callers,
        About::Work => pb::EvidenceAbout::Work,
        About::Course => pb::EvidenceAbout::Course,
        About::Time => pb::EvidenceAbout::Time,
        About::Reach => pb::EvidenceAbout::Reach,
    };
    pb::CauseEvidence {
        about: about.into(),
        metric: evidence.metric.unwrap_or_default(),
        text: evidence.text,
        weight: evidence.weight,
        deviation: evidence.deviation,
        onset: evidence.onset.map(convert::time),
    }
}
