//! The table in `docs/register.md`: the effects of each way into and out of a block or fence.

use super::{
    tests::{NETWORK, block, fence, ordered, rules},
    *,
};

const COLUMNS: [&str; 7] = [
    "kernel's maps",
    "register",
    "history, evidence",
    "log, events",
    "blocked file",
    "hosts.deny",
    "KILL commands",
];

fn cells(effects: &[Effect], register: &str) -> Vec<String> {
    let of = |wanted: fn(&Effect) -> Option<String>| {
        let words: Vec<String> = effects.iter().filter_map(wanted).collect();
        if words.is_empty() { "-".to_owned() } else { words.join(", ") }
    };
    let lower = |text: String| text.to_lowercase();
    vec![
        lower(of(|effect| if let Effect::Map(it) = effect { Some(format!("{it:?}")) } else { None })),
        register.to_owned(),
        of(|effect| if let Effect::History(it) = effect { Some(it.name().to_owned()) } else { None }),
        lower(of(|effect| if let Effect::Emit(it) = effect { Some(format!("{it:?}")) } else { None })),
        lower(of(|effect| if let Effect::File(it) = effect { Some(format!("{it:?}")) } else { None })),
        of(|effect| match effect {
            Effect::Deny { is_new: true } => Some("add".into()),
            Effect::Deny { is_new: false } => Some("keep".into()),
            Effect::Allow => Some("remove".into()),
            _ => None,
        }),
        lower(of(|effect| if let Effect::Run(it) = effect { Some(format!("{it:?}")) } else { None })),
    ]
}

fn row(name: &str, cells: &[String]) -> String {
    format!("| {name} | {} |\n", cells.join(" | "))
}

/// Returns the table's rows for every way in and out, of a block and of a fence.
fn table() -> String {
    let mut text = format!("| way | {} |\n|---{}|\n", COLUMNS.join(" | "), "|---".repeat(COLUMNS.len()));
    for way in Admission::ALL {
        for is_fence in [false, true] {
            let is_ordered = matches!(way, Admission::Administrator | Admission::Offline | Admission::List);
            if is_fence && is_ordered {
                continue;
            }
            let record = if is_ordered {
                ordered()
            } else if is_fence {
                fence()
            } else {
                block()
            };
            let effects = Register::new(rules(false)).admit(way, record).effects;
            let register = if way == Admission::List { "-" } else { "enter" };
            let state = if is_fence { "fence" } else { "block" };
            text += &row(&format!("in, {state}: {}", way.name()), &cells(&effects, register));
        }
    }
    for way in Release::ALL {
        for is_fence in [false, true] {
            if way == Release::Crowded && !is_fence {
                continue;
            }
            let mut register = Register::new(rules(false));
            register.admit(Admission::Sighting, if is_fence { fence() } else { block() });
            let effects = register.release(way, NETWORK).1;
            let state = if is_fence { "fence" } else { "block" };
            text += &row(&format!("out, {state}: {}", way.name()), &cells(&effects, "remove"));
        }
    }
    text
}

#[test]
fn the_document_has_what_each_way_leads_to() {
    let document = include_str!("../../../../docs/register.md");
    let table = table();
    assert!(document.contains(&table), "docs/register.md should have this table:\n{table}");
}
