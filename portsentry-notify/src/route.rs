//! Which events a channel takes.

use ipnet::IpNet;

use crate::event::Event;

/// A list of words or networks: the event must have one of those to include, if there are any, and none of those to exclude.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice<T> {
    /// One of these.
    pub include: Vec<T>,
    /// None of these.
    pub exclude: Vec<T>,
}

impl<T> Choice<T> {
    fn takes(&self, is_one: impl Fn(&T) -> bool) -> bool {
        (self.include.is_empty() || self.include.iter().any(&is_one)) && !self.exclude.iter().any(is_one)
    }
}

/// A channel's selection of events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// `EVENTS`: actions.
    pub events: Choice<String>,
    /// `SEVERITY`: at least this level, as its place in [`crate::event::LEVELS`].
    pub severity: Option<usize>,
    /// `KINDS`: kinds of probes.
    pub kinds: Choice<String>,
    /// `COUNTRIES`: codes of the source's country.
    pub countries: Choice<String>,
    /// `NETWORKS`: networks of the source.
    pub networks: Choice<IpNet>,
    /// `PROVEN`: whether the source must have proved that it sent the packets itself.
    pub proven: bool,
}

impl Route {
    /// Whether the channel takes the event.
    #[must_use]
    pub fn takes(&self, event: &Event) -> bool {
        let is = |pointer: &str, word: &String| event.text(pointer).eq_ignore_ascii_case(word);
        let network = event.network();
        self.severity.is_none_or(|least| event.level() <= least)
            && self.events.takes(|action| action == event.action())
            && self.kinds.takes(|kind| is("/portsentry/kind", kind))
            && self.countries.takes(|country| is("/source/geo/country_iso_code", country))
            && self.networks.takes(|wanted| network.is_some_and(|network| wanted.contains(&network)))
            && (!self.proven || is_proven(event))
    }
}

/// Whether the source proved that it sent the packets itself. An administrator's word is no proof.
#[must_use]
pub fn is_proven(event: &Event) -> bool {
    ["cookie", "connection"].contains(&event.text("/portsentry/proof"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::tests::event;

    fn words(include: &[&str], exclude: &[&str]) -> Choice<String> {
        let own = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        Choice { include: own(include), exclude: own(exclude) }
    }

    fn networks(include: &[&str], exclude: &[&str]) -> Choice<IpNet> {
        let own = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        Choice { include: own(include), exclude: own(exclude) }
    }

    #[test]
    fn events_are_selected_by_each_property() {
        let block = event("block", "192.0.2.9", 1);
        let all = Route::default;
        for (route, expected) in [
            (all(), true),
            (Route { events: words(&["block", "fence"], &[]), ..all() }, true),
            (Route { events: words(&["fence"], &[]), ..all() }, false),
            (Route { events: words(&[], &["block"]), ..all() }, false),
            (Route { severity: Some(1), ..all() }, true),
            (Route { severity: Some(0), ..all() }, false),
            (Route { kinds: words(&["SYN"], &[]), ..all() }, true),
            (Route { kinds: words(&["udp"], &[]), ..all() }, false),
            (Route { countries: words(&["DE"], &[]), ..all() }, true),
            (Route { countries: words(&[], &["de"]), ..all() }, false),
            (Route { countries: words(&["FR"], &[]), ..all() }, false),
            (Route { networks: networks(&["192.0.2.0/24"], &[]), ..all() }, true),
            (Route { networks: networks(&["192.0.2.0/24"], &["192.0.2.9/32"]), ..all() }, false),
            (Route { networks: networks(&["2001:db8::/32"], &[]), ..all() }, false),
            (Route { proven: true, ..all() }, true),
        ] {
            assert_eq!(route.takes(&block), expected, "{route:?}");
        }
    }

    #[test]
    fn what_an_event_lacks_is_in_no_list() {
        let error = Event::of(json!({"event": {"action": "error"}, "log": {"level": "error"}}));
        assert!(Route { severity: Some(0), ..Route::default() }.takes(&error));
        assert!(Route { countries: words(&[], &["DE"]), ..Route::default() }.takes(&error));
        assert!(!Route { countries: words(&["DE"], &[]), ..Route::default() }.takes(&error));
        assert!(!Route { networks: networks(&["0.0.0.0/0"], &[]), ..Route::default() }.takes(&error));
        assert!(!Route { proven: true, ..Route::default() }.takes(&error));
    }
}
