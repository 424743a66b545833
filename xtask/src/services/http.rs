//! As much of HTTP as it takes to ask a server who it is.

use std::{
    io::{Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use crate::error::{Context, Error, Result};

/// The beginning of what the server at `http://host:port` answers to a request: its method and path, its
/// headers without `Host`, and its body.
pub(super) fn ask(url: &str, request: &str, headers: &[&str], body: &str) -> Result<String> {
    let address = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let address =
        address.ok_or_else(|| Error::new("write the endpoint as `http://host:port`, without a path"))?;
    let socket = address.to_socket_addrs().ok().and_then(|mut sockets| sockets.next());
    let socket = socket.ok_or_else(|| Error::new(format!("{address} is no host and port")))?;
    let limit = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&socket, limit).context("connecting")?;
    stream.set_read_timeout(Some(limit)).context("connecting")?;
    let mut text = format!("{request} HTTP/1.0\r\nHost: {address}\r\n");
    for header in headers {
        text.push_str(&format!("{header}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str(&format!("\r\n{body}"));
    stream.write_all(text.as_bytes()).context("asking")?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer).context("waiting for an answer")?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Whether an answer begins with the status 200.
pub(super) fn is_ok(answer: &str) -> bool {
    answer.split_whitespace().nth(1) == Some("200")
}
