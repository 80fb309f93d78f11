//! Who asks, and where second parts go: each refusal names its field.

use hyper::StatusCode;

use super::{NotOneOf, field, invalid, optional};
use crate::{
    api::{applicant as wire, codes::ContactTo},
    domain::{
        applicant::{Applicant, Document, Personal, Proxy},
        contact::{Channel, Contact},
        message::MessageLanguage,
    },
    http::Problem,
};

/// Parses an applicant.
pub(in crate::routes) fn applicant(said: &wire::Applicant) -> Result<Applicant, Problem> {
    let proxy = match (said.is.as_str(), &said.proxy) {
        ("holder", None) => None,
        ("proxy", Some(given)) => Some(proxy(given)?),
        ("holder", Some(_)) => {
            return Err(invalid("applicant.proxy", NotOneOf("absent where the holder asks")));
        }
        ("proxy", None) => return Err(invalid("applicant.proxy", NotOneOf("given where a proxy asks"))),
        _ => return Err(invalid("applicant.is", NotOneOf("\"holder\" or \"proxy\""))),
    };
    if said.declaration && proxy.is_none() {
        return Err(invalid("applicant.declaration", NotOneOf("absent or false where the holder asks")));
    }
    let day = |day: &String| field("applicant.holder_born_on", day);
    Ok(Applicant {
        proxy,
        document: said.document.as_ref().map(document).transpose()?,
        declaration: said.declaration,
        holder_born_on: said.holder_born_on.as_ref().map(day).transpose()?,
    })
}

fn proxy(given: &wire::Proxy) -> Result<Proxy, Problem> {
    let name = |name: &str, text: &str| {
        Personal::name(text).map_err(|e| invalid(&format!("applicant.proxy.{name}"), e))
    };
    Ok(Proxy {
        title: field("applicant.proxy.title", &given.title)?,
        tax_code: field("applicant.proxy.tax_code", &given.tax_code)?,
        given_name: name("given_name", &given.given_name)?,
        family_name: name("family_name", &given.family_name)?,
    })
}

/// The kind is judged by the policy.
fn document(given: &wire::Document) -> Result<Document, Problem> {
    let day = |day: &String| field("applicant.document.expires_on", day);
    Ok(Document {
        kind: given.kind.clone(),
        number: Personal::number(&given.number).map_err(|e| invalid("applicant.document.number", e))?,
        issuer: Personal::issuer(&given.issuer).map_err(|e| invalid("applicant.document.issuer", e))?,
        issued_on: field("applicant.document.issued_on", &given.issued_on)?,
        expires_on: given.expires_on.as_ref().map(day).transpose()?,
    })
}

/// Parses a contact; where it is typed twice, both must be the same mailbox or number.
pub(in crate::routes) fn contact(to: &ContactTo) -> Result<Contact, Problem> {
    let channel: Channel =
        to.channel.parse().map_err(|_| invalid("contact.channel", NotOneOf("\"email\" or \"sms\"")))?;
    let contact = Contact::parse(channel, &to.address).map_err(|e| invalid("contact.address", e))?;
    if let Some(repeated) = &to.repeated {
        let again = Contact::parse(channel, repeated).map_err(|e| invalid("contact.repeated", e))?;
        if !contact.is_same(&again) {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "contacts_differ",
                "The contact was typed differently the second time",
            )
            .field("$.contact.repeated"));
        }
    }
    Ok(contact)
}

/// Parses the language of the message to a contact, where one is asked for.
pub(in crate::routes) fn language(to: &ContactTo) -> Result<Option<MessageLanguage>, Problem> {
    optional("contact.language", to.language.as_deref())
}
