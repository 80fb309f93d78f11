//! Bytes on the wire: a relay between client and server that counts, on the server's host name and a port of its own.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    task::JoinHandle,
};

/// One connection through the relay.
#[derive(Debug)]
pub(crate) struct Relay {
    /// Where a client connects to.
    pub(crate) address: SocketAddr,
    task: JoinHandle<std::io::Result<u64>>,
}

impl Relay {
    /// Takes one connection, on to `server`.
    pub(crate) async fn to(server: SocketAddr) -> std::io::Result<Self> {
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        let task = tokio::spawn(async move {
            let (mut client, _) = socket.accept().await?;
            let mut server = TcpStream::connect(server).await?;
            client.set_nodelay(true)?;
            server.set_nodelay(true)?;
            let ((asks, answers), (taken, sent)) = (client.split(), server.split());
            let count = AtomicU64::new(0);
            tokio::join!(pass(asks, sent, &count), pass(taken, answers, &count));
            Ok(count.into_inner())
        });
        Ok(Self { address, task })
    }

    /// Bytes of both directions, once the client has closed.
    pub(crate) async fn bytes(self) -> Result<u64, String> {
        let ended = tokio::time::timeout(Duration::from_secs(30), self.task).await;
        let ended = ended.map_err(|_| "the connection was not closed")?.map_err(|e| e.to_string())?;
        ended.map_err(|e| format!("the relay that counts bytes: {e}"))
    }
}

/// Passes on until one end closes. How it closes is no error here: whether requests were answered is their sender's matter.
async fn pass(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, count: &AtomicU64) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let Some(read) = buffer.get(..length) else { return };
        if to.write_all(read).await.is_err() {
            break;
        }
        count.fetch_add(crate::number::count(length), Ordering::Relaxed);
    }
    // The other end may be gone already.
    let _closed: std::io::Result<()> = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn both_directions_are_counted() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let relay = Relay::to(server.local_addr().unwrap()).await.unwrap();
            let mut client = TcpStream::connect(relay.address).await.unwrap();
            client.write_all(b"four").await.unwrap();
            let (mut served, _) = server.accept().await.unwrap();
            let mut four = [0; 4];
            served.read_exact(&mut four).await.unwrap();
            served.write_all(b"eleven more").await.unwrap();
            drop(served);
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            drop(client);
            assert_eq!(relay.bytes().await, Ok(15));
        });
    }
}
