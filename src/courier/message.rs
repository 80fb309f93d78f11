//! The texts that carry second parts: one file per text in the messages directory, read and checked at start.
//!
//! They are in Italian; `de/`, `fr/` and `sl/` below it have the same texts in other languages, named `de/NAME`.
//!
//! `NAME.txt` is an e-mail: the first line is `Oggetto: ` and the subject; then an empty line and the body.
//! `NAME.sms.txt` is the same message by SMS: lines that are joined by blanks, within `sms/text.rs`. `{pin_second}`, `{puk_second}`,
//! `{cip_second}` and `{control}` stand for a delivery's values. A line that names a code which the delivery does
//! not have is left out. There is no way to escape a brace, and no other field. A text without any field is a notice:
//! it tells a former contact of a change, and can carry no code.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use zeroize::Zeroizing;

use super::sms::text::{self, Alphabet, Size};
use crate::{
    domain::{contact::Channel, message::MessageLanguage, template::CodeName},
    secret::Digits,
};

/// Why the messages directory is refused. Lines count from 1.
#[derive(Debug, thiserror::Error)]
pub enum BadMessages {
    /// No `*.txt` at all.
    #[error("{dir}: there is no message text (*.txt)")]
    Empty {
        /// The directory.
        dir: String,
    },
    /// A file or the directory cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// What was read.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A file's text is wrong.
    #[error("{path}:{line}: {why}")]
    Text {
        /// The file.
        path: String,
        /// The line at fault.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

/// Why a text cannot be made for a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoText {
    /// The text has no line for a code of the delivery: its second part would be lost.
    #[error("the message text has no line for the {0}")]
    Code(CodeName),
    /// No file of that name.
    #[error("there is no message text of that name")]
    Unknown,
}

/// A message ready to be sent. The body holds second parts and is wiped on drop.
pub struct Text {
    subject: String,
    alphabet: Alphabet,
    body: Zeroizing<String>,
}

impl Text {
    /// The subject, on one line; empty for SMS. Holds nothing of the delivery.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The alphabet that a text message needs, with one digit as with many.
    pub const fn alphabet(&self) -> Alphabet {
        self.alphabet
    }

    /// The body, for the gateway: of an e-mail lines that end in `\n`, of an SMS a single line.
    pub fn expose(&self) -> &str {
        &self.body
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text")
    }
}

/// All texts by channel and name: the file's name without `.txt` or `.sms.txt`.
#[derive(Debug)]
pub struct Messages(BTreeMap<(Channel, String), Template>);

#[derive(Debug)]
struct Template {
    subject: String,
    lines: Vec<Vec<Piece>>,
    /// Between two lines.
    join: char,
    /// After the last one.
    end: &'static str,
    /// Of a text message.
    size: Option<Size>,
}

/// A piece of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// The second part of a code.
    Code(CodeName),
    /// The control number.
    Control,
    /// As it stands.
    Text(String),
}

impl Messages {
    /// Reads and checks every `*.txt` of the directory.
    ///
    /// # Errors
    /// The first file or line at fault.
    pub fn load(dir: &Path) -> Result<Self, BadMessages> {
        let mut texts = BTreeMap::new();
        for language in MessageLanguage::ALL {
            let of = dir.join(language.text(""));
            // The Italian texts are those of the directory itself, which must be there.
            if language == MessageLanguage::Italian || of.is_dir() {
                load(&of, language, &mut texts)?;
            }
        }
        if texts.is_empty() {
            return Err(BadMessages::Empty { dir: dir.display().to_string() });
        }
        Ok(Self(texts))
    }

    /// Names of the texts for a channel, in order.
    pub fn names(&self, channel: Channel) -> impl Iterator<Item = &str> {
        self.0.keys().filter(move |(of, _)| *of == channel).map(|(_, name)| name.as_str())
    }

    /// How long each text message can get, by name.
    pub fn sizes(&self) -> impl Iterator<Item = (&str, Size)> {
        self.0.iter().filter_map(|((_, name), template)| Some((name.as_str(), template.size?)))
    }

    /// The notice of this name for a channel; nothing if there is none, or the text has a place for a code.
    pub fn notice(&self, name: &str, channel: Channel) -> Option<Text> {
        let template = self.0.get(&(channel, name.to_owned()))?;
        let has_fields = template.lines.iter().flatten().any(|p| !matches!(p, Piece::Text(_)));
        if has_fields { None } else { self.render(name, channel, "", &[]).ok() }
    }

    /// Makes the text of a delivery for a channel.
    ///
    /// # Errors
    /// [`NoText`].
    pub fn render(
        &self,
        name: &str,
        channel: Channel,
        control: &str,
        parts: &[(CodeName, Digits)],
    ) -> Result<Text, NoText> {
        let template = self.0.get(&(channel, name.to_owned())).ok_or(NoText::Unknown)?;
        for (code, _) in parts {
            if !template.lines.iter().flatten().any(|p| *p == Piece::Code(*code)) {
                return Err(NoText::Code(*code));
            }
        }
        let value = |piece: &Piece| match piece {
            Piece::Code(code) => parts.iter().find(|(c, _)| c == code).map(|(_, digits)| digits.expose()),
            Piece::Control => Some(control),
            Piece::Text(_) => Some(""),
        };
        // First the length, so that the secret is written once and never moved by growth.
        let mut length = 0_usize;
        let mut kept: Vec<&Vec<Piece>> = Vec::with_capacity(template.lines.len());
        for line in &template.lines {
            if line.iter().all(|p| value(p).is_some()) {
                kept.push(line);
                let of =
                    |p: &Piece| if let Piece::Text(t) = p { t.len() } else { value(p).map_or(0, str::len) };
                length = line.iter().map(of).fold(length.saturating_add(1), usize::saturating_add);
            }
        }
        let mut body = Zeroizing::new(String::with_capacity(length));
        for (at, line) in kept.iter().enumerate() {
            if at > 0 {
                body.push(template.join);
            }
            for piece in *line {
                match piece {
                    Piece::Text(text) => body.push_str(text),
                    Piece::Code(_) | Piece::Control => body.push_str(value(piece).unwrap_or_default()),
                }
            }
        }
        body.push_str(template.end);
        let alphabet = template.size.map_or(Alphabet::Gsm, |size| size.alphabet);
        Ok(Text { subject: template.subject.clone(), alphabet, body })
    }
}

/// Reads every `*.txt` of one language.
fn load(
    dir: &Path,
    language: MessageLanguage,
    texts: &mut BTreeMap<(Channel, String), Template>,
) -> Result<(), BadMessages> {
    let unreadable = |path: &Path, source| BadMessages::Read { path: path.display().to_string(), source };
    for entry in fs::read_dir(dir).map_err(|e| unreadable(dir, e))? {
        let path = entry.map_err(|e| unreadable(dir, e))?.path();
        let (Some(name), Some("txt")) =
            (path.file_stem().and_then(|s| s.to_str()), path.extension().and_then(|s| s.to_str()))
        else {
            continue;
        };
        let text = fs::read_to_string(&path).map_err(|e| unreadable(&path, e))?;
        let (channel, name) = match name.strip_suffix(".sms") {
            Some(name) => (Channel::Sms, name),
            None => (Channel::Email, name),
        };
        let template = match channel {
            Channel::Email => Template::mail(&text),
            Channel::Sms => Template::sms(&text, language),
        };
        let template = template.map_err(|(line, why)| BadMessages::Text {
            path: path.display().to_string(),
            line,
            why,
        })?;
        texts.insert((channel, language.text(name)), template);
    }
    Ok(())
}

/// A fault with the number of its line.
type Fault = (usize, String);

/// The lines of a body whose first line has this number.
fn body<'a>(lines: impl Iterator<Item = (&'a str, usize)>, first: usize) -> Result<Vec<Vec<Piece>>, Fault> {
    let mut body = Vec::new();
    for (line, number) in lines {
        body.push(pieces(line).map_err(|why| (number, why))?);
    }
    let end = body.len().saturating_add(first).saturating_sub(1).max(1);
    let mut fields = body.iter().flatten();
    let is_notice = fields.clone().all(|p| matches!(p, Piece::Text(_)));
    if is_notice && fields.clone().next().is_some() {
        return Ok(body);
    }
    if !fields.clone().any(|p| matches!(p, Piece::Code(_))) {
        return Err((end, "the body names no second part, such as {pin_second}".to_owned()));
    }
    if !fields.any(|p| *p == Piece::Control) {
        return Err((end, "the body does not name {control}".to_owned()));
    }
    Ok(body)
}

impl Template {
    fn sms(text: &str, language: MessageLanguage) -> Result<Self, Fault> {
        let lines = body(text.lines().zip(1..), 1)?;
        let size = text::check(&lines, language)?;
        Ok(Self { subject: String::new(), lines, join: ' ', end: "", size: Some(size) })
    }

    fn mail(text: &str) -> Result<Self, Fault> {
        let mut lines = text.lines().zip(1..);
        let (first, _) = lines.next().ok_or_else(|| (1, "the file is empty".to_owned()))?;
        let subject = first
            .strip_prefix("Oggetto: ")
            .ok_or_else(|| (1, "the first line is not \"Oggetto: \" and the subject".to_owned()))?
            .trim();
        if subject.is_empty() {
            return Err((1, "the subject is missing".to_owned()));
        }
        if let Some(c) = subject.chars().find(|c| c.is_control() || matches!(c, '{' | '}')) {
            return Err((1, format!("{c:?} in the subject: it takes no field and no control character")));
        }
        match lines.next() {
            Some(("", _)) => {}
            Some((_, line)) => return Err((line, "an empty line is missing after the subject".to_owned())),
            None => return Err((1, "the body is missing".to_owned())),
        }
        Ok(Self { subject: subject.to_owned(), lines: body(lines, 3)?, join: '\n', end: "\n", size: None })
    }
}

/// Cuts one line of a body at its fields.
fn pieces(line: &str) -> Result<Vec<Piece>, String> {
    if let Some(c) = line.chars().find(|c| c.is_control()) {
        return Err(format!("control character {c:?}"));
    }
    let mut pieces = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, next) = after.split_once('}').ok_or("{ without }")?;
        push_text(&mut pieces, before)?;
        pieces.push(match name {
            "cip_second" => Piece::Code(CodeName::Cip),
            "control" => Piece::Control,
            "pin_second" => Piece::Code(CodeName::Pin),
            "puk_second" => Piece::Code(CodeName::Puk),
            other => return Err(format!("unknown field {{{other}}}")),
        });
        rest = next;
    }
    push_text(&mut pieces, rest)?;
    Ok(pieces)
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) -> Result<(), String> {
    if text.contains('}') {
        return Err("} without {".to_owned());
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(text: &str) -> Digits {
        Digits::parse(text.to_owned()).unwrap()
    }

    fn shipped() -> Messages {
        Messages::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/courier/messages")).unwrap()
    }

    fn load(text: &str) -> Result<Messages, String> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("prova.txt"), text).unwrap();
        Messages::load(dir.path()).map_err(|e| {
            let full = e.to_string();
            full.rsplit_once('/').map_or_else(|| full.clone(), |(_, end)| end.to_owned())
        })
    }

    const GOOD: &str =
        "Oggetto: Prova\n\nN. {control}\nPIN {pin_second}, di nuovo {pin_second}.\nPUK {puk_second}\n";

    #[test]
    fn values_take_their_places() {
        let parts = [(CodeName::Pin, digits("678")), (CodeName::Puk, digits("123456"))];
        let text = load(GOOD).unwrap().render("prova", Channel::Email, "001122", &parts).unwrap();
        assert_eq!(text.subject(), "Prova");
        assert_eq!(text.expose(), "N. 001122\nPIN 678, di nuovo 678.\nPUK 123456\n");
        assert_eq!(text.expose().len(), text.body.capacity());
        assert_eq!(format!("{text:?}"), "Text");
    }

    #[test]
    fn a_text_message_is_one_line_of_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("prova.txt"), GOOD).unwrap();
        let sms = "N. {control}.\nPIN {pin_second}.\nPUK {puk_second}.\nCIP {cip_second}.\nSaluti.\n";
        fs::write(dir.path().join("prova.sms.txt"), sms).unwrap();
        let messages = Messages::load(dir.path()).unwrap();
        let parts = [(CodeName::Pin, digits("678")), (CodeName::Cip, digits("1234"))];
        let text = messages.render("prova", Channel::Sms, "001122", &parts).unwrap();
        assert_eq!((text.subject(), text.expose()), ("", "N. 001122. PIN 678. CIP 1234. Saluti."));
        assert!(text.body.capacity() <= "N. 001122. PIN 678. CIP 1234. Saluti. ".len());
        // The channel of a text is the contact's, never the one that a lease names.
        let other = messages.render("prova.sms", Channel::Email, "001122", &parts);
        assert_eq!(other.unwrap_err(), NoText::Unknown);

        for (text, why) in [
            ("", "prova.sms.txt:1: the body names no second part, such as {pin_second}"),
            ("PIN {pin_second}", "prova.sms.txt:1: the body does not name {control}"),
            ("{control}\n\n{pin_second}", "prova.sms.txt:2: an empty line: the lines are joined by blanks"),
            (
                "{control}\n{pin_second}\nC’è",
                "prova.sms.txt:3: '’' is not in the basic GSM alphabet of text messages",
            ),
        ] {
            fs::write(dir.path().join("prova.sms.txt"), text).unwrap();
            let said = Messages::load(dir.path()).unwrap_err().to_string();
            assert!(said.ends_with(why), "{said}");
        }
    }

    #[test]
    fn lines_of_absent_codes_are_left_out() {
        let text = load(GOOD)
            .unwrap()
            .render("prova", Channel::Email, "001122", &[(CodeName::Puk, digits("123456"))])
            .unwrap();
        assert_eq!(text.expose(), "N. 001122\nPUK 123456\n");
    }

    #[test]
    fn a_code_without_a_line_is_not_lost_silently() {
        let messages = load(GOOD).unwrap();
        let parts = [(CodeName::Pin, digits("678")), (CodeName::Cip, digits("1234"))];
        assert_eq!(
            messages.render("prova", Channel::Email, "001122", &parts).unwrap_err(),
            NoText::Code(CodeName::Cip)
        );
        assert_eq!(messages.render("altra", Channel::Email, "001122", &parts).unwrap_err(), NoText::Unknown);
    }

    #[test]
    fn bad_texts_are_refused_with_file_and_line() {
        for (text, why) in [
            ("", "prova.txt:1: the file is empty"),
            ("Prova\n", "prova.txt:1: the first line is not \"Oggetto: \" and the subject"),
            ("Oggetto: \n\n{control}{pin_second}", "prova.txt:1: the subject is missing"),
            (
                "Oggetto: {pin_second}\n\nx",
                "prova.txt:1: '{' in the subject: it takes no field and no control character",
            ),
            ("Oggetto: x", "prova.txt:1: the body is missing"),
            ("Oggetto: x\nbody", "prova.txt:2: an empty line is missing after the subject"),
            ("Oggetto: x\n\n{control}\n", "prova.txt:3: the body names no second part, such as {pin_second}"),
            ("Oggetto: x\n\nPIN {pin_second}\n", "prova.txt:3: the body does not name {control}"),
            ("Oggetto: x\n\n{control}\n{pin_first}", "prova.txt:4: unknown field {pin_first}"),
            ("Oggetto: x\n\n{control}\n{pin_second", "prova.txt:4: { without }"),
            ("Oggetto: x\n\n{control}\npin_second}", "prova.txt:4: } without {"),
            ("Oggetto: x\n\n{control}\na\tb", "prova.txt:4: control character '\\t'"),
        ] {
            assert_eq!(load(text).unwrap_err(), why);
        }
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(Messages::load(empty.path()), Err(BadMessages::Empty { .. })));
        assert!(matches!(Messages::load(&empty.path().join("no")), Err(BadMessages::Read { .. })));
    }

    #[test]
    fn shipped_texts_serve_every_set_of_codes() {
        let messages = shipped();
        let names = |channel| messages.names(channel).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(names(Channel::Sms), names(Channel::Email));
        let languages = MessageLanguage::ALL.into_iter();
        for (name, channel) in languages
            .flat_map(|language| ["activation", "renewal", "reprint"].map(|name| language.text(name)))
            .flat_map(|name| Channel::ALL.map(|channel| (name.clone(), channel)))
        {
            for set in 1..8_u8 {
                let all = [(CodeName::Pin, "987"), (CodeName::Puk, "876543"), (CodeName::Cip, "7654")];
                let (mut there, mut absent) = (Vec::new(), Vec::new());
                for (at, (code, part)) in all.into_iter().enumerate() {
                    if set >> at & 1 == 1 { there.push((code, digits(part))) } else { absent.push(part) }
                }
                let text = messages.render(&name, channel, "246810", &there).unwrap();
                let is_unicode = channel == Channel::Sms && name.starts_with("sl/");
                assert_eq!(text.alphabet() == Alphabet::Unicode, is_unicode, "{name}");
                let numbers: Vec<&str> =
                    text.expose().split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty()).collect();
                let expected: Vec<&str> =
                    std::iter::once("246810").chain(there.iter().map(|(_, d)| d.expose())).collect();
                assert_eq!(numbers, expected, "{name}: {}", text.expose());
            }
        }
    }

    #[test]
    fn shipped_text_messages_say_how_long_they_get() {
        let messages = shipped();
        let of = |name: &str| messages.sizes().find(|(of, _)| *of == name).unwrap().1;
        assert_eq!(messages.sizes().count(), 16);
        assert!(messages.sizes().all(|(_, size)| size.parts <= 3));
        assert_eq!((of("de/notice").parts, of("fr/notice").parts), (1, 1));
        assert_eq!((of("sl/notice").alphabet, of("sl/notice").parts), (Alphabet::Unicode, 2));
        for language in MessageLanguage::ALL {
            for channel in Channel::ALL {
                assert!(messages.notice(&language.text("notice"), channel).is_some(), "{language:?}");
            }
        }
    }
}
