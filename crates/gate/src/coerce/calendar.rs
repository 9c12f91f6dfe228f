//! The calendar and the clock in integers: days since 1970 and microseconds of a day.

use super::problem::Problem;

/// Microseconds of a second.
pub(super) const SECOND: i64 = 1_000_000;

/// Microseconds of a day.
pub(super) const DAY: i64 = 86_400 * SECOND;

/// Days since 1970-01-01 of a date in the Gregorian calendar, also before its time.
///
/// Years begin in March here, so that the leap day is their last; eras have 400 years. (The method
/// is described by Howard Hinnant in "chrono-Compatible Low-Level Date Algorithms".)
#[inline]
pub(super) const fn days_of(year: i32, month: u32, day: u32) -> i32 {
    let shifted = year - (month <= 2) as i32;
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400) as u32;
    let month_of_year = (month + 9) % 12;
    let day_of_year = (153 * month_of_year + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era as i32 - 719_468
}

/// Whether a year has a 29th of February.
#[inline]
pub(super) const fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// How many days a month (1 to 12) has.
#[inline]
pub(super) const fn days_in(year: i32, month: u32) -> u32 {
    const DAYS: [u8; 16] = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0, 0, 0];
    DAYS[(month & 15) as usize] as u32 + (month == 2 && is_leap(year)) as u32
}

/// Days since 1970, if there is such a day; years go from 1 to 9999.
#[inline]
pub(super) fn date(year: i32, month: u32, day: u32) -> Result<i32, Problem> {
    let exists =
        (1..=9999).contains(&year) && month <= 12 && day >= 1 && day <= days_in(year, month);
    if exists {
        Ok(days_of(year, month, day))
    } else {
        Err(Problem::NoSuchDay)
    }
}

/// Microseconds of the day, if there is such a time.
#[inline]
pub(super) fn time(hour: u32, minute: u32, second: u32, micros: u32) -> Result<i64, Problem> {
    if hour > 23 || minute > 59 || second > 59 {
        return Err(Problem::NoSuchTime);
    }
    Ok(i64::from(hour * 3600 + minute * 60 + second) * SECOND + i64::from(micros))
}

/// The day of the week, Monday being 0.
pub(super) const fn weekday(days: i32) -> u32 {
    (days + 3).rem_euclid(7) as u32
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const WEEKDAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

/// The number (1 to 12) of an English month, in full or by its first three letters.
pub(super) fn month_by_name(word: &str) -> Option<u32> {
    let lower = word.to_ascii_lowercase();
    if lower == "sept" {
        return Some(9);
    }
    by_name(&MONTHS, &lower).map(|at| at + 1)
}

/// The number (Monday is 0) of an English weekday, in full or by its first letters.
pub(super) fn weekday_by_name(word: &str) -> Option<u32> {
    let lower = word.to_ascii_lowercase();
    match lower.as_str() {
        "tues" => Some(1),
        "thur" | "thurs" => Some(3),
        _ => by_name(&WEEKDAYS, &lower),
    }
}

fn by_name(names: &[&str], word: &str) -> Option<u32> {
    names
        .iter()
        .position(|name| *name == word || (word.len() == 3 && name.starts_with(word)))
        .map(|at| at as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Datelike;

    #[test]
    fn days_agree_with_chrono_for_every_day_of_ten_thousand_years() {
        let mut day = chrono::NaiveDate::from_ymd_opt(1, 1, 1).unwrap();
        let epoch = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        let mut expected = (day - epoch).num_days() as i32;
        while day.year() < 10_000 {
            assert_eq!(
                date(day.year(), day.month(), day.day()),
                Ok(expected),
                "{day}"
            );
            assert_eq!(
                weekday(expected),
                day.weekday().num_days_from_monday(),
                "{day}"
            );
            day = day.succ_opt().unwrap();
            expected += 1;
        }
    }

    #[test]
    fn days_that_are_not_there() {
        for (year, month, day) in [
            (2026, 2, 30),
            (2025, 2, 29),
            (1900, 2, 29),
            (2024, 13, 1),
            (2024, 0, 1),
            (2024, 1, 0),
            (2024, 4, 31),
            (0, 1, 1),
            (10_000, 1, 1),
            (2024, 16, 1),
            (2024, 4_294_967_295, 1),
        ] {
            assert_eq!(
                date(year, month, day),
                Err(Problem::NoSuchDay),
                "{year}-{month}-{day}"
            );
        }
        assert_eq!(date(2000, 2, 29), Ok(11_016));
    }
}
