//! What a receipt says: in the fields that SMPP 3.4 has for it (5.3.2.12, 5.3.2.35), or in its text, which has one usual form
//! (appendix B).

use rusmpp::{pdus::DeliverSm, tlvs::TlvValue, values::MessageState};

use crate::courier::late::End;

/// A receipt: the centre's id of the message, and its end if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) id: String,
    /// Nothing while the message is on its way.
    pub(super) end: Option<End>,
}

/// Reads a receipt; nothing for what citizens send, or for what cannot be understood.
pub(super) fn read(pdu: &DeliverSm) -> Option<Receipt> {
    // Bit 2: a delivery receipt (5.2.12).
    if u8::from(pdu.esm_class) & 0b0010_0100 != 0b0000_0100 {
        return None;
    }
    let text = String::from_utf8_lossy(pdu.short_message().as_ref());
    let (mut id, mut state) = (word(&text, "id:"), word(&text, "stat:").and_then(of_word));
    for tlv in pdu.tlvs() {
        match tlv.value() {
            Some(TlvValue::ReceiptedMessageId(of)) => id = Some(of.as_str()),
            Some(TlvValue::MessageState(of)) => state = of_state(*of),
            Some(_) | None => {}
        }
    }
    let id = id.filter(|id| !id.is_empty() && id.len() <= 64)?.to_owned();
    let end = match state? {
        State::OnItsWay => None,
        State::Delivered => Some(End::Delivered),
        State::Failed => Some(End::Failed("SMS centre: not delivered".to_owned())),
    };
    Some(Receipt { id, end })
}

#[derive(Clone, Copy)]
enum State {
    OnItsWay,
    Delivered,
    Failed,
}

fn of_state(state: MessageState) -> Option<State> {
    match u8::from(state) {
        0 | 1 => Some(State::OnItsWay),
        2 | 6 => Some(State::Delivered),
        3 | 4 | 5 | 8 | 9 => Some(State::Failed),
        // 7, unknown, says nothing.
        _ => None,
    }
}

fn of_word(word: &str) -> Option<State> {
    match word {
        "ENROUTE" | "BUFFERED" => Some(State::OnItsWay),
        "DELIVRD" | "ACCEPTD" => Some(State::Delivered),
        "EXPIRED" | "DELETED" | "UNDELIV" | "REJECTD" => Some(State::Failed),
        _ => None,
    }
}

/// The word after this name, names being as in `id:12 sub:001 stat:DELIVRD`.
fn word<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split(' ').find_map(|word| word.strip_prefix(name))
}

#[cfg(test)]
mod tests {
    use rusmpp::{types::OctetString, values::EsmClass};

    use super::*;

    fn receipt(text: &str, class: u8) -> DeliverSm {
        let text = OctetString::from_slice(text.as_bytes()).unwrap();
        DeliverSm::builder().esm_class(EsmClass::from(class)).short_message(text).build()
    }

    #[test]
    fn texts_of_the_usual_form_are_read() {
        let text = |stat: &str| {
            format!(
                "id:0a7 sub:001 dlvrd:001 submit date:2611290200 done date:2611290201 stat:{stat} err:000 text:"
            )
        };
        let of = |end| Some(Receipt { id: "0a7".to_owned(), end });
        assert_eq!(read(&receipt(&text("DELIVRD"), 4)), of(Some(End::Delivered)));
        assert_eq!(read(&receipt(&text("ENROUTE"), 4)), of(None));
        let failed = Some(End::Failed("SMS centre: not delivered".to_owned()));
        for stat in ["UNDELIV", "EXPIRED", "REJECTD", "DELETED"] {
            assert_eq!(read(&receipt(&text(stat), 4)), of(failed.clone()), "{stat}");
        }
        for (text, class) in [
            (text("DELIVRD"), 0),
            (text("DELIVRD"), 0x20),
            (text("UNKNOWN"), 4),
            ("stat:DELIVRD".to_owned(), 4),
            ("id: stat:DELIVRD".to_owned(), 4),
            (format!("id:{} stat:DELIVRD", "1".repeat(65)), 4),
            ("id:1".to_owned(), 4),
            (String::new(), 4),
            ("grazie".to_owned(), 4),
        ] {
            assert_eq!(read(&receipt(&text, class)), None, "{text} {class}");
        }
    }
}
