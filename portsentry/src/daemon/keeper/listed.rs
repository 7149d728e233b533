//! Whom the block list names.

use std::path::{Path, PathBuf};

use crate::config::{BlockList, Config};

/// Whom the block list names, and where it is.
#[derive(Debug)]
pub(super) struct Listed {
    pub list: BlockList,
    pub path: PathBuf,
}

impl Listed {
    pub(super) fn new(list: BlockList, config: &Config) -> Self {
        Self { list, path: config.block_list.clone() }
    }

    /// Whether that file is the list.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        self.path == path
    }

    /// Whether it names nobody.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
