//! Names, and what a document says, as short texts.

use std::fmt;

use zeroize::Zeroizing;

/// What is wrong with a text. The text is never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPersonal {
    /// A character that such a text does not have.
    #[error("only letters, digits and . , ' - / ( ) with single blanks between them")]
    Character,
    /// Empty or too long.
    #[error("must have 1 to {most} bytes")]
    Length {
        /// The longest.
        most: usize,
    },
    /// A character that no name has.
    #[error("a name has only letters and . ' - with single blanks between them")]
    Name,
    /// A character that no number of a document has.
    #[error("a document's number has only letters A to Z, digits and . - / with single blanks between them")]
    Number,
}

/// A short text about a person, wiped on drop and never printed.
pub struct Personal(Zeroizing<String>);

impl Personal {
    /// Longest name of a person or of who issued a document, in bytes.
    pub const NAME_MAX: usize = 80;
    /// Longest number of a document, in bytes.
    pub const NUMBER_MAX: usize = 32;

    /// A given or family name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn name(text: &str) -> Result<Self, BadPersonal> {
        let good = |c: char| c.is_alphabetic() || ".'’-".contains(c);
        Self::of(text, Self::NAME_MAX, good, BadPersonal::Name)
    }

    /// Who issued a document.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn issuer(text: &str) -> Result<Self, BadPersonal> {
        let good = |c: char| c.is_alphanumeric() || ".,'’-/()".contains(c);
        Self::of(text, Self::NAME_MAX, good, BadPersonal::Character)
    }

    /// Number of a document.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn number(text: &str) -> Result<Self, BadPersonal> {
        let good = |c: char| c.is_ascii_alphanumeric() || ".-/".contains(c);
        Self::of(text, Self::NUMBER_MAX, good, BadPersonal::Number)
    }

    /// Words of good characters with one blank between them.
    fn of(
        text: &str,
        most: usize,
        good: impl Fn(char) -> bool,
        why: BadPersonal,
    ) -> Result<Self, BadPersonal> {
        if !(1..=most).contains(&text.len()) {
            return Err(BadPersonal::Length { most });
        }
        if text.split(' ').all(|word| !word.is_empty() && word.chars().all(&good)) {
            Ok(Self(Zeroizing::new(text.to_owned())))
        } else {
            Err(why)
        }
    }

    /// The text, for the one record or page that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Personal(…)")
    }
}
