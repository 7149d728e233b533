//! A list as a bundle of indicators: STIX 2.1, OASIS Standard of 10 June 2021.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    inspect::{held::Listed, select::Maker},
    instant::universal,
    policy::{State, name_of},
};

/// Namespace of the ids, so that the same block has the same id in each bundle.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f0a_5c3e_9d5b_4a53_8c1f_27f4_1f0d_5e9a);
/// Confidence in a proven source, and in one that may be spoofed (section 3.2).
const PROVEN: u8 = 85;
const UNPROVEN: u8 = 30;

/// Returns a bundle with an indicator for each source.
pub(super) fn bundle(sources: &[Listed]) -> Value {
    let identity = identity();
    let indicators = sources.iter().map(|source| indicator(source, &identity["id"]));
    let indicators: Vec<Value> = indicators.collect();
    let contents: Vec<&str> = indicators.iter().filter_map(|indicator| indicator["id"].as_str()).collect();
    let id = id("bundle", &contents.join(" "));
    let objects: Vec<Value> = std::iter::once(identity).chain(indicators).collect();
    json!({"type": "bundle", "id": id, "objects": objects})
}

/// Returns the creator of the indicators (section 4.5).
fn identity() -> Value {
    const SINCE: &str = "2026-01-01T00:00:00Z";
    json!({
        "type": "identity", "spec_version": "2.1", "id": id("identity", "portsentry"), "created": SINCE,
        "modified": SINCE, "name": "portsentry", "identity_class": "system",
    })
}

/// Returns a source's indicator (section 4.7).
fn indicator(source: &Listed, creator: &Value) -> Value {
    let (name, since) = (name_of(source.address), universal(source.since.0));
    let until = source.until.map(|until| universal(until.0)).filter(|until| *until > since);
    let kind = if source.address.addr().is_ipv4() { "ipv4-addr" } else { "ipv6-addr" };
    let is_proven = !["none", "unknown"].contains(&&*source.proof);
    let nature = match (source.state, is_proven) {
        (State::Blocked, true) => "malicious-activity",
        _ => "anomalous-activity",
    };
    let id = id("indicator", &format!("{name} {since} {}", until.as_deref().unwrap_or_default()));
    let mut value = json!({
        "type": "indicator", "spec_version": "2.1", "id": id, "created_by_ref": creator, "created": since,
        "modified": since, "name": format!("{} by portsentry: {name}", source.state.name()),
        "description": description(source), "indicator_types": [nature],
        "pattern": format!("[{kind}:value = '{name}']"), "pattern_type": "stix",
        "valid_from": since, "labels": [label(source.by)],
        "confidence": if is_proven { PROVEN } else { UNPROVEN },
    });
    if let Some(until) = until {
        value["valid_until"] = until.into();
    }
    value
}

fn description(source: &Listed) -> String {
    let of = |what: &str, text: Option<String>| text.map(|text| format!("{what}: {text}"));
    let port = source.port.zip(source.protocol.as_deref());
    let parts = [
        of("kind", source.kind.clone()),
        of("port", port.map(|(port, protocol)| format!("{port}/{protocol}"))),
        of("proof", Some(source.proof.to_string())),
        of("origin", source.origin.as_ref().map(ToString::to_string)),
        of("reason", source.reason.clone()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

const fn label(by: Maker) -> &'static str {
    match by {
        Maker::Own => "port-scan",
        Maker::List => "block-list",
        Maker::Peer => "fleet",
    }
}

/// Returns an id that depends on the content alone (section 2.9, RFC 9562 section 5.5).
fn id(kind: &str, content: &str) -> String {
    format!("{kind}--{}", Uuid::new_v5(&NAMESPACE, format!("{kind} {content}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::{super::tests::fenced, *};

    #[test]
    fn an_indicator_has_all_required_properties() {
        let permanent = Listed {
            until: None,
            state: State::Blocked,
            proof: "cookie".into(),
            address: "2001:db8::/64".parse().unwrap(),
            ..fenced("::")
        };
        let bundle = bundle(&[fenced("192.0.2.9"), permanent]);
        let objects = bundle["objects"].as_array().unwrap();
        assert_eq!(objects.len(), 3);
        for object in objects {
            let kind = object["type"].as_str().unwrap();
            assert!(object["id"].as_str().unwrap().starts_with(&format!("{kind}--")), "{object}");
            assert_eq!(object["spec_version"], "2.1");
            assert!(object["created"].as_str() <= object["modified"].as_str());
        }
        assert_eq!(objects[1]["pattern"], "[ipv4-addr:value = '192.0.2.9']");
        assert_eq!(objects[1]["valid_until"], "1970-01-01T00:05:00Z");
        assert_eq!(objects[1]["confidence"], 30);
        assert_eq!(objects[2]["pattern"], "[ipv6-addr:value = '2001:db8::/64']");
        assert_eq!(objects[2].get("valid_until"), None);
        assert_eq!(
            (&objects[2]["confidence"], &objects[2]["indicator_types"][0]),
            (&json!(85), &json!("malicious-activity"))
        );
    }

    #[test]
    fn the_same_block_has_the_same_id() {
        let of = |address: &str| bundle(&[fenced(address)])["objects"][1]["id"].clone();
        assert_eq!(of("192.0.2.9"), of("192.0.2.9"));
        assert_ne!(of("192.0.2.9"), of("192.0.2.8"));
        assert_eq!(Uuid::parse_str(&of("192.0.2.9").as_str().unwrap()[11..]).unwrap().get_version_num(), 5);
    }
}
