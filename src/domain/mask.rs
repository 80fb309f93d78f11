//! Masks: enough of a value for a person to compare it, and no more.

/// The value with all but its `first` and `last` characters hidden; all of them where it is no longer than both together.
pub fn masked(value: &str, first: usize, last: usize) -> String {
    let length = value.chars().count();
    let hidden_to = length.saturating_sub(last);
    let (from, to) = if hidden_to > first { (first, hidden_to) } else { (0, length) };
    (0..).zip(value.chars()).map(|(n, c)| if (from..to).contains(&n) { '*' } else { c }).collect()
}

/// A codice fiscale with the letters of the names; of a provisional one the last three digits.
pub fn tax_code(code: &super::tax_code::TaxCode) -> String {
    if code.is_provisional() { masked(code.as_str(), 0, 3) } else { masked(code.as_str(), 6, 0) }
}

/// A contact: of an e-mail address the first character of the mailbox and of the domain, and the domain's last name; of a
/// number the country code as far as it is Italy's, and the last three digits. The stars say nothing about the length.
pub fn contact(contact: &super::contact::Contact) -> String {
    let text = contact.expose();
    let Some((mailbox, domain)) = text.split_once('@') else {
        let start = if text.starts_with("+39") { "+39" } else { "+" };
        let hidden = text.chars().count().saturating_sub(3);
        return format!("{start}***{}", text.chars().skip(hidden).collect::<String>());
    };
    let first = |part: &str| part.chars().take(1).collect::<String>();
    let top = domain.rsplit_once('.').map_or("", |(_, top)| top);
    format!("{}***@{}***.{top}", first(mailbox), first(domain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::contact::{Channel, Contact};

    #[test]
    fn ends_are_shown_and_short_values_are_not() {
        assert_eq!(masked("80380001200123456789", 10, 4), "8038000120******6789");
        assert_eq!(masked("AB123456", 0, 3), "*****456");
        assert_eq!(masked("Zoë", 1, 0), "Z**");
        for (short, first, last) in [("123", 0, 3), ("12", 0, 3), ("A", 1, 0), ("", 0, 3), ("1234", 3, 1)] {
            assert_eq!(masked(short, first, last), "*".repeat(short.len()), "{short}");
        }
    }

    #[test]
    fn contacts_are_not_found_from_their_masks() {
        let masked = |channel, text: &str| contact(&Contact::parse(channel, text).unwrap());
        assert_eq!(masked(Channel::Email, "mario.rossi@posta.example.it"), "m***@p***.it");
        assert_eq!(masked(Channel::Email, "m@esempio.it"), "m***@e***.it");
        assert_eq!(masked(Channel::Sms, "+393331234567"), "+39***567");
        assert_eq!(masked(Channel::Sms, "+41791234567"), "+***567");
    }

    #[test]
    fn tax_codes() {
        assert_eq!(tax_code(&"RSSMRA80A01H501U".parse().unwrap()), "RSSMRA**********");
        assert_eq!(tax_code(&"12345678903".parse().unwrap()), "********903");
    }
}
