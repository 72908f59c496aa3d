//! What people say: by gRPC, on the pages, and by the link of an alert, over the built binary with its restarts.

use bellwether::delivery::links::Links;
use bellwether::proto::{
    Feedback, GetIncidentRequest, Incident, ListFeedbackRequest, ListIncidentsRequest, SubmitFeedbackRequest, UndoFeedbackRequest, Verdict,
};
use reqwest::header::{HeaderMap, ORIGIN};
use tonic::Code;

use super::*;
use crate::process::Bellwether;

const SECRET: &str = "a secret that only this test knows";

struct Running {
    process: Bellwether,
    folder: TempDir,
    /// The link in the incident's alert.
    link: String,
}

impl Running {
    /// The binary over the shop, until its alert has arrived.
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (prometheus, receiver) = (serve_shop().await, listener.local_addr().unwrap());
        let (sender, mut changes) = tokio::sync::mpsc::channel(64);
        tokio::spawn(simulator::receiver::receive(listener, Arc::new(Clock::System), sender, std::future::pending()));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bellwether.yaml");
        std::fs::write(folder.path().join("secret"), SECRET).unwrap();
        let yaml = format!(
            "data_dir: data\nprometheus: {{url: '{prometheus}'}}\nalertmanagers: ['http://{receiver}']\nfeedback: {{secret_file: secret}}\n{MONITORS}"
        );
        std::fs::write(&file, yaml).unwrap();
        let args = ["-c".to_owned(), file.display().to_string()];
        let process = tokio::task::spawn_blocking(move || Bellwether::serve(&args.each_ref().map(String::as_str))).await.unwrap();
        let told = tokio::time::timeout(PATIENCE, changes.recv()).await.unwrap().unwrap();
        let link = told.alert.annotations["feedback_url"].clone();
        Self { process, folder, link }
    }

    async fn client(&self) -> IncidentServiceClient<Channel> {
        IncidentServiceClient::new(Channel::from_shared(self.process.url()).unwrap().connect().await.unwrap())
    }

    async fn incident(&self) -> Incident {
        let mut client = self.client().await;
        let all = client.list_incidents(ListIncidentsRequest { state: 1, ..Default::default() }).await.unwrap().into_inner().incidents;
        let id = all.into_iter().find(|i| i.service == "payment").unwrap().id;
        client.get_incident(GetIncidentRequest { id }).await.unwrap().into_inner().incident.unwrap()
    }

    async fn said(&self) -> Vec<Feedback> {
        self.client().await.list_feedback(ListFeedbackRequest::default()).await.unwrap().into_inner().feedback
    }

    /// Status and page of what is at `url`.
    async fn look(&self, url: &str) -> (u16, HeaderMap, String) {
        let answer = http().get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.headers().clone(), answer.text().await.unwrap())
    }

    /// Status and page of a form that was sent; where it leads is not followed.
    async fn send(&self, url: &str, form: &str, origin: Option<&str>) -> (u16, String) {
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let own = self.process.url();
        let request = client.post(url).header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
        let answer = request.header(ORIGIN, origin.unwrap_or(&own)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one life of one incident")]
async fn what_is_said_of_an_incident_is_kept_shown_and_taken_back() {
    let mut running = Running::start().await;
    let incident = running.incident().await;
    assert_eq!(incident.feedback, []);
    let link = running.link.clone();
    let start = format!("{}/feedback/{}.", running.process.url(), incident.id);
    assert!(link.starts_with(&start), "{link} does not start with {start}");

    // Programs that show previews of links look at them: that says nothing.
    for _ in 0..2 {
        let (status, headers, page) = running.look(&link).await;
        assert_eq!(status, 200, "{page}");
        assert!(headers["content-security-policy"].to_str().unwrap().contains("form-action 'self'"), "{headers:?}");
        assert!(page.contains(&incident.suggestions[0].title) && page.contains("Expected from now on"), "{page}");
    }
    assert_eq!(running.said().await, []);

    // What was changed, has expired, or is of another incident is no link.
    let other = link.replace(&incident.id, "inc-000000000000");
    let mut of_old: bellwether::incident::Incident = serde_json::from_str(include_str!("../../fixtures/incident.json")).unwrap();
    of_old.id.clone_from(&incident.id);
    let expired = Links::new(SECRET.as_bytes(), DurationMs::DAY).url(&running.process.url(), &of_old);
    for (wrong, code, says) in [
        (format!("{}0", &link[..link.len() - 1]), 404, "there is no such link"),
        (format!("{}1", &link[..link.len() - 1]), 404, "there is no such link"),
        (other, 404, "there is no such link"),
        (expired, 409, "this link was good until"),
    ] {
        if wrong == link {
            continue;
        }
        for (status, page) in [running.send(&wrong, "verdict=noise", None).await, {
            let (status, _, page) = running.look(&wrong).await;
            (status, page)
        }] {
            assert!(status == code && page.contains(says), "{wrong}: {status} {page}");
        }
    }
    // Nor is a form good that another site sent, or that says nothing.
    let (status, page) = running.send(&link, "verdict=noise", Some("https://evil.example")).await;
    assert!(status == 400 && page.contains("evil.example"), "{page}");
    let (status, page) = running.send(&link, "verdict=great", None).await;
    assert!(status == 400 && page.contains("useful, noise, expected, wrong_cause, fixed"), "{page}");
    assert_eq!(running.said().await, []);

    // Sent twice it is said once.
    let own = running.process.url();
    for _ in 0..2 {
        let (status, page) = running.send(&link, "verdict=noise&comment=every+night", Some(&own)).await;
        assert!(status == 200 && page.contains("Thank you") && page.contains("every night"), "{page}");
    }
    let said = running.said().await;
    assert_eq!(said.len(), 1, "{said:#?}");
    assert_eq!(
        (said[0].verdict(), said[0].incident.as_str(), said[0].comment.as_str()),
        (Verdict::Noise, incident.id.as_str(), "every night")
    );
    assert!(said[0].findings.iter().any(|f| f.monitor == "pool" && f.deviation > 0.0), "{said:#?}");

    // By gRPC: a cause is wrong, and ranks lower at once.
    let mut client = running.client().await;
    let ask = |verdict: Verdict| SubmitFeedbackRequest {
        incident: incident.id.clone(),
        verdict: verdict.into(),
        author: "anna".to_owned(),
        ..Default::default()
    };
    let wrong = client.submit_feedback(ask(Verdict::WrongCause)).await.unwrap().into_inner().feedback.unwrap();
    assert_eq!(wrong.cause, incident.causes[0].id);
    let now = running.incident().await;
    assert_eq!(now.feedback.iter().map(proto::Feedback::verdict).collect::<Vec<_>>(), [Verdict::WrongCause, Verdict::Noise]);
    let named = now.causes.iter().find(|c| c.id == wrong.cause).unwrap();
    assert!(named.reason.contains("people said once that it was not such a cause"), "{named:?}");
    assert!((now.causes.iter().map(|c| c.weight).sum::<f64>() - 1.0).abs() < 1e-9);

    // On the page of the incident: a suggestion helped, and the verdict of the link is taken back.
    let page = format!("{own}/incidents/{}", incident.id);
    let form = format!("verdict=fixed&suggestion={}", incident.suggestions[0].id);
    assert_eq!(running.send(&format!("{page}/feedback"), &form, Some("null")).await.0, 400);
    assert_eq!(running.send(&format!("{page}/feedback"), &form, Some(&own)).await.0, 303);
    let (_, _, shown) = running.look(&page).await;
    assert!(shown.contains("This fixed it") && shown.contains("by anna"), "{shown}");
    let undo = format!("{page}/feedback/{}/undo", said[0].id);
    assert!(shown.contains(undo.strip_prefix(&own).unwrap()), "{shown}");
    assert_eq!(running.look(&undo).await.0, 405);
    assert_eq!(running.send(&undo, "", Some(&own)).await.0, 303);

    // What cannot be is refused, and every field is named.
    let bad = [
        SubmitFeedbackRequest::default(),
        SubmitFeedbackRequest { verdict: 9, ..ask(Verdict::Noise) },
        SubmitFeedbackRequest { cause: "moon@sky".to_owned(), comment: "x".repeat(2000), ..ask(Verdict::WrongCause) },
        SubmitFeedbackRequest { suggestion: "pray".to_owned(), ..ask(Verdict::Noise) },
        ask(Verdict::Fixed),
    ];
    let mut fields = Vec::new();
    for request in bad {
        let status = client.submit_feedback(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        fields.push(details.bad_request().unwrap().field_violations.iter().map(|v| v.field.clone()).collect::<Vec<_>>().join(" "));
    }
    assert_eq!(fields, ["verdict incident", "verdict", "cause comment", "suggestion", "suggestion"]);
    let nobody = SubmitFeedbackRequest { incident: "inc-000000000000".to_owned(), ..ask(Verdict::Noise) };
    assert_eq!(client.submit_feedback(nobody).await.unwrap_err().code(), Code::NotFound);
    let unknown = UndoFeedbackRequest { id: "fb-0".to_owned() };
    assert_eq!(client.undo_feedback(unknown).await.unwrap_err().message(), "there is no feedback `fb-0`");

    // A restart keeps all of it, what was taken back among it, and the link is still good.
    let before = running.said().await;
    assert_eq!(before.iter().filter(|f| f.undone_at.is_some()).map(|f| f.id.as_str()).collect::<Vec<_>>(), [said[0].id.as_str()]);
    let Running { mut process, folder, link } = running;
    let process = tokio::task::spawn_blocking(move || {
        process.start();
        process
    })
    .await
    .unwrap();
    running = Running { process, folder, link };
    assert_eq!(running.said().await, before);
    assert_eq!(running.look(&running.link).await.0, 200);
    let now = running.incident().await;
    assert_eq!(now.feedback.len(), 2);
    let undone =
        running.client().await.undo_feedback(UndoFeedbackRequest { id: wrong.id.clone() }).await.unwrap().into_inner().feedback.unwrap();
    assert!(undone.undone_at.is_some());
    let now = running.incident().await;
    assert!(now.causes.iter().all(|c| !c.reason.contains("people said")), "{:?}", now.causes);
}
