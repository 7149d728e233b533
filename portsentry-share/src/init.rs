//! `portsentry-share init`: makes the keys of a fleet, `share.conf` for each gateway, and the configuration of each server. Run
//! again with more names, it adds what is missing, and keeps all keys.

mod openssl;
mod server;

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use portsentry::{
    cli::ShareInit,
    config::{OTHERS, is_gateway},
    exit::Exit,
};

use self::openssl::{Authority, Subject};

/// Name of the administrator's key.
const ADMINISTRATOR: &str = "administrator";

/// Makes everything.
pub fn run(init: &ShareInit) -> Exit {
    match make(init) {
        Ok(()) => {
            println!("{}", next(init));
            Exit::Success
        }
        Err(problem) => {
            eprintln!("portsentry-share: {problem}");
            Exit::Failure
        }
    }
}

fn make(init: &ShareInit) -> Result<(), String> {
    check(init)?;
    let directory = &init.directory;
    make_directory(directory)?;
    let servers = Authority::open(directory, "servers")?;
    let gateways = Authority::open(directory, "gateways")?;
    for (number, server) in init.servers.iter().enumerate() {
        let own = directory.join("servers").join(server);
        make_directory(&own)?;
        servers.sign(&own.join("server"), &Subject::Server(server))?;
        copy(&servers.certificate, &own.join("servers.pem"))?;
        copy(&gateways.certificate, &own.join("gateways.pem"))?;
        write(&own.join("nats-server.conf"), &server::configuration(number, &init.servers, &init.gateways))?;
    }
    for (number, gateway) in init.gateways.iter().map(String::as_str).chain([ADMINISTRATOR]).enumerate() {
        let own = match gateway {
            ADMINISTRATOR => directory.join(ADMINISTRATOR),
            gateway => directory.join("gateways").join(gateway),
        };
        make_directory(&own)?;
        gateways.sign(&own.join("gateway"), &Subject::Gateway(gateway))?;
        copy(&servers.certificate, &own.join("servers.pem"))?;
        write(&own.join("share.conf"), &share(number, init))?;
    }
    Ok(())
}

fn check(init: &ShareInit) -> Result<(), String> {
    for gateway in &init.gateways {
        if OTHERS.contains(&gateway.as_str()) {
            return Err(format!(
                "{gateway:?} can't be a gateway's name: it stands for that way of hearing blocks"
            ));
        }
        if !is_gateway(gateway) || [ADMINISTRATOR, server::ACCOUNT].contains(&gateway.as_str()) {
            return Err(format!(
                "{gateway:?} can't be a gateway's name: letters, digits, - and _, at most 64"
            ));
        }
    }
    for server in &init.servers {
        let is_plain = !server.contains(['/', ':']) || server.parse::<std::net::Ipv6Addr>().is_ok();
        if !is_plain || rustls::pki_types::ServerName::try_from(server.as_str()).is_err() {
            return Err(format!("{server:?} can't be a server's name"));
        }
    }
    for names in [&init.gateways, &init.servers] {
        if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
            return Err("a name is given twice".into());
        }
    }
    Ok(())
}

/// Returns `share.conf`. Each gateway begins with another server.
fn share(number: usize, init: &ShareInit) -> String {
    let count = init.servers.len();
    let servers: Vec<String> =
        (0..count).map(|index| server::address(&init.servers[(number + index) % count])).collect();
    format!(
        "# How portsentry-share reaches the fleet; fleet.md in /usr/share/doc/portsentry-xdp describes every setting.\n\
         SERVERS=\"{}\"\nGATEWAYS=\"{}\"\n",
        servers.join(" "),
        init.gateways.join(" ")
    )
}

fn next(init: &ShareInit) -> String {
    let directory = init.directory.display();
    format!(
        "{directory}/servers/NAME      belongs on each server: nats-server --config nats-server.conf, in that directory\n\
         {directory}/gateways/NAME     belongs on each gateway, in /etc/portsentry\n\
         {directory}/administrator     stays here: portsentry share --file {directory}/administrator/share.conf create\n\
         {directory}/*.key             stay here, and secret: they sign the keys of new gateways and servers"
    )
}

fn make_directory(path: &Path) -> Result<(), String> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| format!("{}: {error}", path.display()))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to).map(drop).map_err(|error| format!("{}: {error}", to.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()));
    written.map_err(|error| format!("{}: {error}", path.display()))
}
