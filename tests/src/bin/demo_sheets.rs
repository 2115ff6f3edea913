//! The stand-in for Google Sheets, for the demo: `demo-sheets serve SECRETS` starts it with one spreadsheet,
//! writes the service account's secrets as people keep them, and prints its address; `demo-sheets show ADDRESS`
//! prints the sheet as a table.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use e2e::SheetsServer;

/// The one spreadsheet, and its sheet.
const SPREADSHEET: &str = "demo";
const SHEET: &str = "Places";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", secrets] => serve(secrets),
        ["show", address] => show(address),
        _ => Err("usage: demo-sheets serve SECRETS | demo-sheets show ADDRESS".into()),
    }
}

fn serve(secrets: &str) -> Result<(), Box<dyn std::error::Error>> {
    let server = SheetsServer::start();
    server.create(SPREADSHEET, &[SHEET]);
    std::fs::write(secrets, server.secrets())?;
    println!("{}", server.url());
    loop {
        std::thread::park();
    }
}

fn show(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let host = address.strip_prefix("http://").ok_or("an address is needed that begins with http://")?;
    let mut stream = TcpStream::connect(host)?;
    let path = SheetsServer::show_path(SPREADSHEET, SHEET);
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, table) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    print!("{table}");
    Ok(())
}
