//! The one mapping from the engine's errors to gRPC's and HTTP's.

use axum::http::StatusCode;
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

use crate::error::{Code, Error};

/// The gRPC status of `error`, with `google.rpc` details: the fields at fault, a stable reason, when to retry.
pub fn grpc(error: &Error) -> Status {
    let code = match error.code {
        Code::InvalidArgument => tonic::Code::InvalidArgument,
        Code::NotFound => tonic::Code::NotFound,
        Code::FailedPrecondition => tonic::Code::FailedPrecondition,
        Code::ResourceExhausted => tonic::Code::ResourceExhausted,
        Code::Unavailable => tonic::Code::Unavailable,
        Code::DeadlineExceeded => tonic::Code::DeadlineExceeded,
        Code::Internal => tonic::Code::Internal,
    };
    let mut details = ErrorDetails::new();
    details.set_error_info(error.code.as_str().to_uppercase(), "bellwether", std::collections::HashMap::<String, String>::new());
    for violation in &error.violations {
        details.add_bad_request_violation(&violation.field, &violation.description);
    }
    if matches!(error.code, Code::Unavailable | Code::ResourceExhausted) {
        details.set_retry_info(Some(std::time::Duration::from_secs(1)));
    }
    Status::with_error_details(code, error.chain(), details)
}

/// The HTTP status of `error`.
pub fn http(error: &Error) -> StatusCode {
    match error.code {
        Code::InvalidArgument => StatusCode::BAD_REQUEST,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::FailedPrecondition => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
