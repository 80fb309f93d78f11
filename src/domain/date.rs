//! Dates as printed on a card: a card is valid through the day it shows, by the calendar in Italy.

use std::{fmt, str::FromStr};

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, Weekday, time},
    tz::Offset,
};

/// The text is not a day of the calendar in the form `YYYY-MM-DD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a date is a day of the calendar written YYYY-MM-DD")]
pub struct BadDate;

const EPOCH: Date = jiff::civil::date(1970, 1, 1);

/// A day of the calendar in Italy, from year 1 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CivilDate(Date);

/// A moment by the calendar and clock in Italy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The day.
    pub date: CivilDate,
    /// Minutes since midnight, 0 to 1439.
    pub minute: i64,
    /// 1 for Monday to 7 for Sunday.
    pub weekday: i64,
}

impl CivilDate {
    /// A day, if there is one of these numbers.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let (year, month, day) =
            (i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
        Date::new(year, month, day).ok().filter(|d| d.year() >= 1).map(Self)
    }

    /// The day it is in Italy, `at_ms` milliseconds after 1970 began in UTC; nothing after year 9999.
    ///
    /// Central European Time with daylight saving as Directive 2000/84/EC has it: an hour more from the last Sunday
    /// of March to the last of October, at 01:00 UTC. Written out here so that no time zone database can be missing
    /// or old. Days before 1996 ended at other hours; nothing here is that old.
    pub fn in_italy(at_ms: u64) -> Option<Self> {
        in_italy(at_ms).map(|local| Self(local.date()))
    }

    /// The moment in Italy, as rules of the policy look at it; nothing after year 9999.
    pub fn moment_in_italy(at_ms: u64) -> Option<Moment> {
        let local = in_italy(at_ms)?;
        Some(Moment {
            date: Self(local.date()),
            minute: i64::from(local.hour()).saturating_mul(60).saturating_add(i64::from(local.minute())),
            weekday: Self(local.date()).weekday(),
        })
    }

    /// Whether a card with this last day is no longer valid on `today`.
    pub fn is_expired(self, today: Self) -> bool {
        today > self
    }

    /// Whole years of somebody born on this day. Who was born on 29 February is a year older on 1 March.
    pub fn age_on(self, today: Self) -> u16 {
        let ((born, month, day), (year, this_month, this_day)) = (self.numbers(), today.numbers());
        let birthday_to_come = (this_month, this_day) < (month, day);
        year.saturating_sub(born).saturating_sub(u16::from(birthday_to_come))
    }

    /// As printed on the card: `DD/MM/YYYY`.
    pub fn printed(self) -> String {
        format!("{:02}/{:02}/{:04}", self.0.day(), self.0.month(), self.0.year())
    }

    /// 1 for Monday to 7 for Sunday.
    pub fn weekday(self) -> i64 {
        i64::from(self.0.weekday().to_monday_one_offset())
    }

    /// Days since 1970 began; 0 before.
    pub fn day_number(self) -> u32 {
        let hours = self.0.duration_since(EPOCH).as_hours();
        hours.checked_div(24).and_then(|days| u32::try_from(days).ok()).unwrap_or(0)
    }

    /// The day with this number; nothing after year 9999.
    pub fn of_day_number(number: u32) -> Option<Self> {
        EPOCH.checked_add(i64::from(number).days()).ok().map(Self)
    }

    /// The day after; nothing after year 9999.
    pub fn tomorrow(self) -> Option<Self> {
        self.0.tomorrow().ok().map(Self)
    }

    /// Its month, `YYYY-MM`.
    pub fn month(self) -> String {
        format!("{:04}-{:02}", self.0.year(), self.0.month())
    }

    /// Its week by ISO 8601, `YYYY-Www`: the first one of a year has its first Thursday.
    pub fn iso_week(self) -> String {
        let week = self.0.iso_week_date();
        format!("{:04}-W{:02}", week.year(), week.week())
    }

    /// The first hour of this day in Italy, in whole hours since 1970 began in UTC.
    pub fn first_hour(self) -> u32 {
        let midnight = self.day_number().saturating_mul(24);
        let starts = |hour: &u32| Self::in_italy(ms_of_hour(*hour)) == Some(self);
        [2, 1].map(|ahead| midnight.saturating_sub(ahead)).into_iter().find(starts).unwrap_or(midnight)
    }

    /// The day in Italy of an hour, counted as by [`CivilDate::first_hour`].
    pub fn of_hour(hour: u32) -> Option<Self> {
        Self::in_italy(ms_of_hour(hour))
    }

    /// An hour by the clock in Italy, with its distance from UTC, so that the two of a night in October differ:
    /// `YYYY-MM-DDTHH:00+HH:00`.
    pub fn hour_text(hour: u32) -> Option<String> {
        let at = Timestamp::from_second(i64::from(hour).saturating_mul(3600)).ok()?;
        let utc = Offset::UTC.to_datetime(at);
        let ahead = hours_ahead(utc)?;
        let local = utc.checked_add(ahead.hours()).ok()?;
        Some(format!("{}T{:02}:00+{ahead:02}:00", Self(local.date()), local.hour()))
    }

    /// Year, month and day as numbers.
    pub fn numbers(self) -> (u16, u8, u8) {
        let of = |n: i8| u8::try_from(n).unwrap_or(0);
        (u16::try_from(self.0.year()).unwrap_or(0), of(self.0.month()), of(self.0.day()))
    }
}

/// Date and time in Italy; see [`CivilDate::in_italy`].
fn in_italy(at_ms: u64) -> Option<jiff::civil::DateTime> {
    let at = Timestamp::from_millisecond(i64::try_from(at_ms).ok()?).ok()?;
    let utc = Offset::UTC.to_datetime(at);
    utc.checked_add(hours_ahead(utc)?.hours()).ok()
}

/// Hours that Italy is ahead of UTC.
fn hours_ahead(utc: jiff::civil::DateTime) -> Option<i64> {
    let summer = change_day(utc.year(), 3)?.to_datetime(time(1, 0, 0, 0))
        ..change_day(utc.year(), 10)?.to_datetime(time(1, 0, 0, 0));
    Some(if summer.contains(&utc) { 2 } else { 1 })
}

fn ms_of_hour(hour: u32) -> u64 {
    u64::from(hour).saturating_mul(3_600_000)
}

/// Last Sunday of a month of 31 days.
fn change_day(year: i16, month: i8) -> Option<Date> {
    let last = Date::new(year, month, 31).ok()?;
    let after_sunday = last.weekday().since(Weekday::Sunday);
    last.checked_sub(after_sunday.days()).ok()
}

impl FromStr for CivilDate {
    type Err = BadDate;

    fn from_str(text: &str) -> Result<Self, BadDate> {
        let fields: Vec<&str> = text.split('-').collect();
        let &[year, month, day] = fields.as_slice() else { return Err(BadDate) };
        let number = |field: &str, digits: usize| {
            let is_number = field.len() == digits && field.bytes().all(|b| b.is_ascii_digit());
            field.parse::<u16>().ok().filter(|_| is_number).ok_or(BadDate)
        };
        let small = |field| number(field, 2).and_then(|n| u8::try_from(n).map_err(|_| BadDate));
        Self::new(number(year, 4)?, small(month)?, small(day)?).ok_or(BadDate)
    }
}

/// `YYYY-MM-DD`
impl fmt::Display for CivilDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.numbers();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl fmt::Debug for CivilDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn day(year: u16, month: u8, day: u8) -> CivilDate {
        CivilDate::new(year, month, day).unwrap()
    }

    /// Milliseconds of a UTC time, for readable tests.
    fn utc(text: &str) -> u64 {
        text.parse::<Timestamp>().unwrap().as_millisecond().try_into().unwrap()
    }

    #[test]
    fn text_and_back() {
        let date: CivilDate = "2028-02-29".parse().unwrap();
        assert_eq!(date.to_string(), "2028-02-29");
        assert_eq!(date.printed(), "29/02/2028");
        assert_eq!(date.numbers(), (2028, 2, 29));
        for bad in [
            "",
            "2027-02-29",
            "2028-2-29",
            "28-02-29",
            "2028-02-29 ",
            "2028/02/29",
            "0000-01-01",
            "+028-01-01",
            "2028-01-+1",
            "2028-13-01",
            "2028-00-01",
            "20280101",
            "２028-01-01",
        ] {
            assert_eq!(bad.parse::<CivilDate>(), Err(BadDate), "{bad}");
        }
    }

    #[test]
    fn ages() {
        for (born, today, age) in [
            ("2008-11-30", "2026-11-29", 17),
            ("2008-11-30", "2026-11-30", 18),
            ("2008-02-29", "2026-02-28", 17),
            ("2008-02-29", "2026-03-01", 18),
            ("2026-11-29", "2026-11-29", 0),
        ] {
            let [born, today]: [CivilDate; 2] = [born.parse().unwrap(), today.parse().unwrap()];
            assert_eq!(born.age_on(today), age, "{born:?} {today:?}");
        }
    }

    #[test]
    fn valid_through_the_printed_day() {
        let last = day(2027, 6, 30);
        assert!(!last.is_expired(day(2027, 6, 29)));
        assert!(!last.is_expired(last));
        assert!(last.is_expired(day(2027, 7, 1)));
    }

    #[test]
    fn day_in_italy() {
        for (at, expected) in [
            ("1999-12-31T22:59:59Z", "1999-12-31"),
            ("1999-12-31T23:00:00Z", "2000-01-01"), // winter: one hour ahead of UTC, year of UTC differs
            ("2026-03-28T22:59:59Z", "2026-03-28"),
            ("2026-03-28T23:00:00Z", "2026-03-29"),
            ("2026-03-29T21:59:59Z", "2026-03-29"),
            ("2026-03-29T22:00:00Z", "2026-03-30"), // summer since 01:00 UTC of this day
            ("2026-07-01T21:59:59Z", "2026-07-01"),
            ("2026-07-01T22:00:00Z", "2026-07-02"),
            ("2026-10-24T21:59:59Z", "2026-10-24"),
            ("2026-10-24T22:00:00Z", "2026-10-25"),
            ("2026-10-25T22:59:59Z", "2026-10-25"), // winter again
            ("2026-10-25T23:00:00Z", "2026-10-26"),
            ("2024-03-31T21:59:59Z", "2024-03-31"), // the 31st is itself the last Sunday
            ("2024-03-31T22:00:00Z", "2024-04-01"),
        ] {
            assert_eq!(CivilDate::in_italy(utc(at)).unwrap().to_string(), expected, "{at}");
        }
        assert_eq!(CivilDate::in_italy(u64::MAX), None);
        assert_eq!(CivilDate::in_italy(0), CivilDate::new(1970, 1, 1));
    }

    #[test]
    fn hours_of_a_day_are_those_of_the_clock_in_italy() {
        for (of, hours, first, last) in [
            ("2026-01-15", 24, "2026-01-15T00:00+01:00", "2026-01-15T23:00+01:00"),
            ("2026-03-29", 23, "2026-03-29T00:00+01:00", "2026-03-29T23:00+02:00"),
            ("2026-07-15", 24, "2026-07-15T00:00+02:00", "2026-07-15T23:00+02:00"),
            ("2026-10-25", 25, "2026-10-25T00:00+02:00", "2026-10-25T23:00+01:00"),
        ] {
            let of: CivilDate = of.parse().unwrap();
            let (from, until) = (of.first_hour(), of.tomorrow().unwrap().first_hour());
            assert_eq!(until - from, hours, "{of}");
            let text = |hour| CivilDate::hour_text(hour).unwrap();
            assert_eq!((text(from).as_str(), text(until - 1).as_str()), (first, last));
            assert!((from..until).all(|hour| CivilDate::of_hour(hour) == Some(of)));
            assert_eq!(CivilDate::of_day_number(of.day_number()), Some(of));
        }
        let october = day(2026, 10, 25).first_hour();
        let night: Vec<_> = (2..5).map(|n| CivilDate::hour_text(october + n).unwrap()).collect();
        assert_eq!(night, ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00", "2026-10-25T03:00+01:00"]);
    }

    #[test]
    fn months_and_weeks() {
        for (of, month, week) in [
            (day(2026, 1, 1), "2026-01", "2026-W01"),
            (day(2027, 1, 1), "2027-01", "2026-W53"),
            (day(2024, 12, 30), "2024-12", "2025-W01"),
        ] {
            assert_eq!((of.month().as_str(), of.iso_week().as_str()), (month, week));
        }
    }

    #[test]
    fn last_sundays() {
        for (year, march, october) in [(2024, 31, 27), (2025, 30, 26), (2026, 29, 25), (2027, 28, 31)] {
            assert_eq!(change_day(year, 3), Some(date(year, 3, march)));
            assert_eq!(change_day(year, 10), Some(date(year, 10, october)));
        }
    }
}
