//! One connection: what is asked is answered by its number, what the centre sends is passed on, and a connection that does not
//! answer is given up.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{SinkExt, StreamExt};
use rusmpp::{
    Command, CommandId, CommandStatus, Pdu,
    pdus::{DeliverSm, DeliverSmResp},
    tokio_codec::CommandCodec,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, oneshot},
};
use tokio_util::codec::{FramedRead, FramedWrite};

/// Longest PDU that is looked at, in bytes: a receipt with all its fields.
pub(super) const MAX_PDU: usize = 4096;

/// PDUs that wait to be written.
const QUEUE: usize = 64;

/// Longest time for the system to take one PDU.
const WRITE: Duration = Duration::from_secs(10);

/// Asks over a connection. All copies share it.
#[derive(Clone)]
pub(super) struct Session {
    asked: mpsc::Sender<(Pdu, oneshot::Sender<Command>)>,
    answers: mpsc::Sender<(u32, CommandStatus)>,
}

impl Session {
    /// The answer; nothing if the connection ended before it.
    pub(super) async fn ask(&self, pdu: Pdu) -> Option<Command> {
        let (answered, answer) = oneshot::channel();
        self.asked.send((pdu, answered)).await.ok()?;
        answer.await.ok()
    }

    /// Says that a message of the centre's is taken, or not.
    pub(super) async fn answer(&self, number: u32, status: CommandStatus) {
        if self.answers.send((number, status)).await.is_err() {
            tracing::debug!("the SMS centre has gone before it was answered");
        }
    }
}

/// A message of the centre's, to be answered under its number.
pub(super) type Incoming = (u32, DeliverSm);

/// The future that runs the connection; ready when it is over.
pub(super) fn over<S>(
    stream: S,
    enquire: Duration,
) -> (Session, mpsc::Receiver<Incoming>, impl Future<Output = &'static str>)
where
    S: AsyncRead + AsyncWrite,
{
    let (asked, questions) = mpsc::channel(QUEUE);
    let (answers, to_answer) = mpsc::channel(QUEUE);
    let (pass_on, incoming) = mpsc::channel(QUEUE);
    (Session { asked, answers }, incoming, talk(stream, enquire, questions, to_answer, pass_on))
}

async fn talk<S: AsyncRead + AsyncWrite>(
    stream: S,
    enquire: Duration,
    mut questions: mpsc::Receiver<(Pdu, oneshot::Sender<Command>)>,
    mut to_answer: mpsc::Receiver<(u32, CommandStatus)>,
    pass_on: mpsc::Sender<Incoming>,
) -> &'static str {
    let (read, write) = tokio::io::split(stream);
    let codec = || CommandCodec::new().with_max_length(MAX_PDU);
    let mut from = Box::pin(FramedRead::new(read, codec()));
    let mut to = Box::pin(FramedWrite::new(write, codec()));
    let mut waiting: BTreeMap<u32, oneshot::Sender<Command>> = BTreeMap::new();
    let (mut last, mut enquired) = (0_u32, None);
    let mut alive = tokio::time::interval(enquire);
    // The first tick is at once.
    alive.tick().await;
    loop {
        let out = tokio::select! {
            question = questions.recv() => match question {
                Some((pdu, answered)) => {
                    last = last.checked_add(1).filter(|n| *n <= 0x7fff_ffff).unwrap_or(1);
                    waiting.insert(last, answered);
                    Command::new(CommandStatus::EsmeRok, last, pdu)
                }
                None => return "no longer needed",
            },
            Some((number, status)) = to_answer.recv() => {
                Command::new(status, number, Pdu::DeliverSmResp(DeliverSmResp::default()))
            }
            _ = alive.tick() => {
                if enquired.is_some() {
                    return "no answer to whether it is alive";
                }
                last = last.checked_add(1).filter(|n| *n <= 0x7fff_ffff).unwrap_or(1);
                enquired = Some(last);
                // Whoever has given up waiting is forgotten.
                waiting.retain(|_, answered| !answered.is_closed());
                Command::new(CommandStatus::EsmeRok, last, Pdu::EnquireLink)
            }
            command = from.next() => {
                let command = match command {
                    Some(Ok(command)) => command,
                    Some(Err(_)) => return "what came is no SMPP",
                    None => return "closed by the centre",
                };
                let number = command.sequence_number();
                match (command.id(), command.pdu()) {
                    (CommandId::DeliverSm, Some(Pdu::DeliverSm(message))) => {
                        match pass_on.try_send((number, message.clone())) {
                            Ok(()) => continue,
                            // Too many at one time: to come again.
                            Err(_) => Command::new(CommandStatus::EsmeRxTAppn, number, Pdu::DeliverSmResp(DeliverSmResp::default())),
                        }
                    }
                    (CommandId::EnquireLink, _) => Command::new(CommandStatus::EsmeRok, number, Pdu::EnquireLinkResp),
                    (CommandId::Unbind, _) => return "unbound by the centre",
                    (id, _) if id.is_response() => {
                        if enquired == Some(number) {
                            enquired = None;
                        } else if let Some(answered) = waiting.remove(&number) {
                            // Nobody waits any more: the message's time was over.
                            drop(answered.send(command));
                        }
                        continue;
                    }
                    _ => Command::new(CommandStatus::EsmeRinvcmdid, number, Pdu::GenericNack),
                }
            }
        };
        match tokio::time::timeout(WRITE, to.send(&out)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return "closed while writing",
            Err(_) => return "nothing is taken any more",
        }
    }
}
