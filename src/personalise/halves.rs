//! Both processes with a token, as the one that joins sees them. What they answer is kept in memory that is wiped, and is
//! given out as whole codes only.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::{Error, half::Ask};
use crate::{
    card_export::{CardExport, ExportedCard},
    domain::{
        derive,
        operations::Operations,
        template::{RawTemplate, TemplateId},
    },
    hsm::Role,
    secret::{Digits, Secret},
};

/// Cards that both are asked for before the first answer is read: their answers fit into a pipe.
const WINDOW: usize = 64;
/// Longest line of an answer: parts of two codes.
const LINE: usize = 256;

/// What a half that gives up begins its last line with, where its configuration is at fault and where not.
pub const FAILED: [&str; 2] = ["failed configuration ", "failed token "];

/// One process.
struct Half {
    child: Child,
    config: PathBuf,
    from: BufReader<ChildStdout>,
    key: Vec<u8>,
    told: BTreeSet<TemplateId>,
    /// Nothing once it is to end.
    to: Option<BufWriter<ChildStdin>>,
}

impl Drop for Half {
    fn drop(&mut self) {
        // It ends when nobody asks any more. How it ended says nothing that its answers have not said.
        drop(self.to.take());
        let _gone: std::io::Result<_> = self.child.wait();
    }
}

impl Half {
    fn start(role: Role, config: &Path, may_swap: bool) -> Result<Self, Error> {
        let program = std::env::current_exe().map_err(Error::io(config))?;
        let mut command = Command::new(program);
        command.args(["--log-level", "warn", "personalise", "half", "--role", &role.to_string(), "--config"]);
        command.arg(config);
        if may_swap {
            command.arg("--may-swap");
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(Error::io(config))?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (to, from) = pipes.ok_or_else(|| Error::Refused("a process without pipes".into()))?;
        Ok(Self {
            child,
            config: config.to_owned(),
            from: BufReader::new(from),
            key: Vec::new(),
            told: BTreeSet::new(),
            to: Some(BufWriter::new(to)),
        })
    }

    fn failed(&self, reason: impl ToString) -> Error {
        Error::Half { config: self.config.clone(), reason: reason.to_string(), is_configuration: false }
    }

    /// The next line; the error, where it is the last one of a process that gives up.
    fn line(&mut self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut line = Zeroizing::new(Vec::with_capacity(LINE));
        let read = self.from.read_until(b'\n', &mut line);
        read.map_err(|e| self.failed(e))?;
        if line.pop() != Some(b'\n') {
            return Err(self.failed("its process ended without an answer"));
        }
        for (prefix, is_configuration) in FAILED.into_iter().zip([true, false]) {
            if let Some(reason) = line.strip_prefix(prefix.as_bytes()) {
                let reason = String::from_utf8_lossy(reason).into_owned();
                return Err(Error::Half { config: self.config.clone(), reason, is_configuration });
            }
        }
        Ok(line)
    }

    /// The next line, after this word and a space.
    fn answer(&mut self, word: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let line = self.line()?;
        let rest = line.strip_prefix(word.as_bytes()).and_then(|rest| rest.strip_prefix(b" "));
        let rest = rest.ok_or_else(|| self.failed(format!("its process answers no \"{word}\"")))?;
        let mut kept = Zeroizing::new(Vec::with_capacity(rest.len()));
        kept.extend_from_slice(rest);
        Ok(kept)
    }

    fn ask(&mut self, ask: &Ask) -> Result<(), Error> {
        let text = serde_json::to_vec(ask).map_err(|e| self.failed(e))?;
        let Some(to) = &mut self.to else { return Err(self.failed("its process was ended")) };
        let written = to.write_all(&text).and_then(|()| to.write_all(b"\n"));
        written.map_err(|_| self.last_words())
    }

    /// Sends what was asked.
    fn send(&mut self) -> Result<(), Error> {
        let Some(to) = &mut self.to else { return Err(self.failed("its process was ended")) };
        to.flush().map_err(|_| self.last_words())
    }

    /// Why a process reads no more: its last line says it, after answers that nobody has read.
    fn last_words(&mut self) -> Error {
        loop {
            if let Err(said) = self.line() {
                return said;
            }
        }
    }

    /// Waits until its token is open and good.
    fn ready(&mut self, role: Role) -> Result<(), Error> {
        let said = self.answer("ready")?;
        let key = said.strip_prefix(format!("{role} ").as_bytes()).and_then(|key| hex::decode(key).ok());
        self.key = key.ok_or_else(|| self.failed("its process is of another role"))?;
        Ok(())
    }

    fn pair(&mut self, nonce: &str) -> Result<Secret<32>, Error> {
        self.ask(&Ask::Pair(nonce.to_owned()))?;
        self.send()?;
        let said = self.answer("pair")?;
        let mut mac = [0; 32];
        hex::decode_to_slice(&*said, &mut mac).map_err(|_| self.failed("another MAC than of 32 bytes"))?;
        Ok(Secret::new(mac))
    }

    fn ask_card(&mut self, export: &CardExport, card: &ExportedCard) -> Result<(), Error> {
        if self.told.insert(card.template.clone()) {
            let template = export.templates.get(&card.template);
            let template = template.ok_or_else(|| self.failed("a card without its template"))?;
            self.ask(&Ask::Template(RawTemplate::from(template)))?;
        }
        self.ask(&Ask::Card(card.into()))
    }

    /// How many operations it took, and the parts of PIN and PUK.
    fn parts(&mut self) -> Result<(u64, [Digits; 2]), Error> {
        let said = self.answer("parts")?;
        let odd = || self.failed("its process answers no parts of codes");
        let text = std::str::from_utf8(&said).map_err(|_| odd())?;
        let mut words = text.split(' ');
        let mut digits = || -> Option<Digits> {
            let word = words.next()?;
            let mut kept = String::with_capacity(word.len());
            kept.push_str(word);
            Digits::parse(kept)
        };
        let operations = digits().and_then(|count| count.expose().parse().ok()).ok_or_else(odd)?;
        let (pin, puk) = digits().zip(digits()).ok_or_else(odd)?;
        Ok((operations, [pin, puk]))
    }

    fn sign(&mut self, text: &str) -> Result<[u8; 64], Error> {
        self.ask(&Ask::Sign(text.to_owned()))?;
        self.send()?;
        let said = self.answer("signature")?;
        let mut signature = [0; 64];
        hex::decode_to_slice(&*said, &mut signature).map_err(|_| self.failed("another signature"))?;
        Ok(signature)
    }
}

/// Both, of one installation.
pub struct Halves {
    authority: Half,
    courier: Half,
    most: Operations,
    used: Operations,
}

impl Halves {
    /// Starts both and waits until both tokens are open: one login each, as at every start. Tokens that do not belong together
    /// are refused.
    ///
    /// # Errors
    /// [`Error::Half`] with what the token or its configuration said; [`Error::Refused`].
    pub fn open(authority: &Path, courier: &Path, may_swap: bool) -> Result<Self, Error> {
        let mut authority = Half::start(Role::Authority, authority, may_swap)?;
        let mut courier = Half::start(Role::Courier, courier, may_swap)?;
        authority.ready(Role::Authority)?;
        courier.ready(Role::Courier)?;
        Ok(Self { authority, courier, most: Operations::default(), used: Operations::default() })
    }

    /// The audit key of a token: `SubjectPublicKeyInfo`, DER.
    pub fn audit_key(&self, role: Role) -> &[u8] {
        match role {
            Role::Authority => &self.authority.key,
            Role::Courier => &self.courier.key,
        }
    }

    /// Says, once an intent is durable, how many operations it entitles to; and that both tokens have the same verify key. Else
    /// second parts would be made that nobody is ever sent.
    ///
    /// # Errors
    /// [`Error::Refused`] for tokens of two installations; [`Error::Half`].
    pub fn begin(&mut self, most: Operations) -> Result<(), Error> {
        self.most = most;
        let mut nonce = [0; 32];
        rand::fill(&mut nonce).map_err(|_| Error::Refused("the system gives no random bytes".into()))?;
        let nonce = hex::encode(nonce);
        let (one, other) = (self.authority.pair(&nonce)?, self.courier.pair(&nonce)?);
        self.used.verify = self.used.verify.saturating_add(2);
        if bool::from(one.ct_eq(other.expose())) {
            return Ok(());
        }
        Err(Error::Refused(
            "the two tokens are of different installations: their verify keys differ, so chips would have codes that \
             nobody is sent"
                .into(),
        ))
    }

    /// Operations so far.
    pub const fn used(&self) -> Operations {
        self.used
    }

    /// Derives PIN and PUK of every card of an export, in order.
    ///
    /// # Errors
    /// [`Error::Half`]; [`Error::Refused`] when it takes more operations than it may.
    pub fn derive(
        &mut self,
        export: &CardExport,
        mut each: impl FnMut(&ExportedCard, &Digits, &Digits),
    ) -> Result<(), Error> {
        for window in export.cards.chunks(WINDOW) {
            for half in [&mut self.authority, &mut self.courier] {
                for card in window {
                    half.ask_card(export, card)?;
                }
                half.send()?;
            }
            for card in window {
                let (print, [pin_first, puk_first]) = self.authority.parts()?;
                let (deliver, [pin_second, puk_second]) = self.courier.parts()?;
                self.used.print = self.used.print.saturating_add(print);
                self.used.deliver = self.used.deliver.saturating_add(deliver);
                if self.used.print > self.most.print || self.used.deliver > self.most.deliver {
                    return Err(Error::Refused(format!(
                        "more operations with the keys of codes than the intent names ({})",
                        self.most
                    )));
                }
                let join = |a, b| {
                    derive::join(a, b).ok_or_else(|| Error::Refused("a code of more than 64 digits".into()))
                };
                each(card, &join(&pin_first, &pin_second)?, &join(&puk_first, &puk_second)?);
            }
        }
        Ok(())
    }

    /// Signs a text of this run with a token's audit key: `r || s`.
    ///
    /// # Errors
    /// [`Error::Half`].
    pub fn sign(&mut self, role: Role, text: &str) -> Result<[u8; 64], Error> {
        match role {
            Role::Authority => self.authority.sign(text),
            Role::Courier => self.courier.sign(text),
        }
    }
}
