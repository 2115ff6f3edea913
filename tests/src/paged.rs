//! A list of many pages behind a cursor, and a run over it that is killed again and again.

use std::time::Duration;

use crate::{Answer, Broker, HttpServer, World};

/// Pages of the list.
pub const PAGES: u64 = 200;

/// Elements of each page.
pub const ELEMENTS: u64 = 50;

/// What came of a run.
#[derive(Debug)]
pub struct PagedRun {
    /// How often it was killed.
    pub kills: u64,
    /// The elements in the topic, in order of arrival.
    pub elements: Vec<u64>,
    /// Requests that the server saw.
    pub requests: u64,
}

impl PagedRun {
    /// Reads the whole list, killing the process `kills` times on the way, at moments that look random and are
    /// the same every time.
    ///
    /// # Panics
    /// When the list does not arrive.
    #[must_use]
    pub fn with_kills(kills: u64) -> Self {
        let world = World::new();
        let broker = Broker::start(&world);
        let server = HttpServer::start_with(|asked| {
            let page: u64 = asked.parameter("after").map_or(0, |page| page.parse().expect("one of its own cursors"));
            let elements: Vec<u64> = (page * ELEMENTS..(page + 1) * ELEMENTS).collect();
            let next = (page + 1 < PAGES).then(|| (page + 1).to_string());
            let body = serde_json::json!({"items": elements, "meta": {"next": next}});
            Answer::ok(body.to_string()).slow(Duration::from_millis(10))
        });
        let config = world.file(
            "paged.yaml",
            format!(
                "apiVersion: 0.1.0\nmeta: {{name: paged, type: http-source, version: 0.1.0, topic: paged}}\n\
                 http:\n  endpoint: {}/list\n  interval: 1h\n  records: /items\n\
                 \x20 pagination: {{type: cursor, next: /meta/next, param: after}}\n",
                server.url()
            ),
        );
        let line = format!("run --config {} --cluster {}", config.display(), broker.address());
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut done = 0;
        while done < kills {
            let mut run = world.host(line.split(' ')).start();
            // From the moment it can do something, so that a slow machine makes as much progress as a fast one.
            run.wait_for_log("topic ready", Duration::from_secs(60));
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            std::thread::sleep(Duration::from_millis((state >> 33) % 150));
            assert!(run.is_running(), "{}", run.log());
            run.kill();
            done += 1;
        }
        assert!(server.requests() < PAGES, "the list was through before the last kill");
        let run = world.host(line.split(' ')).start();
        let last = (PAGES * ELEMENTS - 1).to_string();
        let tail = format!("consume -T 1 -d paged --cluster {}", broker.address());
        crate::eventually("the last element", Duration::from_secs(120), || {
            world.run(&tail).success().out.trim_end() == last
        });
        run.terminate();
        let _ = run.wait(Duration::from_secs(30)).success();
        let all = world.run(&format!("consume -B -d paged --cluster {}", broker.address())).success();
        Self { kills: done, elements: crate::numbers(&all.out), requests: server.requests() }
    }

    /// Every element is there, each kill repeats at most one page, and pages come in order.
    ///
    /// # Panics
    /// When that is not so.
    pub fn check(&self) {
        let mut seen = self.elements.clone();
        seen.sort_unstable();
        seen.dedup();
        let repeats = self.elements.len() as u64 - seen.len() as u64;
        println!("{} kills: {repeats} elements repeated, {} requests for {PAGES} pages", self.kills, self.requests);
        assert_eq!(seen, (0..PAGES * ELEMENTS).collect::<Vec<_>>(), "an element is missing");
        assert!(repeats <= self.kills * ELEMENTS, "more than a page a kill: {repeats} elements");
        // Going back happens at kills only, and by one page at most.
        let backward: Vec<_> = self.elements.windows(2).filter(|pair| pair[1] <= pair[0]).collect();
        assert!(backward.len() as u64 <= self.kills, "{backward:?}");
        assert!(backward.iter().all(|pair| pair[0] - pair[1] < ELEMENTS), "{backward:?}");
    }
}
