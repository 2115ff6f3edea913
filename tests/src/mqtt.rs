//! Eclipse Mosquitto, started and stopped by a test; a client that publishes; and a wire that can be cut.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rumqttc::{Client, Event, MqttOptions, Outgoing, Packet, QoS};

use crate::World;

/// A Mosquitto with a configuration, a port and a directory of its own. Ended when dropped.
#[derive(Debug)]
pub struct Mosquitto {
    directory: PathBuf,
    child: Option<Child>,
    port: u16,
}

impl Mosquitto {
    /// Starts one that lets everybody in, and keeps on disk what it must not forget. `more` is further
    /// configuration, in which `DIR` stands for its directory and `PORT` for one more free port.
    ///
    /// # Panics
    /// When there is no Mosquitto on this machine, or it does not come up.
    #[must_use]
    pub fn start(world: &World, more: &str) -> Self {
        Self::with(world, "allow_anonymous true", more)
    }

    /// Starts one with this instead of `allow_anonymous true`.
    ///
    /// # Panics
    /// As [`Mosquitto::start`].
    #[must_use]
    pub fn with(world: &World, access: &str, more: &str) -> Self {
        let port = free_port();
        let directory = world.path(&format!("mosquitto-{port}"));
        fs::create_dir_all(&directory).expect("a directory for the broker");
        // Without limits of its own: by default it drops what does not fit into a queue of 1000 messages.
        let text = format!(
            "listener {port} 127.0.0.1\n{access}\npersistence true\npersistence_location DIR/\nautosave_interval 1\n\
             autosave_on_changes false\nmax_queued_messages 0\nmax_queued_bytes 0\nuser root\nlog_dest file DIR/log\n{more}\n"
        );
        let text = text.replace("DIR", &directory.display().to_string());
        fs::write(directory.join("conf"), text).expect("the broker's configuration");
        let mut broker = Self { directory, child: None, port };
        broker.up();
        broker
    }

    /// Starts it again, on the same port and with what it had kept.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn up(&mut self) {
        let mut command = Command::new(program());
        command.arg("-c").arg(self.directory.join("conf"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().expect("start mosquitto"));
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "mosquitto does not come up:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stops it in good order: it writes down what it must not forget.
    ///
    /// # Panics
    /// When it does not stop.
    pub fn down(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        Command::new("kill").arg(child.id().to_string()).status().expect("the kill command");
        child.wait().expect("mosquitto ends");
    }

    /// `mqtt://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Debian keeps it where not every user's path leads.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let others = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"].map(PathBuf::from);
    let found = std::env::split_paths(&path).chain(others).map(|folder| folder.join("mosquitto")).find(|p| p.is_file());
    found.expect("there is no `mosquitto` on this machine: run `just setup`, or install the package `mosquitto`")
}

/// A port that nobody listens on at this moment.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// Publishes in the background, coming back when the broker was away.
#[derive(Debug)]
pub struct Publisher {
    acknowledged: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<()>,
}

impl Publisher {
    /// Publishes `count` messages: `message(n)` is topic and payload of the nth. With quality of service 0
    /// those count as acknowledged that were sent.
    ///
    /// # Panics
    /// When `qos` is none.
    pub fn start(port: u16, qos: u8, count: u64, message: impl Fn(u64) -> (String, Vec<u8>) + Send + 'static) -> Self {
        let qos = rumqttc::qos(qos).expect("0, 1 or 2");
        let acknowledged = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&acknowledged);
        let thread = std::thread::spawn(move || {
            let mut options = MqttOptions::new(format!("publisher-{port}"), "127.0.0.1", port);
            options.set_keep_alive(Duration::from_secs(5)).set_clean_session(false).set_inflight(100);
            let (client, mut connection) = Client::new(options, 100);
            let feeder = std::thread::spawn(move || {
                for number in 0..count {
                    let (topic, payload) = message(number);
                    if client.publish(topic, qos, false, payload).is_err() {
                        break;
                    }
                }
                client
            });
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_))) => {
                        counter.fetch_add(1, Ordering::SeqCst);
                    }
                    Ok(Event::Outgoing(Outgoing::Publish(_))) if qos == QoS::AtMostOnce => {
                        counter.fetch_add(1, Ordering::SeqCst);
                    }
                    Ok(_) => {}
                    Err(_) => std::thread::sleep(Duration::from_millis(50)),
                }
                if counter.load(Ordering::SeqCst) >= count {
                    break;
                }
            }
            let _ = feeder.join();
        });
        Self { acknowledged, thread }
    }

    /// How many messages the broker has acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Waits until all are.
    ///
    /// # Panics
    /// When they are not within `limit`.
    pub fn finish(self, limit: Duration) {
        let start = Instant::now();
        while !self.thread.is_finished() {
            assert!(start.elapsed() < limit, "only {} acknowledged within {limit:?}", self.acknowledged());
            std::thread::sleep(Duration::from_millis(5));
        }
        self.thread.join().expect("the publisher");
    }
}

/// A subscriber that is away most of the time: the broker keeps its messages until it collects them.
#[derive(Debug)]
pub struct Mailbox {
    arguments: Vec<String>,
}

impl Mailbox {
    /// Subscribes to `filter` with quality of service 2, with MQTT 5.
    ///
    /// # Panics
    /// When there is no `mosquitto_sub`, or the broker refuses it.
    #[must_use]
    pub fn open(port: u16, filter: &str) -> Self {
        let arguments = ["-V", "5", "-x", "3600", "-c", "-i", "mailbox", "-q", "2", "-t", filter, "-p"];
        let arguments = arguments.into_iter().map(str::to_owned).chain([port.to_string()]).collect();
        let mailbox = Self { arguments };
        assert!(mailbox.run(&["-E"]).status.success(), "mosquitto_sub could not subscribe");
        mailbox
    }

    /// The next `count` messages, written as `format` says (see `mosquitto_sub -F`), one a line.
    ///
    /// # Panics
    /// When they do not come within half a minute.
    #[must_use]
    pub fn collect(&self, count: u64, format: &str) -> Vec<String> {
        let output = self.run(&["-C", &count.to_string(), "-W", "30", "-F", format]);
        let lines: Vec<_> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        assert_eq!(lines.len() as u64, count, "some messages did not come");
        lines
    }

    /// Whatever comes within so many seconds.
    ///
    /// # Panics
    /// When there is no `mosquitto_sub`.
    #[must_use]
    pub fn rest(&self, seconds: u32, format: &str) -> Vec<String> {
        let output = self.run(&["-W", &seconds.to_string(), "-F", format]);
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }

    fn run(&self, more: &[&str]) -> Output {
        let output = Command::new("mosquitto_sub").args(&self.arguments).args(more).stdin(Stdio::null()).output();
        output.expect("mosquitto_sub: run `just setup`, or install the package `mosquitto-clients`")
    }
}

/// A wire between a client and a server, which a test can cut.
#[derive(Debug)]
pub struct Cutter {
    address: SocketAddr,
    open: Arc<Mutex<Vec<TcpStream>>>,
    cuts: u64,
    closing: Arc<AtomicBool>,
}

impl Cutter {
    /// A wire to this port.
    ///
    /// # Panics
    /// When there is no port for it.
    #[must_use]
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let open = Arc::<Mutex<Vec<TcpStream>>>::default();
        let closing = Arc::new(AtomicBool::new(false));
        let (kept, ended) = (Arc::clone(&open), Arc::clone(&closing));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", port))) else { continue };
                let mut open = kept.lock().expect("the wire");
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { continue };
                    std::thread::spawn(move || carry(from, to));
                }
                open.extend([client, server]);
            }
        });
        Self { address, open, cuts: 0, closing }
    }

    /// `mqtt://127.0.0.1:PORT` of the near end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("mqtt://{}", self.address)
    }

    /// Cuts every connection that stands, whatever is on its way.
    ///
    /// # Panics
    /// Never, unless a thread of the wire did.
    pub fn cut(&mut self) {
        for stream in self.open.lock().expect("the wire").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.cuts += 1;
    }

    /// How often it was cut.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.cuts
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        self.cut();
        let _ = TcpStream::connect(self.address);
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                if to.write_all(&buffer[..read]).is_err() {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
