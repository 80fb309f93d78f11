//! A virtual CNS card behind vpcd, the virtual reader of pcscd: file system, PIN and PUK with their tries, raw RSA.
//!
//! It knows no Sigillo: what it answers is what OpenSC's driver `itacns` expects of such cards (tests/card/opensc.rs).

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use crate::rsa::Key;

/// A CNS 1.1 by STIncard: the reference of its PIN is 0x90.
pub const STINCARD: &str = "3BFF1800FF8131FE55006B02091617011101434E531131808D";
/// A CNS 1.1 of another maker: 0x10.
pub const OTHER_MAKER: &str = "3BFF1800008131FE45006B11050700011101434E531131807B";

/// The PIN of a new card.
pub const PIN: &str = "12345";
/// Its PUK.
pub const PUK: &str = "87654321";

/// What a card holds and counts. Tests look at it and change it while the card is in use.
#[derive(Debug)]
pub struct State {
    /// Contents by path from the MF, which is not in it.
    pub files: BTreeMap<Vec<u16>, Vec<u8>>,
    /// The PIN, filled up with `FF`.
    pub pin: Vec<u8>,
    /// The PUK, likewise.
    pub puk: Vec<u8>,
    /// Tries that the PIN has left, of 3.
    pub pin_tries: u8,
    /// Tries that the PUK has left, of 10.
    pub puk_tries: u8,
    /// The reference the card knows its PIN under.
    pub reference: u8,
    /// The card leaves at the first command of this instruction.
    pub vanishes_at: Option<u8>,
    /// Instructions received.
    pub seen: Vec<u8>,
    /// VERIFY without data: some cards count it as a wrong PIN.
    pub empty_verifies: u32,
}

/// A card, in a reader or not.
#[derive(Clone, Debug)]
pub struct Card {
    /// Answer to reset.
    pub atr: Vec<u8>,
    /// Shared by all clones.
    pub state: Arc<Mutex<State>>,
    key: Arc<Key>,
}

/// A card in a reader; dropped, it is taken out.
#[derive(Debug)]
pub struct Inserted {
    line: TcpStream,
    worker: Option<JoinHandle<()>>,
}

impl Drop for Inserted {
    fn drop(&mut self) {
        let (Ok(()) | Err(_)) = self.line.shutdown(Shutdown::Both);
        if let Some(worker) = self.worker.take() {
            worker.join().unwrap();
        }
    }
}

/// A PIN or PUK as a card has it: 8 bytes, filled up with `FF`.
pub fn padded(digits: &str) -> Vec<u8> {
    let mut bytes = digits.as_bytes().to_vec();
    bytes.resize(8, 0xFF);
    bytes
}

impl Card {
    pub(crate) fn new(atr: &str, files: BTreeMap<Vec<u16>, Vec<u8>>, key: Arc<Key>) -> Self {
        let atr = hex::decode(atr).unwrap();
        let reference = if atr.get(12) == Some(&0x09) { 0x90 } else { 0x10 };
        let state = State {
            files,
            pin: padded(PIN),
            puk: padded(PUK),
            pin_tries: 3,
            puk_tries: 10,
            reference,
            vanishes_at: None,
            seen: Vec::new(),
            empty_verifies: 0,
        };
        Self { atr, state: Arc::new(Mutex::new(state)), key }
    }

    /// Puts the card into the reader whose port this is, in the network of the calling thread.
    pub fn insert(&self, port: u16) -> Inserted {
        let line = TcpStream::connect(("127.0.0.1", port)).unwrap();
        line.set_nodelay(true).unwrap();
        let (mut mine, card) = (line.try_clone().unwrap(), self.clone());
        let worker = std::thread::spawn(move || {
            let mut session = Session::new(card);
            while let Some(answer) = session.hear(&mut mine) {
                if !answer.is_empty() {
                    let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
                    let (Ok(()) | Err(_)) = mine.write_all(&[&length[..], &answer].concat());
                }
            }
            let (Ok(()) | Err(_)) = mine.shutdown(Shutdown::Both);
        });
        Inserted { line, worker: Some(worker) }
    }
}

/// What a card forgets when it is reset.
struct Session {
    card: Card,
    folder: Vec<u16>,
    file: Option<Vec<u16>>,
    verified: bool,
    key_chosen: bool,
    chain: Vec<u8>,
}

const OK: [u8; 2] = [0x90, 0x00];

impl Session {
    const fn new(card: Card) -> Self {
        Self { card, folder: Vec::new(), file: None, verified: false, key_chosen: false, chain: Vec::new() }
    }

    /// One message of the reader and the answer, empty where there is none; nothing when the card leaves.
    fn hear(&mut self, line: &mut TcpStream) -> Option<Vec<u8>> {
        // The reader sends length and content apart: without this each waits 40 ms for an acknowledgement.
        std::os::linux::net::TcpStreamExt::set_quickack(line, true).ok()?;
        let mut length = [0; 2];
        line.read_exact(&mut length).ok()?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        line.read_exact(&mut message).ok()?;
        match message.as_slice() {
            [4] => Some(self.card.atr.clone()),
            [_] => {
                *self = Self::new(self.card.clone());
                Some(Vec::new())
            }
            [_, instruction, ..] => {
                let mut state = self.card.state.lock().unwrap();
                state.seen.push(*instruction);
                let leaves = state.vanishes_at == Some(*instruction);
                drop(state);
                (!leaves).then(|| self.command(&message))
            }
            [] => Some(Vec::new()),
        }
    }

    /// Gathers the parts of a chain, then carries out.
    fn command(&mut self, apdu: &[u8]) -> Vec<u8> {
        let Some((data, le)) = body(apdu) else { return vec![0x67, 0x00] };
        if apdu[0] & 0x10 != 0 {
            self.chain.extend(data);
            return OK.to_vec();
        }
        let mut whole = std::mem::take(&mut self.chain);
        whole.extend(data);
        self.carry_out([apdu[1], apdu[2], apdu[3]], &whole, le)
    }

    fn carry_out(&mut self, head: [u8; 3], data: &[u8], le: usize) -> Vec<u8> {
        let card = self.card.clone();
        let mut state = card.state.lock().unwrap();
        match head {
            [0xA4, p1, p2] => self.select(&state, p1, p2, data),
            [0xB0, high, low] => {
                let Some(file) = &self.file else { return vec![0x69, 0x86] };
                let content = &state.files[file];
                let offset = usize::from(u16::from_be_bytes([high, low]));
                if offset >= content.len() {
                    return vec![0x6B, 0x00];
                }
                [&content[offset..content.len().min(offset + le)], &OK[..]].concat()
            }
            [0x20, 0, reference] if reference == state.reference => {
                state.empty_verifies += u32::from(data.is_empty());
                let right = data == state.pin;
                self.verified = right && state.pin_tries > 0;
                try_code(right, 3, &mut state.pin_tries)
            }
            [0x24, 0, reference] if reference == state.reference && data.len() == 16 => {
                let right = data[..8] == state.pin;
                let answer = try_code(right, 3, &mut state.pin_tries);
                if answer == OK {
                    state.pin = data[8..].to_vec();
                }
                answer
            }
            [0x2C, 0, reference] if reference == state.reference && data.len() == 16 => {
                let right = data[..8] == state.puk;
                let answer = try_code(right, 10, &mut state.puk_tries);
                if answer == OK {
                    state.pin = data[8..].to_vec();
                    state.pin_tries = 3;
                }
                answer
            }
            [0x20 | 0x24 | 0x2C, ..] => vec![0x6A, 0x88],
            [0x84, 0, 0] => {
                let mut random = vec![0; le.min(256)];
                aws_lc_rs::rand::fill(&mut random).unwrap();
                [random, OK.to_vec()].concat()
            }
            [0x22, 0xF3, 0x03] => {
                self.key_chosen = false;
                OK.to_vec()
            }
            [0x22, 0xF1, 0xB6 | 0xB8] => {
                self.key_chosen = data == [0x83, 1, 1];
                if self.key_chosen { OK.to_vec() } else { vec![0x6A, 0x88] }
            }
            [0x2A, p1, p2] => self.sign([p1, p2], data),
            _ => vec![0x6D, 0x00],
        }
    }

    fn sign(&self, kind: [u8; 2], data: &[u8]) -> Vec<u8> {
        if !self.key_chosen {
            return vec![0x69, 0x85];
        }
        if !self.verified {
            return vec![0x69, 0x82];
        }
        let size = self.card.key.size();
        let block = match (kind, data) {
            ([0x80, 0x86], [0, block @ ..]) if block.len() == size => block.to_vec(),
            ([0x9E, 0x9A], info) if info.len() + 11 <= size => {
                [&[0, 1][..], &vec![0xFF; size - info.len() - 3], &[0], info].concat()
            }
            _ => return vec![0x67, 0x00],
        };
        [self.card.key.raw(&block), OK.to_vec()].concat()
    }

    fn select(&mut self, state: &State, p1: u8, p2: u8, data: &[u8]) -> Vec<u8> {
        let ids: Vec<u16> = data.chunks_exact(2).map(|id| u16::from_be_bytes([id[0], id[1]])).collect();
        let parent = self.folder.split_last().map_or(&[][..], |(_, parent)| parent).to_vec();
        let below = |folder: &[u16]| [folder, &ids].concat();
        let candidates = match p1 {
            0x00 if ids.is_empty() || ids == [0x3F00] => vec![vec![]],
            0x00 => vec![below(&self.folder), below(&parent), ids.clone()],
            0x03 => vec![parent],
            0x08 => vec![ids.strip_prefix(&[0x3F00]).unwrap_or(&ids).to_vec()],
            0x09 => vec![below(&self.folder)],
            _ => return vec![0x6A, 0x82],
        };
        for path in candidates {
            let content = state.files.get(&path);
            let is_folder =
                path.is_empty() || state.files.keys().any(|f| f.len() > path.len() && f.starts_with(&path));
            if content.is_none() && !is_folder {
                continue;
            }
            let info = if p2 & 0x0C == 0x0C { Vec::new() } else { control(&path, content) };
            self.folder = if content.is_some() { path[..path.len() - 1].to_vec() } else { path.clone() };
            self.file = content.is_some().then_some(path);
            return [info, OK.to_vec()].concat();
        }
        vec![0x6A, 0x82]
    }
}

/// Spends a try; all are given back when the code is right.
fn try_code(right: bool, full: u8, tries: &mut u8) -> Vec<u8> {
    if *tries == 0 {
        return vec![0x69, 0x83];
    }
    *tries = if right { full } else { *tries - 1 };
    match (right, *tries) {
        (true, _) => OK.to_vec(),
        (false, 0) => vec![0x69, 0x83],
        (false, left) => vec![0x63, 0xC0 | left],
    }
}

/// File control information, as real cards have it.
fn control(path: &[u16], content: Option<&Vec<u8>>) -> Vec<u8> {
    let [high, low] = path.last().copied().unwrap_or(0x3F00).to_be_bytes();
    let mut info = match content {
        Some(content) => {
            let [a, b] = u16::try_from(content.len()).unwrap().to_be_bytes();
            vec![0x80, 2, a, b, 0x82, 3, 0x01, 0, 0]
        }
        None => vec![0x81, 2, 0, 0, 0x82, 3, 0x38, 0, 0],
    };
    info.extend([0x83, 2, high, low, 0x85, 1, 1, 0x86, 9, 0]);
    info.extend([0xFF; 8]);
    info.extend([0x8A, 1, 5]);
    [vec![0x6F, u8::try_from(info.len()).unwrap()], info].concat()
}

/// The data of a command and how many bytes it wants back, in short and extended form.
fn body(apdu: &[u8]) -> Option<(&[u8], usize)> {
    let le = |bytes: &[u8]| match bytes {
        [] => 0,
        [0] => 256,
        [n] => usize::from(*n),
        _ => 65_536,
    };
    match apdu.get(4..)? {
        rest @ ([] | [_]) => Some((&[], le(rest))),
        [0, _, _] => Some((&[], 65_536)),
        [0, high, low, rest @ ..] => {
            let (data, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
            Some((data, le(rest)))
        }
        [length, rest @ ..] => {
            let (data, rest) = rest.split_at_checked(usize::from(*length))?;
            Some((data, le(rest)))
        }
    }
}
