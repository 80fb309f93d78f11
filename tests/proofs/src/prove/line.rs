//! One HTTP/2 connection, on which two guesses leave in one TLS record and the order of their answers is noted.

use std::{future::Future, sync::Arc, time::Duration};

use h2::client::{ResponseFuture, SendRequest};
use hyper::{Request, StatusCode, body::Bytes};
use sigillo::{
    clock::{Clock, SystemClock},
    tls::{Protocols, TlsClientFiles, client_config},
};
use sigillo_bench::{desk::Desk, installation::API};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use crate::{
    field::{Keys, verification},
    ground::{Ground, guess},
    tap::{Notes, Tap},
};

/// A connection whose frames are noted.
pub(crate) struct Line {
    requests: SendRequest<Bytes>,
    notes: Notes,
}

/// A pair that was answered.
pub(crate) struct Answered {
    /// The one that was sent first came first.
    pub(crate) in_order: bool,
    /// Size of the record that both were in; nothing if they were in two.
    pub(crate) record: Option<usize>,
    /// What names both answers in the log, as they were sent.
    pub(crate) verifications: [String; 2],
}

impl Line {
    pub(crate) async fn open(ground: &Ground) -> Result<Self, String> {
        let clients = ground.here.directory().join("clients");
        let files = TlsClientFiles {
            server_ca: clients.join("ca.pem"),
            certificate: clients.join("desk.pem"),
            key: clients.join("desk.key"),
        };
        let clock = Arc::new(SystemClock::new());
        let config = client_config(&files, Protocols::Http2, clock).map_err(|e| e.to_string())?;
        let tcp = TcpStream::connect(API).await.map_err(|e| e.to_string())?;
        tcp.set_nodelay(true).map_err(|e| e.to_string())?;
        let name = API.split(':').next().unwrap_or_default();
        let name = ServerName::try_from(name).map_err(|e| e.to_string())?;
        let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(|e| e.to_string())?;
        let notes = Notes::default();
        let (requests, connection) =
            h2::client::handshake(Tap::new(tls, notes.clone())).await.map_err(|e| e.to_string())?;
        tokio::spawn(connection);
        Ok(Self { requests, notes })
    }

    /// Sends a guess to the connection's queue; it leaves when the connection runs.
    fn send(
        requests: &mut SendRequest<Bytes>,
        desk: &Desk,
        key: &str,
        (team, code): &(String, String),
    ) -> Result<ResponseFuture, String> {
        let mut request =
            Request::post(format!("https://{API}/v1/verifications")).body(()).map_err(|e| e.to_string())?;
        *request.headers_mut() = desk.headers(key)?;
        let body = serde_json::to_vec(&guess(team, code)).map_err(|e| e.to_string())?;
        let (answer, mut stream) = requests.send_request(request, false).map_err(|e| e.to_string())?;
        stream.send_data(Bytes::from(body), true).map_err(|e| e.to_string())?;
        Ok(answer)
    }

    /// Sends two guesses, the second so much later, and waits for both answers.
    pub(crate) async fn pair(
        &self,
        desk: &Desk,
        keys: &mut Keys,
        guesses: &[(String, String); 2],
        later: Option<Duration>,
    ) -> Result<Answered, String> {
        let ready = || async { self.requests.clone().ready().await.map_err(|e| e.to_string()) };
        let (mut first, mut second) = (ready().await?, ready().await?);
        let [one, two] = guesses;
        {
            let mut noted = self.notes.lock();
            noted.answers.clear();
            noted.records.clear();
        }
        // The runtime has one thread: nothing leaves between the two unless it is waited for.
        let first = Self::send(&mut first, desk, &keys.next(), one)?;
        if let Some(later) = later {
            let (clock, mut waited) = (SystemClock::new(), Duration::ZERO);
            let from = clock.uptime();
            while waited < later {
                tokio::task::yield_now().await;
                waited = clock.uptime().saturating_sub(from);
            }
        }
        let second = Self::send(&mut second, desk, &keys.next(), two)?;
        let sent = [&first, &second].map(|answer| answer.stream_id().as_u32());
        let (first, second) = tokio::try_join!(whole(first), whole(second))?;
        let verifications = [first, second].map(|body| verification(&body));
        let noted = self.notes.lock();
        let [a, b] = noted.answers[..] else { return Err("two answers in another number of frames".into()) };
        if [a, b] != sent && [b, a] != sent {
            return Err("answers on other streams".into());
        }
        let record = noted.records.iter().find(|(streams, _)| *streams == sent).map(|(_, bytes)| *bytes);
        Ok(Answered { in_order: [a, b] == sent, record, verifications })
    }
}

/// Waits for an answer to its end; its body.
async fn whole(
    answer: impl Future<Output = Result<hyper::Response<h2::RecvStream>, h2::Error>>,
) -> Result<Vec<u8>, String> {
    let answer = answer.await.map_err(|e| e.to_string())?;
    if answer.status() != StatusCode::OK {
        return Err(format!("a verification was answered {}", answer.status()));
    }
    let (mut body, mut whole) = (answer.into_body(), Vec::new());
    while let Some(bytes) = body.data().await {
        let bytes = bytes.map_err(|e| e.to_string())?;
        body.flow_control().release_capacity(bytes.len()).map_err(|e| e.to_string())?;
        whole.extend_from_slice(&bytes);
    }
    Ok(whole)
}
