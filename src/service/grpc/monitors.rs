use tonic::{Request, Response, Status};

use super::{Api, page_size};
use crate::error::{Code, Error, Result};
use crate::proto::monitor_service_server::MonitorService;
use crate::proto::{
    DiscoverMonitorsRequest, DiscoverMonitorsResponse, GetMonitorRequest, GetMonitorResponse, ListMonitorsRequest, ListMonitorsResponse,
    SkippedMetric,
};
use crate::service::convert;

/// Findings held back that one answer has at most.
const MOST_HELD_BACK: usize = 100;
/// Ids of incidents that one monitor is told to have spent its budget on.
const MOST_INCIDENTS: usize = 100;

#[tonic::async_trait]
impl MonitorService for Api {
    #[tracing::instrument(skip_all)]
    async fn list_monitors(&self, request: Request<ListMonitorsRequest>) -> Result<Response<ListMonitorsResponse>, Status> {
        self.respond(async {
            let request = request.into_inner();
            let size = page_size(request.page_size)?;
            // Monitors are listed by name, so that the last name of a page is where the next begins.
            let after = request.page_token;
            let mut rest = self.engine.monitors().into_iter().filter(|m| m.monitor.name > after);
            let page: Vec<_> = rest.by_ref().take(size).collect();
            let next_page_token = match (rest.next(), page.last()) {
                (Some(_), Some(last)) => last.monitor.name.clone(),
                _ => String::new(),
            };
            let (budget, spending) = (self.engine.budget(), self.engine.spending(MOST_INCIDENTS).await?);
            Ok(ListMonitorsResponse {
                monitors: page.iter().map(|m| convert::monitor_status(m, budget, &spending)).collect(),
                next_page_token,
                alert_budget_per_day: self.engine.config().alert_budget_per_day,
                incidents: spending.incidents as i32,
            })
        })
        .await
    }

    #[tracing::instrument(skip_all)]
    async fn get_monitor(&self, request: Request<GetMonitorRequest>) -> Result<Response<GetMonitorResponse>, Status> {
        self.respond(async {
            let name = request.into_inner().name;
            if name.is_empty() {
                return Err(Error::invalid("name", "is empty; ListMonitors tells the names"));
            }
            let monitor = self.engine.monitor(&name);
            let monitor = monitor.ok_or_else(|| {
                Error::new(
                    Code::NotFound,
                    format!("there is no monitor `{}`; ListMonitors tells the names", name.chars().take(80).collect::<String>()),
                )
            })?;
            let held_back = self.engine.held_back(&name, MOST_HELD_BACK).await?;
            let (budget, spending) = (self.engine.budget(), self.engine.spending(MOST_INCIDENTS).await?);
            Ok(GetMonitorResponse {
                status: Some(convert::monitor_status(&monitor, budget, &spending)),
                series: monitor.series.iter().map(convert::series_status).collect(),
                groups: monitor.groups.iter().map(convert::series_status).collect(),
                suppressed: held_back.iter().map(convert::held_back).collect(),
                outlooks: monitor.outlook.series.iter().map(convert::series_outlook).collect(),
                forecast_time: monitor.outlook.made.map(convert::time),
                forecast_error: monitor.outlook.last_error.clone().unwrap_or_default(),
                features: monitor.drift.features.iter().map(convert::feature_drift).collect(),
            })
        })
        .await
    }

    #[tracing::instrument(skip_all)]
    async fn discover_monitors(&self, _request: Request<DiscoverMonitorsRequest>) -> Result<Response<DiscoverMonitorsResponse>, Status> {
        self.respond(async {
            let mut proposal = self.engine.propose().await?;
            proposal.monitors.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(DiscoverMonitorsResponse {
                monitors: proposal.monitors.iter().map(convert::monitor).collect(),
                skipped: proposal.skipped.into_iter().map(|s| SkippedMetric { metric: s.metric, reason: s.reason }).collect(),
            })
        })
        .await
    }
}
