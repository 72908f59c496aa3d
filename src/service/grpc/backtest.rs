use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rayon::prelude::*;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{self, Sender};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tracing::Instrument;

use super::Api;
use crate::backtest::alerts::Raised;
use crate::backtest::incidents::{Around, incidents};
use crate::backtest::inline::{self, Said, Terms};
use crate::backtest::prometheus::{self, Plan, Progress};
use crate::clock::{DurationMs, Timestamp};
use crate::correlation::topology::Topology;
use crate::error::{Code, Error, Result};
use crate::monitor::Monitor;
use crate::proto as pb;
use crate::proto::backtest_service_server::BacktestService;
use crate::proto::run_backtest_request::Past;
use crate::proto::run_backtest_response::Content;
use crate::series::Series;
use crate::service::{convert, status};

/// What is replayed when the request does not say.
const DEFAULT_RANGE: DurationMs = DurationMs::from_millis(14 * DurationMs::DAY.millis());
const DEFAULT_STEP: DurationMs = DurationMs::from_secs(60);
const DEFAULT_WINDOW: DurationMs = DurationMs::from_millis(14 * DurationMs::DAY.millis());
const LEAST_WINDOW: DurationMs = DurationMs::from_secs(2 * 3600);
/// A backtest may take so many times as long as another request.
const PATIENCE: i64 = 60;
/// Messages that wait for a slow client; progress beyond them is not told.
const WAITING: usize = 16;
const MOST_INCIDENTS: usize = 1000;

/// What is to be done.
enum Work {
    Prometheus(Plan),
    Inline(Given),
}

/// Series of a request.
struct Given {
    series: Vec<Series>,
    /// Where each is abnormal.
    labels: Option<Vec<Vec<(Timestamp, Timestamp)>>>,
    terms: Terms,
}

#[tonic::async_trait]
impl BacktestService for Api {
    type RunBacktestStream = ReceiverStream<Result<pb::RunBacktestResponse, Status>>;

    #[tracing::instrument(skip_all)]
    async fn run_backtest(&self, request: Request<pb::RunBacktestRequest>) -> Result<Response<Self::RunBacktestStream>, Status> {
        let admitted = Arc::clone(&self.backtests).try_acquire_owned();
        let busy = |_| Error::new(Code::ResourceExhausted, "a backtest is under way; a server runs one at a time");
        let permit = admitted.map_err(busy).map_err(|error| status::grpc(&error))?;
        let work = self.plan(request.into_inner()).map_err(|error| status::grpc(&error))?;
        let (sender, receiver) = mpsc::channel(WAITING);
        let api = self.clone();
        tokio::spawn(async move { api.backtest(work, &sender, permit).await }.in_current_span());
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

impl Api {
    /// Works until it is done, the time is over, or nobody listens any more.
    async fn backtest(&self, work: Work, sender: &Sender<Result<pb::RunBacktestResponse, Status>>, _permit: OwnedSemaphorePermit) {
        let limit = self.limits.request_timeout * PATIENCE;
        let done = async {
            tokio::time::timeout(limit.to_std(), self.work(work, sender)).await.unwrap_or_else(|_| {
                let what = format!("took longer than {limit}, which is {PATIENCE} times server.request_timeout; replay less, or raise it");
                Err(Error::new(Code::DeadlineExceeded, what))
            })
        };
        let result = tokio::select! {
            result = done => result,
            () = sender.closed() => return,
        };
        let last = result.map(|report| content(Content::Report(report))).map_err(|error| {
            if error.code == Code::Internal {
                crate::telemetry::failure("backtest", &error);
            }
            status::grpc(&error)
        });
        // A client that has gone away misses nothing.
        let _ = sender.send(last).await;
    }

    async fn work(&self, work: Work, sender: &Sender<Result<pb::RunBacktestResponse, Status>>) -> Result<pb::BacktestReport> {
        let progress = |progress: &Progress| {
            // A client that is slow hears of the next piece.
            let _ = sender.try_send(Ok(content(Content::Progress(convert::backtest_progress(progress)))));
        };
        match work {
            Work::Prometheus(plan) => {
                let report = prometheus::run(self.engine.prometheus()?, &self.backtest_pool, &plan, |p| progress(&p)).await;
                report.map(|report| convert::backtest_report(&report)).map_err(in_the_request)
            }
            Work::Inline(given) => {
                let (stop, sender) = (Stop::default(), sender.clone());
                let stopped = Arc::clone(&stop.0);
                let work = move || {
                    given.judge(&stopped, |progress| {
                        let _ = sender.try_send(Ok(content(Content::Progress(convert::backtest_progress(progress)))));
                    })
                };
                self.backtest_pool.run(work).await?
            }
        }
    }

    /// What the request asks for.
    fn plan(&self, request: pb::RunBacktestRequest) -> Result<Work> {
        let config = self.engine.config();
        let alerts_per_day = match request.alerts_per_day {
            0.0 => config.alert_budget_per_day,
            x if x > 0.0 && x <= 1e5 => x,
            x => return Err(Error::invalid("alerts_per_day", format!("{x} is not between 0 and 100000"))),
        };
        let read =
            |field: &str, given: Option<prost_types::Duration>, least| given.map(|d| convert::read_duration(field, &d, least)).transpose();
        let window = read("window", request.window, LEAST_WINDOW)?;
        let refit = read("refit", request.refit, DurationMs::HOUR)?.unwrap_or(config.refit);
        match request.past {
            None => Err(Error::invalid("past", "is missing; give a `prometheus` or an `inline` past")),
            Some(Past::Prometheus(past)) => self.plan_prometheus(&past, window, alerts_per_day, refit).map(Work::Prometheus),
            Some(Past::Inline(past)) => {
                let limits = convert::Limits { max_series: self.limits.max_series, max_points: self.limits.max_points };
                let series = convert::read_inline("inline.series", &past.series.unwrap_or_default(), limits)?;
                let labels = convert::read_labels("inline.labels", &past.labels, series.len())?;
                let terms = Terms { alerts_per_day, series: series.len(), window, refit };
                Ok(Work::Inline(Given { series, labels, terms }))
            }
        }
    }

    fn plan_prometheus(
        &self,
        past: &pb::PrometheusPast,
        window: Option<DurationMs>,
        alerts_per_day: f64,
        refit: DurationMs,
    ) -> Result<Plan> {
        self.engine.prometheus()?;
        let step =
            past.step.as_ref().map_or(Ok(DEFAULT_STEP), |d| convert::read_duration("prometheus.step", d, DurationMs::from_secs(1)))?;
        let now = self.engine.clock().now();
        let end = past.end.as_ref().map_or(Ok(now), |t| convert::read_time("prometheus.end", t))?.min(now).align_down(step);
        let start = past.start.as_ref().map_or(Ok(end - DEFAULT_RANGE), |t| convert::read_time("prometheus.start", t))?.align_down(step);
        if start >= end {
            return Err(Error::invalid("prometheus.start", format!("{start} is not before the end, {end}")));
        }
        let monitors = self.monitors(past, window, step)?;
        for monitor in &monitors {
            let places = end.since(start - monitor.window).steps(monitor.step.min(step));
            if places > self.limits.max_points {
                let what = format!("{places} points for each series; at most {} are taken in one request", self.limits.max_points);
                return Err(Error::invalid("prometheus.start", what));
            }
        }
        let limits = prometheus::Limits { most_series: self.limits.max_series, most_points: self.limits.max_points };
        let (calls, patience) = (self.engine.config().calls.clone(), self.engine.config().patience);
        Ok(Plan { source: "prometheus".to_owned(), monitors, start, end, step, alerts_per_day, refit, limits, calls, patience })
    }

    /// The monitors that are asked for.
    fn monitors(&self, past: &pb::PrometheusPast, window: Option<DurationMs>, step: DurationMs) -> Result<Vec<Monitor>> {
        if !past.query.trim().is_empty() {
            if !past.monitors.is_empty() {
                return Err(Error::invalid("prometheus.monitors", "are given besides a query; give one of the two"));
            }
            let window = window.unwrap_or(DEFAULT_WINDOW);
            return Ok(vec![Monitor { query: past.query.clone(), window, ..Monitor::ad_hoc(step, None) }]);
        }
        if window.is_some() {
            return Err(Error::invalid("window", "is given for monitors, which have their own; leave it out, or give a query"));
        }
        let known: BTreeMap<String, Monitor> = {
            let judged = self.engine.monitors().into_iter().filter(|m| m.monitor.drift.is_none());
            judged.map(|m| (m.monitor.name.clone(), m.monitor)).collect()
        };
        if past.monitors.is_empty() {
            let none = || Error::new(Code::FailedPrecondition, "nothing is watched yet; give a `prometheus.query`, or try again later");
            return if known.is_empty() { Err(none()) } else { Ok(known.into_values().collect()) };
        }
        let mut asked: BTreeMap<&str, Monitor> = BTreeMap::new();
        for (i, name) in past.monitors.iter().enumerate() {
            let field = format!("prometheus.monitors[{i}]");
            let shown: String = name.chars().take(80).collect();
            let monitor = known
                .get(name)
                .ok_or_else(|| Error::invalid(&field, format!("there is no monitor `{shown}`; ListMonitors tells the names")))?;
            if asked.insert(name, monitor.clone()).is_some() {
                return Err(Error::invalid(&field, format!("`{shown}` is given twice")));
            }
        }
        Ok(asked.into_values().collect())
    }
}

impl Given {
    /// Replays every series, and tells how far it is.
    fn judge(&self, stop: &AtomicBool, told: impl Fn(&Progress) + Sync) -> Result<pb::BacktestReport> {
        let all: usize = self.series.iter().map(|s| s.window.len()).sum();
        let (points, findings) = (AtomicU64::new(0), AtomicU64::new(0));
        let tell = |more: usize, opened: usize| {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::new(Code::Unavailable, "the backtest was given up"));
            }
            let points = points.fetch_add(more as u64, Ordering::Relaxed) + more as u64;
            let findings = findings.fetch_add(opened as u64, Ordering::Relaxed) + opened as u64;
            told(&Progress { monitor: String::new(), done: points as f64 / all.max(1) as f64, points, findings });
            Ok(())
        };
        let of = |i: usize| self.labels.as_ref().map(|labels| labels[i].as_slice());
        let said: Vec<Said> =
            self.series.par_iter().enumerate().map(|(i, one)| inline::judge(one, of(i), &self.terms, &tell)).collect::<Result<_>>()?;
        Ok(self.report(&said))
    }

    fn report(&self, said: &[Said]) -> pb::BacktestReport {
        let noticed: Vec<_> = said.iter().flat_map(|one| one.noticed.iter().cloned()).collect();
        let around = Around { monitors: &BTreeMap::new(), topology: &Topology::default(), events: &[], patience: DurationMs::ZERO };
        let raised = incidents(&noticed, around);
        let warning = |(one, said): (&Series, &Said)| {
            let reason = said.labelled.as_ref()?.as_ref().err()?;
            Some(format!("{}: {reason}", one.key))
        };
        pb::BacktestReport {
            start: self.series.iter().map(|s| s.window.start()).min().map(convert::time),
            end: self.series.iter().map(|s| s.window.end()).max().map(convert::time),
            alerts_per_day: self.terms.alerts_per_day,
            monitors: Vec::new(),
            series: self.series.iter().zip(said).map(|(series, said)| convert::backtest_series(series, said)).collect(),
            incidents_count: raised.len() as i32,
            incidents: raised.iter().take(MOST_INCIDENTS).map(|i| convert::raised(&Raised::from(i))).collect(),
            comparison: None,
            warnings: self.series.iter().zip(said).filter_map(warning).collect(),
            suppressed: Vec::new(),
        }
    }
}

/// Whether work on the pool shall end; it shall when this is dropped.
#[derive(Default)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn content(content: Content) -> pb::RunBacktestResponse {
    pb::RunBacktestResponse { content: Some(content) }
}

/// What is wrong with a query is named as the request names it.
fn in_the_request(mut error: Error) -> Error {
    for violation in error.violations.iter_mut().filter(|violation| violation.field != "alerts_per_day") {
        violation.field = format!("prometheus.{}", violation.field);
    }
    error
}
