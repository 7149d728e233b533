//! The pictures, in SVG: a heat map of days and hours, and the actions of each day.

use jiff::civil::{Date, Weekday};
use plotters::{
    backend::SVGBackend,
    coord::Shift,
    drawing::{DrawingArea, IntoDrawingArea},
    element::{Rectangle, Text},
    style::{
        Color, IntoFont, IntoTextStyle, TextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{
    escape::grouped,
    style::{ACTIONS, HEAT, TEXT},
    tally::{Day, HOURS},
};

/// Width of a picture. Small, so that its text can be read on a phone.
const WIDTH: i32 = 460;
/// Width of the labels beside a picture.
const LABELS: i32 = 80;
const CELL: i32 = 15;
const LINE: i32 = 16;
/// Maximum number of days with a row of their own. More are summed by weekday.
pub const DAYS: usize = 35;
const WEEK: [Weekday; 7] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Row = (String, [u32; HOURS]);

/// Draws the numbers of actions by day and hour. Days without an action have a row, too.
pub fn heat(days: &[(Date, Day)], (from, to): (Date, Date)) -> Result<String, String> {
    let rows = rows(days, from, to);
    let height = LINE + CELL * i32::try_from(rows.len()).unwrap_or(i32::MAX / CELL) + 2 * LINE;
    let most = peak(rows.iter().flat_map(|(_, hours)| hours).copied());
    draw(height, |area| {
        for hour in (0..HOURS).step_by(3) {
            let x = column(hour) + CELL / 2;
            text(area, &format!("{hour:02}"), (x, LINE / 2), HPos::Center)?;
        }
        let mut y = LINE;
        for (name, hours) in &rows {
            text(area, name, (LABELS - 6, y + CELL / 2), HPos::Right)?;
            for (hour, count) in hours.iter().enumerate() {
                cell(area, (column(hour), y), step(*count, most))?;
            }
            y += CELL;
        }
        let y = y + LINE / 2;
        let mut x = column(HOURS) - CELL * 6 - 100;
        text(area, "0", (x - 6, y + CELL / 2), HPos::Right)?;
        for index in 0..HEAT.len() {
            cell(area, (x, y), index)?;
            x += CELL;
        }
        let many = format!("{} or more", grouped(most.into()));
        text(area, &many, (x + 4, y + CELL / 2), HPos::Left)
    })
}

/// Draws the blocks, fences and reports of each day as bars.
pub fn bars(days: &[(Date, Day)], (from, to): (Date, Date)) -> Result<String, String> {
    const HEIGHT: i32 = 120;
    let all = dates(from, to);
    let of = |date: Date| days.iter().find(|(day, _)| *day == date).map(|(_, day)| *day).unwrap_or_default();
    // Several days share a bar if there are many.
    let share = all.len().div_ceil(60).max(1);
    let bars: Vec<(Date, [u64; 3])> = all
        .chunks(share)
        .filter_map(|some| {
            let sum = some.iter().fold([0; 3], |sum: [u64; 3], date| {
                let day = of(*date);
                let counts = [day.blocked, day.fenced, day.reported].map(u64::from);
                std::array::from_fn(|index| sum[index] + counts[index])
            });
            Some((*some.first()?, sum))
        })
        .collect();
    let most = bars.iter().map(|(_, counts)| counts.iter().sum::<u64>()).max().unwrap_or_default().max(1);
    let count = i32::try_from(bars.len()).unwrap_or(1).max(1);
    let place = |index: i32| LABELS + (WIDTH - LABELS - 8) * index / count;
    draw(HEIGHT + 2 * LINE, |area| {
        text(area, &grouped(most), (LABELS - 6, LINE / 2), HPos::Right)?;
        text(area, "0", (LABELS - 6, HEIGHT + LINE / 2), HPos::Right)?;
        let scale =
            |number: u64| i32::try_from(number * u64::from(HEIGHT.unsigned_abs()) / most).unwrap_or(HEIGHT);
        let labelled = (count / 6).max(1);
        for ((date, counts), index) in bars.iter().zip(0..) {
            let (left, right) = (place(index), (place(index + 1) - 2).max(place(index) + 1));
            let mut sum = 0;
            for (number, colour) in counts.iter().zip(ACTIONS) {
                let bottom = HEIGHT + LINE / 2 - scale(sum);
                sum += number;
                let top = HEIGHT + LINE / 2 - scale(sum);
                if bottom > top {
                    let bar = Rectangle::new([(left, top), (right, bottom)], colour.rgb().filled());
                    area.draw(&bar).map_err(|error| error.to_string())?;
                }
            }
            if index % labelled == 0 {
                let name = date.strftime("%-d %b").to_string();
                // The last name must not leave the picture.
                let x = i32::midpoint(left, right).min(WIDTH - 26);
                text(area, &name, (x, HEIGHT + LINE + LINE / 2), HPos::Center)?;
            }
        }
        Ok(())
    })
}

fn draw(height: i32, content: impl FnOnce(&Area<'_>) -> Result<(), String>) -> Result<String, String> {
    let mut svg = String::new();
    {
        let size = (WIDTH.unsigned_abs(), height.unsigned_abs());
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        content(&area)?;
        area.present().map_err(|error| error.to_string())?;
    }
    Ok(svg)
}

fn text(area: &Area<'_>, text: &str, at: (i32, i32), side: HPos) -> Result<(), String> {
    let style: TextStyle<'_> = ("sans-serif", 13).into_font().color(&TEXT.rgb()).into_text_style(area);
    let style = style.pos(Pos::new(side, VPos::Center));
    area.draw(&Text::new(text.to_owned(), at, style)).map_err(|error| error.to_string())
}

fn cell(area: &Area<'_>, (x, y): (i32, i32), step: usize) -> Result<(), String> {
    let colour = HEAT.get(step).copied().unwrap_or(HEAT[0]);
    let cell = Rectangle::new([(x, y), (x + CELL - 2, y + CELL - 2)], colour.rgb().filled());
    area.draw(&cell).map_err(|error| error.to_string())
}

fn column(hour: usize) -> i32 {
    LABELS + CELL * i32::try_from(hour).unwrap_or_default()
}

/// Returns the step of the heat map: 0 for none, otherwise in proportion to `most`.
#[must_use]
pub fn step(count: u32, most: u32) -> usize {
    let last = HEAT.len() - 1;
    if count == 0 {
        return 0;
    }
    let share = u64::from(count) * (last as u64);
    usize::try_from(share.div_ceil(u64::from(most.max(1)))).map_or(last, |step| step.min(last))
}

/// Returns the count from which an hour has the last step: that of the busiest hours but for a few, so that a single
/// peak hides nothing.
pub fn peak(hours: impl Iterator<Item = u32>) -> u32 {
    let mut counts: Vec<u32> = hours.filter(|count| *count > 0).collect();
    counts.sort_unstable();
    let few = counts.len() / 33;
    counts.iter().rev().nth(few).copied().unwrap_or_default()
}

fn dates(from: Date, to: Date) -> Vec<Date> {
    from.series(jiff::Span::new().days(1)).take_while(|date| *date <= to).take(4000).collect()
}

/// Returns the rows: a day each, or a weekday each if there are too many.
fn rows(days: &[(Date, Day)], from: Date, to: Date) -> Vec<Row> {
    let all = dates(from, to);
    let of = |is_wanted: &dyn Fn(Date) -> bool| {
        let mut hours = [0_u32; HOURS];
        for (_, day) in days.iter().filter(|(date, _)| is_wanted(*date)) {
            hours.iter_mut().zip(day.hours).for_each(|(sum, count)| *sum = sum.saturating_add(count));
        }
        hours
    };
    if all.len() <= DAYS {
        let row = |date: &Date| (date.strftime("%a %-d %b").to_string(), of(&|it| it == *date));
        return all.iter().map(row).collect();
    }
    let row = |day: &Weekday| {
        let name = format!("{day:?}");
        (name.chars().take(3).collect(), of(&|date| date.weekday() == *day))
    };
    WEEK.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn every_day_has_a_row_and_every_hour_a_cell() {
        let mut day = Day { blocked: 3, fenced: 2, ..Day::default() };
        day.hours[7] = 5;
        let days = [(date("2026-11-24"), day)];
        let svg = heat(&days, (date("2026-11-23"), date("2026-11-29"))).unwrap();
        assert_eq!(svg.matches("<rect").count(), 7 * 24 + HEAT.len());
        assert!(svg.contains("Tue 24 Nov") && svg.contains("Sun 29 Nov"), "{svg}");
        let darkest = format!("fill=\"#{:06X}\"", HEAT[5].light);
        assert_eq!(svg.matches(&darkest).count(), 2, "the hour, and the key");
        let svg = heat(&days, (date("2026-01-01"), date("2026-11-29"))).unwrap();
        assert_eq!(svg.matches("<rect").count(), 7 * 24 + HEAT.len(), "by weekday");
        let svg = bars(&days, (date("2026-11-23"), date("2026-11-29"))).unwrap();
        assert_eq!(svg.matches("<rect").count(), 2, "{svg}");
        assert!(bars(&[], (date("2026-01-01"), date("2026-11-29"))).is_ok());
    }

    #[test]
    fn steps_begin_with_the_first_and_a_peak_hides_nothing() {
        assert_eq!([0, 1, 20, 21, 100, 900].map(|count| step(count, 100)), [0, 1, 1, 2, 5, 5]);
        assert_eq!((step(1, 1), step(1, 0)), (5, 5));
        assert_eq!(peak([0, 3].into_iter()), 3);
        assert_eq!(peak((1..=100).chain([10_000])), 98);
        assert_eq!(peak(std::iter::empty()), 0);
    }
}
