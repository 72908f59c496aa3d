use tonic::{Request, Response, Status};

use super::{Api, page_size};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::proto::event_service_server::EventService;
use crate::proto::{ListEventsRequest, ListEventsResponse, PublishEventsRequest, PublishEventsResponse};
use crate::service::convert;
use crate::store::EventFilter;

/// The most events one request may bring.
const MOST_EVENTS: usize = 1000;

#[tonic::async_trait]
impl EventService for Api {
    #[tracing::instrument(skip_all)]
    async fn publish_events(&self, request: Request<PublishEventsRequest>) -> Result<Response<PublishEventsResponse>, Status> {
        self.respond(async {
            let given = request.into_inner().events;
            if given.len() > MOST_EVENTS {
                return Err(Error::invalid("events", format!("{} events; at most {MOST_EVENTS} are taken in one request", given.len())));
            }
            let now = self.engine.clock().now();
            let mut violations = Vec::new();
            let mut events: Vec<Event> = Vec::with_capacity(given.len());
            for (i, event) in given.iter().enumerate() {
                match convert::read_event(&format!("events[{i}]"), event, now) {
                    Ok(event) => events.push(event),
                    Err(error) => violations.extend(error.violations),
                }
            }
            if !violations.is_empty() {
                violations.truncate(100);
                return Err(Error::violations(violations));
            }
            self.engine.publish(events.clone()).await?;
            Ok(PublishEventsResponse { events: events.iter().map(convert::event).collect() })
        })
        .await
    }

    #[tracing::instrument(skip_all)]
    async fn list_events(&self, request: Request<ListEventsRequest>) -> Result<Response<ListEventsResponse>, Status> {
        self.respond(async {
            let request = request.into_inner();
            let size = page_size(request.page_size)?;
            let kind = convert::read_event_kind("kind", request.kind)?;
            let filter = EventFilter { kind, service: (!request.service.is_empty()).then_some(request.service) };
            let page = self.engine.store().events(&filter, size, &request.page_token).await?;
            Ok(ListEventsResponse {
                events: page.items.iter().map(convert::event).collect(),
                next_page_token: page.next.unwrap_or_default(),
            })
        })
        .await
    }
}
