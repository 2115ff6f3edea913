//! Serves one file over HTTP on a free port of the loopback interface, and prints its address.

use std::path::PathBuf;

use e2e::{Answer, HttpServer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: demo-server FILE")?);
    let name = path.file_name().ok_or("a file is needed")?.to_string_lossy().into_owned();
    let body = std::fs::read(&path)?;
    let server = HttpServer::start(move |_| Answer::ok(body.clone()).header("content-type", "application/json"));
    println!("{}/{name}", server.url());
    loop {
        std::thread::park();
    }
}
