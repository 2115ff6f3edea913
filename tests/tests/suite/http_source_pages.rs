//! http-source on lists over several pages.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use e2e::{Answer, Broker, HttpServer, PagedRun, Running, World};

/// Starts http-source on `url`; `section` is the rest of its section, `rest` of the file.
fn start(world: &World, broker: &Broker, url: &str, section: &str, rest: &str) -> Running {
    let text = format!(
        "apiVersion: 0.1.0\nmeta: {{name: pages, type: http-source, version: 0.1.0, topic: pages}}\n\
         http:\n  endpoint: {url}\n  records: \"\"\n{section}{rest}"
    );
    let path = world.file("pages.yaml", text);
    world.host(["run", "--cluster", broker.address(), "--config"]).arg(&path).start()
}

fn consume(world: &World, broker: &Broker, count: usize) -> Vec<String> {
    let line = format!("consume -B -n {count} pages --cluster {}", broker.address());
    world.run(&line).success().out.lines().map(str::to_owned).collect()
}

#[test]
fn kills_in_a_long_list_repeat_a_page_each_and_lose_nothing() {
    PagedRun::with_kills(4).check();
}

#[test]
fn the_link_header_leads_from_page_to_page() {
    let world = World::new();
    let broker = Broker::start(&world);
    let server = HttpServer::start(|path| match path {
        "/list?size=2" => Answer::ok("[1,2]").header("link", "</list?size=2&page=2>; rel=\"next\""),
        "/list?size=2&page=2" => Answer::ok("[3]").header("link", "</list?size=2>; rel=\"first\""),
        other => Answer::status(404, other),
    });
    let url = format!("{}/list?size=2", server.url());
    let run = start(&world, &broker, &url, "  interval: 200ms\n  pagination: {type: link}\n", "");
    run.wait_for_log("topic ready", Duration::from_secs(30));
    assert_eq!(consume(&world, &broker, 6), ["1", "2", "3", "1", "2", "3"], "a poll reads all of it");
}

#[test]
fn pages_that_go_in_a_circle_stop_the_run_and_are_named() {
    let world = World::new();
    let broker = Broker::start(&world);
    let server = HttpServer::start(|path| {
        let (page, next) = if path.ends_with("p=b") { ("[2]", "/?p=a") } else { ("[1]", "/?p=b") };
        Answer::ok(page).header("link", format!("<{next}>; rel=next"))
    });
    let url = format!("{}/?p=a", server.url());
    let ended = start(&world, &broker, &url, "  pagination: {type: link}\n", "").wait(Duration::from_secs(30));
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    assert!(ended.log.contains("the pages go on without an end: page 2 leads back"), "{}", ended.log);
    assert_eq!(server.requests(), 2);
    assert_eq!(consume(&world, &broker, 2), ["1", "2"], "what the pages held is delivered");

    // A server that does not know the parameter sends the same page for ever.
    let server = HttpServer::start(|_| Answer::ok("[7]"));
    let world = World::new();
    let broker = Broker::start(&world);
    let section = "  pagination: {type: page, param: page}\n  interval: 1h\n";
    let run = start(&world, &broker, &server.url(), section, "host: {on-error: skip}\n");
    run.wait_for_log("does the server know the parameter `page`?", Duration::from_secs(30));
    assert_eq!((server.requests(), consume(&world, &broker, 1)), (2, vec!["7".to_owned()]));
}

#[test]
fn a_next_page_on_a_host_that_is_not_named_is_refused_and_named() {
    let world = World::new();
    let broker = Broker::start(&world);
    let elsewhere = HttpServer::start(|_| Answer::ok("[\"secret\"]"));
    let target = format!("<{}/2>; rel=next", elsewhere.url());
    let server = HttpServer::start(move |_| Answer::ok("[1]").header("link", target.clone()));
    let ended = start(&world, &broker, &server.url(), "  pagination: {type: link}\n", "").wait(Duration::from_secs(30));
    assert_eq!(ended.code, Some(78), "{}", ended.log);
    assert_eq!(elsewhere.requests(), 0);
    let named = elsewhere.url().trim_start_matches("http://").to_owned();
    assert!(ended.log.contains(&named) && ended.log.contains("host.sandbox.allow"), "{}", ended.log);
    assert_eq!(consume(&world, &broker, 1), ["1"]);
}

#[test]
fn unchanged_answers_make_no_records_and_next_to_no_traffic() {
    let (world, polls) = (World::new(), AtomicU64::new(0));
    let broker = Broker::start(&world);
    let server = HttpServer::start_with(move |asked| {
        let tag = if polls.fetch_add(1, Ordering::SeqCst) < 40 { "\"1\"" } else { "\"2\"" };
        match asked.header("if-none-match") {
            Some(known) if known == tag => Answer::status(304, "").header("etag", tag),
            _ => Answer::ok(format!("[{tag},\"{}\"]", "x".repeat(100_000))).header("etag", tag),
        }
    });
    let _run = start(&world, &broker, &server.url(), "  interval: 50ms\n  conditional: true\n", "");
    e2e::eventually("forty polls", Duration::from_secs(60), || server.requests() >= 45);
    let records = consume(&world, &broker, 4);
    assert_eq!((records[0].as_str(), records[2].as_str()), ("\"1\"", "\"2\""), "news twice, records twice");
    let line = format!("consume -B -d pages --cluster {}", broker.address());
    assert_eq!(world.run(&line).success().out.lines().count(), 4);
    let (sent, requests) = (server.sent(), server.requests());
    assert!(sent < 2 * 101_000 + requests * 200, "{sent} bytes for {requests} requests");
}
