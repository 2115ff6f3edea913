//! http-source behind authorisation, proxies and certificates of one's own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use e2e::{Answer, Broker, HttpServer, ProxyServer, Running, World};

/// Starts http-source on `url`; `section` is the rest of its section, `rest` of the file.
fn start(world: &World, broker: &Broker, url: &str, section: &str, rest: &str) -> Running {
    let text = format!(
        "apiVersion: 0.1.0\nmeta: {{name: guarded, type: http-source, version: 0.1.0, topic: guarded, \
         secrets: [{{name: SECRET}}]}}\n\
         http:\n  endpoint: {url}\n  interval: 50ms\n{section}{rest}"
    );
    let path = world.file("guarded.yaml", text);
    let secrets = world.file("secrets.txt", "SECRET=hunter2hunter2\n");
    let line = ["--rust-log", "debug", "run", "--cluster", broker.address(), "--config"];
    world.host(line).arg(&path).arg("--secrets").arg(&secrets).start()
}

fn consume(world: &World, broker: &Broker, count: usize) -> Vec<String> {
    let line = format!("consume -B -n {count} guarded --cluster {}", broker.address());
    world.run(&line).success().out.lines().map(str::to_owned).collect()
}

#[test]
fn a_token_is_fetched_renewed_and_never_shown() {
    let (world, tokens) = (World::new(), AtomicU64::new(0));
    let broker = Broker::start(&world);
    let server = HttpServer::start_with(move |asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", "/token") => {
            // "me:hunter2hunter2"
            assert_eq!(asked.header("authorization"), Some("Basic bWU6aHVudGVyMmh1bnRlcjI="));
            assert_eq!(&asked.body[..], b"grant_type=client_credentials&scope=read");
            let number = tokens.fetch_add(1, Ordering::SeqCst) + 1;
            Answer::ok(format!(r#"{{"access_token":"t0ken-{number}","token_type":"Bearer","expires_in":3600}}"#))
        }
        _ => {
            // Each token is taken back when the next one was asked for, and the first one after two requests.
            let current = format!("Bearer t0ken-{}", tokens.load(Ordering::SeqCst));
            match asked.header("authorization") {
                Some(token) if token == current => Answer::ok(token.trim_start_matches("Bearer t0ken-")),
                other => Answer::status(401, format!("{other:?} is not known")),
            }
        }
    });
    let section = format!(
        "  auth:\n    type: oauth2\n    token-url: {}/token\n    client-id: me\n    \
         client-secret: ${{{{ secrets.SECRET }}}}\n    scopes: [read]\n",
        server.url()
    );
    let run = start(&world, &broker, &server.url(), &section, "");
    run.wait_for_log("topic ready", Duration::from_secs(30));
    assert_eq!(consume(&world, &broker, 3), ["1", "1", "1"], "one token serves many requests");
    let log = run.log();
    assert!(!log.contains("hunter2") && !log.contains("t0ken") && !log.contains("bWU6"), "a secret was logged:\n{log}");
}

#[test]
fn refused_credentials_are_not_shown() {
    let world = World::new();
    let broker = Broker::start(&world);
    let server = HttpServer::start_with(|asked| {
        // A server that echoes what it gets.
        Answer::status(403, format!("you sent {}", asked.header("authorization").unwrap_or_default()))
    });
    let section = "  auth: {type: basic, username: me, password: \"${{ secrets.SECRET }}\"}\n";
    let ended = start(&world, &broker, &server.url(), section, "").wait(Duration::from_secs(30));
    assert_eq!(ended.code, Some(78), "{}", ended.log);
    assert!(ended.log.contains("answered 403 Forbidden: you sent Basic ***"), "{}", ended.log);
    assert!(!ended.log.contains("hunter2") && !ended.log.contains("bWU6"), "{}", ended.log);
}

#[test]
fn a_proxy_is_used_and_the_list_of_hosts_holds_behind_it() {
    let world = World::new();
    let broker = Broker::start(&world);
    let proxy = ProxyServer::start();
    let elsewhere = HttpServer::start(|_| Answer::ok("secret"));
    let (target, polls) = (elsewhere.url(), AtomicU64::new(0));
    let server = HttpServer::start(move |_| match polls.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::ok("through the proxy"),
        _ => Answer::status(302, "").header("location", target.clone()),
    });
    let rest = format!("host: {{sandbox: {{proxy: 'http://me:${{{{ secrets.SECRET }}}}@{}'}}}}\n", proxy.address());
    let ended = start(&world, &broker, &server.url(), "", &rest).wait(Duration::from_secs(30));
    assert_eq!(consume(&world, &broker, 1), ["through the proxy"]);
    // The redirect leads to a host that is not named: the proxy never hears of it.
    assert_eq!((ended.code, elsewhere.requests()), (Some(78), 0), "{}", ended.log);
    let heads = proxy.heads();
    let line = format!("GET {}/ HTTP/1.1\r\n", server.url());
    assert!(!heads.is_empty() && heads.iter().all(|head| head.starts_with(&line)), "{heads:?}");
    assert!(heads[0].to_lowercase().contains("proxy-authorization: basic bwu6ahvudgvymmh1bnrlcji="), "{heads:?}");
    assert!(!ended.log.contains("hunter2"), "{}", ended.log);
}

#[test]
fn tls_goes_through_a_tunnel_and_trusts_the_file_that_is_named() {
    let world = World::new();
    let broker = Broker::start(&world);
    let (server, files) = HttpServer::start_tls(|_| Answer::ok("over TLS"));
    let authority = world.file("company.pem", files.authority);
    let proxy = ProxyServer::start();
    let sandbox = format!("host: {{tls: {{ca: '{}'}}, sandbox: {{}}}}\n", authority.display());
    let text = format!(
        "apiVersion: 0.1.0\nmeta: {{name: guarded, type: http-source, version: 0.1.0, topic: guarded}}\n\
         http:\n  endpoint: {}\n  interval: 50ms\n{sandbox}",
        server.url()
    );
    let config = world.file("guarded.yaml", text);
    // The environment names the proxy, as it does for other programs.
    let proxied = |run: e2e::Host| run.env("HTTPS_PROXY", format!("http://{}", proxy.address()));
    let command = || world.host(["run", "--cluster", broker.address(), "--config"]).arg(&config);
    let run = proxied(command()).start();
    run.wait_for_log("topic ready", Duration::from_secs(30));
    assert_eq!(consume(&world, &broker, 1), ["over TLS"]);
    let authority = server.url().trim_start_matches("https://").to_owned();
    let heads = proxy.heads();
    assert!(heads[0].starts_with(&format!("CONNECT {authority} HTTP/1.1\r\n")), "{heads:?}");
    run.terminate();
    let _ = run.wait(Duration::from_secs(30)).success();

    // Unless it is told not to.
    let connections = proxy.heads().len();
    let config = world.file(
        "guarded.yaml",
        std::fs::read_to_string(&config).expect("the file").replace("sandbox: {", "sandbox: {proxy: none"),
    );
    let before = server.connections();
    let run = proxied(world.host(["run", "--cluster", broker.address(), "--config"]).arg(&config)).start();
    e2e::eventually("a connection", Duration::from_secs(30), || server.connections() > before);
    assert_eq!(proxy.heads().len(), connections);
    drop(run);
}
