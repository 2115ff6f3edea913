//! The worked example of `docs/mqtt-bridge.md`, run as it stands there.

use std::process::{Command, Stdio};
use std::time::Duration;

use e2e::{Broker, Mosquitto, World};

const PATIENCE: Duration = Duration::from_secs(60);

const PAGE: &str = include_str!("../../../docs/mqtt-bridge.md");

/// The blocks of the page that begin with this line.
fn blocks(opening: &str) -> Vec<&'static str> {
    let parts = PAGE.split(&format!("\n```{opening}\n")).skip(1);
    parts.map(|part| part.split("\n```").next().expect("the block ends")).collect()
}

#[test]
fn the_bridge_works_as_the_page_says() {
    let world = World::new();
    let broker = Broker::start(&world);
    // The settings of the page, but for its places and its limits, which every broker of the tests has.
    let settings = blocks("text")[1];
    assert!(settings.contains("max_queued_messages 0") && settings.contains("persistence true"));
    let (floor, control) = (Mosquitto::start(&world, ""), Mosquitto::start(&world, ""));
    let here = |text: &str| text.replace("1883", &floor.port().to_string()).replace("1884", &control.port().to_string());

    let [machines_in, alarms_out] = blocks("yaml").try_into().expect("two configurations");
    let runs = [("machines-in.yaml", machines_in), ("alarms-out.yaml", alarms_out)].map(|(name, text)| {
        let config = world.file(name, here(text));
        world.host(["run", "--cluster", broker.address(), "--config"]).arg(&config).start()
    });
    runs[0].wait_for_log("connected to", PATIENCE);
    runs[1].wait_for_log("sink ready", PATIENCE);

    let [listen, speak] = blocks("sh").try_into().expect("two pieces of shell");
    let listening = Command::new("sh").args(["-c", &here(listen)]).stdout(Stdio::piped()).spawn().expect("a shell");
    e2e::eventually("somebody who listens", PATIENCE, || control.log().contains("New client connected"));
    std::thread::sleep(Duration::from_millis(300));
    let spoken = Command::new("sh").args(["-e", "-c", &here(speak)]).status().expect("a shell");
    assert!(spoken.success());
    let heard = listening.wait_with_output().expect("it has heard enough");
    assert_eq!(String::from_utf8_lossy(&heard.stdout).trim_end(), *blocks("text").last().expect("the outcome"));
    for run in runs {
        run.terminate();
        let _ = run.wait(PATIENCE).success();
    }
}
