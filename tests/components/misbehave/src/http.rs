//! HTTP by the bare `wasi:http`. A response becomes `STATUS LENGTH BODY`, an error the code's name.

use std::time::Duration;

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme, http_error_code,
};
use wasip2::io::streams::StreamError;

use crate::Config;

pub fn act(config: &Config) -> Vec<String> {
    let times = if config.action == "http-many" { config.amount } else { 1 };
    (0..times).map(|_| one(config).unwrap_or_else(|code| format!("error {code:?}"))).collect()
}

fn one(config: &Config) -> Result<String, ErrorCode> {
    let response = request(config)?;
    let status = response.status();
    if config.action == "http-hold" {
        std::thread::sleep(Duration::from_millis(config.amount));
    }
    let slowly = (config.action == "http-slowly").then(|| Duration::from_millis(config.amount));
    let location = response.headers().get("location").pop().unwrap_or_default();
    let body = read(&response, slowly)?;
    let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
    Ok(format!("{status} {} {}{shown}", body.len(), String::from_utf8_lossy(&location)))
}

fn request(config: &Config) -> Result<IncomingResponse, ErrorCode> {
    let (scheme, rest) = config.url.split_once("://").unwrap_or(("http", &config.url));
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    };
    let request = OutgoingRequest::new(Fields::new());
    let method = match config.method.as_deref().unwrap_or("GET") {
        "GET" => Method::Get,
        "POST" => Method::Post,
        other => Method::Other(other.to_owned()),
    };
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    let refused = |()| ErrorCode::HttpRequestUriInvalid;
    request.set_method(&method).map_err(refused)?;
    request.set_scheme(Some(&scheme)).map_err(refused)?;
    request.set_authority(Some(authority)).map_err(refused)?;
    request.set_path_with_query(Some(path)).map_err(refused)?;

    let options = RequestOptions::new();
    let nanos = |ms: Option<u64>| ms.map(|ms| ms * 1_000_000);
    options.set_connect_timeout(nanos(config.connect_ms)).map_err(refused)?;
    options.set_first_byte_timeout(nanos(config.first_byte_ms)).map_err(refused)?;
    options.set_between_bytes_timeout(nanos(config.between_bytes_ms)).map_err(refused)?;

    let body = request.body().map_err(refused)?;
    let answer = outgoing_handler::handle(request, Some(options))?;
    if let Some(text) = &config.body {
        let stream = body.write().map_err(refused)?;
        let bytes = text.repeat(config.amount.max(1) as usize).into_bytes();
        for part in bytes.chunks(4096) {
            if stream.blocking_write_and_flush(part).is_err() {
                break;
            }
        }
    }
    OutgoingBody::finish(body, None)?;
    answer.subscribe().block();
    answer.get().expect("it is ready").expect("it is taken once")
}

fn read(response: &IncomingResponse, slowly: Option<Duration>) -> Result<Vec<u8>, ErrorCode> {
    let body = response.consume().expect("it is consumed once");
    let stream = body.stream().expect("it is taken once");
    let mut all = Vec::new();
    loop {
        match stream.blocking_read(64 * 1024) {
            Ok(part) => all.extend(part),
            Err(StreamError::Closed) => return Ok(all),
            Err(StreamError::LastOperationFailed(error)) => {
                let unknown = ErrorCode::InternalError(Some(error.to_debug_string()));
                return Err(http_error_code(&error).unwrap_or(unknown));
            }
        }
        if let Some(pause) = slowly {
            std::thread::sleep(pause);
        }
    }
}
