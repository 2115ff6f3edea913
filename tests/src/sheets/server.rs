//! The HTTP side: one service for the token endpoint and the API, with faults on demand.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use super::api::{self, Refusal};
use super::{Fault, State};

/// The path of the token endpoint.
pub(super) const TOKEN: &str = "/token";

/// The path of the API.
const API: &str = "/v4/spreadsheets/";

/// Where people look at a sheet; no part of Google's API.
pub(super) const SHOW: &str = "/show/";

/// What goes back to the client.
enum Reply {
    Json(u16, Value),
    Text(u16, String),
    /// The connection is closed instead.
    Nothing,
}

pub(super) async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(connection(stream, Arc::clone(&state)));
    }
}

async fn connection(stream: TcpStream, state: Arc<Mutex<State>>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let state = Arc::clone(&state);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(|_| std::io::Error::other("the request broke off"))?.to_bytes();
            match reply(&head, &body, &state).await {
                Reply::Json(status, value) => {
                    Ok(response(status, "application/json; charset=UTF-8", value.to_string()))
                }
                Reply::Text(status, text) => Ok(response(status, "text/plain; charset=UTF-8", text)),
                Reply::Nothing => Err(std::io::Error::other("closed on purpose")),
            }
        }
    });
    // A client that goes away, or a connection closed on purpose, ends it with an error.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn response(status: u16, kind: &str, body: String) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status).header("content-type", kind);
    let response: Result<_, http::Error> = response.body(Full::new(Bytes::from(body)));
    response.expect("the status and the header are valid")
}

async fn reply(head: &http::request::Parts, body: &[u8], state: &Mutex<State>) -> Reply {
    let lock = || state.lock().unwrap_or_else(PoisonError::into_inner);
    let (method, path) = (head.method.as_str(), head.uri.path());
    if let Some(rest) = path.strip_prefix(SHOW) {
        return match rest.split_once('/').and_then(|(id, title)| lock().table(id, title)) {
            Some(table) => Reply::Text(200, table),
            None => Reply::Text(404, "there is no such sheet\n".to_owned()),
        };
    }
    if (method, path) == ("POST", TOKEN) {
        let state = &mut *lock();
        state.counts.tokens += 1;
        let (audience, life) = (state.token_url.clone(), state.options.token_life);
        let (status, answer) = state.tokens.grant(&String::from_utf8_lossy(body), &audience, life);
        return Reply::Json(status, answer);
    }
    let Some(path) = path.strip_prefix(API) else {
        return Reply::Text(404, "<html>Error 404 (Not Found)</html>".to_owned());
    };
    let fault = lock().begin();
    match fault {
        Some(Fault::Status(code)) => {
            let refusal = Refusal::new(code, status_of(code), "The service is currently unavailable.");
            return Reply::Json(code, refusal.body());
        }
        Some(Fault::HangUp) => return Reply::Nothing,
        Some(Fault::Slow(delay)) => tokio::time::sleep(delay).await,
        Some(Fault::LoseAnswer) | None => {}
    }
    let query = head.uri.query().unwrap_or_default();
    let query: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let request = api::Request { method, path, query: &query, body };
    let token = head.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let answer = lock().answer(token.strip_prefix("Bearer ").unwrap_or_default(), &request);
    if matches!(fault, Some(Fault::LoseAnswer)) {
        return Reply::Nothing;
    }
    match answer {
        Ok(value) => Reply::Json(200, value),
        Err(refusal) => Reply::Json(refusal.code, refusal.body()),
    }
}

fn status_of(code: u16) -> &'static str {
    match code {
        429 => "RESOURCE_EXHAUSTED",
        500 => "INTERNAL",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "UNKNOWN",
    }
}
