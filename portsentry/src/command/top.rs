//! `portsentry top`: shows probes and dropped packets live, from the pinned maps.

mod frame;
mod sample;

use std::{
    io::{self, IsTerminal},
    thread,
    time::{Duration, Instant},
};

use ratatui::{
    Terminal,
    backend::TestBackend,
    buffer::Buffer,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
};

use self::sample::{Sample, View};
use super::{observed, options, show};
use crate::{
    cli::{Cli, Top},
    config::Config,
    exit::Exit,
    kernel,
    modes::Modes,
};

/// Size of the frame that `--once` prints.
const SIZE: (u16, u16) = (100, 40);

/// Updates the screen until `q`, or prints one frame.
pub(super) fn run(cli: &Cli, top: Top) -> Exit {
    let config = options::config(cli);
    let what = (&config, cli.modes());
    let interval = Duration::from_secs(top.interval);
    if top.once {
        return once(what, interval, top.json);
    }
    if !(io::stdout().is_terminal() && io::stdin().is_terminal()) {
        eprintln!("portsentry: standard output is not a terminal; --once prints one frame as text");
        return Exit::Failure;
    }
    let first = match look(what) {
        Ok(sample) => sample,
        Err(error) => return observed::failure(&error),
    };
    let mut terminal = match ratatui::try_init() {
        Ok(terminal) => terminal,
        Err(error) => {
            eprintln!("portsentry: preparing the terminal: {error}");
            return Exit::Failure;
        }
    };
    let ended = watch(&mut terminal, what, interval, first);
    // Leaves the alternate screen before printing.
    ratatui::restore();
    match ended {
        Ok(()) => Exit::Success,
        Err(Ended::Kernel(error)) => observed::failure(&error),
        Err(Ended::Terminal(error)) => {
            eprintln!("portsentry: showing it on the terminal: {error}");
            Exit::Failure
        }
    }
}

/// Reasons for an early end.
enum Ended {
    Kernel(kernel::Error),
    Terminal(io::Error),
}

impl From<kernel::Error> for Ended {
    fn from(error: kernel::Error) -> Self {
        Self::Kernel(error)
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Terminal(error)
    }
}

fn watch(
    terminal: &mut ratatui::DefaultTerminal,
    what: (&Config, Modes),
    interval: Duration,
    mut last: Sample,
) -> Result<(), Ended> {
    let mut view = View::new(&last, &last);
    loop {
        terminal.draw(|frame| frame::draw(frame, &view))?;
        // Reading a million entries takes time, and must not use the whole machine.
        let next = last.taken() + interval.max(last.cost() * 4);
        while event::poll(next.saturating_duration_since(Instant::now()))? {
            match event::read()? {
                Event::Key(key) if is_end(key) => return Ok(()),
                Event::Resize(..) => {
                    terminal.draw(|frame| frame::draw(frame, &view))?;
                }
                _ => {}
            }
        }
        let sample = look(what)?;
        view = View::new(&last, &sample);
        last = sample;
    }
}

fn is_end(key: KeyEvent) -> bool {
    let interrupts = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press
        && (interrupts || matches!(key.code, KeyCode::Char('q' | 'Q') | KeyCode::Esc))
}

fn once(what: (&Config, Modes), interval: Duration, is_json: bool) -> Exit {
    let look = || {
        let first = look(what)?;
        thread::sleep(interval);
        let second = look(what)?;
        Ok::<_, kernel::Error>(View::new(&first, &second))
    };
    match look() {
        Ok(view) if is_json => show::print(&observed::json(&view)),
        Ok(view) => show::print(&text(&view, SIZE)),
        Err(error) => observed::failure(&error),
    }
}

fn look((config, modes): (&Config, Modes)) -> Result<Sample, kernel::Error> {
    Sample::take(config, modes)
}

/// Renders a frame of this width and height as text.
fn text(view: &View, (width, height): (u16, u16)) -> String {
    // Drawing in memory never fails.
    let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
    let Ok(_) = terminal.draw(|frame| frame::draw(frame, view));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_escape_and_an_interrupt_end_it() {
        let key = |code| KeyEvent::new(code, KeyModifiers::NONE);
        for (key, expected) in [
            (key(KeyCode::Char('q')), true),
            (key(KeyCode::Esc), true),
            (KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL), true),
            (key(KeyCode::Char('c')), false),
            (key(KeyCode::Enter), false),
        ] {
            assert_eq!(is_end(key), expected, "{key:?}");
        }
    }

    #[test]
    fn it_fits_any_terminal() {
        let view = sample::tests::view();
        for size in [(1, 1), (10, 3), (40, 12), (80, 24), (300, 100)] {
            assert_eq!(text(&view, size).lines().count(), usize::from(size.1));
        }
    }
}
