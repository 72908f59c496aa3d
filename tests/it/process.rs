//! The built `bellwether serve`, stopped when the value is dropped.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The longest it may take to listen or to stop.
const PATIENCE: Duration = Duration::from_secs(30);
/// Ports tried: another process may take one between its choice and its use.
const PORTS: usize = 5;

/// A process of the built binary on a loopback port of its own, with its log in a folder of its own.
#[derive(Debug)]
pub struct Bellwether {
    args: Vec<String>,
    port: u16,
    dir: TempDir,
    child: Option<Child>,
}

impl Bellwether {
    /// Runs `bellwether serve` with `args` and an address to listen on, until it listens there.
    pub fn serve(args: &[&str]) -> Self {
        let args = args.iter().map(ToString::to_string).collect();
        let mut process = Self { args, port: 0, dir: tempfile::tempdir().unwrap(), child: None };
        for _ in 0..PORTS {
            process.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if process.launch() {
                return process;
            }
        }
        panic!("bellwether does not start; its log:\n{}", process.log());
    }

    /// Its address, such as `http://127.0.0.1:9095`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Everything it wrote, in all its lives.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// The most memory it ever had, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let pid = self.child.as_ref().unwrap().id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// Ends it without a warning (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Lets it sleep (SIGSTOP) until [`Bellwether::go_on`].
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Wakes it up (SIGCONT).
    pub fn go_on(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Asks it to end (SIGTERM) and tells how it did.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        let child = self.child.as_mut().unwrap();
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if let Some(status) = child.try_wait().unwrap() {
                self.child = None;
                return status;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("bellwether does not stop within {PATIENCE:?}");
    }

    /// Starts it again, on the same port with the same arguments.
    pub fn start(&mut self) {
        self.kill();
        assert!(self.launch(), "bellwether does not start again on port {}", self.port);
    }

    /// Whether the process listens; false if it ended by itself.
    fn launch(&mut self) -> bool {
        let log = File::options().create(true).append(true).open(self.dir.path().join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_bellwether"))
            .arg("serve")
            .args(&self.args)
            .arg(format!("--listen=127.0.0.1:{}", self.port))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap());
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if !self.is_running() {
                self.child = None;
                return false;
            }
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("bellwether does not listen after {PATIENCE:?}");
    }
}

impl Drop for Bellwether {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            eprintln!("the last lines of bellwether on port {}:\n{}", self.port, lines[lines.len().saturating_sub(40)..].join("\n"));
        }
    }
}
