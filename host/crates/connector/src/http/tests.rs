//! The default time limits; everything else is tested through a guest.

use std::time::Duration;

use wasmtime_wasi_http::RequestOptions;

use super::{CONNECT_TIMEOUT, RESPONSE_TIMEOUT, Timeouts};

#[test]
fn defaults_end_before_the_call_does() {
    let call = Duration::from_secs(20);
    let timeouts = Timeouts::new(RequestOptions::default(), call);
    assert_eq!(timeouts.connect, CONNECT_TIMEOUT);
    assert_eq!(timeouts.first_byte, Duration::from_secs(15));
    assert_eq!(timeouts.between_bytes, Duration::from_secs(15));
    let patient = Timeouts::new(RequestOptions::default(), Duration::from_secs(3600));
    assert_eq!(patient.first_byte, RESPONSE_TIMEOUT);
}

#[test]
fn what_the_guest_asks_for_holds() {
    let asked = RequestOptions { first_byte_timeout: Some(Duration::from_secs(300)), ..RequestOptions::default() };
    assert_eq!(Timeouts::new(asked, Duration::from_secs(20)).first_byte, Duration::from_secs(300));
}
