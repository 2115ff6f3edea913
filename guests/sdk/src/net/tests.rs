use std::time::Duration;

use super::*;
use crate::error::ErrorKind;
use crate::testing::Harness;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_slow_connection_is_waited_for_in_turns() {
    let harness = Harness::install();
    harness.peer().connect_after(3 * SECOND);
    let mut connecting = Connect::new("a.example", 1883).start().expect("begun");
    assert!(connecting.wait(time::now() + SECOND).expect("no failure").is_none());
    assert_eq!(harness.elapsed(), SECOND);
    let stream = connecting.wait(time::now() + 5 * SECOND).expect("no failure").expect("it stands");
    assert_eq!((harness.elapsed(), stream.place()), (3 * SECOND, "a.example:1883"));
}

#[test]
fn the_timeout_is_for_all_turns_together() {
    let harness = Harness::install();
    harness.peer().connect_after(60 * SECOND);
    let error = Connect::new("::1", 8883).tls(true).timeout(2 * SECOND).connect().expect_err("too late");
    assert_eq!(error.to_string(), "[::1]:8883: no connection within 2s");
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert_eq!(harness.elapsed(), 2 * SECOND);
    let seen = &harness.connects()[0];
    assert_eq!((seen.host.as_str(), seen.port, seen.tls), ("::1", 8883, true));
    assert_eq!(Connect::new("[::1]", 1).host, "::1");
}

#[test]
fn a_refusal_names_the_place() {
    let harness = Harness::install();
    harness.peer().refuse(Error::unreachable("the connection was refused"));
    let error = Connect::new("a.example", 1).connect().expect_err("refused");
    assert_eq!(error.to_string(), "a.example:1: the connection was refused");
}

#[test]
fn what_the_other_side_does_not_take_waits_in_memory() {
    let harness = Harness::install();
    let peer = harness.peer();
    peer.room(Some(4));
    let mut stream = Connect::new("a.example", 1).connect().expect("it stands");
    stream.write(b"hello ").expect("no failure");
    stream.write(b"world").expect("no failure");
    assert_eq!((stream.unsent(), peer.heard()), (11, vec![]), "little goes with the next read or flush");
    assert!(!stream.flush(time::now() + SECOND).expect("no failure"));
    assert_eq!(harness.elapsed(), SECOND);
    assert_eq!((stream.unsent(), peer.heard()), (7, b"hell".to_vec()));
    // Reading goes on with it.
    peer.room(Some(5));
    peer.send("x");
    assert_eq!(stream.read(9, time::now()).expect("no failure"), Chunk::Data(b"x".to_vec()));
    assert_eq!((stream.unsent(), peer.heard()), (2, b"o wor".to_vec()));
    peer.room(None);
    assert!(stream.flush(time::now()).expect("no failure"));
    assert_eq!((stream.unsent(), peer.heard()), (0, b"ld".to_vec()));
    stream.write(&[b'x'; 100_000]).expect("no failure");
    assert_eq!((stream.unsent(), peer.heard().len()), (0, 100_000), "much goes at once");
}

#[test]
fn bytes_then_the_end_then_nothing_more() {
    let harness = Harness::install();
    let peer = harness.peer();
    let mut stream = Connect::new("a.example", 1).connect().expect("it stands");
    peer.send("abc");
    peer.close();
    let mut read = |max| stream.read(max, time::now() + SECOND).expect("no failure");
    assert_eq!(read(2), Chunk::Data(b"ab".to_vec()));
    assert_eq!(read(2), Chunk::Data(b"c".to_vec()));
    assert_eq!((read(2), read(2)), (Chunk::End, Chunk::End));
    assert!(peer.is_connected());
    drop(stream);
    assert!(!peer.is_connected());
}

#[test]
fn a_broken_connection_is_an_error_with_its_place() {
    let harness = Harness::install();
    let peer = harness.peer();
    let mut stream = Connect::new("a.example", 1).connect().expect("it stands");
    peer.fail(Error::unreachable("the connection broke (reset)"));
    let error = stream.read(1, time::now()).expect_err("broken");
    assert_eq!(error.to_string(), "a.example:1: the connection broke (reset)");
}
