//! TCP by name, and everything else not at all.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::guest::{sandbox, text};

/// Sends back what comes, in capitals.
async fn shouting_server() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut heard = String::new();
            stream.read_to_string(&mut heard).await.expect("text");
            stream.write_all(heard.to_uppercase().as_bytes()).await.expect("it is taken");
        }
    });
    address
}

fn tcp(to: &str) -> String {
    format!(r#"{{"do": "tcp", "url": "{to}", "text": "hello"}}"#)
}

#[tokio::test]
async fn a_named_host_is_reached_by_name() {
    let address = shouting_server().await;
    let authority = format!("localhost:{}", address.port());
    let sandbox = sandbox(&[&authority]);
    assert_eq!(text(&sandbox, &tcp(&authority)).await, "HELLO");
    let seen = sandbox.activity.snapshot();
    assert!(seen.iter().any(|access| access.allowed && access.authority == authority), "{seen:?}");

    let answer = text(&sandbox, &tcp(&address.to_string())).await;
    assert!(answer.contains("PermissionDenied"), "the address is not the name: {answer}");
}

#[tokio::test]
async fn a_named_address_is_reached_at_its_port() {
    let (address, other) = (shouting_server().await, shouting_server().await);
    let sandbox = sandbox(&[&address.to_string()]);
    assert_eq!(text(&sandbox, &tcp(&address.to_string())).await, "HELLO");
    let answer = text(&sandbox, &tcp(&other.to_string())).await;
    assert!(answer.contains("PermissionDenied"), "{answer}");
    let refused: Vec<_> = sandbox.activity.snapshot().into_iter().filter(|access| !access.allowed).collect();
    assert_eq!(refused[0].authority, other.to_string());
}

#[tokio::test]
async fn names_that_are_not_listed_have_no_address() {
    let sandbox = sandbox(&["localhost"]);
    let lookup = |name: &str| format!(r#"{{"do": "lookup", "url": "{name}:80"}}"#);
    let answer = text(&sandbox, &lookup("localhost")).await;
    assert!(answer.contains("127.0.0.1:80") || answer.contains("[::1]:80"), "{answer}");
    let answer = text(&sandbox, &lookup("example.com")).await;
    assert!(answer.starts_with("error"), "{answer}");
    let seen = sandbox.activity.snapshot();
    assert!(seen.iter().any(|access| !access.allowed && access.authority == "example.com"), "{seen:?}");
}

#[tokio::test]
async fn listening_and_datagrams_are_off() {
    let sandbox = sandbox(&["*"]);
    let answer = text(&sandbox, r#"{"do": "listen"}"#).await;
    assert!(answer.contains("PermissionDenied"), "{answer}");
    let answer = text(&sandbox, r#"{"do": "udp", "url": "127.0.0.1:53"}"#).await;
    assert!(answer.contains("PermissionDenied"), "{answer}");
}
