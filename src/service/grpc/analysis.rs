use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tonic::{Request, Response, Status};

use super::correlate::Asked;
use super::forecast::Wanted;
use super::{Api, drift};
use crate::analysis::decompose::{self, CannotDecompose, Decomposition, MstlParams};
use crate::analysis::detect;
use crate::analysis::season::find_periods;
use crate::clock::{DurationMs, Timestamp};
use crate::error::{Code, Error, Result};
use crate::finding::Direction;
use crate::monitor::Monitor;
use crate::proto as pb;
use crate::proto::analysis_service_server::AnalysisService;
use crate::proto::series_input::From;
use crate::series::Series;
use crate::service::convert;

/// What is read when the request does not say.
const DEFAULT_RANGE: DurationMs = DurationMs::from_millis(14 * DurationMs::DAY.millis());
const DEFAULT_STEP: DurationMs = DurationMs::from_secs(60);
const DEFAULT_PER_DAY: f64 = 1.0;
/// Longer series are smoothed at some places and interpolated between: two weeks of minutes would take a minute.
const MOST_EXACT: usize = 5000;
const MOST_PERIODS: usize = 8;

#[tonic::async_trait]
impl AnalysisService for Api {
    #[tracing::instrument(skip_all)]
    async fn decompose(&self, request: Request<pb::DecomposeRequest>) -> Result<Response<pb::DecomposeResponse>, Status> {
        self.respond(async {
            let permit = self.admit()?;
            let request = request.into_inner();
            let periods = read_periods(&request.periods)?;
            let (series, warnings) = self.read(request.input).await?;
            let robust = request.robust;
            let work = move || {
                let _permit = permit;
                series.iter().map(|one| decompose_one(one, &periods, robust)).collect::<Result<_>>()
            };
            let decompositions = self.pool.run(work).await??;
            Ok(pb::DecomposeResponse { decompositions, warnings })
        })
        .await
    }

    #[tracing::instrument(skip_all)]
    async fn detect_anomalies(
        &self,
        request: Request<pb::DetectAnomaliesRequest>,
    ) -> Result<Response<pb::DetectAnomaliesResponse>, Status> {
        self.respond(async {
            let permit = self.admit()?;
            let request = request.into_inner();
            let from = request.detect_from.as_ref().map(|t| convert::read_time("detect_from", t)).transpose()?;
            let direction = convert::read_direction("direction", request.direction)?;
            let per_day = read_budget(request.alerts_per_day)?;
            let (series, warnings) = self.read(request.input).await?;
            let work = move || {
                let _permit = permit;
                verdicts(&series, from, per_day, direction)
            };
            let verdicts = self.pool.run(work).await?;
            Ok(pb::DetectAnomaliesResponse { verdicts, warnings })
        })
        .await
    }

    #[tracing::instrument(skip_all)]
    async fn test_drift(&self, request: Request<pb::TestDriftRequest>) -> Result<Response<pb::TestDriftResponse>, Status> {
        self.respond(async {
            let permit = self.admit()?;
            let mut request = request.into_inner();
            let options = drift::options(&request)?;
            match request.from.take() {
                None => Err(Error::invalid("from", "is missing; give `tables`, or `histograms` of Prometheus")),
                Some(pb::test_drift_request::From::Tables(tables)) => {
                    let work = move || {
                        let _permit = permit;
                        drift::test_tables(tables, &options)
                    };
                    self.pool.run(work).await?
                }
                Some(pb::test_drift_request::From::Histograms(asked)) => {
                    let windows = drift::windows(&asked, self.engine.clock().now())?;
                    let found = windows.read(self.engine.prometheus()?).await?;
                    Ok(drift::of_histograms(&found, &options))
                }
            }
        })
        .await
    }

    #[tracing::instrument(skip_all)]
    async fn forecast(&self, request: Request<pb::ForecastRequest>) -> Result<Response<pb::ForecastResponse>, Status> {
        self.respond(async {
            let permit = self.admit()?;
            let request = request.into_inner();
            let wanted = Wanted::read(&request)?;
            let (series, warnings) = self.read(request.input).await?;
            let work = move || {
                let _permit = permit;
                wanted.forecast(&series)
            };
            let forecasts = self.pool.run(work).await??;
            Ok(pb::ForecastResponse { forecasts, warnings })
        })
        .await
    }

    #[tracing::instrument(skip_all)]
    async fn correlate(&self, request: Request<pb::CorrelateRequest>) -> Result<Response<pb::CorrelateResponse>, Status> {
        self.respond(async {
            let permit = self.admit()?;
            let request = request.into_inner();
            let asked = Asked::read(&request)?;
            let scene = self.scene(request, &asked).await?;
            let work = move || {
                let _permit = permit;
                asked.answer(scene)
            };
            self.pool.run(work).await?
        })
        .await
    }
}

impl Api {
    /// Admits one analysis; what is given back is to be held as long as it computes, also when nobody waits any more.
    fn admit(&self) -> Result<OwnedSemaphorePermit> {
        let most = self.limits.max_concurrent_analyses;
        Arc::clone(&self.analyses)
            .try_acquire_owned()
            .map_err(|_| Error::new(Code::ResourceExhausted, format!("{most} analyses are under way; try again in a moment")))
    }

    /// The series of a request: given, or read from Prometheus. With them what Prometheus warned of.
    pub(super) async fn read(&self, input: Option<pb::SeriesInput>) -> Result<(Vec<Series>, Vec<String>)> {
        let limits = convert::Limits { max_series: self.limits.max_series, max_points: self.limits.max_points };
        match input.and_then(|input| input.from) {
            None => Err(Error::invalid("input", "is missing; give `inline` series or a `promql` range")),
            Some(From::Inline(inline)) => Ok((convert::read_inline("input.inline", &inline, limits)?, Vec::new())),
            Some(From::Promql(range)) => {
                let step = range
                    .step
                    .as_ref()
                    .map_or(Ok(DEFAULT_STEP), |d| convert::read_duration("input.promql.step", d, DurationMs::from_secs(1)))?;
                let end = range
                    .end
                    .as_ref()
                    .map_or(Ok(self.engine.clock().now()), |t| convert::read_time("input.promql.end", t))?
                    .align_down(step);
                let start =
                    range.start.as_ref().map_or(Ok(end - DEFAULT_RANGE), |t| convert::read_time("input.promql.start", t))?.align_down(step);
                if range.query.trim().is_empty() {
                    return Err(Error::invalid("input.promql.query", "is empty; a PromQL expression is needed"));
                }
                if start >= end {
                    return Err(Error::invalid("input.promql.start", format!("{start} is not before the end, {end}")));
                }
                let places = end.since(start).steps(step);
                if places > self.limits.max_points {
                    return Err(Error::invalid(
                        "input.promql.step",
                        format!("{places} points for each series; at most {} are taken in one request", self.limits.max_points),
                    ));
                }
                let reading =
                    self.engine.prometheus()?.range(&range.query, start, end, step).await.map_err(|e| e.within("input.promql"))?;
                if reading.series.len() > limits.max_series {
                    return Err(Error::invalid(
                        "input.promql.query",
                        format!("yields {} series; at most {} are taken in one request", reading.series.len(), limits.max_series),
                    ));
                }
                if reading.points > limits.max_points as u64 {
                    return Err(Error::invalid(
                        "input.promql.query",
                        format!("yields {} points; at most {} are taken in one request", reading.points, limits.max_points),
                    ));
                }
                Ok((reading.series, reading.warnings))
            }
        }
    }
}

pub(super) fn read_periods(periods: &[prost_types::Duration]) -> Result<Vec<DurationMs>> {
    if periods.len() > MOST_PERIODS {
        return Err(Error::invalid("periods", format!("{} periods; at most {MOST_PERIODS} are taken", periods.len())));
    }
    periods.iter().enumerate().map(|(i, d)| convert::read_duration(&format!("periods[{i}]"), d, DurationMs::from_millis(2))).collect()
}

fn read_budget(per_day: f64) -> Result<f64> {
    match per_day {
        0.0 => Ok(DEFAULT_PER_DAY),
        x if x > 0.0 && x <= 1e5 => Ok(x),
        x => Err(Error::invalid("alerts_per_day", format!("{x} is not between 0 and 100000"))),
    }
}

fn decompose_one(series: &Series, periods: &[DurationMs], robust: bool) -> Result<pb::Decomposition> {
    let window = &series.window;
    let steps: Vec<usize> = if periods.is_empty() {
        let candidates: Vec<usize> =
            [DurationMs::HOUR, DurationMs::DAY, DurationMs::WEEK].iter().map(|p| p.steps(window.step())).filter(|p| *p >= 4).collect();
        find_periods(window.values(), &candidates)
    } else {
        periods.iter().map(|p| p.steps(window.step())).collect()
    };
    if let Some(i) = steps.iter().position(|p| *p < 2) {
        return Err(Error::invalid(format!("periods[{i}]"), format!("{} is shorter than two steps of {}", periods[i], window.step())));
    }
    let labels = convert::labels(&series.key);
    match parts(window.values(), &steps, robust) {
        Err(CannotDecompose::Params(error)) => Err(Error::invalid("periods", error.to_string())),
        Ok(parts) => Ok(pb::Decomposition {
            labels,
            start: Some(convert::time(window.start())),
            step: Some(convert::duration(window.step())),
            observed: window.values().to_vec(),
            trend: parts.trend,
            seasons: parts
                .seasons
                .into_iter()
                .map(|s| pb::Season { period: Some(convert::duration(window.step() * s.period as i64)), values: s.values })
                .collect(),
            remainder: parts.remainder,
            cannot_say: String::new(),
        }),
        Err(CannotDecompose::Series(reason)) => Ok(pb::Decomposition { labels, cannot_say: reason.to_string(), ..Default::default() }),
    }
}

fn parts(values: &[f64], periods: &[usize], robust: bool) -> Result<Decomposition, CannotDecompose> {
    if periods.is_empty() {
        return decompose::trend(values, (values.len() / 10).max(3) | 1, robust);
    }
    let params = MstlParams::new(periods);
    let params = if robust { params.robust() } else { params };
    decompose::mstl(values, &if values.len() > MOST_EXACT { params.fast() } else { params })
}

fn verdicts(series: &[Series], from: Option<Timestamp>, per_day: f64, direction: Option<Direction>) -> Vec<pb::SeriesVerdict> {
    series
        .iter()
        .map(|one| {
            let labels = convert::labels(&one.key);
            match detect::judge_alone(one, from, per_day, series.len(), &Monitor::ad_hoc(one.window.step(), direction)) {
                Ok((analysis, findings)) => pb::SeriesVerdict {
                    labels,
                    scores: analysis.judgements.iter().map(convert::point_score).collect(),
                    findings: findings.iter().map(convert::finding).collect(),
                    cannot_say: String::new(),
                    periods: analysis.model.periods().into_iter().map(convert::duration).collect(),
                },
                Err(reason) => pb::SeriesVerdict { labels, cannot_say: reason.to_string(), ..Default::default() },
            }
        })
        .collect()
}
