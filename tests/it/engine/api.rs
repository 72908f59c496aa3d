//! What the engine says of itself over gRPC and HTTP.

use bellwether::clock::Timestamp;
use bellwether::proto::incident_service_client::IncidentServiceClient;
use bellwether::proto::monitor_service_client::MonitorServiceClient;
use bellwether::proto::{
    GetIncidentRequest, GetMonitorRequest, GetMonitorResponse, Incident, IncidentState, ListIncidentsRequest, ListMonitorsRequest,
    MonitorStatus, SeriesStatus, ServiceGraph,
};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// A client of one engine. Every call connects anew, for the engine comes and goes.
#[derive(Clone, Debug)]
pub struct Api(pub String);

impl Api {
    async fn channel(&self) -> Channel {
        Endpoint::from_shared(self.0.clone()).unwrap().connect().await.unwrap()
    }

    /// Every incident it knows, the open ones and those that are over.
    pub async fn incidents(&self) -> Vec<Incident> {
        let request = ListIncidentsRequest { page_size: 1000, ..Default::default() };
        IncidentServiceClient::new(self.channel().await).list_incidents(request).await.unwrap().into_inner().incidents
    }

    /// The part of the topology that an incident covers.
    pub async fn graph(&self, id: &str) -> Option<ServiceGraph> {
        let request = GetIncidentRequest { id: id.to_owned() };
        IncidentServiceClient::new(self.channel().await).get_incident(request).await.unwrap().into_inner().graph
    }

    /// Its open incidents.
    pub async fn open(&self) -> Vec<Incident> {
        self.incidents().await.into_iter().filter(|i| i.state() == IncidentState::Open).collect()
    }

    /// Its monitors.
    pub async fn monitors(&self) -> Vec<MonitorStatus> {
        let request = ListMonitorsRequest { page_size: 1000, ..Default::default() };
        MonitorServiceClient::new(self.channel().await).list_monitors(request).await.unwrap().into_inner().monitors
    }

    /// All that it says of one monitor.
    pub async fn monitor(&self, name: &str) -> GetMonitorResponse {
        let request = GetMonitorRequest { name: name.to_owned() };
        MonitorServiceClient::new(self.channel().await).get_monitor(request).await.unwrap().into_inner()
    }

    /// The series of a monitor.
    pub async fn series(&self, monitor: &str) -> Vec<SeriesStatus> {
        self.monitor(monitor).await.series
    }

    /// Whether every monitor was evaluated, each without an error at its latest attempt, and every series that can be
    /// judged has a model.
    pub async fn is_fitted(&self) -> bool {
        let monitors = self.monitors().await;
        let done = |m: &MonitorStatus| m.last_evaluated.is_some() && m.last_error.is_empty() && m.fitted + m.cannot_say >= m.series;
        !monitors.is_empty() && monitors.iter().all(done)
    }

    /// What `grpc.health.v1` says of `service`; the whole is the empty name.
    pub async fn health(&self, service: &str) -> ServingStatus {
        let request = HealthCheckRequest { service: service.to_owned() };
        HealthClient::new(self.channel().await).check(request).await.unwrap().into_inner().status()
    }

    /// Status and body of a GET.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("{}{path}", self.0)).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The sum of a metric over all its labels; 0 when it is not there.
    pub async fn metric(&self, name: &str) -> f64 {
        let (status, text) = self.get("/metrics").await;
        assert_eq!(status, 200);
        let of_it = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        text.lines().filter(of_it).map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
    }
}

/// A time that must be there.
pub fn time(of: Option<prost_types::Timestamp>) -> Timestamp {
    let of = of.unwrap();
    Timestamp::from_millis(of.seconds * 1000 + i64::from(of.nanos) / 1_000_000)
}
