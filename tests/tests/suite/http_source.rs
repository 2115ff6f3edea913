//! http-source against real HTTP servers, well-behaved and not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use e2e::{Answer, Broker, HttpServer, Running, World};

/// Starts http-source on `url`, polling every 50 ms, with further lines for its section and the file.
fn start(world: &World, broker: &Broker, url: &str, section: &str, rest: &str) -> Running {
    let text = format!(
        "apiVersion: 0.1.0\nmeta: {{name: poll, type: http-source, version: 0.1.0, topic: polled}}\n\
         http:\n  endpoint: {url}\n  interval: 50ms\n{section}{rest}"
    );
    let path = world.file("poll.yaml", text);
    world.host(["run", "--cluster", broker.address(), "--config"]).arg(&path).start()
}

/// The first `count` records of the topic.
fn consume(world: &World, broker: &Broker, count: usize) -> Vec<String> {
    let line = format!("consume -B -n {count} polled --cluster {}", broker.address());
    world.run(&line).success().out.lines().map(str::to_owned).collect()
}

#[test]
fn answers_become_records_over_one_connection() {
    let (world, polls) = (World::new(), AtomicU64::new(0));
    let broker = Broker::start(&world);
    let server = HttpServer::start(move |_| Answer::ok(format!("fact {}", polls.fetch_add(1, Ordering::SeqCst))));
    let run = start(&world, &broker, &server.url(), "", "");
    run.wait_for_log("topic ready", Duration::from_secs(30));
    assert_eq!(consume(&world, &broker, 5), ["fact 0", "fact 1", "fact 2", "fact 3", "fact 4"]);
    assert_eq!(server.connections(), 1, "polls share a connection");
}

#[test]
fn elements_of_an_array_become_records_with_keys() {
    let world = World::new();
    let broker = Broker::start(&world);
    let body = r#"{"data": {"items": [{"id": "x", "v": 1}, {"id": "y", "v": 2.50}]}}"#;
    let server = HttpServer::start(move |_| Answer::ok(body).chunked(7));
    let _run = start(&world, &broker, &server.url(), "  records: /data/items\n  key: /id\n", "");
    e2e::eventually("the topic", Duration::from_secs(30), || {
        world.run(&format!("topic describe polled --cluster {}", broker.address())).code == Some(0)
    });
    let line = format!("consume -B -n 2 -k polled --cluster {}", broker.address());
    let read = world.run(&line).success().out;
    assert_eq!(read.lines().collect::<Vec<_>>(), [r#"[x] {"id":"x","v":1}"#, r#"[y] {"id":"y","v":2.50}"#]);
}

#[test]
fn errors_of_the_server_are_not_data_and_are_tried_again() {
    let (world, polls) = (World::new(), AtomicU64::new(0));
    let broker = Broker::start(&world);
    let server = HttpServer::start(move |_| match polls.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::status(500, "oops"),
        1 => Answer::status(429, "later").header("retry-after", "1"),
        2 => Answer::ok("half of it is missing").cut_after(9),
        3 => Answer::status(302, "").header("location", "/elsewhere"),
        _ => Answer::ok("good"),
    });
    let run = start(&world, &broker, &server.url(), "", "host: {retry: {initial: 50ms}}\n");
    run.wait_for_log("topic ready", Duration::from_secs(30));
    assert_eq!(consume(&world, &broker, 1), ["good"]);
    let log = run.log();
    assert!(log.contains("500") && log.contains("429"), "{log}");
}

#[test]
fn a_slow_server_runs_into_the_timeout() {
    let (world, polls) = (World::new(), AtomicU64::new(0));
    let broker = Broker::start(&world);
    let server = HttpServer::start(move |_| match polls.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::ok("too late").slow(Duration::from_secs(5)),
        _ => Answer::ok("in time"),
    });
    let section = "  request-timeout: 300ms\n";
    let run = start(&world, &broker, &server.url(), section, "host: {retry: {initial: 50ms}}\n");
    run.wait_for_log("source failed, trying again", Duration::from_secs(30));
    assert_eq!(consume(&world, &broker, 1), ["in time"]);
}

#[test]
fn refused_credentials_end_the_run() {
    let world = World::new();
    let broker = Broker::start(&world);
    let server = HttpServer::start(|_| Answer::status(401, "who are you?"));
    let ended = start(&world, &broker, &server.url(), "", "").wait(Duration::from_secs(30));
    assert_eq!(ended.code, Some(78), "{}", ended.log);
    assert!(ended.log.contains("401"), "{}", ended.log);
}

#[test]
fn a_redirect_to_a_host_that_is_not_named_is_refused_and_named() {
    let world = World::new();
    let broker = Broker::start(&world);
    let elsewhere = HttpServer::start(|_| Answer::ok("secret"));
    let target = elsewhere.url();
    let server = HttpServer::start(move |_| Answer::status(302, "").header("location", target.clone()));
    let run = start(&world, &broker, &server.url(), "", "host: {retry: {max: 1, initial: 10ms}}\n");
    let ended = run.wait(Duration::from_secs(30));
    assert_eq!(elsewhere.requests(), 0, "nobody may knock at a host that the configuration does not name");
    assert_ne!(ended.code, Some(0));
    let named = elsewhere.url();
    assert!(ended.log.contains(named.trim_start_matches("http://")), "{}", ended.log);
    assert!(ended.log.contains("host.sandbox.allow"), "{}", ended.log);
}

#[test]
fn tls_is_checked_against_the_authorities() {
    let world = World::new();
    let broker = Broker::start(&world);
    let (server, files) = HttpServer::start_tls(|_| Answer::ok("over TLS"));
    let run = start(&world, &broker, &server.url(), "", "host: {retry: {max: 1, initial: 10ms}}\n");
    let ended = run.wait(Duration::from_secs(30));
    assert_eq!(ended.code, Some(1), "a certificate of nobody's must be refused:\n{}", ended.log);
    assert!(ended.log.to_lowercase().contains("certificate"), "{}", ended.log);

    let authority = world.file("ca.pem", files.authority);
    let config = world.path("poll.yaml");
    let run = world
        .host(["run", "--cluster", broker.address(), "--config"])
        .arg(&config)
        .env("HOST_CA_FILE", &authority)
        .start();
    run.wait_for_log("topic ready", Duration::from_secs(30));
    assert_eq!(consume(&world, &broker, 1), ["over TLS"]);
}

#[test]
fn secrets_reach_the_server_and_no_log() {
    let world = World::new();
    let broker = Broker::start(&world);
    let server = HttpServer::start(|path| match path {
        "/?key=hunter2hunter2" => Answer::status(403, "hunter2hunter2 is wrong"),
        _ => Answer::ok("the secret did not arrive"),
    });
    let secrets = world.file("secrets.txt", "KEY=hunter2hunter2\n");
    let text = format!(
        "apiVersion: 0.1.0\nmeta: {{name: poll, type: http-source, version: 0.1.0, topic: polled, secrets: [{{name: KEY}}]}}\n\
         http:\n  endpoint: {}/?key=${{{{ secrets.KEY }}}}\n",
        server.url()
    );
    let config = world.file("poll.yaml", text);
    let ended = world
        .host(["--rust-log", "debug", "run", "--cluster", broker.address(), "--config"])
        .arg(&config)
        .arg("--secrets")
        .arg(&secrets)
        .finish(Duration::from_secs(30));
    assert_eq!(ended.code, Some(78), "{}", ended.log);
    assert!(ended.log.contains("403"), "{}", ended.log);
    assert!(!ended.log.contains("hunter2"), "a secret was logged:\n{}", ended.log);
}

#[test]
fn check_tries_the_endpoint() {
    let world = World::new();
    let server = HttpServer::start(|_| Answer::ok("[]"));
    let line = format!("check --connector http-source --set endpoint={}", server.url());
    let checked = world.run(&line).success();
    assert!(checked.out.contains("ok "), "{}", checked.out);
    let refused = world.run("check --connector http-source --set endpoint=http://127.0.0.1:1/");
    assert_eq!(refused.code, Some(1), "{}", refused.log);
    assert!(refused.out.contains("127.0.0.1:1"), "{}", refused.out);
}
