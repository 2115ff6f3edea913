//! Runs the `host` binary with a home directory, a state and a cluster of its own.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::cluster::Lease;

/// A place of its own for one test: home directory, state, configuration files.
#[derive(Debug)]
pub struct World {
    directory: TempDir,
    lease: OnceLock<Lease>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// An empty world.
    ///
    /// # Panics
    /// When there is no room for a temporary directory.
    #[must_use]
    pub fn new() -> Self {
        Self { directory: TempDir::new().expect("a temporary directory"), lease: OnceLock::new() }
    }

    /// A path in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file into it.
    ///
    /// # Panics
    /// When the disk is full.
    pub fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("write a test's file");
        path
    }

    /// A `host` command in this world, not started yet.
    #[must_use]
    pub fn host<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Host {
        let mut command = Command::new(binary("host"));
        command.args(arguments);
        self.prepare(&mut command);
        Host { command }
    }

    fn prepare(&self, command: &mut Command) {
        command.env_clear();
        for kept in ["PATH", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        command.env("HOME", self.directory.path());
        // Compiled components are shared between the tests, for compiling is not what most of them are about.
        command.env("XDG_CACHE_HOME", target_directory().join("test-cache"));
        command.env("HOST_CONNECTOR_PATH", target_directory().join("connectors"));
        command.env("HOST_SMARTMODULE_PATH", target_directory().join("smartmodules"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    }

    /// A `host` command that finds a disk of so many bytes at `path`, in memory, empty and its own: others
    /// reach it through [`Running::inside`]. Nothing where this system lets nobody make one.
    ///
    /// # Panics
    /// When the directory can't be made.
    #[must_use]
    pub fn host_on_disk<S: AsRef<OsStr>>(
        &self,
        path: &Path,
        bytes: u64,
        arguments: impl IntoIterator<Item = S>,
    ) -> Option<Host> {
        let namespace = ["--user", "--map-root-user", "--mount"];
        let possible = Command::new("unshare").args(namespace).arg("true").stderr(Stdio::null()).status();
        if !possible.is_ok_and(|status| status.success()) {
            return None;
        }
        fs::create_dir_all(path).expect("make a directory");
        let mut command = Command::new("unshare");
        command.args(namespace).args(["sh", "-c"]);
        command.arg(format!("mount -t tmpfs -o size={bytes} none \"$1\" && shift && exec \"$@\""));
        command.arg("sh").arg(path).arg(binary("host")).args(arguments);
        self.prepare(&mut command);
        Some(Host { command })
    }

    /// Takes the cluster at `address` for this world, until the end of it.
    pub(crate) fn lease(&self, address: &str) {
        self.lease.get_or_init(|| Lease::take(self, address));
    }

    /// Runs `host` with these arguments, separated by blanks, to its end.
    #[must_use]
    pub fn run(&self, line: &str) -> Finished {
        self.host(line.split_whitespace()).finish(Duration::from_secs(120))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.clear(self);
        }
    }
}

/// The directory of the build that this test belongs to: `target`.
///
/// # Panics
/// When the test runs from anywhere else.
#[must_use]
pub fn target_directory() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test.ancestors().find(|p| p.join("deps").is_dir()).expect("a test lies in target/<profile>/deps");
    profile.parent().expect("target").to_owned()
}

/// A binary of the same build.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let path = test.ancestors().map(|p| p.join(name)).find(|p| p.is_file());
    path.unwrap_or_else(|| panic!("there is no binary {name} beside this test: run the tests with `just test`"))
}

/// A `host` command.
#[derive(Debug)]
pub struct Host {
    command: Command,
}

impl Host {
    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Gives it this file for standard input.
    ///
    /// # Panics
    /// When the file can't be read.
    #[must_use]
    pub fn stdin(mut self, file: &Path) -> Self {
        self.command.stdin(fs::File::open(file).expect("the input file"));
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn start(mut self) -> Running {
        let mut child = self.command.spawn().expect("start host");
        let stderr = child.stderr.take().expect("piped");
        let log = Arc::<Mutex<String>>::default();
        let copy = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = copy.lock().expect("log");
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut stdout = child.stdout.take().expect("piped");
        let out = std::thread::spawn(move || {
            let mut text = Vec::new();
            stdout.read_to_end(&mut text).map(|_| text)
        });
        Running { child, log, reader: Some(reader), out: Some(out), status: None }
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it does not end within `limit`; it is killed then.
    #[must_use]
    pub fn finish(self, limit: Duration) -> Finished {
        self.start().wait(limit)
    }
}

/// A `host` process. Killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<std::thread::JoinHandle<()>>,
    out: Option<std::thread::JoinHandle<std::io::Result<Vec<u8>>>>,
    status: Option<ExitStatus>,
}

impl Running {
    /// What it wrote to standard error so far.
    ///
    /// # Panics
    /// Never, unless a reader did.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().expect("log").clone()
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A path as the process sees it, which may have disks of its own.
    #[must_use]
    pub fn inside(&self, path: &Path) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.id(), path.display()))
    }

    /// Whether it still runs.
    ///
    /// # Panics
    /// When the system can't tell.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("ask for the process").is_none()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to stop, with SIGTERM.
    ///
    /// # Panics
    /// When there is no `kill` command.
    pub fn terminate(&self) {
        Command::new("kill").arg(self.child.id().to_string()).status().expect("the kill command");
    }

    /// Its resident memory in bytes, as Linux counts it; the peak so far.
    #[must_use]
    pub fn peak_memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
    }

    /// Waits until it has written `text` to standard error.
    ///
    /// # Panics
    /// When it has not within `limit`.
    pub fn wait_for_log(&self, text: &str, limit: Duration) {
        let start = Instant::now();
        while !self.log().contains(text) {
            assert!(start.elapsed() < limit, "no {text:?} within {limit:?} in:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end within `limit`; it is killed then.
    #[must_use]
    pub fn wait(mut self, limit: Duration) -> Finished {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("ask for the process") {
                break status;
            }
            if start.elapsed() > limit {
                self.kill();
                panic!("host did not end within {limit:?}:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        self.status = Some(status);
        let _ = self.reader.take().map(std::thread::JoinHandle::join);
        let out = self.out.take().expect("taken once").join().expect("reader").expect("standard output");
        Finished { code: status.code(), out: String::from_utf8_lossy(&out).into_owned(), log: self.log() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.kill();
        }
    }
}

/// What a `host` process left behind.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; `None` when it was killed.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub log: String,
}

impl Finished {
    /// Fails unless it ended with 0.
    ///
    /// # Panics
    /// When it did not.
    #[must_use]
    pub fn success(self) -> Self {
        assert_eq!(self.code, Some(0), "host failed:\n{}", self.log);
        self
    }
}

/// The lines of a text as numbers.
///
/// # Panics
/// When one of them is none.
#[must_use]
pub fn numbers(text: &str) -> Vec<u64> {
    text.lines().map(|l| l[..l.find(' ').unwrap_or(l.len())].parse().expect("a line starts with a number")).collect()
}
