//! http-source on answers that go on and on: events, lines, and what is neither.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use e2e::{Answer, Broker, HttpServer, Running, World};

/// Starts http-source on `url`; `section` is the rest of its section, `rest` of the file.
fn start(world: &World, broker: &Broker, url: &str, section: &str, rest: &str) -> Running {
    let text = format!(
        "apiVersion: 0.1.0\nmeta: {{name: streamed, type: http-source, version: 0.1.0, topic: streamed}}\n\
         http:\n  endpoint: {url}\n{section}{rest}"
    );
    let path = world.file("streamed.yaml", text);
    world.host(["run", "--cluster", broker.address(), "--config"]).arg(&path).start()
}

fn consume(world: &World, broker: &Broker, count: usize) -> Vec<String> {
    let line = format!("consume -B -n {count} streamed --cluster {}", broker.address());
    world.host(line.split(' ')).finish(Duration::from_secs(120)).success().out.lines().map(str::to_owned).collect()
}

#[test]
fn events_survive_a_server_that_drops_every_connection() {
    const EVENTS: u64 = 10_000;
    let world = World::new();
    let broker = Broker::start(&world);
    let server = HttpServer::start_with(|asked| {
        let next = asked.header("last-event-id").map_or(0, |id| id.parse::<u64>().expect("its own id") + 1);
        if next >= EVENTS {
            return Answer::status(204, "");
        }
        let events: String = (next..(next + 100).min(EVENTS)).map(|n| format!("id: {n}\ndata: {n}\n\n")).collect();
        let whole = events.len();
        // Half of the connections end as they should, the others in the middle of an event that comes again.
        let answer = Answer::ok(events + "id: 1000000\ndata: half an ev").header("content-type", "text/event-stream");
        if (next / 100).is_multiple_of(2) { answer.cut_after(whole + 10) } else { answer.chunked(1000) }
    });
    let run = start(&world, &broker, &server.url(), "  sse: true\n", "");
    let ended = run.wait(Duration::from_secs(120)).success();
    assert!(ended.log.contains("no more events"), "{}", ended.log);
    assert_eq!(e2e::numbers(&consume(&world, &broker, 10_000).join("\n")), (0..EVENTS).collect::<Vec<_>>());
    let line = format!("consume -B -d streamed --cluster {}", broker.address());
    assert_eq!(world.run(&line).success().out.lines().count(), 10_000, "none twice");
    assert_eq!(server.requests(), 101);
}

#[test]
fn a_killed_listener_goes_on_behind_the_last_event() {
    let world = World::new();
    let broker = Broker::start(&world);
    let server = HttpServer::start_with(|asked| {
        let next = asked.header("last-event-id").map_or(0, |id| id.parse::<u64>().expect("its own id") + 1);
        let events: String = (next..next + 10).map(|n| format!("id: {n}\ndata: {n}\n\n")).collect();
        Answer::ok(events).header("content-type", "text/event-stream").slow(Duration::from_millis(5))
    });
    for round in 1..4 {
        let mut run = start(&world, &broker, &server.url(), "", "");
        run.wait_for_log("topic ready", Duration::from_secs(30));
        let _ = consume(&world, &broker, round * 40);
        run.kill();
    }
    let mut numbers = e2e::numbers(&consume(&world, &broker, 120).join("\n"));
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers[..60], (0..60).collect::<Vec<_>>(), "none missing");
}

/// 1 MiB of lines that count from `first`, 128 bytes each.
fn lines(first: u64) -> Vec<u8> {
    let line = |n| format!("{{\"n\":{n},\"text\":\"{:.<1$}\"}}\n", "", 108 - format!("{n}").len());
    (first..first + 8192).flat_map(|n| line(n).into_bytes()).collect()
}

#[test]
fn a_long_stream_takes_little_memory() {
    let world = World::new();
    let broker = Broker::start(&world);
    let server = HttpServer::start(|_| Answer::stream(|| (0..200).map(|mib| lines(mib * 8192))));
    let section = "  stream: true\n  interval: 1h\n";
    let run = start(&world, &broker, &server.url(), section, "");
    let mut memory = 0;
    let line = format!("consume -T 1 -d streamed --cluster {}", broker.address());
    run.wait_for_log("topic ready", Duration::from_secs(30));
    e2e::eventually("the last line", Duration::from_secs(240), || {
        memory = memory.max(run.peak_memory().unwrap_or(0));
        world.run(&line).success().out.starts_with("{\"n\":1638399,")
    });
    println!("200 MiB, peak memory {} MiB", memory >> 20);
    assert!(memory < 300 << 20, "{memory} bytes of memory");
}

#[test]
fn what_never_ends_a_record_is_bounded_and_named() {
    let world = World::new();
    let broker = Broker::start(&world);
    let sent = Arc::<AtomicU64>::default();
    let counted = Arc::clone(&sent);
    let server = HttpServer::start(move |_| {
        let counted = Arc::clone(&counted);
        Answer::stream(move || {
            let counted = Arc::clone(&counted);
            let endless = (0..1000).map(move |_| {
                counted.fetch_add(1, Ordering::SeqCst);
                vec![b'x'; 1 << 20]
            });
            endless.chain([b"\nafter it\n".to_vec()])
        })
    });
    let section = "  stream: true\n  interval: 1h\n  max-record: 1 MiB\n";
    let run = start(&world, &broker, &server.url(), section, "host: {on-error: skip}\n");
    run.wait_for_log("topic ready", Duration::from_secs(30));
    assert_eq!(consume(&world, &broker, 1), ["after it"], "what is too long is passed over");
    let memory = run.peak_memory().unwrap_or(0);
    assert!(memory < 300 << 20, "{memory} bytes of memory");
    assert_eq!(sent.load(Ordering::SeqCst), 1000);
    let log = run.log();
    assert!(
        log.contains("a record is longer than `max-record`, 1048576 bytes; is `delimiter` the right one?"),
        "{log}"
    );
}

#[test]
fn compressed_answers_and_damaged_ones() {
    let (world, polls) = (World::new(), AtomicU64::new(0));
    let broker = Broker::start(&world);
    let gzip = |text: &[u8]| {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(text).expect("memory");
        encoder.finish().expect("memory")
    };
    let (whole, bomb) = (gzip(b"a text of some length"), gzip(&vec![b' '; 100 << 20]));
    let server = HttpServer::start_with(move |asked| {
        assert_eq!(asked.header("accept-encoding"), Some("gzip, br, zstd"));
        let body = match polls.fetch_add(1, Ordering::SeqCst) {
            0 => whole[..whole.len() - 4].to_vec(),
            1 => bomb.clone(),
            _ => whole.clone(),
        };
        Answer::ok(body).header("content-encoding", "gzip")
    });
    let rest = "host: {on-error: dead-letter}\n";
    let run = start(&world, &broker, &server.url(), "  interval: 100ms\n", rest);
    run.wait_for_log("topic ready", Duration::from_secs(30));
    assert_eq!(consume(&world, &broker, 1), ["a text of some length"]);
    let memory = run.peak_memory().unwrap_or(0);
    assert!(memory < 400 << 20, "a bomb of 100 MiB, a limit of 64: {memory} bytes of memory");
    let line = format!("consume -B -n 2 streamed-dead-letters --cluster {}", broker.address());
    let letters = world.run(&line).success().out;
    assert!(letters.contains("the body is not the gzip that it is declared to be: it ends too early"), "{letters}");
    assert!(letters.contains("the body unfolds to more than the limit of 67108864 bytes"), "{letters}");
}
