//! Reflection and health: what a client asks before anything else.

use std::collections::BTreeSet;

use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::*;

const SERVICES: [&str; 6] = [
    "bellwether.v1.ActionService",
    "bellwether.v1.AnalysisService",
    "bellwether.v1.EventService",
    "bellwether.v1.IncidentService",
    "bellwether.v1.MonitorService",
    "bellwether.v1.BacktestService",
];

/// Asks one version of reflection for the services and for the file of a symbol.
macro_rules! reflected {
    ($version:ident, $channel:expr) => {{
        use tonic_reflection::pb::$version::ServerReflectionRequest;
        use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;
        use tonic_reflection::pb::$version::server_reflection_request::MessageRequest;
        use tonic_reflection::pb::$version::server_reflection_response::MessageResponse;
        let requests = [
            MessageRequest::ListServices(String::new()),
            MessageRequest::FileContainingSymbol("bellwether.v1.DetectAnomaliesRequest".to_owned()),
            MessageRequest::FileContainingSymbol("bellwether.v1.Nothing".to_owned()),
        ]
        .map(|request| ServerReflectionRequest { host: String::new(), message_request: Some(request) });
        let mut client = ServerReflectionClient::new($channel);
        let mut answers = client.server_reflection_info(tokio_stream::iter(requests)).await.unwrap().into_inner();
        let mut next = async || answers.message().await;
        let Some(MessageResponse::ListServicesResponse(list)) = next().await.unwrap().unwrap().message_response else { panic!("no list") };
        let Some(MessageResponse::FileDescriptorResponse(file)) = next().await.unwrap().unwrap().message_response else {
            panic!("no file")
        };
        // A symbol that is not there ends the stream or answers it; it does not end the server.
        let unknown = match next().await {
            Err(status) => status.code() as i32,
            Ok(Some(answer)) => match answer.message_response {
                Some(MessageResponse::ErrorResponse(error)) => error.error_code,
                other => panic!("{other:?}"),
            },
            Ok(None) => panic!("no answer"),
        };
        assert_eq!(unknown, Code::NotFound as i32);
        assert!(!file.file_descriptor_proto.is_empty());
        list.service.into_iter().map(|s| s.name).collect::<BTreeSet<String>>()
    }};
}

#[tokio::test]
async fn reflection_lists_every_service_in_both_versions() {
    let served = Served::start("").await;
    let (v1, v1alpha) = (reflected!(v1, served.channel.clone()), reflected!(v1alpha, served.channel.clone()));
    for listed in [v1, v1alpha] {
        assert!(listed.is_superset(&SERVICES.map(str::to_owned).into()), "{listed:?}");
        assert!(listed.contains("grpc.health.v1.Health"), "{listed:?}");
    }
    served.stop().await;
}

async fn health(served: &Served, service: &str) -> Result<ServingStatus, Code> {
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(served.channel.clone()).check(request).await.map_err(|s| s.code())?;
    Ok(answer.into_inner().status())
}

#[tokio::test]
async fn without_prometheus_everything_serves_that_needs_none() {
    let served = Served::start("").await;
    for service in [SERVICES[0], SERVICES[1], SERVICES[2], SERVICES[3], SERVICES[5], ""] {
        assert_eq!(health(&served, service).await, Ok(ServingStatus::Serving), "{service}");
    }
    assert_eq!(health(&served, "bellwether.v1.Nothing").await, Err(Code::NotFound));
    assert_eq!(served.get("/-/healthy").await.0, 200);
    assert_eq!(served.get("/-/ready").await.0, 200);
}

#[tokio::test]
async fn with_a_prometheus_that_is_away_only_what_needs_it_does_not_serve() {
    // Nobody listens on a port that was just given back.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let served = Served::start(&format!("prometheus: {{url: 'http://{gone}'}}\n{MONITORS}")).await;
    for (service, status) in [
        ("", ServingStatus::NotServing),
        (SERVICES[0], ServingStatus::Serving),
        (SERVICES[1], ServingStatus::Serving),
        (SERVICES[2], ServingStatus::Serving),
        (SERVICES[3], ServingStatus::Serving),
        (SERVICES[4], ServingStatus::NotServing),
        (SERVICES[5], ServingStatus::Serving),
    ] {
        assert_eq!(health(&served, service).await, Ok(status), "{service}");
    }
    let (code, _, text) = served.get("/-/ready").await;
    assert_eq!((code, text.as_str()), (503, "prometheus: not read yet\n"));
    assert_eq!(served.get("/-/healthy").await.0, 200);
    // Why is told where people look.
    let why = until("the reason", async || served.engine.monitor("pool").unwrap().last_error).await;
    assert!(why.contains(&gone.to_string()), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_as_soon_as_prometheus_was_read() {
    let served = Served::over_the_shop(MONITORS).await;
    // A watcher is told of the change.
    let request = HealthCheckRequest { service: String::new() };
    let mut changes = HealthClient::new(served.channel.clone()).watch(request).await.unwrap().into_inner();
    let wait = async { while changes.message().await.unwrap().unwrap().status() != ServingStatus::Serving {} };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
    assert_eq!(health(&served, SERVICES[3]).await, Ok(ServingStatus::Serving));
    assert_eq!(served.get("/-/ready").await.0, 200);
    served.stop().await;
}
