//! The gRPC services. Each call is four steps: validate, convert, call, respond.

mod actions;
mod analysis;
mod backtest;
mod correlate;
mod drift;
mod events;
mod forecast;
mod incidents;
mod monitors;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tonic::Status;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic_health::pb::health_server::{Health, HealthServer};

use super::Limits;
use super::status;
use crate::engine::Engine;
use crate::engine::pool::Pool;
use crate::error::{Code, Error, Result};
use crate::proto;
use crate::proto::action_service_server::ActionServiceServer;
use crate::proto::analysis_service_server::AnalysisServiceServer;
use crate::proto::backtest_service_server::BacktestServiceServer;
use crate::proto::event_service_server::EventServiceServer;
use crate::proto::incident_service_server::IncidentServiceServer;
use crate::proto::monitor_service_server::MonitorServiceServer;

/// What every service has at hand.
#[derive(Clone, Debug)]
struct Api {
    engine: Engine,
    limits: Limits,
    /// Analyses under way; one more is refused rather than queued.
    analyses: Arc<Semaphore>,
    /// Threads of requests alone: the engine's are not for strangers to use up.
    pool: Pool,
    /// The one backtest that may be under way.
    backtests: Arc<Semaphore>,
    /// Its threads: it takes minutes, and no analysis is to wait for it.
    backtest_pool: Pool,
}

/// The services, with reflection (v1 and v1alpha) and health.
///
/// # Errors
/// The descriptors do not decode: a fault of the build.
pub fn routes<H: Health>(engine: &Engine, limits: Limits, health: HealthServer<H>) -> Result<Routes> {
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
    let analyses = Arc::new(Semaphore::new(limits.max_concurrent_analyses));
    let (pool, backtest_pool) = (Pool::new(threads)?, Pool::new(threads)?);
    let api = Api { engine: engine.clone(), limits, analyses, pool, backtests: Arc::new(Semaphore::new(1)), backtest_pool };
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let broken = |e| Error::new(Code::Internal, "the protocol's descriptors do not decode").caused_by(e);
    macro_rules! sized {
        ($server:ident) => {
            $server::new(api.clone())
                .max_decoding_message_size(limits.max_message_bytes)
                .accept_compressed(CompressionEncoding::Gzip)
                .send_compressed(CompressionEncoding::Gzip)
        };
    }
    Ok(Routes::new(health)
        .add_service(reflection().build_v1().map_err(broken)?)
        .add_service(reflection().build_v1alpha().map_err(broken)?)
        .add_service(sized!(ActionServiceServer))
        .add_service(sized!(AnalysisServiceServer))
        .add_service(sized!(BacktestServiceServer))
        .add_service(sized!(EventServiceServer))
        .add_service(sized!(IncidentServiceServer))
        .add_service(sized!(MonitorServiceServer)))
}

impl Api {
    /// Runs a unary call within the time a request may take, and maps its error.
    async fn respond<T>(&self, call: impl Future<Output = Result<T>>) -> Result<tonic::Response<T>, Status> {
        let limit = self.limits.request_timeout;
        let result = tokio::time::timeout(limit.to_std(), call).await.unwrap_or_else(|_| {
            Err(Error::new(Code::DeadlineExceeded, format!("took longer than {limit}; ask for less, or raise server.request_timeout")))
        });
        result.map(tonic::Response::new).map_err(|error| {
            if error.code == Code::Internal {
                crate::telemetry::failure("grpc", &error);
            }
            status::grpc(&error)
        })
    }
}

/// The size of a page: 100 when it is not given.
fn page_size(size: i32) -> Result<usize> {
    const MOST: i32 = 1000;
    match size {
        0 => Ok(100),
        1..=MOST => Ok(size as usize),
        _ => Err(Error::invalid("page_size", format!("{size}; a page has 1 to {MOST} entries"))),
    }
}
