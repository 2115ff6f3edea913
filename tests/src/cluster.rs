//! Where a test's records go: a broker of its own, or the cluster that `HOST_TEST_CLUSTER` names.
//!
//! That cluster is one for all tests, and they use the same names. So they take turns on it, each finds it
//! empty and leaves it empty; a cluster that has topics at the start is somebody's, and is left alone.

use std::fs::File;
use std::time::Duration;

use crate::host::target_directory;
use crate::{Running, World, eventually};

/// How long a cluster may take to remove what a test left.
const CLEARED_WITHIN: Duration = Duration::from_secs(60);

/// The right to use the cluster from outside, alone.
#[derive(Debug)]
pub(crate) struct Lease {
    address: String,
    _turn: File,
}

impl Lease {
    /// Waits for the other tests, and looks whether the cluster is empty.
    pub(crate) fn take(world: &World, address: &str) -> Self {
        let turn = File::create(target_directory().join("test-cluster.lock")).expect("a file to take turns by");
        turn.lock().expect("a turn on the cluster");
        let lease = Self { address: address.to_owned(), _turn: turn };
        for kind in ["topic", "smartmodule"] {
            let found = lease.list(world, kind);
            assert!(
                found.is_empty(),
                "the cluster at {address} has the {kind}s {found:?}: HOST_TEST_CLUSTER wants one that is empty, \
                 since tests remove everything from it"
            );
        }
        lease
    }

    /// Removes everything that the test made.
    pub(crate) fn clear(self, world: &World) {
        for kind in ["topic", "smartmodule"] {
            for name in self.list(world, kind) {
                let _ = world.run(&format!("{kind} delete {name} --cluster {}", self.address));
            }
        }
        // A test that fails says why itself; a second panic would hide it.
        if !std::thread::panicking() {
            eventually("an empty cluster", CLEARED_WITHIN, || self.list(world, "topic").is_empty());
        }
        // A topic that gets a name while the controller is still forgetting the last one of that name may
        // never come online.
        std::thread::sleep(Duration::from_millis(1500));
    }

    fn list(&self, world: &World, kind: &str) -> Vec<String> {
        let listed = world.run(&format!("{kind} list -O json --cluster {}", self.address));
        let listed: Vec<serde_json::Value> = serde_json::from_str(&listed.out).unwrap_or_default();
        listed.iter().filter_map(|found| found["name"].as_str().map(str::to_owned)).collect()
    }
}

/// A broker in a process of its own, or the cluster that `HOST_TEST_CLUSTER` names.
#[derive(Debug)]
pub struct Broker {
    process: Option<Running>,
    address: String,
    arguments: Vec<String>,
}

impl Broker {
    /// Starts a broker that keeps its records in `world`.
    #[must_use]
    pub fn start(world: &World) -> Self {
        Self::start_with(world, &[])
    }

    /// Starts a broker with further arguments.
    #[must_use]
    pub fn start_with(world: &World, more: &[&str]) -> Self {
        if let Ok(address) = std::env::var("HOST_TEST_CLUSTER")
            && more.is_empty()
        {
            world.lease(&address);
            return Self { process: None, address, arguments: Vec::new() };
        }
        let data = world.path("broker").display().to_string();
        let mut arguments: Vec<String> =
            ["broker", "--listen", "127.0.0.1:0", "--data", &data].map(str::to_owned).to_vec();
        arguments.extend(more.iter().map(|&a| a.to_owned()));
        let mut broker = Self { process: None, address: String::new(), arguments };
        broker.restart(world);
        broker
    }

    /// Starts a broker that keeps its records on a disk of so many bytes; nothing where this system lets
    /// nobody make one. The disk is gone with the broker.
    #[must_use]
    pub fn start_on_disk(world: &World, bytes: u64) -> Option<Self> {
        let data = world.path("disk");
        let shown = data.display().to_string();
        let arguments = ["broker", "--listen", "127.0.0.1:0", "--data", &shown];
        let process = world.host_on_disk(&data, bytes, arguments)?.start();
        let address = listening(&process);
        Some(Self { process: Some(process), address, arguments: arguments.map(str::to_owned).to_vec() })
    }

    /// Starts it again, on the same port and data.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&mut self, world: &World) {
        if !self.address.is_empty() {
            self.arguments[2] = self.address.clone();
        }
        let process = world.host(&self.arguments).start();
        self.address = listening(&process);
        self.process = Some(process);
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.as_mut() {
            process.kill();
        }
    }

    /// Its process, unless it is somebody else's cluster.
    #[must_use]
    pub fn process(&self) -> Option<&Running> {
        self.process.as_ref()
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// Waits until a broker listens; returns where.
fn listening(process: &Running) -> String {
    process.wait_for_log("broker listens", Duration::from_secs(20));
    let log = process.log();
    let at = log.find("\"address\":\"").expect("the broker logs its address") + "\"address\":\"".len();
    log[at..].split('"').next().expect("the address ends").to_owned()
}
