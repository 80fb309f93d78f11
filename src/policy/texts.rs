//! Forms to be printed and signed, and the operating guide: texts of the policy set that an office adapts and a front end
//! shows. `texts/forms/ID.md` and `texts/guide/ID.md`: between two lines `+++` what a text is and which fields it has, in TOML;
//! then its body in CommonMark, where `{{name}}` stands for a field. No HTML, link or image, so that a front end may show it
//! as it is. Nothing of a citizen is in a text: the front end fills it in.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::files::{BadPolicy, File, bad};

/// Where the texts of a set lie.
const DIRECTORY: &str = "texts/";

/// Ends what is said of a text, and begins it.
const FENCE: &str = "+++";

/// Longest title and label, in characters.
const TITLE_MAX: usize = 120;

/// What a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shelf {
    /// To be printed and signed.
    Forms,
    /// A page of the guide.
    Guide,
}

/// A function of the operators' menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// Attivazione.
    Activation,
    /// Modulistica.
    Forms,
    /// Consensi FSE.
    FseConsents,
    /// Guida Operativa.
    Guide,
    /// Storico.
    History,
    /// Richiesta Lettore.
    ReaderRequest,
    /// Reportistica.
    Reports,
    /// Ristampa PIN/PUK.
    Reprint,
    /// Revoca.
    Revocation,
}

/// What a front end asks for, or leaves room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// Ticked or not.
    Boolean,
    /// A day.
    Date,
    /// Room for a signature by hand; never filled in.
    Signature,
    /// A codice fiscale.
    TaxCode,
    /// A TEAM number.
    TeamNumber,
    /// A line of text.
    Text,
}

/// A field of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Names joined by dots, each 1 or more of a-z and _: `holder.tax_code`.
    pub name: String,
    /// For people.
    pub label: String,
    /// What it takes.
    #[serde(rename = "type")]
    pub kind: FieldKind,
    /// Whether the text says nothing without it.
    #[serde(default = "yes")]
    pub required: bool,
}

const fn yes() -> bool {
    true
}

/// A text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The file's name without `.md`.
    pub id: String,
    /// For people.
    pub title: String,
    /// Counts up with each change, from 1.
    pub version: u32,
    /// Tag (RFC 5646).
    pub language: String,
    /// What it belongs to.
    pub function: Function,
    /// In the order of the file; each is in the body.
    pub fields: Vec<Field>,
    /// CommonMark with `{{name}}`.
    pub body: String,
}

/// What stands between the fences.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    title: String,
    version: u32,
    language: String,
    function: Function,
    #[serde(default)]
    field: Vec<Field>,
}

/// All texts of a set.
#[derive(Debug, Default)]
pub struct Texts(BTreeMap<(Shelf, String), Text>);

impl Texts {
    /// Takes the files below `texts/` out of a set and reads them.
    pub(super) fn take(files: &BTreeMap<String, File>) -> Result<Self, BadPolicy> {
        let mut texts = BTreeMap::new();
        for (name, file) in files.iter().filter(|(name, _)| name.starts_with(DIRECTORY)) {
            let (shelf, id) = place(name).ok_or_else(|| {
                bad(
                    &file.path,
                    "not a text: texts/forms/ID.md or texts/guide/ID.md, ID of 1 to 40 of a-z, 0-9 and -",
                )
            })?;
            let text = read(id, &file.text).map_err(|(line, reason)| BadPolicy {
                file: file.path.clone(),
                line: Some(line),
                reason,
            })?;
            texts.insert((shelf, id.to_owned()), text);
        }
        Ok(Self(texts))
    }

    /// The texts of a shelf, by id.
    pub fn of(&self, shelf: Shelf) -> impl Iterator<Item = &Text> {
        self.0.iter().filter(move |((of, _), _)| *of == shelf).map(|(_, text)| text)
    }

    /// A text.
    pub fn find(&self, shelf: Shelf, id: &str) -> Option<&Text> {
        self.0.get(&(shelf, id.to_owned()))
    }
}

/// Shelf and id of a file.
fn place(name: &str) -> Option<(Shelf, &str)> {
    let (directory, file) = name.strip_prefix(DIRECTORY)?.split_once('/')?;
    let id = file.strip_suffix(".md")?;
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let shelf = match directory {
        "forms" => Shelf::Forms,
        "guide" => Shelf::Guide,
        _ => return None,
    };
    ((1..=40).contains(&id.len()) && id.bytes().all(good)).then_some((shelf, id))
}

/// A fault with the number of its line, from 1.
type Fault = (usize, String);

/// Reads a text.
fn read(id: &str, text: &str) -> Result<Text, Fault> {
    let head = text.strip_prefix("+++\n").ok_or_else(|| (1, format!("the first line is not {FENCE}")))?;
    let (head, body) = head.split_once("\n+++\n").ok_or_else(|| {
        (1, format!("no second line {FENCE}: what the text is stands between two, and the body after them"))
    })?;
    // The fence before it is a line as well.
    let line_at = |offset: usize| head.bytes().take(offset).filter(|b| *b == b'\n').count().saturating_add(2);
    let parsed: Head = toml::from_str(head)
        .map_err(|e| (e.span().map_or(1, |span| line_at(span.start)), e.message().to_owned()))?;
    let after = head.lines().count().saturating_add(3);
    let at = |what: &str| line_at(head.find(what).unwrap_or(0));
    let Head { title, version, language, function, field: fields } = parsed;
    if !is_shown(&title) {
        return Err((at("title"), format!("the title is 1 to {TITLE_MAX} characters on one line")));
    }
    if version == 0 {
        return Err((at("version"), "the version is 1 or more".into()));
    }
    if !(language.len() == 2 && language.bytes().all(|b| b.is_ascii_lowercase())) {
        return Err((at("language"), "the language is two letters a-z, such as it".into()));
    }
    let mut names = BTreeSet::new();
    for field in &fields {
        let line = at(&format!("\"{}\"", field.name));
        let is_name =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if field.name.len() > 60 || !field.name.split('.').all(is_name) {
            let why = "names of 1 or more of a-z and _, joined by dots, 60 characters at most";
            return Err((line, format!("field \"{}\": {why}", field.name)));
        }
        if !is_shown(&field.label) {
            return Err((
                line,
                format!("field \"{}\": the label is 1 to {TITLE_MAX} characters", field.name),
            ));
        }
        if !names.insert(field.name.as_str()) {
            return Err((line, format!("field \"{}\" is there twice", field.name)));
        }
    }
    let used = check(body, after, &names)?;
    if let Some(unused) = names.iter().find(|name| !used.contains(*name)) {
        return Err((at(&format!("\"{unused}\"")), format!("field \"{unused}\" is not in the body")));
    }
    let (id, body) = (id.to_owned(), body.to_owned());
    Ok(Text { id, title, version, language, function, fields, body })
}

fn is_shown(text: &str) -> bool {
    (1..=TITLE_MAX).contains(&text.chars().count())
        && !text.chars().any(char::is_control)
        && text.trim() == text
}

/// The fields that a body names, whose first line has this number.
fn check<'t>(body: &'t str, first: usize, names: &BTreeSet<&str>) -> Result<BTreeSet<&'t str>, Fault> {
    let mut used = BTreeSet::new();
    for (line, number) in body.lines().zip(first..) {
        if line.contains('<') || line.contains("](") || line.contains("]:") {
            return Err((number, "HTML, a link or an image: a text has none".into()));
        }
        let mut rest = line;
        while let Some((_, after)) = rest.split_once("{{") {
            let (name, next) =
                after.split_once("}}").ok_or_else(|| (number, "{{ without }} on the line".to_owned()))?;
            if !names.contains(name) {
                return Err((number, format!("unknown field {{{{{name}}}}}: declare it as a [[field]]")));
            }
            used.insert(name);
            rest = next;
        }
    }
    if body.trim().is_empty() {
        return Err((first, "the body is missing".into()));
    }
    Ok(used)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "+++\ntitle = \"Prova\"\nversion = 2\nlanguage = \"it\"\nfunction = \"reprint\"\n\n[[field]]\nname = \"holder.name\"\nlabel = \"Nome\"\ntype = \"text\"\n+++\n# Prova\n\nPer {{holder.name}}, {{holder.name}}.\n";

    #[test]
    fn a_text_has_what_is_said_of_it_and_its_body() {
        let text = read("prova", GOOD).unwrap();
        assert_eq!((text.title.as_str(), text.version, text.function), ("Prova", 2, Function::Reprint));
        assert_eq!(text.fields.len(), 1);
        assert!(text.fields[0].required && text.fields[0].kind == FieldKind::Text);
        assert_eq!(text.body, "# Prova\n\nPer {{holder.name}}, {{holder.name}}.\n");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (from, to, line, why) in [
            ("+++\ntitle", "title", 1, "the first line is not +++"),
            ("\n+++\n#", "\n#", 1, "no second line +++"),
            ("title = \"Prova\"\n", "", 2, "missing field `title`"),
            ("\"Prova\"", "\"\"", 2, "the title is 1 to 120 characters"),
            ("version = 2", "version = 0", 3, "the version is 1 or more"),
            ("\"it\"", "\"ita\"", 4, "the language is two letters"),
            ("\"reprint\"", "\"reprints\"", 5, "unknown variant `reprints`"),
            ("\"Nome\"", "\" Nome\"", 8, "field \"holder.name\": the label"),
            ("\"text\"", "\"number\"", 10, "unknown variant `number`"),
            ("type = \"text\"", "kind = \"text\"", 10, "unknown field `kind`"),
            ("name = \"holder.name\"", "name = \"Holder\"", 8, "field \"Holder\": names of 1 or more"),
            ("Per {{holder.name}}, ", "Per {{holder.nome}}, ", 14, "unknown field {{holder.nome}}"),
            ("name}}.", "name}.", 14, "{{ without }}"),
            (
                "Per {{holder.name}}, {{holder.name}}",
                "Per tutti",
                8,
                "field \"holder.name\" is not in the body",
            ),
            ("# Prova", "# <b>Prova</b>", 12, "HTML, a link or an image"),
            ("# Prova", "# [Prova](https://example.it)", 12, "HTML, a link or an image"),
        ] {
            let (at, said) = read("prova", &GOOD.replacen(from, to, 1)).unwrap_err();
            assert!(said.starts_with(why), "{said}");
            assert_eq!(at, line, "{said}");
        }
        let twice = GOOD
            .replace("+++\n#", "[[field]]\nname = \"holder.name\"\nlabel = \"N\"\ntype = \"text\"\n+++\n#");
        assert!(read("prova", &twice).unwrap_err().1.ends_with("is there twice"));
        let (head, _) = GOOD.split_once("\n\n[[").unwrap();
        assert_eq!(
            read("prova", &format!("{head}\n+++\n\n")).unwrap_err(),
            (7, "the body is missing".into())
        );
    }

    #[test]
    fn places() {
        assert_eq!(place("texts/forms/a-1.md"), Some((Shelf::Forms, "a-1")));
        assert_eq!(place("texts/guide/x.md"), Some((Shelf::Guide, "x")));
        for bad in [
            "texts/x.md",
            "texts/forms/.md",
            "texts/forms/A.md",
            "texts/forms/a/b.md",
            "texts/other/a.md",
            "texts/forms/a.txt",
        ] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }
}
