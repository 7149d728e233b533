//! The files.
use crate::{
    config::Config,
    policy::{Ledger, Record, Sighting},
};
use std::net::IpAddr;
#[derive(Debug)]
pub struct Files {
    blocked: std::path::PathBuf,
    dirty: Vec<IpAddr>,
}
impl Files {
    pub fn open(config: &Config) -> Self {
        Self { blocked: config.blocked_file.clone(), dirty: vec![] }
    }
    pub fn read(&mut self) -> (Option<Vec<Record>>, Vec<String>) {
        (None, vec![])
    }
    pub fn record(&mut self, record: Record, _s: Option<&Sighting>) -> Result<(), String> {
        self.dirty.push(record.source);
        Ok(())
    }
    pub fn deny(&mut self, _s: IpAddr) -> Option<String> {
        None
    }
    pub fn lift(&mut self, _s: IpAddr) {}
    pub fn flush(&mut self, ledger: &Ledger) -> Result<Vec<IpAddr>, String> {
        if self.dirty.is_empty() {
            return Ok(vec![]);
        }
        let text: String = ledger.sources().map(|s| format!("{s}\n")).collect();
        std::fs::write(&self.blocked, text).map_err(|e| e.to_string())?;
        Ok(std::mem::take(&mut self.dirty))
    }
}
