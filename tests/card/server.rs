//! A server of the product's own TLS that believes the tests' CNS authority and says whom it sees.

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use rustls::{ServerConnection, Stream};
use sigillo::{
    auth::Peer,
    clock::{Clock, SystemClock},
    tls::{Entrance, ServerTls, TlsFiles},
};

use super::stage::until;

pub(crate) struct Server {
    pub(crate) port: u16,
    /// How the first connection ended: protocol and common name.
    pub(crate) first: JoinHandle<Result<(String, String), String>>,
}

impl Server {
    /// Serves one connection.
    pub(crate) fn start(directory: &Path, cns_ca: &str) -> Self {
        super::people::server_files(directory);
        std::fs::write(directory.join("cns-ca.pem"), cns_ca).unwrap();
        let files = TlsFiles {
            certificate: directory.join("server.pem"),
            key: directory.join("server.key"),
            client_ca: directory.join("cns-ca.pem"),
            crls: Vec::new(),
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let tls = ServerTls::load(files, Arc::clone(&clock)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let first = std::thread::spawn(move || {
            listener.set_nonblocking(true).unwrap();
            let mut accepted = None;
            until("a client comes", || {
                accepted = listener.accept().ok();
                accepted.is_some()
            });
            let (mut socket, _) = accepted.unwrap();
            socket.set_nonblocking(false).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            let mut connection = ServerConnection::new(tls.current()).unwrap();
            let mut stream = Stream::new(&mut connection, &mut socket);
            let mut request = [0; 4096];
            let read = stream.read(&mut request).map_err(|e| e.to_string())?;
            assert!(request[..read].starts_with(b"GET /"));
            let version = format!("{:?}", stream.conn.protocol_version().unwrap());
            let certificate = stream.conn.peer_certificates().unwrap()[0].clone();
            let name = Peer::from_certificate(&certificate, clock.now_ms()).unwrap().common_name;
            let body = format!("{version} {name}\n");
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
            stream.conn.send_close_notify();
            stream.flush().unwrap();
            Ok((version, name))
        });
        Self { port, first }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }
}
