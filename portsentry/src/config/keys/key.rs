//! The form of a setting's description.

use crate::config::{Config, report::Report, span::Span};

/// The PortSentry that a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// PortSentry 1.2 and 2.x.
    Both,
    /// PortSentry 1.2.
    Classic,
    /// PortSentry 1.x, as a compile-time constant.
    CompileTime,
    /// New in this version.
    Ours,
}

/// One setting.
pub struct Key {
    /// Its name, as in the file.
    pub name: &'static str,
    /// The PortSentry that it comes from.
    pub origin: Origin,
    /// Form of its value.
    pub form: &'static str,
    /// Default value; empty for none.
    pub default: &'static str,
    /// Its effect.
    pub meaning: &'static str,
    /// Reads a value that is not blank into the configuration.
    pub(in crate::config) set: fn(&mut Config, Span<'_>, &mut Report),
}

/// Sets a value unless it was invalid, in which case the configuration is refused anyway.
pub(super) fn put<T>(setting: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *setting = value;
    }
}
