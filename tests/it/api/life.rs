//! Acknowledging, and the generic webhook: over gRPC, by the pages' form and by HTTP.

use bellwether::proto::{
    AcknowledgeIncidentRequest, GetIncidentRequest, Incident, Priority, TurnKind, UnacknowledgeIncidentRequest, WatchIncidentsRequest,
};
use reqwest::header::{HOST, LOCATION, ORIGIN};
use tonic::Code;

use super::*;

async fn acknowledge(served: &Served, id: &str, by: &str, comment: &str) -> Result<Incident, tonic::Status> {
    let request = AcknowledgeIncidentRequest { id: id.to_owned(), by: by.to_owned(), comment: comment.to_owned() };
    Ok(served.incidents().acknowledge_incident(request).await?.into_inner().incident.unwrap())
}

async fn unacknowledge(served: &Served, id: &str) -> Incident {
    let request = UnacknowledgeIncidentRequest { id: id.to_owned(), by: "bob".to_owned(), comment: String::new() };
    served.incidents().unacknowledge_incident(request).await.unwrap().into_inner().incident.unwrap()
}

async fn get(served: &Served, id: &str) -> Incident {
    served.incidents().get_incident(GetIncidentRequest { id: id.to_owned() }).await.unwrap().into_inner().incident.unwrap()
}

fn turns(incident: &Incident) -> Vec<TurnKind> {
    incident.life.iter().map(proto::Turn::what).collect()
}

/// Sends a form to `path` with more headers; the status and where it leads.
async fn send(served: &Served, path: &str, form: &[(&str, &str)], headers: &[(reqwest::header::HeaderName, &str)]) -> (u16, String) {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let mut request = client.post(format!("{}{path}", served.url)).form(form);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let answer = request.send().await.unwrap();
    let location = answer.headers().get(LOCATION).map(|to| to.to_str().unwrap().to_owned());
    (answer.status().as_u16(), location.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_acknowledged_and_taken_back_over_grpc_and_by_the_form() {
    let served = Served::over_the_shop(MONITORS).await;
    let incident = served.incident().await;
    let (priority, reason) = incident.urgency.as_ref().map(|u| (u.priority(), u.reason.clone())).unwrap();
    assert!(priority != Priority::Unspecified && reason.starts_with("saturation of payment"), "{priority:?} {reason}");
    assert_eq!(turns(&incident), [TurnKind::Opened]);
    let request = WatchIncidentsRequest { service: "payment".to_owned() };
    let mut watched = served.incidents().watch_incidents(request).await.unwrap().into_inner();

    let taken = acknowledge(&served, &incident.id, " ann ", "looking").await.unwrap();
    assert_eq!(taken.acknowledged.as_ref().map(|a| (a.by.as_str(), a.comment.as_str())), Some(("ann", "looking")));
    assert_eq!((taken.state(), turns(&taken)), (proto::IncidentState::Open, vec![TurnKind::Opened, TurnKind::Acknowledged]));
    let told = async {
        loop {
            let incident = watched.message().await.unwrap().unwrap().incident.unwrap();
            if incident.acknowledged.is_some() {
                return incident;
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, told).await.unwrap().id, incident.id);
    // Said again it is the same, and another takes it over.
    assert_eq!(acknowledge(&served, &incident.id, "ann", "looking").await.unwrap().acknowledged, taken.acknowledged);
    assert_eq!(acknowledge(&served, &incident.id, "bob", "").await.unwrap().acknowledged.unwrap().by, "bob");
    assert_eq!(unacknowledge(&served, &incident.id).await.acknowledged, None);
    let stored = get(&served, &unacknowledge(&served, &incident.id).await.id).await;
    let expected = [TurnKind::Opened, TurnKind::Acknowledged, TurnKind::Acknowledged, TurnKind::Unacknowledged];
    assert_eq!((turns(&stored).as_slice(), stored.severity, &stored.service), (&expected[..], incident.severity, &incident.service));

    for (id, by, comment, code, part) in [
        ("inc-000000000000", "ann", "", Code::NotFound, "there is no incident"),
        (incident.id.as_str(), "  ", "", Code::InvalidArgument, "by: is empty"),
        (&incident.id, &"x".repeat(201), "", Code::InvalidArgument, "201 bytes"),
        (&incident.id, "ann", &"x".repeat(2001), Code::InvalidArgument, "2001 bytes"),
        (&incident.id, "a\u{7}", "", Code::InvalidArgument, "control characters"),
    ] {
        let error = acknowledge(&served, id, by, comment).await.unwrap_err();
        assert!(error.code() == code && error.message().contains(part), "{error:?}");
    }

    let page = format!("/incidents/{}", incident.id);
    let path = format!("{page}/acknowledge");
    let host = served.url.strip_prefix("http://").unwrap().to_owned();
    let own = [(HOST, host.as_str()), (ORIGIN, served.url.as_str())];
    for elsewhere in
        [vec![(ORIGIN, "http://evil.example")], vec![("sec-fetch-site".parse().unwrap(), "cross-site")], vec![(ORIGIN, "null")]]
    {
        assert_eq!(send(&served, &path, &[("by", "eve")], &elsewhere).await.0, 403, "{elsewhere:?}");
    }
    assert_eq!(get(&served, &incident.id).await.acknowledged, None);
    assert_eq!(send(&served, &path, &[("by", "Änn"), ("comment", "a & b <script>")], &own).await, (303, page.clone()));
    let text = served.get(&page).await.2;
    assert!(text.contains("a &amp; b &lt;script&gt;") && text.contains("Änn") && !text.contains("<script"), "{text}");
    assert_eq!(send(&served, &path, &[("by", "bob"), ("comment", ""), ("undo", "yes")], &own).await.0, 303);
    assert_eq!(get(&served, &incident.id).await.acknowledged, None);
    for (form, status) in [(vec![("comment", "x")], 400), (vec![("by", "")], 400)] {
        assert_eq!(send(&served, &path, &form, &own).await.0, status);
    }
    assert_eq!(send(&served, "/incidents/inc-000000000000/acknowledge", &[("by", "ann")], &own).await.0, 404);
    served.stop().await;
}

#[tokio::test]
async fn anything_can_tell_of_changes_by_the_webhook() {
    let served = Served::start("").await;
    let post = async |body: &str, origin: Option<&str>| {
        let mut request = http().post(format!("{}/webhook/events", served.url)).body(body.to_owned());
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let one = r#"{"kind":"deployment","title":"cart 2.0","service":"cart","labels":{"version":"2.0"},"starts_at":"2026-01-31T08:00:00Z"}"#;
    assert_eq!(post(one, None).await, (200, r#"{"events":1}"#.to_owned()));
    let two = format!(r#"{{"events":[{one},{{"id":"f-1","kind":"feature_flag","title":"new checkout","source":"flags"}}]}}"#);
    assert_eq!(post(&two, None).await.0, 200);
    let listed = served.events().list_events(proto::ListEventsRequest::default()).await.unwrap().into_inner().events;
    assert_eq!(listed.len(), 2, "told twice it is one: {listed:?}");
    assert!(listed.iter().any(|e| e.id == "f-1" && e.source == "flags") && listed.iter().any(|e| e.title == "cart 2.0"));
    let (status, body) = post(r#"[{"kind":"deployment"}]"#, None).await;
    assert!(status == 400 && body.contains(r#""field":"[0].title""#), "{body}");
    assert_eq!(post(one, Some("http://evil.example")).await.0, 403);
    served.stop().await;
}
