//! A real PostgreSQL for the tests: one server for the whole process on loopback, a database for each test.

#![allow(dead_code, reason = "the integration tests use a part")]

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How to get what is missing.
const INSTALL: &str = "apt-get install -y --no-install-recommends postgresql";
/// The longest the server may take to be ready.
const PATIENCE: Duration = Duration::from_mins(1);
/// Ports tried: another process may take one between its choice and its use.
const PORTS: usize = 5;
/// Whoever comes over TCP needs it; over the socket everybody is let in.
pub const PASSWORD: &str = "p@ss/word";

/// Runs the server until its standard input closes, which the end of this process does, however it ends; then stops
/// the server by its pid and removes its folder.
const GUARDIAN: &str = r#"
trap '' INT TERM HUP
"$1/postgres" -D "$2/data" -k "$2" -p "$3" -c listen_addresses=127.0.0.1 -c ssl=on -c fsync=off -c max_connections=300 \
    -c shared_buffers=32MB -c autovacuum=off >"$2/log" 2>&1 </dev/null &
server=$!
cat >/dev/null
kill -QUIT "$server"
wait "$server"
rm -rf "$2"
"#;

struct Server {
    folder: PathBuf,
    port: u16,
    /// Held, for its standard input is what keeps the server alive.
    _guardian: Child,
}

/// The name of a new, empty database.
pub fn database() -> String {
    static DATABASES: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    ask("postgres", &format!("CREATE DATABASE {name}"));
    name
}

/// The address of a database by the server's socket.
pub fn address(database: &str) -> String {
    let server = server();
    format!("postgres://postgres@localhost:{}/{database}?host={}", server.port, server.folder.display())
}

/// The address of a database over TCP for `user`, with the password if it is to have one.
pub fn over_tcp(user: &str, database: &str) -> String {
    format!("postgres://{user}@127.0.0.1:{}/{database}", server().port)
}

/// The server's certificate.
pub fn certificate() -> PathBuf {
    server().folder.join("data/server.crt")
}

/// Runs statements in a database.
pub fn ask(database: &str, statements: &str) {
    let answer = server().psql(database, statements);
    assert!(answer.status.success(), "{statements}: {}", String::from_utf8_lossy(&answer.stderr));
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let programs = programs();
        (0..PORTS).find_map(|_| Server::start(&programs)).expect("PostgreSQL starts on one of several ports")
    })
}

impl Server {
    /// `None` if its port was taken meanwhile.
    fn start(programs: &Path) -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("bellwether-postgres-").tempdir().unwrap().keep();
        std::fs::write(folder.join("password"), PASSWORD).unwrap();
        let owner = owner();
        if let Some((user, group)) = owner {
            chown(&folder, Some(user), Some(group)).unwrap();
            chown(folder.join("password"), Some(user), Some(group)).unwrap();
        }
        let made = as_owner(&mut Command::new(programs.join("initdb")), owner, &folder)
            .args(["--no-sync", "--no-locale", "--encoding=UTF8", "--username=postgres", "--auth-local=trust", "--auth-host=scram-sha-256"])
            .arg(format!("--pwfile={}", folder.join("password").display()))
            .arg("-D")
            .arg(folder.join("data"))
            .output()
            .unwrap_or_else(|e| missing(&e));
        assert!(made.status.success(), "initdb fails:\n{}", String::from_utf8_lossy(&made.stderr));
        let subject = "-subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE";
        let certified = as_owner(&mut Command::new("openssl"), owner, &folder)
            .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(' '))
            .args(subject.split(' '))
            .args(["-keyout", "data/server.key", "-out", "data/server.crt"])
            .output()
            .unwrap_or_else(|e| missing(&e));
        assert!(certified.status.success(), "openssl fails:\n{}", String::from_utf8_lossy(&certified.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("sh");
        let command = as_owner(&mut command, owner, &folder).args(["-c", GUARDIAN, "guardian"]);
        let guardian = command.arg(programs).arg(&folder).arg(port.to_string()).stdin(Stdio::piped()).spawn().unwrap();
        let server = Self { folder, port, _guardian: guardian };
        server.is_ready().then_some(server)
    }

    /// Whether it answers; false if it ended by itself.
    fn is_ready(&self) -> bool {
        let begin = Instant::now();
        loop {
            if self.psql("postgres", "SELECT 1").status.success() {
                return true;
            }
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            if log.contains("could not create any TCP/IP sockets") {
                return false;
            }
            assert!(begin.elapsed() < PATIENCE, "PostgreSQL does not start; its log:\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn psql(&self, database: &str, statements: &str) -> std::process::Output {
        let mut child = Command::new(programs().join("psql"))
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-h"])
            .arg(&self.folder)
            .args(["-p", &self.port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| missing(&e));
        child.stdin.take().unwrap().write_all(statements.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }
}

/// The folder of the newest PostgreSQL's programs: on the PATH, or where Debian has them.
fn programs() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some((entry.as_ref().ok()?.file_name().to_str()?.parse::<u32>().ok()?, entry.ok()?.path().join("bin"))))
        .collect();
    debian.sort();
    let mut all = debian.into_iter().rev().map(|(_, path)| path).chain(std::env::split_paths(&path));
    all.find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
        .unwrap_or_else(|| missing(&std::io::ErrorKind::NotFound.into()))
}

fn missing(error: &std::io::Error) -> ! {
    panic!("cannot run PostgreSQL ({error}); install it with\n\n    {INSTALL}\n")
}

/// Whom the server runs as: it refuses to be root, so the package's user then.
fn owner() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt as _;
    let own = std::fs::metadata("/proc/self").unwrap().uid();
    if own != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("postgres:")).unwrap_or_else(|| missing(&std::io::ErrorKind::NotFound.into()));
    let mut numbers = line.split(':').skip(2).map(|text| text.parse().unwrap());
    numbers.next().zip(numbers.next())
}

fn as_owner<'a>(command: &'a mut Command, owner: Option<(u32, u32)>, folder: &Path) -> &'a mut Command {
    if let Some((user, group)) = owner {
        command.gid(group).uid(user);
    }
    command.current_dir(folder)
}
