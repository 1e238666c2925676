//! Registrations over time, drawn here: a bar for each day, by the way in which clients came. Attributes only; the colours
//! are the stylesheet's.

use chrono::{DateTime, Days, NaiveTime, Utc};
use gatebook_events::admission::RegistrationType;
use gatebook_projections::directory::DayCount;
use maud::{Markup, html};

use crate::ui::parts::format;

/// How many days are shown, today with them.
const DAYS: u32 = 30;
/// The size of the drawing, and the room for the numbers at its side and the dates below.
const WIDTH: u32 = 900;
const HEIGHT: u32 = 170;
const LEFT: u32 = 38;
const BELOW: u32 = 22;
const ABOVE: u32 = 8;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The beginning of the first day that is shown.
pub fn first_day(now: DateTime<Utc>) -> DateTime<Utc> {
    let today = now.date_naive().and_time(NaiveTime::MIN).and_utc();
    today.checked_sub_days(Days::new(u64::from(DAYS) - 1)).unwrap_or(today)
}

/// The drawing, with what it says in words for whoever does not see it.
pub fn registrations(days: &[DayCount], now: DateTime<Utc>) -> Markup {
    let first = first_day(now).timestamp_micros().div_euclid(MICROS_PER_DAY);
    let of = |day: i64, kind| days.iter().filter(|of| of.day == day && of.registration_type == kind).map(|of| of.number).sum::<u64>();
    let columns: Vec<(i64, [(RegistrationType, u64); 3])> =
        (0..i64::from(DAYS)).map(|day| (first + day, RegistrationType::ALL.map(|kind| (kind, of(first + day, kind))))).collect();
    let total = |column: &[(RegistrationType, u64); 3]| column.iter().map(|(_, number)| number).sum::<u64>();
    let all: u64 = columns.iter().map(|(_, column)| total(column)).sum();
    let most = round_up(columns.iter().map(|(_, column)| total(column)).max().unwrap_or_default());
    let (plot, base) = (HEIGHT - BELOW - ABOVE, HEIGHT - BELOW);
    let step = (WIDTH - LEFT) / DAYS;
    let tall = |number: u64| u32::try_from(number * u64::from(plot) / most).unwrap_or(plot);
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-labelledby="chart-title" {
            title #chart-title { (format::number(all, "registration", "registrations")) " in " (DAYS) " days, at most " (most) " on one" }
            @for part in [0, most / 2, most] {
                @let height = base - tall(part);
                line.rule x1=(LEFT) x2=(WIDTH) y1=(height) y2=(height) {}
                text x=(LEFT - 6) y=(height + 4) text-anchor="end" { (format::grouped(part)) }
            }
            @for (index, (day, column)) in (0_u32..).zip(&columns) {
                @let x = LEFT + index * step;
                @if total(column) > 0 {
                    g {
                        title { (date(*day)) ": " (told(column)) }
                        @for (kind, y, height) in stack(column, tall, base) { rect class=(kind.as_str()) x=(x + 3) y=(y) width=(step - 6) height=(height) rx="1.5" {} }
                    }
                }
                @if (DAYS - 1 - index).is_multiple_of(7) { text x=(x + step / 2) y=(HEIGHT - 6) text-anchor="middle" { (date(*day)) } }
            }
        }
        p.legend { span.dcr { "Dynamic" } span.cimd { "Manifest" } span.prereg { "Pre-registered" } span.total { (format::number(all, "registration", "registrations")) } }
    }
}

/// The parts of a bar from below: what is there is at least a hair high.
fn stack(column: &[(RegistrationType, u64); 3], tall: impl Fn(u64) -> u32, base: u32) -> Vec<(RegistrationType, u32, u32)> {
    let mut below = base;
    let parts = column.iter().filter(|(_, number)| *number > 0).map(|(kind, number)| {
        let height = tall(*number).max(2);
        below = below.saturating_sub(height);
        (*kind, below, height)
    });
    parts.collect()
}

fn told(column: &[(RegistrationType, u64); 3]) -> String {
    let parts: Vec<String> =
        column.iter().filter(|(_, number)| *number > 0).map(|(kind, number)| format!("{number} by {}", kind.as_str())).collect();
    parts.join(", ")
}

fn date(day: i64) -> String {
    DateTime::from_timestamp_micros(day * MICROS_PER_DAY).map(|day| day.format("%-d %b").to_string()).unwrap_or_default()
}

/// The next even number with one digit before its zeros: half of it is a whole number.
fn round_up(most: u64) -> u64 {
    let mut scale: u64 = 1;
    while scale.saturating_mul(100) < most {
        scale *= 10;
    }
    [4, 6, 8, 10, 20, 40, 60, 80, 100].into_iter().map(|top| top * scale).find(|top| *top >= most).unwrap_or(most * 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_ends_on_a_round_number_above_the_highest_bar() {
        for (most, top) in
            [(0, 4), (4, 4), (5, 6), (11, 20), (33, 40), (61, 80), (101, 200), (3_999, 4_000), (4_001, 6_000), (123_456, 200_000)]
        {
            assert_eq!(round_up(most), top, "{most}");
        }
    }

    #[test]
    fn thirty_days_end_today() {
        let now = DateTime::parse_from_rfc3339("2026-03-02T13:00:00Z").unwrap().to_utc();
        assert_eq!(first_day(now).to_rfc3339(), "2026-02-01T00:00:00+00:00");
        let today = now.timestamp_micros() / MICROS_PER_DAY;
        let days = [DayCount { day: today, registration_type: RegistrationType::Cimd, number: 3 }];
        let drawn = registrations(&days, now).into_string();
        assert!(drawn.contains("2 Mar: 3 by cimd") && drawn.contains("3 registrations in 30 days") && !drawn.contains("style="), "{drawn}");
    }
}
