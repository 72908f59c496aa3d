use std::pin::Pin;

use tokio::sync::broadcast::error::RecvError;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::{Api, page_size};
use crate::error::{Code, Error, Result};
use crate::proto::incident_service_server::IncidentService;
use crate::proto::{
    self, AcknowledgeIncidentRequest, AcknowledgeIncidentResponse, GetIncidentRequest, GetIncidentResponse, ListFeedbackRequest,
    ListFeedbackResponse, ListIncidentsRequest, ListIncidentsResponse, SubmitFeedbackRequest, SubmitFeedbackResponse,
    UnacknowledgeIncidentRequest, UnacknowledgeIncidentResponse, UndoFeedbackRequest, UndoFeedbackResponse, WatchIncidentsRequest,
    WatchIncidentsResponse,
};
use crate::service::{convert, status};
use crate::store::{FeedbackFilter, IncidentFilter};

#[tonic::async_trait]
impl IncidentService for Api {
    #[tracing::instrument(skip_all)]
    async fn list_incidents(&self, request: Request<ListIncidentsRequest>) -> Result<Response<ListIncidentsResponse>, Status> {
        self.respond(async {
            let request = request.into_inner();
            let size = page_size(request.page_size)?;
            let state = convert::read_incident_state("state", request.state)?;
            let filter = IncidentFilter { state, service: (!request.service.is_empty()).then_some(request.service) };
            let page = self.engine.store().incidents(&filter, size, &request.page_token).await?;
            Ok(ListIncidentsResponse {
                incidents: page.items.iter().map(|incident| convert::incident_as_told(incident, &self.engine)).collect(),
                next_page_token: page.next.unwrap_or_default(),
            })
        })
        .await
    }

    #[tracing::instrument(skip_all)]
    async fn get_incident(&self, request: Request<GetIncidentRequest>) -> Result<Response<GetIncidentResponse>, Status> {
        self.respond(async {
            let id = request.into_inner().id;
            if id.is_empty() {
                return Err(Error::invalid("id", "is empty; an incident's id, such as the `incident` label of its alert, is needed"));
            }
            let incident = self.engine.incident(&id).await?;
            let graph = convert::service_graph(&self.engine.topology(), &incident);
            let (runs, _) = self.engine.actions_of(&id).await?;
            let actions = runs.iter().map(convert::action).collect();
            let feedback = self.engine.feedback_on(&id).await?.iter().map(convert::feedback).collect();
            let incident = proto::Incident { actions, feedback, ..convert::incident_as_told(&incident, &self.engine) };
            Ok(GetIncidentResponse { incident: Some(incident), graph })
        })
        .await
    }

    #[tracing::instrument(skip_all)]
    async fn submit_feedback(&self, request: Request<SubmitFeedbackRequest>) -> Result<Response<SubmitFeedbackResponse>, Status> {
        self.respond(async {
            let given = convert::read_given(request.into_inner())?;
            let feedback = self.engine.submit_feedback(given).await?;
            Ok(SubmitFeedbackResponse { feedback: Some(convert::feedback(&feedback)) })
        })
        .await
    }

    #[tracing::instrument(skip_all)]
    async fn acknowledge_incident(
        &self,
        request: Request<AcknowledgeIncidentRequest>,
    ) -> Result<Response<AcknowledgeIncidentResponse>, Status> {
        self.respond(async {
            let AcknowledgeIncidentRequest { id, by, comment } = request.into_inner();
            let incident = self.engine.acknowledge(&id, &by, &comment).await?;
            Ok(AcknowledgeIncidentResponse { incident: Some(convert::incident_as_told(&incident, &self.engine)) })
        })
        .await
    }

    #[tracing::instrument(skip_all)]
    async fn list_feedback(&self, request: Request<ListFeedbackRequest>) -> Result<Response<ListFeedbackResponse>, Status> {
        self.respond(async {
            let request = request.into_inner();
            let size = page_size(request.page_size)?;
            let incident = (!request.incident.is_empty()).then_some(request.incident);
            let filter = FeedbackFilter { incident, in_force: request.in_force };
            let page = self.engine.store().feedback(&filter, size, &request.page_token).await?;
            Ok(ListFeedbackResponse {
                feedback: page.items.iter().map(convert::feedback).collect(),
                next_page_token: page.next.unwrap_or_default(),
            })
        })
        .await
    }

    #[tracing::instrument(skip_all)]
    async fn undo_feedback(&self, request: Request<UndoFeedbackRequest>) -> Result<Response<UndoFeedbackResponse>, Status> {
        self.respond(async {
            let id = request.into_inner().id;
            if id.is_empty() {
                return Err(Error::invalid("id", "is empty; ListFeedback tells the ids"));
            }
            let feedback = self.engine.undo_feedback(&id).await?;
            Ok(UndoFeedbackResponse { feedback: Some(convert::feedback(&feedback)) })
        })
        .await
    }

    #[tracing::instrument(skip_all)]
    async fn unacknowledge_incident(
        &self,
        request: Request<UnacknowledgeIncidentRequest>,
    ) -> Result<Response<UnacknowledgeIncidentResponse>, Status> {
        self.respond(async {
            let UnacknowledgeIncidentRequest { id, by, comment } = request.into_inner();
            let incident = self.engine.unacknowledge(&id, &by, &comment).await?;
            Ok(UnacknowledgeIncidentResponse { incident: Some(convert::incident_as_told(&incident, &self.engine)) })
        })
        .await
    }

    type WatchIncidentsStream = Pin<Box<dyn Stream<Item = Result<WatchIncidentsResponse, Status>> + Send>>;

    #[tracing::instrument(skip_all)]
    async fn watch_incidents(&self, request: Request<WatchIncidentsRequest>) -> Result<Response<Self::WatchIncidentsStream>, Status> {
        let service = request.into_inner().service;
        // Subscribe first: what changes while the open ones are read comes twice rather than never.
        let changes = self.engine.watch();
        let open = self.engine.store().open_incidents().await.map_err(|e| status::grpc(&e))?;
        let start = (open.into_iter(), changes, service);
        let engine = self.engine.clone();
        let stream = futures_util::stream::unfold(start, move |(mut open, mut changes, service)| {
            let engine = engine.clone();
            async move {
                loop {
                    let incident = match open.next() {
                        Some(incident) => incident,
                        None => match changes.recv().await {
                            Ok(incident) => incident,
                            Err(RecvError::Closed) => return None,
                            Err(RecvError::Lagged(missed)) => {
                                let error =
                                    Error::new(Code::ResourceExhausted, format!("the watcher missed {missed} changes; watch again"));
                                return Some((Err(status::grpc(&error)), (open, changes, service)));
                            }
                        },
                    };
                    if service.is_empty() || incident.service == service {
                        let response = WatchIncidentsResponse { incident: Some(convert::incident_as_told(&incident, &engine)) };
                        return Some((Ok(response), (open, changes, service)));
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(stream)))
    }
}
