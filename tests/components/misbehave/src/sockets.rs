//! TCP, UDP and names, through the standard library.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

use crate::Config;

pub fn act(config: &Config) -> Vec<String> {
    let done = match config.action.as_str() {
        "tcp" => tcp(config),
        "listen" => TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr().map(|address| format!("listening on {address}"))),
        "udp" => UdpSocket::bind("0.0.0.0:0")
            .and_then(|socket| socket.send_to(b"x", config.url.as_str()))
            .map(|sent| format!("sent {sent}")),
        _ => config
            .url
            .as_str()
            .to_socket_addrs()
            .map(|found| found.map(|address| address.to_string()).collect::<Vec<_>>().join(" ")),
    };
    vec![done.unwrap_or_else(|error| format!("error {:?}: {error}", error.kind()))]
}

fn tcp(config: &Config) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(config.url.as_str())?;
    stream.write_all(config.text.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
