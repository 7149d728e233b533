//! Writes files in MaxMind's format (MaxMind DB File Format Specification, version 2.0), with synthetic content.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;

/// A value in the data section.
#[derive(Clone, Debug)]
pub enum Value {
    /// UTF-8 text of less than 65,821 bytes.
    Text(String),
    /// An unsigned number of 16 bits.
    Word(u16),
    /// An unsigned number of 32 bits.
    Number(u32),
    /// An unsigned number of 64 bits.
    Long(u64),
    /// A list of at most 28 values.
    List(Vec<Value>),
    /// A map of at most 28 entries.
    Map(Vec<(&'static str, Value)>),
}

impl Value {
    /// Appends the value in the format's encoding.
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => {
                control(out, 2, text.len());
                out.extend(text.as_bytes());
            }
            Self::Word(number) => whole(out, 5, &number.to_be_bytes()),
            Self::Number(number) => whole(out, 6, &number.to_be_bytes()),
            Self::Long(number) => whole(out, 9, &number.to_be_bytes()),
            Self::List(values) => {
                control(out, 11, values.len());
                values.iter().for_each(|value| value.write(out));
            }
            Self::Map(entries) => {
                control(out, 7, entries.len());
                for (name, value) in entries {
                    Self::Text((*name).into()).write(out);
                    value.write(out);
                }
            }
        }
    }
}

/// Appends a control byte: the type, above 7 in a byte of its own, and the size.
fn control(out: &mut Vec<u8>, kind: u8, size: usize) {
    let (short, rest): (u8, Vec<u8>) = match size {
        0..29 => (u8::try_from(size).expect("a small size"), Vec::new()),
        29..285 => (29, vec![u8::try_from(size - 29).expect("a byte")]),
        _ => (30, u16::try_from(size - 285).expect("a short text").to_be_bytes().to_vec()),
    };
    if kind > 7 {
        out.extend([short, kind - 7]);
    } else {
        out.push(kind << 5 | short);
    }
    out.extend(rest);
}

/// Appends a number without its leading zeros.
fn whole(out: &mut Vec<u8>, kind: u8, octets: &[u8]) {
    let rest = &octets[octets.iter().take_while(|octet| **octet == 0).count()..];
    control(out, kind, rest.len());
    out.extend(rest);
}

/// A record of the search tree.
#[derive(Clone, Copy)]
enum Record {
    Empty,
    Node(usize),
    Data(usize),
}

/// Returns a file of this type with these entries. No network may contain another.
#[must_use]
pub fn file(database_type: &str, entries: &[(IpNet, Value)]) -> Vec<u8> {
    let (mut nodes, mut data) = (vec![[Record::Empty; 2]], Vec::new());
    for (network, value) in entries {
        let at = data.len();
        value.write(&mut data);
        insert(&mut nodes, *network, at);
    }
    let count = nodes.len();
    let mut bytes = Vec::new();
    for record in nodes.iter().flatten() {
        let number = match record {
            Record::Empty => count,
            Record::Node(node) => *node,
            // The data section starts 16 bytes after the tree.
            Record::Data(at) => count + 16 + at,
        };
        bytes.extend(&u32::try_from(number).expect("24 bits").to_be_bytes()[1..]);
    }
    bytes.extend([0; 16]);
    bytes.extend(data);
    bytes.extend(b"\xab\xcd\xefMaxMind.com");
    Value::Map(vec![
        ("binary_format_major_version", Value::Word(2)),
        ("binary_format_minor_version", Value::Word(0)),
        ("build_epoch", Value::Long(1_795_000_000)),
        ("database_type", Value::Text(database_type.into())),
        ("description", Value::Map(vec![("en", Value::Text("synthetic".into()))])),
        ("ip_version", Value::Word(6)),
        ("languages", Value::List(vec![Value::Text("en".into())])),
        ("node_count", Value::Number(u32::try_from(count).expect("a small tree"))),
        ("record_size", Value::Word(24)),
    ])
    .write(&mut bytes);
    bytes
}

/// Enters a network. IPv4 is in `::/96`.
fn insert(nodes: &mut Vec<[Record; 2]>, network: IpNet, data: usize) {
    let (bits, length) = match network.addr() {
        IpAddr::V4(address) => (u128::from(address.to_bits()), network.prefix_len() + 96),
        IpAddr::V6(address) => (address.to_bits(), network.prefix_len()),
    };
    let mut node = 0;
    for depth in 0..length {
        let side = usize::from(bits >> (127 - depth) & 1 == 1);
        if depth + 1 == length {
            nodes[node][side] = Record::Data(data);
            return;
        }
        node = match nodes[node][side] {
            Record::Node(next) => next,
            Record::Empty => {
                nodes.push([Record::Empty; 2]);
                let next = nodes.len() - 1;
                nodes[node][side] = Record::Node(next);
                next
            }
            Record::Data(_) => panic!("{network} is in another network"),
        };
    }
}

/// Returns a file with the countries of networks.
#[must_use]
pub fn countries(entries: &[(&str, &str)]) -> Vec<u8> {
    let country = |code: &str| {
        let names = Value::Map(vec![("en", Value::Text("a country".into()))]);
        let country = Value::Map(vec![("iso_code", Value::Text(code.into())), ("names", names)]);
        Value::Map(vec![("country", country.clone()), ("registered_country", country)])
    };
    let entries: Vec<_> = entries.iter().map(|(network, code)| (parsed(network), country(code))).collect();
    file("GeoLite2-Country", &entries)
}

/// Returns a file with the autonomous systems of networks: number and organisation.
#[must_use]
pub fn systems(entries: &[(&str, u32, &str)]) -> Vec<u8> {
    let system = |number, name: &str| {
        Value::Map(vec![
            ("autonomous_system_number", Value::Number(number)),
            ("autonomous_system_organization", Value::Text(name.into())),
        ])
    };
    let entries: BTreeMap<IpNet, Value> =
        entries.iter().map(|(network, number, name)| (parsed(network), system(*number, name))).collect();
    file("GeoLite2-ASN", &entries.into_iter().collect::<Vec<_>>())
}

fn parsed(network: &str) -> IpNet {
    network.parse().expect("a network")
}
