//! Forms and guide.

use serde::{Deserialize, Serialize};

/// Answer to `GET /v1/forms` and `GET /v1/guide`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Texts {
    /// By id.
    pub texts: Vec<TextEntry>,
}

/// A text without its body.
#[derive(Debug, Serialize, Deserialize)]
pub struct TextEntry {
    /// Its name in paths.
    pub id: String,
    /// For people.
    pub title: String,
    /// Counts up with each change, from 1.
    pub version: u32,
    /// Tag (RFC 5646).
    pub language: String,
    /// The function of the menu that it belongs to.
    pub function: String,
}

/// Answer to `GET /v1/forms/{id}` and `GET /v1/guide/{id}`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Text {
    /// Its name in paths.
    pub id: String,
    /// For people.
    pub title: String,
    /// Counts up with each change, from 1.
    pub version: u32,
    /// Tag (RFC 5646).
    pub language: String,
    /// The function of the menu that it belongs to.
    pub function: String,
    /// What the front end fills in; each is in the body.
    pub fields: Vec<TextField>,
    /// CommonMark without HTML, links and images; `{{name}}` stands for a field.
    pub body: String,
}

/// A field of a text.
#[derive(Debug, Serialize, Deserialize)]
pub struct TextField {
    /// As in the body.
    pub name: String,
    /// For people.
    pub label: String,
    /// What it takes.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether the text says nothing without it.
    pub required: bool,
}
