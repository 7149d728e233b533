//! The configuration of a server (`nats-server` 2.11 or later).
//!
//! Each gateway has an account of its own. Permissions alone wouldn't do: a gateway may name any subject for the answer to a
//! request, and in one account the server itself would publish there, into another gateway's news or state. An answer never
//! leaves the account of the request.

/// Name of the account that holds the state.
pub(super) const ACCOUNT: &str = "FLEET";
/// Port for gateways.
const PORT: u16 = 4222;
/// Port for the other servers.
const CLUSTER: u16 = 6222;

/// Returns the configuration of the server with this number.
pub(super) fn configuration(number: usize, servers: &[String], gateways: &[String]) -> String {
    let name = &servers[number];
    let others = servers.iter().filter(|server| *server != name);
    let routes: Vec<String> =
        others.map(|server| format!("\"tls://{}:{CLUSTER}\"", bracketed(server))).collect();
    let cluster = if routes.is_empty() { String::new() } else { cluster(&routes.join(", ")) };
    let accounts: Vec<String> = gateways.iter().map(|gateway| account(gateway, gateways)).collect();
    let stored: Vec<String> = gateways
        .iter()
        .map(|gateway| {
            format!("      {{ service: \"ps.v1.state.{gateway}.>\", accounts: [\"{gateway}\"] }}\n")
        })
        .collect();
    format!(
        "# Made by portsentry-share init. Paths are relative to the directory in which nats-server is started.\n\
server_name: \"{name}\"
port: {PORT}
max_payload: 262144
max_control_line: 4096
write_deadline: \"2s\"
tls {{
  cert_file: \"server.pem\"
  key_file: \"server.key\"
  ca_file: \"gateways.pem\"
  verify_and_map: true
  timeout: 3
}}
jetstream {{
  store_dir: \"jetstream\"
  # An answer means that the word is on the disk.
  sync_interval: always
}}
{cluster}accounts {{
  {ACCOUNT} {{
    jetstream: enabled
    users: [{{ user: \"CN=administrator\" }}]
    exports: [
{}      {{ service: \"$JS.API.DIRECT.GET.*\", response_type: stream, accounts: [{}] }}
    ]
  }}
{}}}
",
        stored.concat(),
        quoted(gateways.iter()),
        accounts.concat()
    )
}

fn cluster(routes: &str) -> String {
    format!(
        "cluster {{
  name: portsentry
  port: {CLUSTER}
  no_advertise: true
  tls {{
    cert_file: \"server.pem\"
    key_file: \"server.key\"
    ca_file: \"servers.pem\"
    verify: true
    timeout: 3
  }}
  routes: [{routes}]
}}
"
    )
}

/// Returns a gateway's account. Only words with its own name leave it.
fn account(gateway: &str, gateways: &[String]) -> String {
    let others: Vec<&String> = gateways.iter().filter(|other| *other != gateway).collect();
    let heard: Vec<String> = others
        .iter()
        .flat_map(|other| {
            ["news", "beat"].map(|kind| {
                format!("      {{ stream: {{ account: \"{other}\", subject: \"ps.v1.{kind}.{other}\" }} }}\n")
            })
        })
        .collect();
    // Two connections, and two that are still ending.
    let subscriptions = 4 * (2 * gateways.len() + 1);
    let names = quoted(others.iter().copied());
    format!(
        "  \"{gateway}\" {{
    limits: {{ max_connections: 4, max_subscriptions: {subscriptions} }}
    users: [{{
      user: \"CN={gateway}\"
      permissions: {{
        publish: [\"ps.v1.news.{gateway}\", \"ps.v1.beat.{gateway}\", \"ps.v1.state.{gateway}.>\", \"$JS.API.DIRECT.GET.*\"]
        subscribe: [\"ps.v1.news.*\", \"ps.v1.beat.*\", \"_INBOX.>\"]
      }}
    }}]
    exports: [
      {{ stream: \"ps.v1.news.{gateway}\", accounts: [{names}] }}
      {{ stream: \"ps.v1.beat.{gateway}\", accounts: [{names}] }}
    ]
    imports: [
      {{ service: {{ account: {ACCOUNT}, subject: \"ps.v1.state.{gateway}.>\" }} }}
      {{ service: {{ account: {ACCOUNT}, subject: \"$JS.API.DIRECT.GET.*\" }} }}
{}    ]
  }}
",
        heard.concat()
    )
}

/// Returns names as a list. Without quotes, some would be numbers.
fn quoted<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

/// Returns a server's address for gateways.
pub(super) fn address(server: &str) -> String {
    format!("{}:{PORT}", bracketed(server))
}

fn bracketed(server: &str) -> String {
    if server.contains(':') { format!("[{server}]") } else { server.into() }
}
