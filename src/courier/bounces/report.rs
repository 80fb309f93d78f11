//! What a delivery status notification says (RFC 3464). Of all that can stand in one, three numbers are taken.

use mail_parser::{Message, MessageParser, MimeHeaders, PartType};

/// Why the message was not delivered, of fixed words and numbers; nothing if this is no report, or of no failure
/// (delays, relays and successes are not asked for, and say nothing final).
pub(super) fn failure(bytes: &[u8]) -> Option<String> {
    let message = MessageParser::default().parse(bytes)?;
    if !is(&message, "multipart", "report") {
        return None;
    }
    let status = message.parts.iter().find(|part| {
        part.content_type().is_some_and(|kind| {
            kind.ctype().eq_ignore_ascii_case("message")
                && kind.subtype().is_some_and(|sub| sub.eq_ignore_ascii_case("delivery-status"))
        })
    })?;
    let text = match &status.body {
        PartType::Text(text) | PartType::Html(text) => text.clone(),
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => String::from_utf8_lossy(bytes),
        PartType::Message(_) | PartType::Multipart(_) => return None,
    };
    // The first group is about the message, each further one about a recipient (RFC 3464, 2.1); ours have one.
    let text = text.replace("\r\n", "\n");
    let mut groups = text.split("\n\n").map(str::trim_start).filter(|group| !group.is_empty()).skip(1);
    let failed =
        groups.find(|group| field(group, "action").is_some_and(|a| a.eq_ignore_ascii_case("failed")))?;
    Some(match field(failed, "status").and_then(numbers) {
        Some([class, subject, detail]) => format!("relay: bounced: {class}.{subject}.{detail}"),
        None => "relay: bounced".to_owned(),
    })
}

fn is(message: &Message<'_>, kind: &str, sub: &str) -> bool {
    message.content_type().is_some_and(|of| {
        of.ctype().eq_ignore_ascii_case(kind) && of.subtype().is_some_and(|of| of.eq_ignore_ascii_case(sub))
    })
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
