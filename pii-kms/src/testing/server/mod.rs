//! The fake behind a port of 127.0.0.1.

mod http;
mod json;
mod kms_protocol;
mod secrets_protocol;

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    thread::{self, JoinHandle},
};

use tokio::{net::TcpListener, net::TcpSocket, runtime, sync::oneshot};

use super::FakeKms;

/// More connections than this may wait to be accepted only if the system allows it.
const BACKLOG: u32 = 1024;

/// A running server. It stops, and its connections close, when this is dropped.
///
/// It has a thread and a runtime of its own: clients may use any runtime, and several.
pub struct FakeKmsServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeKms {
    /// Serves KMS and Secrets Manager over HTTP on a free port of 127.0.0.1, with the permissions of
    /// this role.
    ///
    /// # Errors
    /// Those of the operating system: no port, no thread.
    pub async fn serve(&self) -> io::Result<FakeKmsServer> {
        self.serve_on(0).await
    }

    /// Serves on this port, to come back where a server was stopped.
    ///
    /// # Errors
    /// As [`FakeKms::serve`]; also if the port is taken.
    pub async fn serve_on(&self, port: u16) -> io::Result<FakeKmsServer> {
        let (ready, is_ready) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let kms = self.clone();
        let thread = thread::Builder::new()
            .name("fake-kms".to_owned())
            .spawn(move || run(kms, port, ready, stopped))?;
        let address = is_ready.await.map_err(|_| io::Error::other("the server ended early"))??;
        Ok(FakeKmsServer { address, stop: Some(stop), thread: Some(thread) })
    }
}

impl FakeKmsServer {
    /// The URL to give the SDK as its endpoint.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for FakeKmsServer {
    /// Waits until the port is closed, which takes no longer than a running predicate.
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // a panic of the server's thread was reported there
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for FakeKmsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FakeKmsServer({})", self.endpoint())
    }
}

fn run(
    kms: FakeKms,
    port: u16,
    ready: oneshot::Sender<io::Result<SocketAddr>>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(error))),
    };
    runtime.block_on(async {
        let (listener, address) = match listen(port) {
            Ok(listening) => listening,
            Err(error) => return drop(ready.send(Err(error))),
        };
        if ready.send(Ok(address)).is_err() {
            return;
        }
        let accepting = tokio::spawn(http::accept(kms, listener));
        // it ends when the handle goes, with or without a word
        let _ = stopped.await;
        accepting.abort();
    });
    // dropping the runtime drops the connections
}

fn listen(port: u16) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
