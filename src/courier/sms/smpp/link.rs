//! Keeps the connection: connects, binds, passes receipts on, and begins anew when it is lost.

use std::{fmt, sync::Arc, time::Duration};

use rusmpp::{CommandStatus, Pdu, pdus::BindTransceiver, pdus::DeliverSm};
use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
};

use super::{
    SmppAccount, VERSION,
    ids::Ids,
    receipt::{self, Receipt},
    session::{self, Incoming, Session},
};
use crate::courier::{
    Authority, Limits,
    late::{Told, tell},
};

/// Pause after the first failure; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// The other end of [`super::SmppGateway`].
pub struct SmppLink {
    account: Arc<SmppAccount>,
    bind: watch::Sender<Option<Session>>,
    ids: Arc<Ids>,
}

impl fmt::Debug for SmppLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmppLink").field("account", &self.account).finish_non_exhaustive()
    }
}

impl SmppLink {
    pub(super) const fn new(
        account: Arc<SmppAccount>,
        bind: watch::Sender<Option<Session>>,
        ids: Arc<Ids>,
    ) -> Self {
        Self { account, bind, ids }
    }

    /// Keeps the connection until `stop` becomes true.
    pub async fn serve<A: Authority>(
        self,
        authority: Arc<A>,
        limits: Limits,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut pause = FIRST_PAUSE;
        loop {
            let ended = tokio::select! {
                ended = self.once(&*authority, limits, &mut pause) => ended,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            self.bind.send_replace(None);
            tracing::warn!(why = %ended, "the SMS centre is not connected");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
            pause = pause.saturating_mul(2).min(MAX_PAUSE);
        }
        let session = self.bind.send_replace(None);
        drop(session);
    }

    /// One connection from its beginning to its end.
    async fn once<A: Authority>(&self, authority: &A, limits: Limits, pause: &mut Duration) -> String {
        let SmppAccount { host, port, tls, timeout, .. } = &*self.account;
        let connected = async {
            let tcp = TcpStream::connect((host.as_str(), *port)).await?;
            tcp.set_nodelay(true)?;
            Ok::<_, std::io::Error>(tcp)
        };
        let tcp = match tokio::time::timeout(*timeout, connected).await {
            Ok(Ok(tcp)) => tcp,
            Ok(Err(error)) => return format!("connection: {}", error.kind()),
            Err(_) => return "connection: no answer".to_owned(),
        };
        match tls {
            None => self.over(tcp, authority, limits, pause).await,
            Some((connector, name)) => {
                match tokio::time::timeout(*timeout, connector.connect(name.clone(), tcp)).await {
                    Ok(Ok(stream)) => self.over(stream, authority, limits, pause).await,
                    Ok(Err(error)) => format!("TLS: {error}"),
                    Err(_) => "TLS: no answer".to_owned(),
                }
            }
        }
    }

    async fn over<S, A>(&self, stream: S, authority: &A, limits: Limits, pause: &mut Duration) -> String
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite,
        A: Authority,
    {
        let (session, incoming, run) = session::over(stream, self.account.enquire);
        let bound = async {
            if let Err(why) = self.bind(&session).await {
                return why;
            }
            tracing::info!("bound to the SMS centre");
            *pause = FIRST_PAUSE;
            self.bind.send_replace(Some(session.clone()));
            self.receive(&session, incoming, authority, limits).await;
            "over".to_owned()
        };
        tokio::select! {
            ended = run => ended.to_owned(),
            why = bound => why,
        }
    }

    async fn bind(&self, session: &Session) -> Result<(), String> {
        let account = &self.account;
        let bind = BindTransceiver::builder()
            .system_id(account.system_id.clone())
            .password(account.password.clone())
            .system_type(account.system_type.clone())
            .interface_version(VERSION)
            .build();
        match tokio::time::timeout(account.timeout, session.ask(Pdu::BindTransceiver(bind))).await {
            Ok(Some(answer)) => match u32::from(answer.status()) {
                0 => Ok(()),
                status => Err(format!("bind: SMPP status {status:#04x}")),
            },
            Ok(None) => Err("bind: connection lost".to_owned()),
            Err(_) => Err("bind: no answer".to_owned()),
        }
    }

    async fn receive<A: Authority>(
        &self,
        session: &Session,
        mut incoming: mpsc::Receiver<Incoming>,
        authority: &A,
        limits: Limits,
    ) {
        while let Some((number, message)) = incoming.recv().await {
            let status = self.take(&message, authority, limits).await;
            session.answer(number, status).await;
            self.ids.tidy().await;
        }
    }

    /// Deals with one message of the centre's. A success means that it need not come again.
    async fn take<A: Authority>(&self, message: &DeliverSm, authority: &A, limits: Limits) -> CommandStatus {
        let Some(Receipt { id, end }) = receipt::read(message) else {
            // What citizens send back is dropped.
            tracing::debug!("a message from the SMS centre that is no receipt");
            return CommandStatus::EsmeRok;
        };
        let Some(end) = end else { return CommandStatus::EsmeRok };
        match self.ids.find(&id) {
            Ok(Some(hold)) => match tell(authority, limits, hold, &end).await {
                Told::Done => {
                    self.ids.forget(&id).await;
                    CommandStatus::EsmeRok
                }
                Told::Later => CommandStatus::EsmeRxTAppn,
            },
            // Its message may be under way, and the id not kept yet.
            Ok(None) if self.ids.is_under_way() => CommandStatus::EsmeRxTAppn,
            Ok(None) => {
                tracing::info!("a receipt for a message that is not waited for");
                CommandStatus::EsmeRok
            }
            Err(error) => {
                tracing::error!(%error, "a receipt is not looked up");
                CommandStatus::EsmeRxTAppn
            }
        }
    }
}
