//! http-sink against real HTTP servers, well-behaved and not: nothing is lost, nothing is skipped.

use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use e2e::{Answer, Arrivals, Broker, Dice, Host, HttpServer, Received, World, eventually, kill_a_sink};

const LIMIT: Duration = Duration::from_secs(120);

/// A topic of so many partitions with so many numbered records.
fn topic(world: &World, broker: &Broker, name: &str, partitions: u32, records: u64, template: &str) {
    let at = broker.address();
    let _ = world.run(&format!("topic create {name} -p {partitions} --cluster {at}")).success();
    let count = format!("count={records}");
    let source = ["run", "--connector", "test-source", "--topic", name, "--name", "fill", "--cluster", at];
    let set = ["--set", "interval=0s", "--set", &count, "--set", template];
    let _ = world.host(source.iter().chain(&set)).finish(LIMIT).success();
}

/// `host run -d` of http-sink from the beginning of a topic, with these lines of YAML for its section and the rest.
fn sink(world: &World, broker: &Broker, topic: &str, section: &str, rest: &str) -> Host {
    let text = format!(
        "apiVersion: 0.1.0\nmeta:\n  name: {topic}\n  type: http-sink\n  version: 0.1.0\n  topic: {topic}\n\
         \x20 consumer: {{offset: {{strategy: manual, start: beginning}}}}\nhttp:\n{section}{rest}"
    );
    let config = world.file(&format!("{topic}-sink.yaml"), text);
    world.host(["run", "-d", "--cluster", broker.address(), "--config"]).arg(&config)
}

/// A server that takes everything, and what it got.
fn taking() -> (HttpServer, Arc<Mutex<Vec<Received>>>) {
    let got = Arc::<Mutex<Vec<Received>>>::default();
    let kept = Arc::clone(&got);
    let server = HttpServer::receive(move |request| {
        kept.lock().expect("the list").push(request.clone());
        Answer::ok("thanks")
    });
    (server, got)
}

fn bodies(got: &Mutex<Vec<Received>>) -> Vec<String> {
    let got = got.lock().expect("the list");
    got.iter().map(|request| String::from_utf8_lossy(&request.body).into_owned()).collect()
}

#[test]
fn records_arrive_as_they_are_over_one_connection() {
    let world = World::new();
    let broker = Broker::start(&world);
    topic(&world, &broker, "plain", 1, 50, "template=record {{n}}");
    let (server, got) = taking();
    let ended =
        sink(&world, &broker, "plain", &format!("  endpoint: {}/in\n", server.url()), "").finish(LIMIT).success();
    assert!(ended.log.contains("\"sent\":50"), "{}", ended.log);
    assert_eq!(bodies(&got), (0..50).map(|n| format!("record {n}")).collect::<Vec<_>>());
    let got = got.lock().expect("the list");
    let first = &got[0];
    assert_eq!((first.method.as_str(), first.path.as_str()), ("POST", "/in"));
    assert_eq!((first.header("content-type"), first.header("content-length")), (Some("text/html"), Some("8")));
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_request_is_what_its_templates_make_of_the_record() {
    let world = World::new();
    let broker = Broker::start(&world);
    topic(&world, &broker, "shaped", 1, 3, r#"template={"id":"{{n}}/?","n":{{n}}}"#);
    let (server, got) = taking();
    let section = format!(
        "  endpoint: '{}/items/{{{{/id}}}}?from={{{{topic}}}}'\n  method: put\n  compression: gzip\n\
         \x20 headers: ['X-N: {{{{/n}}}}']\n  bearer-token: hunter2hunter2\n  idempotency-header: Idempotency-Key\n\
         \x20 signature: {{secret: s}}\n  body: '{{\"at\": {{{{offset}}}}, \"was\": {{{{value}}}}}}'\n",
        server.url()
    );
    let ended = sink(&world, &broker, "shaped", &section, "").finish(LIMIT).success();
    assert!(!ended.log.contains("hunter2"), "a secret was logged:\n{}", ended.log);
    let got = got.lock().expect("the list");
    assert_eq!(got.len(), 3);
    let last = &got[2];
    assert_eq!((last.method.as_str(), last.path.as_str()), ("PUT", "/items/2%2F%3F?from=shaped"));
    for (name, value) in [
        ("x-n", "2"),
        ("authorization", "Bearer hunter2hunter2"),
        ("idempotency-key", "shaped-0-2"),
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
    ] {
        assert_eq!(last.header(name), Some(value));
    }
    assert!(last.header("x-signature-256").is_some_and(|signature| signature.starts_with("sha256=")));
    let mut body = String::new();
    flate2::read::GzDecoder::new(last.body.as_slice()).read_to_string(&mut body).expect("gzip");
    assert_eq!(body, r#"{"at": 2, "was": {"id":"2/?","n":2}}"#);
}

#[test]
fn whatever_the_server_does_every_record_arrives() {
    for (form, records, concurrency) in [("none", 600, 1), ("none", 600, 4), ("json-array", 6000, 1)] {
        let world = World::new();
        let broker = Broker::start(&world);
        topic(&world, &broker, "rough", 3, records, "template=r{{n}}");
        let (arrivals, dice) = (Arrivals::default(), Mutex::new(Dice::new(records)));
        let noted = arrivals.clone();
        let server = HttpServer::receive(move |request| {
            // One in five goes wrong, in one of four ways; in two of them the records have arrived all the same.
            match dice.lock().expect("dice").below(20) {
                0 => return Answer::status(500, "oops"),
                1 => return Answer::status(429, "later"),
                2 => {
                    noted.note(&request.body);
                    return Answer::ok("too late").slow(Duration::from_secs(2));
                }
                3 => {
                    noted.note(&request.body);
                    return Answer::none();
                }
                _ => {}
            }
            noted.note(&request.body);
            Answer::ok("")
        });
        let section = format!(
            "  endpoint: {}\n  http_request_timeout: 200ms\n  concurrency: {concurrency}\n  batch: {form}\n\
             \x20 batch-max-records: 20\n  body: '{}'\n",
            server.url(),
            Arrivals::BODY
        );
        let host = "host: {retry: {initial: 2ms, max-delay: 10ms}}\n";
        let ended = sink(&world, &broker, "rough", &section, host).finish(LIMIT).success();
        assert!(ended.log.contains("\"skipped\":0") && ended.log.contains("\"dead_letters\":0"), "{}", ended.log);
        for words in ["500 Internal", "429 Too Many", "no complete answer within 200ms", "connection was closed"] {
            assert!(ended.log.contains(words), "no {words:?} in {form} {concurrency}:\n{}", ended.log);
        }
        if concurrency == 1 {
            let _ = arrivals.check(records as i64);
        } else {
            assert_eq!(arrivals.distinct(), records as usize);
        }
    }
}

#[test]
fn what_the_server_refuses_becomes_a_dead_letter_and_the_rest_arrives() {
    for form in ["none", "ndjson", "json-array"] {
        let world = World::new();
        let broker = Broker::start(&world);
        topic(&world, &broker, "picky", 1, 40, r#"template={"n":{{n}},"m":{{n}}}"#);
        let got = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&got);
        let server = HttpServer::receive(move |request| {
            let body = String::from_utf8_lossy(&request.body).into_owned();
            if body.contains("\"n\":7,") || body.contains("\"n\":31,") {
                return Answer::status(422, "{\"error\": \"no such colour\"}");
            }
            kept.lock().expect("the list").push(body);
            Answer::status(202, "")
        });
        let section = format!("  endpoint: {}\n  batch: {form}\n", server.url());
        let host = "host: {on-error: dead-letter}\n";
        let ended = sink(&world, &broker, "picky", &section, host).finish(LIMIT).success();
        assert!(ended.log.contains("\"sent\":38") && ended.log.contains("\"dead_letters\":2"), "{}", ended.log);

        let numbers = got.lock().expect("the list").join(" ");
        let numbers = numbers.split("\"n\":").skip(1).map(|rest| rest[..rest.find(',').expect("a comma")].to_owned());
        let expected = (0..40).filter(|n| ![7, 31].contains(n)).map(|n| n.to_string());
        assert_eq!(numbers.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{form}: each once, in order");

        let list = format!("dead-letter list picky-dead-letters -O json --cluster {}", broker.address());
        let letters: serde_json::Value = serde_json::from_str(&world.run(&list).success().out).expect("JSON");
        assert_eq!(letters.as_array().map(Vec::len), Some(2), "{letters}");
        assert_eq!(letters[0]["value"]["data"], r#"{"n":7,"m":7}"#);
        assert_eq!((&letters[0]["position"]["offset"], &letters[0]["stage"]), (&7.into(), &"protocol".into()));
        let reason = letters[0]["reason"].as_str().expect("a reason");
        assert!(reason.ends_with(r#"answered 422 Unprocessable Entity: {"error": "no such colour"}"#), "{reason}");
    }
}

#[test]
fn a_record_that_does_not_fit_the_template_is_refused_alone() {
    let world = World::new();
    let broker = Broker::start(&world);
    topic(&world, &broker, "mixed", 1, 0, "template=x");
    let lines = world.file("lines.txt", "{\"n\": 1}\nnot json\n{\"m\": 2}\n{\"n\": 3}\n");
    let _ = world.host(["produce", "mixed", "--cluster", broker.address()]).stdin(&lines).finish(LIMIT).success();
    let (server, got) = taking();
    let section = format!("  endpoint: '{}/{{{{/n}}}}'\n", server.url());
    let ended = sink(&world, &broker, "mixed", &section, "host: {on-error: skip}\n").finish(LIMIT).success();
    let paths: Vec<_> = got.lock().expect("the list").iter().map(|request| request.path.clone()).collect();
    assert_eq!(paths, ["/1", "/3"]);
    assert!(ended.log.contains("`http.endpoint`: the record's value is not JSON"), "{}", ended.log);
    assert!(
        ended.log.contains("`http.endpoint`: `/n` finds nothing: the value is an object with `m`"),
        "{}",
        ended.log
    );
}

#[test]
fn what_no_retry_mends_ends_the_run() {
    let world = World::new();
    let broker = Broker::start(&world);
    topic(&world, &broker, "shut", 1, 3, "template=r{{n}}");
    for (answer, words) in [
        (Answer::status(401, "who are you?"), "401 Unauthorized: who are you?"),
        (Answer::status(403, ""), "403 Forbidden"),
        (Answer::status(302, "").header("location", "/login"), "302 Found, to `/login`"),
    ] {
        let server = HttpServer::receive(move |_| answer.clone());
        let section = format!("  endpoint: {}\n", server.url());
        let ended = sink(&world, &broker, "shut", &section, "host: {on-error: skip}\n").finish(LIMIT);
        assert_eq!(ended.code, Some(78), "{}", ended.log);
        assert!(ended.log.contains(words), "{}", ended.log);
        assert_eq!(server.requests(), 1, "the redirect is not followed, nothing is tried again");
    }
    let (server, got) = taking();
    let section = format!("  endpoint: {}\n", server.url());
    let _ = sink(&world, &broker, "shut", &section, "").finish(LIMIT).success();
    assert_eq!(bodies(&got), ["r0", "r1", "r2"], "nothing was taken for delivered");
}

#[test]
fn a_destination_that_is_down_costs_patience_and_nothing_else() {
    let world = World::new();
    let broker = Broker::start(&world);
    let long = format!("template=r{{{{n}}}}{}", "x".repeat(1000));
    topic(&world, &broker, "down", 1, 30_000, &long);
    let address =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").to_string();
    let section = format!("  endpoint: http://{address}\n  batch: json-array\n  body: '{}'\n", Arrivals::BODY);
    let host = "host: {retry: {initial: 100ms, max-delay: 400ms}, batch: {max-records: 1000}}\n";
    let run = sink(&world, &broker, "down", &section, host).start();
    run.wait_for_log("sink failed, trying again", LIMIT);
    std::thread::sleep(Duration::from_secs(1));
    let before = run.peak_memory().expect("Linux tells");
    let started = Instant::now();
    let lines = |log: &str| log.lines().filter(|line| !line.contains("\"level\":\"INFO\"")).count();
    let lines_before = lines(&run.log());
    std::thread::sleep(Duration::from_secs(4));
    let (grown, more) = (run.peak_memory().expect("Linux tells") - before, lines(&run.log()) - lines_before);
    let steps = started.elapsed().as_millis() / 200 + 2;
    assert!((4..=steps as usize).contains(&more), "{more} lines in {steps} steps of 200 to 400 ms:\n{}", run.log());
    assert!(grown < 4 << 20, "{grown} bytes more while nothing could be delivered");
    assert!(run.log().contains("the connection was refused"), "{}", run.log());

    let arrivals = Arrivals::default();
    let noted = arrivals.clone();
    let _server = HttpServer::receive_at(&address, move |request| {
        noted.note(&request.body);
        Answer::ok("")
    });
    let _ = run.wait(LIMIT).success();
    assert_eq!(arrivals.check(30_000).values().sum::<u64>(), 0, "nothing came twice");
}

#[test]
fn a_server_that_comes_and_goes_gets_each_record_once() {
    let world = World::new();
    let broker = Broker::start(&world);
    topic(&world, &broker, "shaky", 2, 4000, "template=r{{n}}");
    let arrivals = Arrivals::default();
    let serve = |address: &str| {
        let noted = arrivals.clone();
        HttpServer::receive_at(address, move |request| {
            noted.note(&request.body);
            Answer::ok("")
        })
    };
    let server = serve("127.0.0.1:0");
    let address = server.url().trim_start_matches("http://").to_owned();
    let section = format!("  endpoint: http://{address}\n  body: '{}'\n", Arrivals::BODY);
    let host = "host: {retry: {initial: 20ms, max-delay: 100ms}}\n";
    let run = sink(&world, &broker, "shaky", &section, host).start();
    let mut server = Some(server);
    for step in 1..4 {
        eventually("some arrive", LIMIT, || arrivals.count() > step * 900);
        drop(server.take());
        std::thread::sleep(Duration::from_millis(150));
        server = Some(serve(&address));
    }
    let _ = run.wait(LIMIT).success();
    let repeats: u64 = arrivals.check(4000).values().sum();
    assert!(repeats <= 2 * 3, "at most what was under way when the server went: {repeats}");
}

#[test]
fn kills_repeat_at_most_a_delivery_and_keep_order() {
    kill_a_sink(20_000, 5);
}

#[test]
fn check_asks_and_leaves_nothing_behind() {
    let world = World::new();
    let (server, got) = taking();
    let endpoint = format!("endpoint={}/things/{{{{key}}}}", server.url());
    let checked = world.host(["check", "--connector", "http-sink", "--set", &endpoint]).finish(LIMIT).success();
    assert!(checked.out.contains("endpoint answers"), "{}", checked.out);
    let asked: Vec<_> =
        got.lock().expect("the list").iter().map(|request| (request.method.clone(), request.path.clone())).collect();
    assert_eq!(asked, [("OPTIONS".to_owned(), "/things/".to_owned())]);

    let closed = HttpServer::start(|_| Answer::status(401, ""));
    let refused = world.run(&format!("check --connector http-sink --set endpoint={}", closed.url()));
    assert_ne!(refused.code, Some(0));
    assert!(refused.out.contains("401"), "{}", refused.out);
    let nobody = world.run("check --connector http-sink --set endpoint=http://127.0.0.1:1/");
    assert_eq!(nobody.code, Some(1), "{}", nobody.log);
    assert!(nobody.out.contains("127.0.0.1:1"), "{}", nobody.out);
}
