//! mqtt-source against Eclipse Mosquitto.

use std::process::Command;
use std::time::Duration;

use e2e::{Broker, Certificates, Cutter, Mosquitto, Publisher, Running, World, free_port};

const PATIENCE: Duration = Duration::from_secs(60);

/// The configuration of a source into the topic `messages`, with further lines for its section and the file.
fn source(world: &World, url: &str, section: &str, rest: &str) -> std::path::PathBuf {
    let text = format!(
        "apiVersion: 0.1.0\nmeta: {{name: mqtt-in, type: mqtt-source, version: 0.1.0, topic: messages}}\n\
         mqtt:\n  url: {url}\n{section}{rest}"
    );
    world.file("source.yaml", text)
}

/// Starts `host run` and waits until the broker has taken it.
fn start(world: &World, broker: &Broker, config: &std::path::Path) -> Running {
    let run = world.host(["run", "--cluster", broker.address(), "--config"]).arg(config).start();
    run.wait_for_log("connected to", PATIENCE);
    run
}

/// The first `count` records of the topic.
fn consume(world: &World, broker: &Broker, count: usize) -> Vec<String> {
    let line = format!("consume -B -n {count} messages --cluster {}", broker.address());
    world.run(&line).success().out.lines().map(str::to_owned).collect()
}

/// All records of the topic.
fn everything(world: &World, broker: &Broker) -> Vec<String> {
    let line = format!("consume -B -d messages --cluster {}", broker.address());
    world.host(line.split(' ')).finish(Duration::from_secs(120)).success().out.lines().map(str::to_owned).collect()
}

/// Waits until the topic holds each of the numbers 0 to `count`.
fn wait_for_all(world: &World, broker: &Broker, count: u64, limit: Duration) -> Vec<u64> {
    let mut seen = Vec::new();
    e2e::eventually("every message in the topic", limit, || {
        seen = everything(world, broker).iter().map(|line| line.trim().parse().expect("a number")).collect();
        let mut distinct = seen.clone();
        distinct.sort_unstable();
        distinct.dedup();
        distinct.len() as u64 == count
    });
    seen
}

fn numbers(topic: &'static str) -> impl Fn(u64) -> (String, Vec<u8>) + Send {
    move |number| (topic.to_owned(), format!("{number:<100}").into_bytes())
}

fn publish(port: u16, qos: u8, messages: &'static [(&'static str, &'static str)]) {
    let message = |n: u64| (messages[n as usize].0.to_owned(), messages[n as usize].1.as_bytes().to_vec());
    Publisher::start(port, qos, messages.len() as u64, message).finish(PATIENCE);
}

#[test]
fn the_official_configuration_gives_the_official_records() {
    let world = World::new();
    let (broker, mosquitto) = (Broker::start(&world), Mosquitto::start(&world, ""));
    let url = format!("{}?client_id=from-url", mosquitto.url());
    let section =
        "  topic: factory/#\n  client_id: overruled\n  timeout: {secs: 30, nanos: 0}\n  payload_output_type: json\n";
    let config = source(&world, &url, section, "");
    let run = start(&world, &broker, &config);
    run.wait_for_log("with MQTT 5 as `from-url`", PATIENCE);
    e2e::eventually("the subscription", PATIENCE, || mosquitto.log().contains("from-url"));
    std::thread::sleep(Duration::from_millis(300));
    publish(mosquitto.port(), 0, &[("factory/a", r#"{"t": 21.50}"#), ("elsewhere", "1"), ("factory/b/c", "[1, 2]")]);
    let records = consume(&world, &broker, 2);
    assert_eq!(
        records,
        [r#"{"mqtt_topic":"factory/a","payload":{"t":21.50}}"#, r#"{"mqtt_topic":"factory/b/c","payload":[1,2]}"#]
    );
    let log = mosquitto.log();
    assert!(log.contains("as from-url (p5, c1, k30)"), "{log}");
}

#[test]
fn the_flat_form_of_old_works_unchanged() {
    let world = World::new();
    let (broker, mosquitto) = (Broker::start(&world), Mosquitto::start(&world, ""));
    let text = format!(
        "version: latest\nname: my-test-mqtt\ntype: mqtt\ndirection: source\ntopic: messages\ncreate_topic: true\n\
         parameters:\n  mqtt-url: \"127.0.0.1:{}\"\n  mqtt-topic: \"/hfp/v2/journey/#\"\n  fluvio-topic: messages\n  qos: 1\n",
        mosquitto.port()
    );
    let config = world.file("flat.yaml", text);
    let run = start(&world, &broker, &config);
    e2e::eventually("the subscription", PATIENCE, || mosquitto.log().contains("p5, c1, k60"));
    std::thread::sleep(Duration::from_millis(300));
    publish(mosquitto.port(), 1, &[("/hfp/v2/journey/ongoing", "hi")]);
    assert_eq!(consume(&world, &broker, 1), [r#"{"mqtt_topic":"/hfp/v2/journey/ongoing","payload":[104,105]}"#]);
    assert!(!run.log().contains("fluvio-topic"), "{}", run.log());
}

#[test]
fn messages_wait_in_the_broker_while_the_host_is_away() {
    for protocol in ["3.1.1", "5"] {
        let world = World::new();
        let (broker, mosquitto) = (Broker::start(&world), Mosquitto::start(&world, ""));
        let section = format!("  topic: t\n  client_id: me\n  qos: 1\n  payload: raw\n  protocol: \"{protocol}\"\n");
        let config = source(&world, &mosquitto.url(), &section, "");
        let run = start(&world, &broker, &config);
        publish(mosquitto.port(), 1, &[("t", "1"), ("t", "2")]);
        assert_eq!(consume(&world, &broker, 2), ["1", "2"]);
        run.terminate();
        let _ = run.wait(PATIENCE).success();
        publish(mosquitto.port(), 1, &[("t", "3"), ("t", "4")]);
        let _run = start(&world, &broker, &config);
        assert_eq!(consume(&world, &broker, 4), ["1", "2", "3", "4"], "nothing lost, nothing twice");
    }
}

#[test]
fn kill_9_and_a_restarting_broker_lose_nothing() {
    const COUNT: u64 = 20_000;
    for protocol in ["3.1.1", "5"] {
        let world = World::new();
        let (broker, mut mosquitto) = (Broker::start(&world), Mosquitto::start(&world, "max_inflight_messages 0"));
        let section = format!("  topic: t/#\n  client_id: me\n  qos: 1\n  payload: raw\n  protocol: \"{protocol}\"\n");
        let config = source(&world, &mosquitto.url(), &section, "host: {retry: {initial: 50ms, max-delay: 500ms}}\n");
        let mut run = start(&world, &broker, &config);
        let publisher = Publisher::start(mosquitto.port(), 1, COUNT, numbers("t/n"));
        for quarter in 1..4 {
            e2e::eventually("progress", PATIENCE, || publisher.acknowledged() >= COUNT * quarter / 4);
            if quarter == 2 {
                mosquitto.down();
                std::thread::sleep(Duration::from_millis(300));
                mosquitto.up();
            } else {
                run.kill();
                run = start(&world, &broker, &config);
            }
        }
        publisher.finish(PATIENCE);
        let seen = wait_for_all(&world, &broker, COUNT, PATIENCE);
        println!("{protocol}: {} repeats", seen.len() as u64 - COUNT);
        run.terminate();
        let _ = run.wait(PATIENCE).success();
    }
}

#[test]
fn quality_2_is_exactly_once_and_in_order_over_a_wire_that_breaks() {
    const COUNT: u64 = 10_000;
    for protocol in ["3.1.1", "5"] {
        let world = World::new();
        let (broker, mosquitto) = (Broker::start(&world), Mosquitto::start(&world, "max_inflight_messages 200"));
        let mut wire = Cutter::to(mosquitto.port());
        let section = format!("  topic: t\n  client_id: me\n  qos: 2\n  payload: raw\n  protocol: \"{protocol}\"\n");
        let config = source(&world, &wire.url(), &section, "host: {retry: {initial: 20ms, max-delay: 100ms}}\n");
        let run = start(&world, &broker, &config);
        let publisher = Publisher::start(mosquitto.port(), 2, COUNT, numbers("t"));
        for tenth in 1..=9 {
            e2e::eventually("progress", PATIENCE, || publisher.acknowledged() >= COUNT * tenth / 10);
            wire.cut();
        }
        publisher.finish(PATIENCE);
        let seen = wait_for_all(&world, &broker, COUNT, PATIENCE);
        run.terminate();
        let _ = run.wait(PATIENCE).success();
        assert_eq!(seen, (0..COUNT).collect::<Vec<_>>(), "{protocol}, after {} cuts", wire.cuts());
        assert_eq!(everything(&world, &broker).len() as u64, COUNT, "nothing more came");
    }
}

#[test]
fn messages_wait_in_the_broker_while_fluvio_is_away() {
    const COUNT: u64 = 20_000;
    let world = World::new();
    let (mut broker, mosquitto) = (Broker::start(&world), Mosquitto::start(&world, ""));
    if broker.process().is_none() {
        return; // somebody else's cluster is not ours to kill
    }
    let section = "  topic: t\n  client_id: me\n  qos: 1\n  payload: raw\n  receive-maximum: 100\n";
    let config = source(&world, &mosquitto.url(), section, "");
    let run = start(&world, &broker, &config);
    publish(mosquitto.port(), 1, &[("t", "0")]);
    assert_eq!(consume(&world, &broker, 1), ["0"]);
    broker.kill();
    Publisher::start(mosquitto.port(), 1, COUNT - 1, |n| ("t".to_owned(), (n + 1).to_string().into_bytes()))
        .finish(PATIENCE);
    std::thread::sleep(Duration::from_secs(3));
    broker.restart(&world);
    let seen = wait_for_all(&world, &broker, COUNT, PATIENCE);
    // What was on its way when Fluvio went may be there twice; what is new comes in order.
    let mut firsts: Vec<u64> = Vec::new();
    for number in seen {
        if firsts.last().is_none_or(|&newest| number > newest) {
            firsts.push(number);
        }
    }
    assert_eq!(firsts, (0..COUNT).collect::<Vec<_>>());
    run.terminate();
    let _ = run.wait(PATIENCE).success();
}

#[test]
fn hosts_of_one_group_share_the_messages() {
    let world = World::new();
    let (broker, mosquitto) = (Broker::start(&world), Mosquitto::start(&world, ""));
    let text = |id: u32| {
        format!(
            "apiVersion: 0.1.0\nmeta: {{name: in-{id}, type: mqtt-source, version: 0.1.0, topic: messages}}\n\
             mqtt: {{url: \"{}\", topic: $share/hosts/t/#, client_id: host-{id}, qos: 1, payload: raw}}\n",
            mosquitto.url()
        )
    };
    let runs: Vec<_> = [1, 2].map(|id| start(&world, &broker, &world.file(&format!("{id}.yaml"), text(id)))).into();
    std::thread::sleep(Duration::from_millis(300));
    Publisher::start(mosquitto.port(), 1, 1000, |n| (format!("t/{n}"), n.to_string().into_bytes())).finish(PATIENCE);
    let seen = wait_for_all(&world, &broker, 1000, PATIENCE);
    assert_eq!(seen.len(), 1000, "each message went to one of them");
    for run in runs {
        run.terminate();
        let ended = run.wait(PATIENCE).success();
        assert!(!ended.log.contains("\"sent\":0,"), "one of them had nothing to do:\n{}", ended.log);
    }
}

#[test]
fn a_refused_login_ends_the_run() {
    let world = World::new();
    let broker = Broker::start(&world);
    let passwords = world.path("passwords");
    let made = Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&passwords).args(["me", "hunter2"]).status();
    assert!(made.expect("mosquitto_passwd, of the package mosquitto").success());
    let access = format!("allow_anonymous false\npassword_file {}", passwords.display());
    let mosquitto = Mosquitto::with(&world, &access, "");
    let at = mosquitto.url().replace("mqtt://", "");
    for (protocol, login) in [("5", "me:hunter3@"), ("3.1.1", "me:hunter3@"), ("5", ""), ("3.1.1", "")] {
        let section = format!("  topic: a\n  protocol: \"{protocol}\"\n");
        let config = source(&world, &format!("mqtt://{login}{at}"), &section, "");
        let ended = world.host(["run", "--cluster", broker.address(), "--config"]).arg(&config).finish(PATIENCE);
        assert_eq!(ended.code, Some(78), "{}", ended.log);
        assert!(ended.log.contains("refuses the login") && ended.log.contains(&at), "{}", ended.log);
        assert!(!ended.log.contains("hunter"), "{}", ended.log);
    }
    let section = "  topic: allowed/#\n  username: me\n  password: hunter2\n";
    let config = source(&world, &format!("mqtt://{at}"), section, "");
    let checked = world.host(["check", "--config"]).arg(&config).finish(PATIENCE).success();
    assert!(checked.out.contains("ok      broker grants the subscription"), "{}", checked.out);
    drop(start(&world, &broker, &config));
}

#[test]
fn a_refused_subscription_ends_the_run() {
    let world = World::new();
    let broker = Broker::start(&world);
    let rules = world.path("rules.json");
    let made = Command::new("mosquitto_ctrl").args(["dynsec", "init"]).arg(&rules).args(["me", "hunter2"]).status();
    assert!(made.expect("mosquitto_ctrl, of the package mosquitto").success());
    // The user may log in. What else it may do, it may no more.
    let text = std::fs::read_to_string(&rules).expect("the rules");
    let mut allowed: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    allowed["roles"] = serde_json::json!([]);
    allowed["clients"][0]["roles"] = serde_json::json!([]);
    std::fs::write(&rules, allowed.to_string()).expect("the rules");
    let plugin =
        ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/opt/homebrew/lib"];
    let plugin = plugin.map(|folder| format!("{folder}/mosquitto_dynamic_security.so"));
    let plugin = plugin.iter().find(|path| std::path::Path::new(path).exists()).expect("Mosquitto's plugin for rules");
    let access = format!("allow_anonymous false\nplugin {plugin}\nplugin_opt_config_file {}", rules.display());
    let mosquitto = Mosquitto::with(&world, &access, "");
    for protocol in ["5", "3.1.1"] {
        let section =
            format!("  topic: forbidden/a\n  username: me\n  password: hunter2\n  protocol: \"{protocol}\"\n");
        let config = source(&world, &mosquitto.url(), &section, "");
        let ended = world.host(["run", "--cluster", broker.address(), "--config"]).arg(&config).finish(PATIENCE);
        assert_eq!(ended.code, Some(78), "{}", ended.log);
        assert!(ended.log.contains("refuses the subscription to `forbidden/a`"), "{}", ended.log);
    }
}

#[test]
fn tls_with_an_authority_and_a_client_certificate_of_its_own() {
    let world = World::new();
    let broker = Broker::start(&world);
    let made = Certificates::new("factory-host");
    let [ca, server, server_key, client, client_key] = [
        ("ca.pem", &made.authority),
        ("server.pem", &made.server),
        ("server.key", &made.server_key),
        ("client.pem", &made.client),
        ("client.key", &made.client_key),
    ]
    .map(|(name, text)| world.file(name, text).display().to_string());
    let (plain, strict) = (free_port(), free_port());
    let keys = format!("cafile {ca}\ncertfile {server}\nkeyfile {server_key}");
    let listeners = format!(
        "listener {plain} 127.0.0.1\n{keys}\nlistener {strict} 127.0.0.1\n{keys}\nrequire_certificate true\n\
         use_identity_as_username true"
    );
    let mosquitto = Mosquitto::start(&world, &listeners);
    let section = "  topic: t\n  client_id: me\n  qos: 1\n  payload: raw\n";
    let run = |port: u16, tls: &str| {
        let rest = format!("host:\n  retry: {{max: 1, initial: 10ms}}\n{tls}");
        let config = source(&world, &format!("mqtts://localhost:{port}"), section, &rest);
        world.host(["run", "--cluster", broker.address(), "--config"]).arg(&config).start()
    };

    let ended = run(plain, "").wait(PATIENCE);
    assert_eq!(ended.code, Some(1), "a certificate of nobody's must be refused:\n{}", ended.log);
    assert!(ended.log.contains("TLS failed") && ended.log.contains("UnknownIssuer"), "{}", ended.log);
    let ended = run(strict, &format!("  tls: {{ca: {ca}}}\n")).wait(PATIENCE);
    assert_eq!(ended.code, Some(1), "somebody without a certificate must be refused:\n{}", ended.log);
    let ended = run(strict, &format!("  tls: {{ca: {ca}, certificate: {client}, key: {server_key}}}\n")).wait(PATIENCE);
    assert_eq!(ended.code, Some(78), "a key that does not fit is found before anything connects:\n{}", ended.log);
    assert!(ended.log.contains("client certificate and key"), "{}", ended.log);

    for (number, port, tls) in [
        (1, plain, format!("  tls: {{ca: {ca}}}\n")),
        (2, strict, format!("  tls: {{ca: {ca}, certificate: {client}, key: {client_key}}}\n")),
    ] {
        let run = run(port, &tls);
        run.wait_for_log("connected to localhost", PATIENCE);
        publish(mosquitto.port(), 1, &[("t", "over TLS")]);
        assert_eq!(consume(&world, &broker, number), vec!["over TLS"; number]);
        run.terminate();
        let _ = run.wait(PATIENCE).success();
    }
    assert!(mosquitto.log().contains("u'factory-host'"), "{}", mosquitto.log());
}

#[test]
fn a_broker_that_is_not_there_is_waited_for() {
    let world = World::new();
    let (broker, mut mosquitto) = (Broker::start(&world), Mosquitto::start(&world, ""));
    mosquitto.down();
    let url = mosquitto.url().replace("127.0.0.1", "localhost");
    let section = "  topic: t\n  client_id: me\n  qos: 1\n  payload: raw\n";
    let config = source(&world, &url, section, "host: {retry: {initial: 100ms, max-delay: 300ms}}\n");
    let run = world.host(["run", "--cluster", broker.address(), "--config"]).arg(&config).start();
    run.wait_for_log("the connection was refused", PATIENCE);
    mosquitto.up();
    run.wait_for_log("connected to localhost", PATIENCE);
    publish(mosquitto.port(), 1, &[("t", "7")]);
    assert_eq!(consume(&world, &broker, 1), ["7"]);
}
