//! In which language a citizen reads the message with second parts.

use std::str::FromStr;

/// A language of message texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MessageLanguage {
    /// Valle d'Aosta.
    French,
    /// Alto Adige.
    German,
    /// Everywhere, and where nothing is asked for.
    #[default]
    Italian,
    /// Friuli Venezia Giulia.
    Slovene,
}

/// There is no text in this language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a language is de, fr, it or sl")]
pub struct UnknownLanguage;

impl MessageLanguage {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::French, Self::German, Self::Italian, Self::Slovene];

    /// Its tag (RFC 5646).
    pub const fn tag(self) -> &'static str {
        match self {
            Self::French => "fr",
            Self::German => "de",
            Self::Italian => "it",
            Self::Slovene => "sl",
        }
    }

    /// The courier's name of a text in this language: `activation`, `de/activation`. It is what a delivery asks for from its first
    /// to its last attempt, and what the courier judges and commits to.
    pub fn text(self, name: &str) -> String {
        match self {
            Self::Italian => name.to_owned(),
            Self::French | Self::German | Self::Slovene => format!("{}/{name}", self.tag()),
        }
    }

    /// Language and name of a text.
    pub fn of_text(text: &str) -> Option<(Self, &str)> {
        match text.split_once('/') {
            None => Some((Self::Italian, text)),
            Some((tag, name)) => {
                let language = tag.parse().ok().filter(|language| *language != Self::Italian)?;
                (!name.contains('/')).then_some((language, name))
            }
        }
    }
}

impl FromStr for MessageLanguage {
    type Err = UnknownLanguage;

    fn from_str(tag: &str) -> Result<Self, UnknownLanguage> {
        Self::ALL.into_iter().find(|language| language.tag() == tag).ok_or(UnknownLanguage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_named_in_one_way() {
        for language in MessageLanguage::ALL {
            let text = language.text("activation");
            assert_eq!(MessageLanguage::of_text(&text), Some((language, "activation")));
            assert_eq!(language.tag().parse(), Ok(language));
        }
        for bad in ["it/activation", "en/activation", "de/fr/activation", "/activation"] {
            assert_eq!(MessageLanguage::of_text(bad), None, "{bad}");
        }
        assert_eq!("DE".parse::<MessageLanguage>(), Err(UnknownLanguage));
    }
}
