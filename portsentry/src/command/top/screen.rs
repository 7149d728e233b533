//! The state of the screen: sort order, filter, selection and prompt; and the keys that change it.

use std::{
    cmp::{Ordering, Reverse},
    sync::Arc,
};

use ipnet::IpNet;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::view::{Source, View};
use crate::{cli::network, policy::name_of, sink::origins::Origins};

/// Maximum length of a filter.
const LONGEST: usize = 60;

/// Sort orders of the sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    /// Most dropped packets per second first.
    #[default]
    Rate,
    /// Most dropped packets first.
    Dropped,
    /// Most probes first.
    Hits,
    /// Newest first.
    Age,
    /// By address, IPv4 first.
    Address,
}

impl Order {
    /// Returns the order in words.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Rate => "by packets dropped a second",
            Self::Dropped => "by packets dropped",
            Self::Hits => "by probes",
            Self::Age => "by age",
            Self::Address => "by address",
        }
    }

    /// Returns the next order. Without `any_held`, all orders by dropped packets are skipped.
    const fn next(self, any_held: bool) -> Self {
        match self {
            Self::Address if !any_held => Self::Hits,
            Self::Rate => Self::Dropped,
            Self::Dropped => Self::Hits,
            Self::Hits => Self::Age,
            Self::Age => Self::Address,
            Self::Address => Self::Rate,
        }
    }

    fn compare(self, one: &Source, other: &Source) -> Ordering {
        match self {
            Self::Rate => other.a_second().total_cmp(&one.a_second()),
            Self::Dropped => Reverse(one.dropped()).cmp(&Reverse(other.dropped())),
            Self::Hits => Reverse(one.hits()).cmp(&Reverse(other.hits())),
            Self::Age => one.age.cmp(&other.age),
            Self::Address => one.address.cmp(&other.address),
        }
    }
}

/// The lower part of the screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Prompt {
    /// The keys.
    #[default]
    None,
    /// The filter is being typed.
    Filter,
    /// Asks whether to unblock this host or network.
    Confirm(IpNet),
    /// This host or network is being unblocked.
    Busy(IpNet),
    /// A message, until the next key.
    Message(String),
}

/// Pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Page {
    /// The sources, and the figures if there is room.
    #[default]
    Sources,
    /// The figures alone.
    Figures,
    /// The keys.
    Help,
}

/// The next step after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Continue.
    Continue,
    /// Unblock this host or network.
    Unblock(IpNet),
    /// End.
    End,
}

/// The state of the screen.
#[derive(Clone, Debug, Default)]
pub(super) struct Screen {
    pub order: Order,
    pub is_reversed: bool,
    pub is_paused: bool,
    pub filter: String,
    pub prompt: Prompt,
    pub page: Page,
    /// The sources to show, filtered and sorted.
    pub rows: Vec<Source>,
    /// Index of the first visible row, and the number of visible rows.
    pub offset: usize,
    pub height: usize,
    /// The selected source, and its row.
    pub selected: Option<(IpNet, usize)>,
    /// The origins of sources.
    pub origins: Arc<Origins>,
}

impl Screen {
    /// Filters and sorts the sources of `view`.
    pub(super) fn arrange(&mut self, view: &View) {
        // Nothing is dropped, so that the sources seen last matter most.
        if view.only_observes() && matches!(self.order, Order::Rate | Order::Dropped) {
            self.order = Order::Age;
        }
        let filter = Filter::new(&self.filter, &self.origins);
        self.rows = view.all().filter(|source| filter.takes(source)).cloned().collect();
        let order = self.order;
        self.rows.sort_by(|one, other| order.compare(one, other).then(one.address.cmp(&other.address)));
        if self.is_reversed {
            self.rows.reverse();
        }
        // The selection stays on its source. If that is gone, it stays at its row.
        if let Some((address, row)) = self.selected {
            let found = self.rows.iter().position(|source| source.address == address);
            let row = found.unwrap_or_else(|| row.min(self.rows.len().saturating_sub(1)));
            self.selected = self.rows.get(row).map(|source| (source.address, row));
        }
        self.scroll();
    }

    /// Sets the number of visible rows.
    pub(super) fn resize(&mut self, height: usize) {
        self.height = height;
        self.scroll();
    }

    /// Makes the selected row visible. Without a selection the list shows its beginning.
    fn scroll(&mut self) {
        let row = self.selected.map_or(0, |(_, row)| row);
        let lowest = (row + 1).saturating_sub(self.height).min(row);
        let end = self.rows.len().saturating_sub(self.height);
        self.offset = self.offset.clamp(lowest, row).min(end);
    }

    fn select(&mut self, row: usize) {
        let row = row.min(self.rows.len().saturating_sub(1));
        self.selected = self.rows.get(row).map(|source| (source.address, row));
        self.scroll();
    }

    /// Moves the selection by this number of rows. The first move selects the first visible row.
    fn go(&mut self, rows: isize) {
        let to = self.selected.map_or(self.offset, |(_, row)| row.saturating_add_signed(rows));
        self.select(to);
    }

    /// Responds to a key.
    pub(super) fn press(&mut self, key: KeyEvent, view: &View) -> Step {
        if key.kind == KeyEventKind::Release {
            return Step::Continue;
        }
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return Step::End;
        }
        match std::mem::take(&mut self.prompt) {
            Prompt::Filter => self.type_filter(key.code, view),
            Prompt::Busy(address) => self.prompt = Prompt::Busy(address),
            Prompt::Confirm(address) => match key.code {
                KeyCode::Char('y' | 'Y') => {
                    self.prompt = Prompt::Busy(address);
                    return Step::Unblock(address);
                }
                _ => self.prompt = Prompt::Message(format!("{} stays as it is", name_of(address))),
            },
            // The key that ends a message has no other effect only if it means to leave it.
            Prompt::Message(_) if key.code == KeyCode::Esc => {}
            Prompt::None | Prompt::Message(_) => return self.command(key.code, view),
        }
        Step::Continue
    }

    fn command(&mut self, code: KeyCode, view: &View) -> Step {
        let page = isize::try_from(self.height.max(1)).unwrap_or(isize::MAX);
        match code {
            KeyCode::Esc if self.page != Page::Sources => self.page = Page::Sources,
            KeyCode::Esc if self.selected.is_some() => {
                self.selected = None;
                self.scroll();
            }
            KeyCode::Esc if !self.filter.is_empty() => {
                self.filter.clear();
                self.arrange(view);
            }
            KeyCode::Char('q' | 'Q') | KeyCode::Esc => return Step::End,
            KeyCode::Char('?' | 'h') => self.turn(Page::Help),
            KeyCode::Tab => self.turn(Page::Figures),
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('s') => {
                self.order = self.order.next(!view.only_observes());
                self.arrange(view);
            }
            KeyCode::Char('r') => {
                self.is_reversed = !self.is_reversed;
                self.arrange(view);
            }
            KeyCode::Char('/') => self.prompt = Prompt::Filter,
            KeyCode::Up | KeyCode::Char('k') => self.go(-1),
            KeyCode::Down | KeyCode::Char('j') => self.go(1),
            KeyCode::PageUp => self.go(-page),
            KeyCode::PageDown => self.go(page),
            KeyCode::Home | KeyCode::Char('g') => self.select(0),
            KeyCode::End | KeyCode::Char('G') => self.select(usize::MAX),
            KeyCode::Char('u') => self.prompt = self.ask_unblock(),
            _ => {}
        }
        Step::Continue
    }

    /// Asks whether to unblock the selected source, or says why it can't be unblocked.
    fn ask_unblock(&self) -> Prompt {
        let Some((address, row)) = self.selected else {
            return Prompt::Message("select a source with the arrow keys first".into());
        };
        if self.rows.get(row).is_some_and(Source::is_observed) {
            return Prompt::Message(format!(
                "{} is neither blocked nor fenced: PortSentry only observes. `portsentry review` prints the lines that \
                 keep known sources free",
                name_of(address)
            ));
        }
        Prompt::Confirm(address)
    }

    fn turn(&mut self, page: Page) {
        self.page = if self.page == page { Page::Sources } else { page };
    }

    fn type_filter(&mut self, code: KeyCode, view: &View) {
        match code {
            KeyCode::Enter => return,
            KeyCode::Esc => {
                self.filter.clear();
                self.arrange(view);
                return;
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(char) if self.filter.len() < LONGEST && !char.is_control() => {
                self.filter.push(char);
            }
            _ => {}
        }
        self.prompt = Prompt::Filter;
        self.arrange(view);
    }
}

/// A filter of sources.
struct Filter<'a> {
    text: String,
    network: Option<IpNet>,
    origins: &'a Origins,
}

impl<'a> Filter<'a> {
    fn new(text: &str, origins: &'a Origins) -> Self {
        let text = text.trim().to_lowercase();
        // An address is matched as text, because it may still grow.
        let network = text.contains('/').then(|| network(&text).ok()).flatten();
        Self { text, network, origins }
    }

    /// Whether `source` is in the network, or one of its texts contains the filter's.
    fn takes(&self, source: &Source) -> bool {
        if let Some(network) = self.network {
            return network.contains(&source.address) || source.address.contains(&network);
        }
        let [state, _] = source.states();
        let texts = || [name_of(source.address), state.clone(), source.kind()].into_iter();
        let has = |text: String| text.to_lowercase().contains(&self.text);
        let origin = || self.origins.are_any() && has(self.origins.of(source.address.addr()).to_string());
        self.text.is_empty() || texts().chain(source.port_texts()).any(has) || origin()
    }
}

#[cfg(test)]
#[path = "screen/tests.rs"]
mod tests;
