//! Figures for a collector.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use armor_testkit::Home;

use crate::support::server;

/// Asks for the figures, with these headers, and gives status line and answer.
fn ask(address: &str, headers: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nConnection: close\r\n{headers}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (status, rest) = answer.split_once("\r\n").unwrap();
    (status.to_owned(), rest.to_owned())
}

// The lag of consumers is visible in metrics; a page in a browser sees nothing.
#[test]
fn the_figures_are_served_to_this_machine_and_to_no_page_in_a_browser() {
    let home = Home::new();
    let mut serving =
        server(&home).args(["--http", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut url = String::new();
    BufReader::new(serving.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let address = url.trim().strip_prefix("http://").unwrap().strip_suffix("/mcp").unwrap();

    let (status, figures) = ask(address, &format!("Host: {address}\r\n"));
    assert!(status.contains("200"), "{status}");
    assert!(figures.contains("application/openmetrics-text"), "{figures}");
    for figure in [
        "armor_consumer_lag_events{consumer=\"audit\"} 0",
        "armor_jobs{state=\"dead\"} 0",
        "armor_event_log_head 0",
        "# EOF",
    ] {
        assert!(figures.contains(figure), "{figure}: {figures}");
    }
    for headers in [
        format!("Host: {address}\r\nOrigin: http://evil.example\r\n"),
        "Host: evil.example\r\n".to_owned(),
        "Host: 127.0.0.1.evil.example:80\r\n".to_owned(),
    ] {
        let (status, answer) = ask(address, &headers);
        assert!(status.contains("403") && !answer.contains("armor_"), "{headers}: {status}");
    }
    serving.kill().unwrap();
    serving.wait().unwrap();
}
