//! HTTP through the sandbox: the pool, the list of hosts, time limits, and what a guest hears of failures.

use std::time::{Duration, Instant};

use host_connector::{Access, Limit, Reader, Sandbox};

use crate::guest::{Heard, LIMIT, component, engine_with, path, read, sandbox, text, texts};
use crate::server::{Server, http2, tls};

fn get(url: &str) -> String {
    format!(r#"{{"do": "http", "url": "{url}"}}"#)
}

#[tokio::test]
async fn connections_are_kept_and_shared() {
    let server = Server::start().await;
    let component = component("misbehave").await;
    let sandbox = sandbox(&[&server.authority()]);
    for _ in 0..3 {
        let config = format!(r#"{{"do": "http-many", "amount": 20, "url": "{}"}}"#, server.url("/"));
        let mut reader = Reader::open(&component, &sandbox, &config, None).await.expect("it opens");
        let batch = reader.read(LIMIT).await.expect("it reads").batch;
        assert_eq!(batch.len(), 20);
        assert!(batch.iter().all(|record| record.value == b"200 5 hello"));
    }
    assert_eq!(server.connections(), 1, "60 requests of three instances");
    let seen = sandbox.activity.snapshot();
    assert_eq!(seen, [Access { authority: server.authority(), allowed: true, count: 60 }]);
}

#[tokio::test]
async fn an_instance_may_make_any_number_of_requests() {
    let server = Server::start().await;
    let config = format!(r#"{{"do": "http-many", "amount": 3000, "url": "{}"}}"#, server.url("/"));
    let mut reader = crate::guest::open(&sandbox(&["127.0.0.1"]), &config).await.expect("it opens");
    for _ in 0..7 {
        // 21,000, where an instance may hold 20,000 handles at a time.
        assert_eq!(reader.read(LIMIT).await.expect("it reads").batch.len(), 3000);
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced() {
    let server = Server::start().await;
    let sandbox = sandbox(&["127.0.0.1"]);
    let mut reader = crate::guest::open(&sandbox, &get(&server.url("/closes-after"))).await.expect("it opens");
    for _ in 0..5 {
        let batch = reader.read(LIMIT).await.expect("it reads").batch;
        assert_eq!(batch.value(0), b"200 5 hello");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.connections(), 5);
}

#[tokio::test]
async fn a_plain_get_is_plain() {
    let server = Server::start().await;
    text(&sandbox(&["127.0.0.1"]), &get(&server.url("/x?a=b%20c"))).await;
    let head = server.last_head();
    assert!(head.starts_with("get /x?a=b%20c http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nhost: {}\r\n", server.authority())), "{head}");
    assert!(head.contains("user-agent: host/"), "{head}");
    for unwanted in ["content-length", "transfer-encoding", "accept-encoding", "referer"] {
        assert!(!head.contains(unwanted), "{head}");
    }
}

#[tokio::test]
async fn bodies_go_both_ways() {
    let server = Server::start().await;
    let sandbox = sandbox(&["127.0.0.1"]);
    assert_eq!(text(&sandbox, &get(&server.url("/chunked"))).await, "200 12 hello, world");
    assert!(text(&sandbox, &get(&server.url("/large"))).await.starts_with("200 3000000 xxx"));
    assert_eq!(text(&sandbox, &get(&server.url("/gone"))).await, "503 5 later");

    let post = |text: &str, times: u64| {
        let url = server.url("/echo");
        format!(r#"{{"do": "http", "method": "POST", "url": "{url}", "body": "{text}", "amount": {times}}}"#)
    };
    assert_eq!(text(&sandbox, &post("small", 1)).await, "200 5 small");
    assert!(server.last_head().contains("content-length: 5\r\n"), "{}", server.last_head());
    let answer = text(&sandbox, &post("0123456789", 100_000)).await;
    assert!(answer.starts_with("200 1000000 0123456789"), "{answer}");
    assert!(server.last_head().contains("transfer-encoding: chunked"), "{}", server.last_head());
}

#[tokio::test]
async fn a_host_that_is_not_named_is_refused() {
    let server = Server::start().await;
    let port = server.address.port();
    let sandbox = sandbox(&["localhost", "127.0.0.1:1"]);
    let answer = text(&sandbox, &get(&server.url("/"))).await;
    assert_eq!(answer, "error ErrorCode::HttpRequestDenied");
    assert_eq!(server.connections(), 0);
    assert_eq!(text(&sandbox, &get(&format!("http://localhost:{port}/"))).await, "200 5 hello");
    let refused: Vec<_> = sandbox.activity.snapshot().into_iter().filter(|access| !access.allowed).collect();
    assert_eq!(refused, [Access { authority: server.authority(), allowed: false, count: 1 }]);
}

#[tokio::test]
async fn redirects_are_the_guests_to_follow_and_checked_again() {
    let server = Server::start().await;
    let sandbox = sandbox(&[&server.authority()]);
    let answer = text(&sandbox, &get(&server.url("/redirect/http://169.254.169.254/latest"))).await;
    assert_eq!(answer, "302 0 http://169.254.169.254/latest");
    let next = text(&sandbox, &get("http://169.254.169.254/latest")).await;
    assert_eq!(next, "error ErrorCode::HttpRequestDenied");
}

#[tokio::test]
async fn metadata_addresses_need_to_be_named_themselves() {
    let open = sandbox(&["*"]);
    for url in
        ["http://169.254.169.254/", "http://2852039166/", "http://[fd00:ec2::254]/", "http://[::ffff:a9fe:a9fe]/"]
    {
        assert_eq!(text(&open, &get(url)).await, "error ErrorCode::HttpRequestDenied", "{url}");
    }
}

#[tokio::test]
async fn failures_have_names() {
    let server = Server::start().await;
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address")
    };
    let sandbox = sandbox(&["*"]);
    let cases = [
        (server.url("/truncated"), "HttpResponseIncomplete"),
        (server.url("/truncated-chunk"), "HttpResponseIncomplete"),
        (server.url("/closes"), "ConnectionTerminated"),
        (server.url("/nonsense"), "HttpProtocolError"),
        (format!("http://{closed}/"), "ConnectionRefused"),
        ("http://no-such-host.invalid/".to_owned(), "DnsError"),
    ];
    for (url, expected) in cases {
        let answer = text(&sandbox, &get(&url)).await;
        assert!(answer.contains(expected), "{url}: {answer}");
    }
    let answer = text(&sandbox, &get("http://no-such-host.invalid/")).await;
    assert!(answer.contains("no-such-host.invalid: "), "it says which name: {answer}");
}

#[tokio::test]
async fn waiting_has_limits() {
    let server = Server::start().await;
    let sandbox = sandbox(&["127.0.0.1"]);
    let with = |path: &str, limits: &str| format!(r#"{{"do": "http", "url": "{}", {limits}}}"#, server.url(path));
    let started = Instant::now();
    let answer = text(&sandbox, &with("/hangs", r#""connect_ms": 100, "first_byte_ms": 200"#)).await;
    assert_eq!(answer, "error ErrorCode::HttpResponseTimeout");
    let answer = text(&sandbox, &with("/stalls", r#""between_bytes_ms": 200"#)).await;
    assert_eq!(answer, "error ErrorCode::ConnectionReadTimeout");
    assert!(started.elapsed() < Duration::from_secs(3));

    // Whoever sets no limits hears of it before the call is ended.
    let hasty = Sandbox { call_timeout: Duration::from_secs(2), ..sandbox.clone() };
    for path in ["/hangs", "/stalls"] {
        let mut reader = crate::guest::open(&hasty, &get(&server.url(path))).await.expect("it opens");
        let patient = Limit { max_wait: Duration::from_secs(3), ..LIMIT };
        let batch = reader.read(patient).await.expect("no deadline is passed").batch;
        assert!(batch.value(0).ends_with(b"Timeout"), "{path}");
    }
}

#[tokio::test]
async fn a_handshake_that_stalls_is_a_connection_timeout() {
    // Takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("an address");
    let config = format!(r#"{{"do": "http", "url": "https://{address}/", "connect_ms": 200}}"#);
    let started = Instant::now();
    let answer = text(&sandbox(&["127.0.0.1"]), &config).await;
    assert_eq!(answer, "error ErrorCode::ConnectionTimeout");
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_slow_reader_slows_the_server_down() {
    let server = Server::start().await;
    let config = format!(
        r#"{{"do": "http-hold", "url": "{}", "amount": 1000, "between_bytes_ms": 100}}"#,
        server.url("/endless")
    );
    let mut reader = crate::guest::open(&sandbox(&["127.0.0.1"]), &config).await.expect("it opens");
    let reading = tokio::time::timeout(Duration::from_millis(900), reader.read(LIMIT));
    assert!(reading.await.is_err(), "it holds the response");
    // What the kernel's buffers and one window of the client's take.
    assert!(server.sent() < 32 << 20, "{} bytes are on their way", server.sent());
}

#[tokio::test]
async fn certificates_are_checked_against_the_authorities() {
    let (server, ca) = tls("localhost").await;
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("ca.pem");
    std::fs::write(&file, ca).expect("it is written");
    let url = format!("https://localhost:{}/", server.address.port());

    let (heard, strict) = Heard::sandbox();
    let strict = Sandbox { network: sandbox(&["*"]).network, ..strict };
    assert_eq!(text(&strict, &get(&url)).await, "error ErrorCode::TlsCertificateError");
    let lines = heard.lines();
    assert!(
        lines.iter().any(|line| line.contains(&url[..url.len() - 1]) && line.contains("UnknownIssuer")),
        "{lines:?}"
    );

    let trusting = engine_with(Some(file)).load(&path("misbehave")).await.expect("it loads");
    let answer = async |url: &str| {
        let mut reader = Reader::open(&trusting, &strict, &get(url), None).await.expect("it opens");
        String::from_utf8_lossy(reader.read(LIMIT).await.expect("it reads").batch.value(0)).into_owned()
    };
    assert_eq!(answer(&url).await, "200 5 hello");
    let by_address = format!("https://127.0.0.1:{}/", server.address.port());
    assert_eq!(answer(&by_address).await, "error ErrorCode::TlsCertificateError", "the name is not the certificate's");
    let plain = format!("http://localhost:{}/", server.address.port());
    assert!(answer(&plain).await.starts_with("error"));
}

#[tokio::test]
async fn http2_is_spoken_where_the_server_does() {
    let (server, ca) = http2("localhost").await;
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("ca.pem");
    std::fs::write(&file, ca).expect("it is written");
    let component = engine_with(Some(file)).load(&path("misbehave")).await.expect("it loads");
    let url = format!("https://localhost:{}/over/two", server.address.port());
    let config = format!(r#"{{"do": "http-many", "amount": 10, "url": "{url}"}}"#);
    let mut reader = Reader::open(&component, &sandbox(&["localhost"]), &config, None).await.expect("it opens");
    let batch = reader.read(LIMIT).await.expect("it reads").batch;
    assert!(batch.iter().all(|record| record.value == b"200 9 /over/two"), "{:?}", batch.value(0));
    assert_eq!((batch.len(), server.connections()), (10, 1));
}

#[tokio::test]
async fn a_request_ends_with_its_instance() {
    let server = Server::start().await;
    let sandbox = Sandbox { call_timeout: Duration::from_millis(300), ..sandbox(&["127.0.0.1"]) };
    let config = format!(r#"{{"do": "http", "url": "{}", "first_byte_ms": 60000}}"#, server.url("/hangs"));
    let error = read(&sandbox, &config).await.expect_err("the call ends first");
    assert!(matches!(error, host_connector::Error::Deadline { .. }), "{error:?}");
    assert_eq!(texts(&sandbox, &get(&server.url("/"))).await, ["200 5 hello"], "the next instance is fine");
}
