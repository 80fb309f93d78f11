//! Commands to the card and its answers (ISO/IEC 7816-4). Commands may hold a PIN: they are wiped and never logged.

use pcsc::{Protocol, Transaction};
use zeroize::Zeroizing;

use super::CardError;

/// Bytes of data that fit into one short command.
const PART: usize = 255;

/// Success.
pub(super) const OK: u16 = 0x9000;

/// Class, instruction, P1 and P2.
pub(super) type Head = [u8; 4];

/// The line to the card, ours alone as long as this lives.
pub(super) struct Channel<'a> {
    transaction: Transaction<'a>,
    protocol: Option<Protocol>,
}

/// What the card answered.
pub(super) struct Answer {
    pub(super) data: Vec<u8>,
    pub(super) status: u16,
}

impl Answer {
    /// The data, if the card did what was asked.
    pub(super) fn done(self, command: &'static str) -> Result<Vec<u8>, CardError> {
        if self.status == OK {
            Ok(self.data)
        } else {
            Err(CardError::Refused { command, status: self.status })
        }
    }
}

impl<'a> Channel<'a> {
    pub(super) const fn new(transaction: Transaction<'a>, protocol: Option<Protocol>) -> Self {
        Self { transaction, protocol }
    }

    /// Sends one command of at most 255 bytes of data; `answer` is Le, 0 for as many as there are.
    pub(super) fn send(&self, head: Head, data: &[u8], answer: Option<u8>) -> Result<Answer, CardError> {
        let mut command = Zeroizing::new(Vec::with_capacity(data.len().saturating_add(6)));
        command.extend(head);
        if !data.is_empty() {
            command.push(u8::try_from(data.len()).map_err(|_| pcsc::Error::InvalidValue)?);
            command.extend(data);
        }
        // T=0 has no command with both data and Le: the card says 61xx, and the answer is fetched.
        let fetched = self.protocol == Some(Protocol::T0) && !data.is_empty();
        command.extend(answer.filter(|_| !fetched));
        self.complete(&command)
    }

    /// Sends data of any length, in a chain of commands where one does not hold it.
    pub(super) fn send_chained(&self, head: Head, data: &[u8]) -> Result<Answer, CardError> {
        let [class, rest @ ..] = head;
        let mut rest_of_data = data;
        while let Some((part, after)) = rest_of_data.split_at_checked(PART).filter(|(_, a)| !a.is_empty()) {
            let [instruction, p1, p2] = rest;
            let answer = self.send([class | 0x10, instruction, p1, p2], part, None)?;
            if answer.status != OK {
                return Ok(answer);
            }
            rest_of_data = after;
        }
        self.send(head, rest_of_data, Some(0))
    }

    /// Sends a command, again with the length that the card names, and fetches what it holds back.
    fn complete(&self, command: &[u8]) -> Result<Answer, CardError> {
        let mut answer = self.exchange(command)?;
        if let ([0x6C, length], Some((_, before))) = (answer.status.to_be_bytes(), command.split_last()) {
            let mut again = Zeroizing::new(Vec::with_capacity(command.len()));
            again.extend(before);
            again.push(length);
            answer = self.exchange(&again)?;
        }
        // A card that always has more to say is not listened to for ever.
        for _ in 0..64 {
            let [0x61, length] = answer.status.to_be_bytes() else { break };
            let more = self.exchange(&[0x00, 0xC0, 0x00, 0x00, length])?;
            answer.data.extend(more.data);
            answer.status = more.status;
        }
        Ok(answer)
    }

    fn exchange(&self, command: &[u8]) -> Result<Answer, CardError> {
        let mut buffer = vec![0; pcsc::MAX_BUFFER_SIZE_EXTENDED];
        let answer = self.transaction.transmit(command, &mut buffer)?;
        let (data, status) = answer.split_last_chunk().ok_or(CardError::Removed)?;
        Ok(Answer { data: data.to_vec(), status: u16::from_be_bytes(*status) })
    }
}
