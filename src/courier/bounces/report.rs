//! What a delivery status notification says (RFC 3464). Of all that can stand in one, three numbers are taken.
//!
//! The library reads headers only. A report's parts lie next to each other in it (RFC 6522, 3), so nothing that is nested in a
//! part, which a stranger has written, is taken apart.

use mail_parser::{Message, MessageParser, MimeHeaders as _};

/// Why the message was not delivered, of fixed words and numbers; nothing if this is no report, or of no failure
/// (delays, relays and successes are not asked for, and say nothing final).
pub(super) fn failure(bytes: &[u8]) -> Option<String> {
    let mail = Entity::read(bytes)?;
    if !mail.is("multipart", "report") {
        return None;
    }
    let boundary = mail.headers.content_type()?.attribute("boundary").filter(|text| !text.is_empty())?;
    let mut parts = parts(mail.body, boundary.as_bytes()).into_iter().filter_map(Entity::read);
    let status = parts.find(|part| part.is("message", "delivery-status"))?;
    // In 7 bits, and never encoded (RFC 3464, 2.1). The first group is about the message, each further one about a recipient;
    // ours have one.
    let text = String::from_utf8_lossy(status.body).replace("\r\n", "\n");
    let mut groups = text.split("\n\n").map(str::trim_start).filter(|group| !group.is_empty()).skip(1);
    let failed =
        groups.find(|group| field(group, "action").is_some_and(|a| a.eq_ignore_ascii_case("failed")))?;
    Some(match field(failed, "status").and_then(numbers) {
        Some([class, subject, detail]) => format!("relay: bounced: {class}.{subject}.{detail}"),
        None => "relay: bounced".to_owned(),
    })
}

/// A mail, or a part of one (RFC 2045, 2.4).
struct Entity<'a> {
    headers: Message<'a>,
    body: &'a [u8],
}

impl<'a> Entity<'a> {
    /// Headers up to the first empty line, and what comes after it; nothing if there is no header.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut body = bytes;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            body = body.get(line.len()..)?;
            if line.trim_ascii().is_empty() {
                break;
            }
        }
        let head = bytes.get(..bytes.len().checked_sub(body.len())?)?;
        Some(Self { headers: MessageParser::default().parse_headers(head)?, body })
    }

    fn is(&self, kind: &str, sub: &str) -> bool {
        self.headers.content_type().is_some_and(|of| {
            of.ctype().eq_ignore_ascii_case(kind)
                && of.subtype().is_some_and(|of| of.eq_ignore_ascii_case(sub))
        })
    }
}

/// What stands between the delimiters of a multipart body (RFC 2046, 5.1.1). A last part that is not closed ends with the body.
fn parts<'a>(body: &'a [u8], boundary: &[u8]) -> Vec<&'a [u8]> {
    let (mut parts, mut begun, mut rest) = (Vec::new(), None::<&[u8]>, body);
    let mut end = |part: Option<&'a [u8]>, after: &[u8]| {
        parts.extend(part.and_then(|part| part.get(..part.len().checked_sub(after.len())?)));
    };
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let here = rest;
        rest = rest.get(line.len()..).unwrap_or_default();
        let after = line.strip_prefix(b"--").and_then(|line| line.strip_prefix(boundary));
        match after.map(<[u8]>::trim_ascii_end) {
            Some(b"") => {
                end(begun, here);
                begun = Some(rest);
            }
            Some(b"--") => {
                end(begun.take(), here);
                break;
            }
            Some(_) | None => {}
        }
    }
    end(begun, b"");
    parts
}

/// The value of a field, as far as it stands on the field's own line: both that are asked for do.
fn field<'a>(group: &'a str, name: &str) -> Option<&'a str> {
    group.lines().find_map(|line| {
        let (of, value) = line.split_once(':')?;
        of.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// A status code (RFC 3463, 2): class 4 or 5, subject and detail of at most three digits. A comment may follow.
fn numbers(value: &str) -> Option<[u16; 3]> {
    let code = value.split([' ', '\t', '(']).next()?;
    let mut numbers = code.splitn(3, '.').map(|number| {
        let is_number = (1..=3).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| number.parse::<u16>().ok())?
    });
    let (class, subject, detail) = (numbers.next()??, numbers.next()??, numbers.next()??);
    matches!(class, 4 | 5).then_some([class, subject, detail])
}
