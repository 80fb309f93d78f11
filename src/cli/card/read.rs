//! `sigillo card read`: who the card is of, and whether its parts fit together. No PIN.

use std::io::Write;

use jiff::Timestamp;
use serde::Serialize;

use super::{DOES_NOT_FIT, Reader};
use crate::{
    card::{Contents, Use},
    cli::Failure,
    clock::{Clock, SystemClock},
    domain::{
        chip::{Field, Finding, Stated, findings},
        date::CivilDate,
        team::TeamNumber,
    },
};

/// Arguments of `read`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    reader: Reader,
    /// The number printed on the card, to compare with the chip's.
    #[arg(long, value_name = "NUMBER")]
    printed: Option<TeamNumber>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// What is shown.
#[derive(Serialize)]
struct Report<'a> {
    reader: &'a str,
    tax_code: Option<&'a str>,
    surname: &'a str,
    given_name: &'a str,
    birth_date: Option<String>,
    id_carta: &'a str,
    team_number: Option<String>,
    expiry: Option<String>,
    issuing_body: &'a str,
    certificate: About<'a>,
    findings: Vec<Unfit>,
}

#[derive(Serialize)]
struct About<'a> {
    fingerprint: String,
    tax_code: Option<&'a str>,
    id_carta: Option<&'a str>,
    issuer: &'a str,
    serial: &'a str,
    not_before: String,
    not_after: String,
}

#[derive(Serialize)]
struct Unfit {
    code: &'static str,
    text: &'static str,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> Result<(), Failure> {
    let mut session = args.reader.open(Use::Shared)?;
    let contents = session.contents().map_err(Failure::failed)?;
    let now = SystemClock::new().now_ms();
    let today = CivilDate::in_italy(now).ok_or_else(|| Failure::failed("the clock is not set"))?;
    let stated = Stated {
        id_carta: &contents.id_carta,
        personal: &contents.personal,
        holder: contents.certificate.holder(),
        printed: args.printed.as_ref(),
    };
    let mut unfit = findings(&stated, today);
    unfit.extend(contents.certificate.findings(i64::try_from(now / 1000).unwrap_or(i64::MAX)));
    let code = if unfit.is_empty() { 0 } else { DOES_NOT_FIT };
    let report = report(session.reader(), &contents, unfit);
    show(&report, args.json, out).map_err(Failure::failed)?;
    if code == 0 { Ok(()) } else { Err(Failure::with_code("something on the card does not fit", code)) }
}

fn report<'a>(reader: &'a str, contents: &'a Contents, unfit: Vec<Finding>) -> Report<'a> {
    let Contents { id_carta, personal, certificate } = contents;
    let filled = |field| Some(personal.field(field)).filter(|text| !text.is_empty());
    let date = |field| personal.date(field).map(|date| date.to_string());
    let (from, to) = certificate.validity();
    let moment =
        |seconds| Timestamp::from_second(seconds).map_or_else(|_| String::new(), |at| at.to_string());
    Report {
        reader,
        tax_code: filled(Field::TaxCode),
        surname: personal.field(Field::Surname),
        given_name: personal.field(Field::GivenName),
        birth_date: date(Field::BirthDate),
        id_carta: id_carta.as_str(),
        team_number: id_carta.team_number().map(|number| number.as_str().to_owned()),
        expiry: date(Field::ExpiryDate),
        issuing_body: personal.field(Field::Issuer),
        certificate: About {
            fingerprint: hex::encode(certificate.fingerprint()),
            tax_code: certificate.holder().map(|holder| holder.tax_code.as_str()),
            id_carta: certificate.holder().map(|holder| holder.card.as_str()),
            issuer: certificate.issuer(),
            serial: certificate.serial(),
            not_before: moment(from),
            not_after: moment(to),
        },
        findings: unfit.iter().map(|one| Unfit { code: one.code(), text: one.text() }).collect(),
    }
}

fn show(report: &Report<'_>, json: bool, out: &mut impl Write) -> std::io::Result<()> {
    if json {
        serde_json::to_writer(&mut *out, report)?;
        return writeln!(out);
    }
    let none = || "none".to_owned();
    let team = report.team_number.clone().unwrap_or_else(none);
    writeln!(out, "reader        {}", report.reader)?;
    writeln!(out, "tax code      {}", report.tax_code.unwrap_or("none"))?;
    writeln!(out, "holder        {} {}", report.surname, report.given_name)?;
    writeln!(out, "TEAM number   {team}")?;
    writeln!(out, "EF.ID_Carta   {}", report.id_carta)?;
    writeln!(out, "expires       {}", report.expiry.clone().unwrap_or_else(none))?;
    writeln!(out, "certificate   {}", report.certificate.fingerprint)?;
    writeln!(out, "  issuer      {}", report.certificate.issuer)?;
    writeln!(out, "  valid       {} to {}", report.certificate.not_before, report.certificate.not_after)?;
    for unfit in &report.findings {
        writeln!(out, "DOES NOT FIT  {} ({})", unfit.text, unfit.code)?;
    }
    Ok(())
}
