use tonic::{Request, Response, Status};

use super::{Api, page_size};
use crate::error::{Error, Result};
use crate::proto::action_service_server::ActionService;
use crate::proto::{
    ApproveActionRequest, ApproveActionResponse, ListActionLogRequest, ListActionLogResponse, ListActionsRequest, ListActionsResponse,
    RejectActionRequest, RejectActionResponse, ResumeActionRequest, ResumeActionResponse,
};
use crate::service::convert;
use crate::store::{LogFilter, RunFilter};

/// What was asked for; nothing where it is empty.
fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn needed(field: &'static str, text: String, hint: &str) -> Result<String> {
    given(text).ok_or_else(|| Error::invalid(field, format!("is empty; {hint}")))
}

const ACTION: &str = "the name of an action is needed";
const INCIDENT: &str = "the id of an incident is needed";

#[tonic::async_trait]
impl ActionService for Api {
    #[tracing::instrument(skip_all)]
    async fn list_actions(&self, request: Request<ListActionsRequest>) -> Result<Response<ListActionsResponse>, Status> {
        self.respond(async {
            let request = request.into_inner();
            let size = page_size(request.page_size)?;
            let state = convert::read_action_state("state", request.state)?;
            let filter = RunFilter { incident: given(request.incident), action: given(request.action), state };
            let page = self.engine.store().runs(&filter, size, &request.page_token).await?;
            Ok(ListActionsResponse {
                actions: page.items.iter().map(convert::action).collect(),
                next_page_token: page.next.unwrap_or_default(),
                configured: self.engine.actions().await?.iter().map(convert::configured_action).collect(),
                mode: convert::action_mode(self.engine.actions_mode()).into(),
            })
        })
        .await
    }

    #[tracing::instrument(skip_all)]
    async fn approve_action(&self, request: Request<ApproveActionRequest>) -> Result<Response<ApproveActionResponse>, Status> {
        self.respond(async {
            let request = request.into_inner();
            let (action, incident) = (needed("action", request.action, ACTION)?, needed("incident", request.incident, INCIDENT)?);
            let etag = needed("etag", request.etag, "the etag of what is approved is needed, as ListActions tells it")?;
            let run = self.engine.approve_action(&action, &incident, &etag, &request.by, &request.reason).await?;
            Ok(ApproveActionResponse { action: Some(convert::action(&run)) })
        })
        .await
    }

    #[tracing::instrument(skip_all)]
    async fn reject_action(&self, request: Request<RejectActionRequest>) -> Result<Response<RejectActionResponse>, Status> {
        self.respond(async {
            let request = request.into_inner();
            let (action, incident) = (needed("action", request.action, ACTION)?, needed("incident", request.incident, INCIDENT)?);
            let run = self.engine.reject_action(&action, &incident, &request.by, &request.reason).await?;
            Ok(RejectActionResponse { action: Some(convert::action(&run)) })
        })
        .await
    }

    #[tracing::instrument(skip_all)]
    async fn resume_action(&self, request: Request<ResumeActionRequest>) -> Result<Response<ResumeActionResponse>, Status> {
        self.respond(async {
            let request = request.into_inner();
            let action = needed("action", request.action, ACTION)?;
            self.engine.resume_action(&action, &request.by, &request.reason).await?;
            let all = self.engine.actions().await?;
            let resumed = all.iter().find(|status| status.action.name == action).map(convert::configured_action);
            Ok(ResumeActionResponse { action: resumed })
        })
        .await
    }

    #[tracing::instrument(skip_all)]
    async fn list_action_log(&self, request: Request<ListActionLogRequest>) -> Result<Response<ListActionLogResponse>, Status> {
        self.respond(async {
            let request = request.into_inner();
            let size = page_size(request.page_size)?;
            let filter = LogFilter { incident: given(request.incident), action: given(request.action) };
            let page = self.engine.store().action_log(&filter, size, &request.page_token).await?;
            Ok(ListActionLogResponse {
                entries: page.items.iter().map(convert::action_entry).collect(),
                next_page_token: page.next.unwrap_or_default(),
            })
        })
        .await
    }
}
