//! The real servers, each on its own loopback port, stopped when the value is dropped.

#![allow(dead_code, reason = "each theme uses its own part")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How to get what is missing.
const INSTALL: &str = "apt-get install -y --no-install-recommends prometheus prometheus-alertmanager";
/// The longest a server may take to be ready or to stop.
const PATIENCE: Duration = Duration::from_secs(30);
/// Ports tried: another process may take one between its choice and its use.
const PORTS: usize = 5;

/// A server process with its configuration and its log in a folder of its own.
#[derive(Debug)]
struct Server {
    program: &'static str,
    args: Vec<String>,
    port: u16,
    dir: TempDir,
    child: Option<Child>,
}

impl Server {
    /// Starts `program` with the arguments and the configuration that `prepare` makes for a folder and a port.
    fn start(program: &'static str, prepare: impl Fn(&Path, u16) -> (Vec<String>, String)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut server = Self { program, args: Vec::new(), port: 0, dir, child: None };
        for _ in 0..PORTS {
            server.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let (args, config) = prepare(server.dir.path(), server.port);
            std::fs::write(server.config(), config).unwrap();
            server.args = args;
            if server.launch() {
                return server;
            }
        }
        panic!("{program} does not start; its log:\n{}", server.log());
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("config.yml")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Whether the process became ready; false if it ended by itself.
    fn launch(&mut self) -> bool {
        let log = File::options().create(true).append(true).open(self.dir.path().join("log")).unwrap();
        let child = Command::new(self.program)
            .arg(format!("--config.file={}", self.config().display()))
            .arg(format!("--web.listen-address=127.0.0.1:{}", self.port))
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap_or_else(|e| missing(self.program, &e)));
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if self.child.as_mut().unwrap().try_wait().unwrap().is_some() {
                self.child = None;
                return false;
            }
            if get(self.port, "/-/ready").is_some_and(|answer| answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200")) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{} is not ready after {PATIENCE:?}; its log:\n{}", self.program, self.log());
    }

    fn restart(&mut self) {
        self.stop();
        assert!(self.launch(), "{} does not start again on port {}; its log:\n{}", self.program, self.port, self.log());
    }

    /// Asks the process to end, so that it can save its state.
    fn stop(&mut self) {
        let Some(child) = &mut self.child else { return };
        let sent = Command::new("kill").arg(child.id().to_string()).status();
        let begin = Instant::now();
        while sent.as_ref().is_ok_and(std::process::ExitStatus::success) && begin.elapsed() < PATIENCE {
            if child.try_wait().unwrap().is_some() {
                self.child = None;
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill();
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            eprintln!("the last lines of {} on port {}:\n{}", self.program, self.port, lines[lines.len().saturating_sub(40)..].join("\n"));
        }
    }
}

fn missing(program: &str, error: &std::io::Error) -> ! {
    panic!("cannot run {program} ({error}); install the servers with\n\n    {INSTALL}\n")
}

/// The whole answer to a GET, if there is one.
fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus(Server);

impl Prometheus {
    /// A Prometheus over `tsdb_dir` that scrapes nothing and keeps 30 days.
    pub fn start(tsdb_dir: &Path, extra_args: &[&str]) -> Self {
        Self::start_with(tsdb_dir, "global: {}\n", extra_args)
    }

    /// A Prometheus with this configuration, in which `{port}` stands for its own port.
    pub fn start_with(tsdb_dir: &Path, config: &str, extra_args: &[&str]) -> Self {
        Self(Server::start("prometheus", |_, port| {
            let own = [format!("--storage.tsdb.path={}", tsdb_dir.display()), "--storage.tsdb.retention.time=30d".to_owned()];
            let args = own.into_iter().chain(extra_args.iter().map(ToString::to_string)).collect();
            (args, config.replace("{port}", &port.to_string()))
        }))
    }

    /// Its address, such as `http://127.0.0.1:9090`.
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// Ends it; [`Prometheus::restart`] brings it back.
    pub fn stop(&mut self) {
        self.0.stop();
    }

    /// Ends it if it runs and starts it on the same port with the same data.
    pub fn restart(&mut self) {
        self.0.restart();
    }
}

/// A running Alertmanager.
#[derive(Debug)]
pub struct Alertmanager(Server);

impl Alertmanager {
    /// An Alertmanager that tells `webhook_url`, if there is one, of each alert on its own, a second after
    /// it changed, and of its end. It repeats nothing.
    pub fn start(webhook_url: Option<&str>) -> Self {
        let webhook = webhook_url.map_or(String::new(), |url| format!("    webhook_configs: [{{url: '{url}', send_resolved: true}}]\n"));
        let route = "{receiver: test, group_by: ['...'], group_wait: 100ms, group_interval: 1s, repeat_interval: 24h}";
        Self::start_with(&format!("route: {route}\nreceivers:\n  - name: test\n{webhook}"), &[])
    }

    /// An Alertmanager with this configuration.
    pub fn start_with(config: &str, extra_args: &[&str]) -> Self {
        Self(Server::start("prometheus-alertmanager", |dir, _| {
            // Without an empty cluster address it would bind every interface.
            let own = [format!("--storage.path={}", dir.join("data").display()), "--cluster.listen-address=".to_owned()];
            (own.into_iter().chain(extra_args.iter().map(ToString::to_string)).collect(), config.to_owned())
        }))
    }

    /// Its address, such as `http://127.0.0.1:9093`.
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// Ends it; [`Alertmanager::restart`] brings it back.
    pub fn stop(&mut self) {
        self.0.stop();
    }

    /// Ends it if it runs and starts it on the same port with what it had saved.
    pub fn restart(&mut self) {
        self.0.restart();
    }
}

/// Writes the samples of an OpenMetrics text to `tsdb_dir` as blocks; start Prometheus over it afterwards.
pub fn write_history(openmetrics: &Path, tsdb_dir: &Path) {
    let mut command = Command::new("promtool");
    // Blocks of two weeks: with the default of two hours, two weeks of samples take minutes.
    command.args(["tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=336h"]).args([openmetrics, tsdb_dir]);
    let output = command.output().unwrap_or_else(|e| missing("promtool", &e));
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "promtool: {}", String::from_utf8_lossy(&said));
}
