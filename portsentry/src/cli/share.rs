//! Arguments of `share`.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Subcommand};

/// Arguments of `share`.
#[derive(Clone, Debug, Args)]
pub struct Share {
    /// The companion's configuration file
    #[arg(short, long, value_name = "FILE", default_value = "/etc/portsentry/share.conf")]
    pub file: PathBuf,
    /// Validate that file, and end
    #[arg(long)]
    pub check: bool,
    /// What to do; without it the companion carries words
    #[command(subcommand)]
    pub action: Option<ShareAction>,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum ShareAction {
    /// Make the keys and the files of a fleet, or add those of new gateways and servers
    Init(ShareInit),
    /// Keep blocks as blackhole routes, as ROUTES_OUT says; needs CAP_NET_ADMIN
    #[allow(clippy::doc_markdown, reason = "this comment is the text of --help")]
    Routes {},
    /// Create the fleet's state on the servers, with the administrator's file
    Create {},
}

/// Arguments of `share init`.
#[derive(Clone, Debug, Args)]
#[allow(clippy::doc_markdown, reason = "these comments are the text of --help")]
pub struct ShareInit {
    /// Names of all gateways, as in GATEWAY_NAME
    #[arg(long = "gateway", value_name = "NAME", required = true, num_args = 1..)]
    pub gateways: Vec<String>,
    /// Names or addresses of all NATS servers: three, or one for a try
    #[arg(long = "server", value_name = "HOST", required = true, num_args = 1..)]
    pub servers: Vec<String>,
    /// Directory for the files
    #[arg(long, value_name = "DIRECTORY", default_value = "fleet")]
    pub directory: PathBuf,
}

impl Share {
    /// Returns the arguments for the companion.
    #[must_use]
    pub fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["--file".into(), self.file.clone().into()];
        if self.check {
            arguments.push("--check".into());
        }
        match &self.action {
            None => {}
            Some(ShareAction::Create {}) => arguments.push("create".into()),
            Some(ShareAction::Routes {}) => arguments.push("routes".into()),
            Some(ShareAction::Init(init)) => {
                arguments.extend(["init".into(), "--directory".into(), init.directory.clone().into()]);
                for (flag, names) in [("--gateway", &init.gateways), ("--server", &init.servers)] {
                    arguments.extend(names.iter().flat_map(|name| [flag.into(), name.into()]));
                }
            }
        }
        arguments
    }
}
