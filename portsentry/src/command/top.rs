//! `portsentry top`: shows probes and dropped packets live, from the pinned maps.

mod fit;
mod frame;
mod number;
mod sample;
mod screen;
mod style;
mod unblock;
mod view;

use std::{
    io::{self, IsTerminal},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use ratatui::{
    Terminal,
    backend::TestBackend,
    buffer::Buffer,
    crossterm::event::{self, Event},
};

use serde_json::Value;

use self::{
    sample::{Feed, Sample},
    screen::{Prompt, Screen, Step},
    unblock::Unblocking,
    view::View,
};
use super::{observed, options, show};
use crate::{
    cli::{Cli, Top},
    exit::Exit,
    inspect::error::Error,
    sink::origins::Origins,
};

/// Size of the frame that `--once` prints.
const SIZE: (u16, u16) = (100, 40);
/// Maximum time until the result of an unblock is shown.
const SOON: Duration = Duration::from_millis(50);

/// Updates the screen until `q`, or prints one frame.
pub(super) fn run(cli: &Cli, top: Top) -> Exit {
    let feed = Feed { config: options::config(cli), modes: cli.modes() };
    let origins = Arc::new(options::origins(&feed.config));
    let interval = Duration::from_secs(top.interval);
    if top.once {
        return once(&feed, interval, top.json, &origins);
    }
    if !(io::stdout().is_terminal() && io::stdin().is_terminal()) {
        eprintln!("portsentry: standard output is not a terminal; --once prints one frame as text");
        return Exit::Failure;
    }
    let first = match feed.sample() {
        Ok(sample) => sample,
        Err(error) => return observed::unreadable(&error),
    };
    let mut terminal = match ratatui::try_init() {
        Ok(terminal) => terminal,
        Err(error) => {
            eprintln!("portsentry: preparing the terminal: {error}");
            return Exit::Failure;
        }
    };
    let ended = watch(&mut terminal, &feed, (interval, cli, origins), first);
    // Leaves the alternate screen before printing.
    ratatui::restore();
    match ended {
        Ok(()) => Exit::Success,
        Err(Ended::Reading(error)) => observed::unreadable(&error),
        Err(Ended::Terminal(error)) => {
            eprintln!("portsentry: showing it on the terminal: {error}");
            Exit::Failure
        }
    }
}

/// Reasons for an early end.
enum Ended {
    Reading(Error),
    Terminal(io::Error),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Reading(error)
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Terminal(error)
    }
}

fn watch(
    terminal: &mut ratatui::DefaultTerminal,
    feed: &Feed,
    (interval, cli, origins): (Duration, &Cli, Arc<Origins>),
    mut last: Sample,
) -> Result<(), Ended> {
    let mut view = View::new(&last, &last);
    let mut screen = Screen { origins, ..Screen::default() };
    let mut unblocking: Option<Unblocking> = None;
    screen.arrange(&view);
    let mut due = Instant::now() + interval;
    loop {
        terminal.draw(|frame| frame::draw(frame, &view, &mut screen))?;
        let until_due = due.saturating_duration_since(Instant::now());
        let patience = if unblocking.is_some() { until_due.min(SOON) } else { until_due };
        if event::poll(patience)?
            && let Event::Key(key) = event::read()?
        {
            match screen.press(key, &view) {
                Step::Continue => {}
                Step::End => return Ok(()),
                Step::Unblock(address) => match Unblocking::start(cli, &feed.config, address) {
                    Ok(started) => unblocking = Some(started),
                    Err(problem) => screen.prompt = Prompt::Message(problem),
                },
            }
        }
        let result = unblocking.as_mut().and_then(Unblocking::result);
        let has_changed = result.is_some();
        if let Some(message) = result {
            screen.prompt = Prompt::Message(message);
            unblocking = None;
        }
        let begun = Instant::now();
        if !has_changed && begun < due {
            continue;
        }
        if has_changed || !screen.is_paused {
            let sample = feed.sample()?;
            view = View::new(&last, &sample);
            screen.arrange(&view);
            last = sample;
        }
        // Reading a million entries takes time, and must not use the whole machine.
        due = begun + interval.max(begun.elapsed() * 4);
    }
}

fn once(feed: &Feed, interval: Duration, is_json: bool, origins: &Arc<Origins>) -> Exit {
    let look = || {
        let first = feed.sample()?;
        thread::sleep(interval);
        let second = feed.sample()?;
        Ok::<_, Error>(View::new(&first, &second))
    };
    match look() {
        Ok(view) if is_json => show::print(&observed::json(&located(&view.shortened(), origins))),
        Ok(view) => {
            let mut screen = Screen { origins: Arc::clone(origins), ..Screen::default() };
            screen.arrange(&view);
            show::print(&text_of(&view, &mut screen, SIZE))
        }
        Err(error) => observed::unreadable(&error),
    }
}

/// Returns the view for programs, with the origins of its sources if any file has some.
fn located(view: &View, origins: &Origins) -> Value {
    // Serialisation can't fail: keys are strings, and no part of it can fail.
    let mut value = serde_json::to_value(view).unwrap_or_default();
    for (name, sources) in [("sources", &view.sources), ("would", &view.would)] {
        let values = value.get_mut(name).and_then(Value::as_array_mut).filter(|_| origins.are_any());
        for (value, source) in values.into_iter().flatten().zip(sources) {
            value["origin"] = serde_json::to_value(origins.of(source.address.addr())).unwrap_or_default();
        }
    }
    value
}

/// Renders a frame of this width and height as text.
#[cfg(test)]
fn text(view: &View, size: (u16, u16)) -> String {
    let mut screen = Screen::default();
    screen.arrange(view);
    text_of(view, &mut screen, size)
}

fn text_of(view: &View, screen: &mut Screen, (width, height): (u16, u16)) -> String {
    // Drawing in memory never fails.
    let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
    let Ok(_) = terminal.draw(|frame| frame::draw(frame, view, screen));
    lines(terminal.backend().buffer())
}

fn lines(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width);
    let rows = buffer.content.chunks(width.max(1));
    let mut text = String::new();
    for row in rows {
        let line: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
