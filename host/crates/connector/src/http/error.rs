//! What went wrong with a request, in the words of `wasi:http`.
//!
//! The client's errors are chains of other crates' errors; the innermost one that is known decides.

use std::error::Error as StdError;
use std::io;

use rustls::Error as TlsError;
use wasmtime_wasi_http::Error as HttpError;
use wasmtime_wasi_http::p2::bindings::http::types as wasi;

use super::connect::{Forbidden, TimedOut};
use crate::network::ResolveError;

/// The code for an error of the client.
pub(super) fn classify(error: &reqwest::Error) -> HttpError {
    if let Some(code) = find::<HttpError>(error) {
        return repeat(code);
    }
    if let Some(ResolveError::Unknown { name, source }) = find(error) {
        return HttpError::DnsError { rcode: Some(format!("{name}: {source}")), info_code: None };
    }
    if find::<Forbidden>(error).is_some() {
        return HttpError::DestinationIpProhibited;
    }
    if find::<TimedOut>(error).is_some() {
        return HttpError::ConnectionTimeout;
    }
    if let Some(error) = find::<TlsError>(error) {
        return tls(error);
    }
    if let Some(code) = find::<io::Error>(error).and_then(|error| io_code(error.kind())) {
        return code;
    }
    if let Some(error) = find::<hyper::Error>(error) {
        return hyper(error);
    }
    if error.is_connect() {
        return HttpError::DestinationUnavailable;
    }
    if error.is_timeout() {
        return HttpError::HttpResponseTimeout;
    }
    HttpError::InternalError(Some(chain(error)))
}

fn tls(error: &TlsError) -> HttpError {
    match error {
        TlsError::InvalidCertificate(_) | TlsError::NoCertificatesPresented => HttpError::TlsCertificateError,
        TlsError::AlertReceived(alert) => {
            HttpError::TlsAlertReceived { alert_id: Some(u8::from(*alert)), alert_message: Some(format!("{alert:?}")) }
        }
        _ => HttpError::TlsProtocolError,
    }
}

fn io_code(kind: io::ErrorKind) -> Option<HttpError> {
    use io::ErrorKind;
    Some(match kind {
        ErrorKind::ConnectionRefused => HttpError::ConnectionRefused,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            HttpError::ConnectionTerminated
        }
        ErrorKind::TimedOut => HttpError::ConnectionTimeout,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            HttpError::DestinationIpUnroutable
        }
        ErrorKind::UnexpectedEof => HttpError::HttpResponseIncomplete,
        _ => return None,
    })
}

fn hyper(error: &hyper::Error) -> HttpError {
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        HttpError::ConnectionTerminated
    } else if error.is_timeout() {
        HttpError::HttpResponseTimeout
    } else if error.is_parse_too_large() {
        HttpError::HttpResponseHeaderSectionSize(None)
    } else {
        HttpError::HttpProtocolError
    }
}

/// The outermost error of a type in a chain, also inside of `io::Error`s, which hide what they wrap.
pub(super) fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

/// The messages of a chain, the outermost first, each said once.
pub(super) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let message = error.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        next = error.source();
    }
    text
}

/// An error of the guest's own request body, which comes back through the client. `HttpError` is not
/// `Clone`; these are the ones that a body can end with.
fn repeat(code: &HttpError) -> HttpError {
    match code {
        HttpError::HttpRequestBodySize(size) => HttpError::HttpRequestBodySize(*size),
        HttpError::InternalError(text) => HttpError::InternalError(text.clone()),
        other => HttpError::InternalError(Some(other.to_string())),
    }
}

/// The contract's code for an error that a response body ended with: those which [`classify`] and the
/// time limit make.
pub(crate) fn wasi_code(error: &HttpError) -> Option<wasi::ErrorCode> {
    use wasi::ErrorCode;
    Some(match error {
        HttpError::ConnectionReadTimeout => ErrorCode::ConnectionReadTimeout,
        HttpError::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        HttpError::ConnectionTimeout => ErrorCode::ConnectionTimeout,
        HttpError::DestinationIpUnroutable => ErrorCode::DestinationIpUnroutable,
        HttpError::HttpResponseIncomplete => ErrorCode::HttpResponseIncomplete,
        HttpError::HttpResponseTimeout => ErrorCode::HttpResponseTimeout,
        HttpError::HttpProtocolError => ErrorCode::HttpProtocolError,
        HttpError::TlsProtocolError => ErrorCode::TlsProtocolError,
        HttpError::InternalError(text) => ErrorCode::InternalError(text.clone()),
        _ => return None,
    })
}
