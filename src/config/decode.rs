//! From the tree to the configuration: defaults, limits, and what may not be said together.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};

use super::reader::{Field, Notes, Section};
use super::tree::{Node, Value};
use super::{AlertmanagerConfig, Config, Defaults, Retention, Server, Telemetry, actions, monitors};
use crate::clock::DurationMs;
use crate::correlation::topology::{Call, CallSource, LONGEST_NAME, MOST_CALLS};
use crate::delivery::links;
use crate::endpoint;
use crate::engine::budget;
use crate::source::prometheus;
use crate::store::Database;
use crate::words::UnknownWord;

static LOG_LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
const SECOND: DurationMs = DurationMs::from_secs(1);
const TEN_MINUTES: DurationMs = DurationMs::from_secs(600);
/// No token or password is longer; no certificate bundle either.
const MOST_SECRET_BYTES: u64 = 64 * 1024;
const MOST_CERTIFICATE_BYTES: u64 = 4 * 1024 * 1024;
const SMALLEST_STORE: u64 = 1 << 20;
const LARGEST_STORE: u64 = 1 << 50;

/// The configuration in `root`; where a note was made, there is none or it is not to be used.
pub(super) fn config(root: Node, directory: &Path, notes: &Notes) -> Option<Config> {
    let mut root = Section::root(root, notes);
    let server = server(root.section("server"));
    let written = root.field("prometheus").filter(|f| f.node.value != Value::Null);
    let no_prometheus = written.is_none();
    let prometheus = written.and_then(|field| prometheus(field, directory));
    let alertmanagers = alertmanagers(root.list("alertmanagers"), directory);
    let mut budget = root.section("alert_budget");
    let budget_field = budget.field("per_day");
    let alert_budget_per_day = budget_field.as_ref().map_or(Some(10.0), |f| f.number(0.0, monitors::MOST_PER_DAY));
    budget.finish();
    let defaults = defaults(root.section("defaults"));
    let store = store(root.section("store"), directory);
    let retention = retention(root.section("retention"));
    let data_dir = root.field("data_dir").and_then(|f| data_dir(&f, directory)).unwrap_or_else(|| PathBuf::from("bellwether-data"));
    let catalogues = root.list("catalogues").iter().filter_map(|f| existing_file(f, directory)).collect();
    let telemetry = telemetry(root.section("telemetry"));
    let monitors = monitors::monitors(root.list("monitors"), &defaults);

    let mut discovery = root.section("discovery");
    let enabled = discovery.field("enabled").and_then(|f| f.truth());
    discovery.finish();
    let needed_by = [(!monitors.is_empty(), "the monitors"), (enabled == Some(true), "discovery")];
    if let Some((_, what)) = needed_by.iter().find(|(needed, _)| no_prometheus && *needed) {
        root.violation("prometheus.url", format!("is missing, and {what} cannot work without it; write it here or give --prometheus"));
    }
    let discovery = enabled.unwrap_or(monitors.is_empty());
    let mut events = root.section("events");
    let infer_events = events.field("infer").and_then(|f| f.truth()).unwrap_or(true);
    events.finish();
    if let Some(wrong) = alert_budget_per_day.and_then(|total| budget::misfit(total, &monitors, discovery)) {
        match &budget_field {
            Some(field) => field.wrong(wrong),
            None => root.violation("alert_budget.per_day", wrong),
        }
    }
    let mut topology = root.section("topology");
    let calls = calls(topology.list("calls"));
    let learn_calls = topology.field("learn").and_then(|f| f.truth()).unwrap_or(true);
    topology.finish();
    let actions = actions::actions(root.section("actions"), directory);
    let feedback = feedback(root.section("feedback"), directory);
    root.finish();
    Some(Config {
        server: server?,
        prometheus,
        alertmanagers,
        alert_budget_per_day: alert_budget_per_day?,
        defaults,
        store,
        retention,
        data_dir,
        catalogues,
        telemetry,
        monitors,
        discovery,
        infer_events,
        calls,
        learn_calls,
        actions,
        feedback,
    })
}

/// The links by which feedback is given.
fn feedback(mut section: Section<'_>, directory: &Path) -> links::Config {
    let field = section.field("secret_file");
    let secret_file = field.as_ref().and_then(|f| secret_file(f, directory));
    if let (Some(field), Some(path)) = (&field, &secret_file)
        && std::fs::read_to_string(path).is_ok_and(|secret| secret.trim().len() < links::LEAST_SECRET)
    {
        field.wrong(format!(
            "names a file with less than {} bytes, which can be guessed; `openssl rand -hex 32` gives a good one",
            links::LEAST_SECRET
        ));
    }
    let expire = section.field("links_expire").and_then(|f| f.duration(DurationMs::HOUR..=DurationMs::DAY * 365)).unwrap_or(links::EXPIRE);
    section.finish();
    links::Config { secret_file, expire }
}

/// Which service calls which.
fn calls(fields: Vec<Field<'_>>) -> Vec<Call> {
    if let Some(field) = fields.get(MOST_CALLS) {
        field.wrong(format!("is one of {} calls; there may be {MOST_CALLS}", fields.len()));
        return Vec::new();
    }
    let name = |field: Option<Field<'_>>| {
        let field = field?;
        let text = field.text()?;
        if text.len() <= LONGEST_NAME {
            return Some(text);
        }
        field.wrong(format!("has {} bytes; a service's name has at most {LONGEST_NAME}", text.len()));
        None
    };
    let call = |field: Field<'_>| {
        let mut section = field.section();
        let caller = name(section.required("caller", "name the service that calls"));
        let callee = name(section.required("callee", "name the service that is called"));
        section.finish();
        Some(Call { caller: caller?, callee: callee?, source: CallSource::Configured })
    };
    fields.into_iter().filter_map(call).collect()
}

fn server(mut section: Section<'_>) -> Option<Server> {
    let listen = section.field("listen").and_then(|f| listen(&f)).unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 9095)));
    let external_url = match section.field("external_url") {
        Some(field) => field.url(),
        None => own_url(listen),
    };
    let max_message_bytes = section.field("max_message_bytes").and_then(|f| f.whole(65_536..=67_108_864)).unwrap_or(4_194_304);
    let max_series = section.field("max_series").and_then(|f| f.whole(1..=100_000)).unwrap_or(1000);
    let max_points = section.field("max_points").and_then(|f| f.whole(1..=100_000_000)).unwrap_or(2_000_000);
    let max_concurrent_analyses = section.field("max_concurrent_analyses").and_then(|f| f.whole(1..=1024)).unwrap_or(4);
    let request_timeout = section.field("request_timeout").and_then(|f| f.duration(SECOND..=DurationMs::HOUR)).unwrap_or(SECOND * 30);
    section.finish();
    let external_url = external_url?;
    Some(Server { listen, external_url, max_message_bytes, max_series, max_points, max_concurrent_analyses, request_timeout })
}

/// An address to listen on. A port alone would mean every network there is, so it must be said in full.
fn listen(field: &Field<'_>) -> Option<SocketAddr> {
    let text = match &field.node.value {
        Value::Whole(port) => port.to_string(),
        _ => field.text()?,
    };
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", &text));
    let port = port.parse().unwrap_or(9095_u16);
    if matches!(host, "" | "*") {
        field.wrong(format!(
            "is `{text}`, which does not say on which address; write 127.0.0.1:{port} for this machine only, or 0.0.0.0:{port} for every network"
        ));
    } else {
        field.wrong(format!("is `{text}`; it must be an IP address and a port such as 127.0.0.1:{port}"));
    }
    None
}

/// How this machine reaches a server that listens on `listen`.
fn own_url(listen: SocketAddr) -> Option<Url> {
    let host = if listen.ip().is_unspecified() { format!("localhost:{}", listen.port()) } else { listen.to_string() };
    Url::parse(&format!("http://{host}")).ok()
}

fn prometheus(field: Field<'_>, directory: &Path) -> Option<prometheus::Config> {
    let mut section = field.section();
    let concurrency = section.field("concurrency").and_then(|f| f.whole(1..=64)).unwrap_or(4);
    let most_series = section.field("max_series").and_then(|f| f.whole(1..=1_000_000)).unwrap_or(5000);
    let most_points = section.field("max_points").and_then(|f| f.whole(1..=2_000_000_000)).unwrap_or(200_000_000);
    let endpoint = endpoint(&mut section, SECOND * 30, directory);
    section.finish();
    Some(prometheus::Config { endpoint: endpoint?, concurrency, most_series, most_points })
}

fn alertmanagers(fields: Vec<Field<'_>>, directory: &Path) -> Vec<AlertmanagerConfig> {
    let (mut names, mut urls) = (BTreeSet::new(), BTreeSet::new());
    let mut all = Vec::new();
    for field in fields {
        let read = if matches!(field.node.value, Value::Text(_)) {
            field.url().map(|url| (None, endpoint::Config { timeout: SECOND * 10, ..endpoint::Config::new(url) }))
        } else {
            let mut section = field.clone().section();
            let name = section.field("name").and_then(|f| f.text());
            let endpoint = endpoint(&mut section, SECOND * 10, directory);
            section.finish();
            endpoint.map(|endpoint| (name, endpoint))
        };
        let Some((name, endpoint)) = read else { continue };
        let name = name.unwrap_or_else(|| {
            let url = &endpoint.url;
            let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
            format!("{}{port}{}", url.host_str().unwrap_or_default(), url.path().trim_end_matches('/'))
        });
        if !urls.insert(endpoint.url.as_str().trim_end_matches('/').to_owned()) {
            field.wrong(format!("has the address {} a second time; every alert would be sent to it twice", endpoint.url));
        } else if !names.insert(name.clone()) {
            field.wrong(format!("has the name `{name}` a second time; give each Alertmanager a name of its own"));
        }
        all.push(AlertmanagerConfig { name, endpoint });
    }
    all
}

/// The fields that every server has.
pub(super) fn endpoint(section: &mut Section<'_>, timeout: DurationMs, directory: &Path) -> Option<endpoint::Config> {
    let url = section.required("url", "give the address of the server").and_then(|f| f.url());
    let timeout = section.field("timeout").and_then(|f| f.duration(SECOND..=TEN_MINUTES)).unwrap_or(timeout);
    let basic_auth = section.field("basic_auth").and_then(|field| {
        let mut inner = field.section();
        let hint = "basic_auth needs a username and a password_file";
        let username = inner.required("username", hint).and_then(|f| f.text());
        let password_file = inner.required("password_file", hint).and_then(|f| secret_file(&f, directory));
        inner.finish();
        username.zip(password_file)
    });
    let bearer = section.field("bearer_token_file");
    let bearer_token_file = bearer.as_ref().and_then(|f| secret_file(f, directory));
    if let (Some(field), true) = (&bearer, section.was_written("basic_auth")) {
        field.wrong("is given besides basic_auth; a request carries one of them, so keep one");
    }
    let ca_file = section.field("ca_file").and_then(|f| certificates(&f, directory));
    let mut headers = BTreeMap::new();
    for (name, field) in section.map("headers") {
        if let Some(value) = header(&name, &field) {
            headers.insert(name, value);
        }
    }
    Some(endpoint::Config { url: url?, basic_auth, bearer_token_file, ca_file, headers, header_files: BTreeMap::new(), timeout })
}

/// A header's value. It may be a secret and is not shown.
fn header(name: &str, field: &Field<'_>) -> Option<String> {
    let value = field.text()?;
    if !is_free(name, field) {
        return None;
    }
    if HeaderValue::try_from(&value).is_err() {
        field.wrong("has a value that HTTP does not allow: control characters, such as a line break");
        return None;
    }
    Some(value)
}

/// Whether a header may be set.
pub(super) fn is_free(name: &str, field: &Field<'_>) -> bool {
    if HeaderName::try_from(name).is_err() {
        field.wrong("is not a name that HTTP allows for a header");
    } else if ["authorization", "host", "content-length", "content-type", "transfer-encoding"].contains(&name.to_lowercase().as_str()) {
        let instead = if name.eq_ignore_ascii_case("authorization") { "; use basic_auth or bearer_token_file" } else { "" };
        field.wrong(format!("cannot be set as an extra header{instead}"));
    } else {
        return true;
    }
    false
}

/// A file that holds a secret. Where it lies is not shown, for what was written there may be the secret itself.
pub(super) fn secret_file(field: &Field<'_>, directory: &Path) -> Option<PathBuf> {
    let path = field.file_path(directory)?;
    match std::fs::metadata(&path) {
        Err(e) => field.wrong(format!("names a file that cannot be read: {e}; give the path of a file that holds the secret")),
        Ok(file) if !file.is_file() => field.wrong("names something that is not a file; give the path of a file that holds the secret"),
        Ok(file) if file.len() > MOST_SECRET_BYTES => {
            field.wrong(format!("names a file of {} bytes; a secret has at most {MOST_SECRET_BYTES}", file.len()));
        }
        Ok(_) => match std::fs::read_to_string(&path) {
            Err(e) => field.wrong(format!("names a file that cannot be read: {e}")),
            Ok(secret) if secret.trim().is_empty() => field.wrong("names an empty file; it must hold the secret"),
            Ok(secret) if secret.trim().contains(char::is_control) => {
                field.wrong("names a file of several lines; it must hold the secret alone");
            }
            Ok(_) => return Some(path),
        },
    }
    None
}

fn certificates(field: &Field<'_>, directory: &Path) -> Option<PathBuf> {
    let path = existing_file(field, directory)?;
    let size = std::fs::metadata(&path).map_or(0, |file| file.len());
    if size > MOST_CERTIFICATE_BYTES {
        field.wrong(format!("names a file of {size} bytes; certificates have at most {MOST_CERTIFICATE_BYTES}"));
        return None;
    }
    match std::fs::read_to_string(&path) {
        Ok(pem) if pem.contains("-----BEGIN CERTIFICATE-----") => Some(path),
        Ok(_) => {
            field.wrong(format!("names {}, which holds no PEM certificate", path.display()));
            None
        }
        Err(e) => {
            field.wrong(format!("names {}, which cannot be read: {e}", path.display()));
            None
        }
    }
}

fn existing_file(field: &Field<'_>, directory: &Path) -> Option<PathBuf> {
    let path = field.file_path(directory)?;
    match std::fs::metadata(&path) {
        Ok(file) if file.is_file() => Some(path),
        Ok(_) => {
            field.wrong(format!("names {}, which is not a file", path.display()));
            None
        }
        Err(e) => {
            field.wrong(format!("names {}, which cannot be read: {e}", path.display()));
            None
        }
    }
}

fn data_dir(field: &Field<'_>, directory: &Path) -> Option<PathBuf> {
    let path = field.file_path(directory)?;
    if path.exists() && !path.is_dir() {
        field.wrong(format!("names {}, which is not a directory", path.display()));
        return None;
    }
    Some(path)
}

fn defaults(mut section: Section<'_>) -> Defaults {
    let standard = Defaults::default();
    let (step, window) = monitors::step_and_window(&mut section, &standard);
    let defaults = Defaults {
        step,
        window,
        refit: section.field("refit").and_then(|f| f.duration(TEN_MINUTES..=DurationMs::DAY * 30)).unwrap_or(standard.refit),
        patience: section.field("patience").and_then(|f| f.duration(DurationMs::ZERO..=DurationMs::HOUR)).unwrap_or(standard.patience),
        resend: section.field("resend").and_then(|f| f.duration(SECOND * 5..=DurationMs::HOUR)).unwrap_or(standard.resend),
        service_label: section.field("service_label").and_then(|f| monitors::label_name(&f)).unwrap_or(standard.service_label),
    };
    section.finish();
    defaults
}

/// The database that replicas share.
fn store(mut section: Section<'_>, directory: &Path) -> Option<Database> {
    let url = section.field("url");
    let password = section.field("password_file");
    let database = url.and_then(|field| match field.text()?.parse::<Database>() {
        Ok(database) => Some(database),
        Err(why) => {
            field.wrong(why);
            None
        }
    });
    // The file was found to be there and to hold one line.
    let secret = password.as_ref().and_then(|f| secret_file(f, directory)).and_then(|path| std::fs::read_to_string(path).ok());
    if let Some(field) = &password {
        if !section.was_written("url") {
            field.wrong("is given without store.url; name the database, or leave it out");
        } else if database.as_ref().is_some_and(Database::has_password) {
            field.wrong("is given besides a password in store.url; keep one of them");
        }
    }
    let database = match (database, secret) {
        (Some(database), Some(secret)) => Some(database.with_password(secret.trim())),
        (database, _) => database,
    };
    section.finish();
    database
}

fn retention(mut section: Section<'_>) -> Retention {
    let age = section.field("age").and_then(|f| f.duration(DurationMs::DAY..=DurationMs::DAY * 3650));
    let size = section.field("size").and_then(|f| f.size(SMALLEST_STORE..=LARGEST_STORE));
    section.finish();
    Retention { age: age.unwrap_or(DurationMs::DAY * 90), size }
}

fn telemetry(mut section: Section<'_>) -> Telemetry {
    let log_level = section.field("log_level").and_then(|f| f.word::<LogLevel>(&LOG_LEVELS)).map_or(tracing::Level::INFO, |word| word.0);
    let otlp_endpoint = section.field("otlp_endpoint").and_then(|f| f.url());
    section.finish();
    Telemetry { log_level, otlp_endpoint }
}

/// A level by its word only; `tracing` would take numbers too.
struct LogLevel(tracing::Level);

impl std::str::FromStr for LogLevel {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let unknown = || UnknownWord { found: text.to_owned(), allowed: &LOG_LEVELS };
        if LOG_LEVELS.contains(&text) { text.parse().map(Self).map_err(|_| unknown()) } else { Err(unknown()) }
    }
}
