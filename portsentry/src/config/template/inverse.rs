//! The command that undoes another, for the programs that routes and packet filters are changed with.

use super::macros::Macro;

/// Returns the command that undoes `text`, which may be several commands joined by `&&` or `;`; `None` where
/// it isn't known, or not known to be safe.
pub(super) fn inverse(text: &str) -> Option<String> {
    let bare = Macro::ALL.iter().fold(text.to_owned(), |bare, (name, _)| bare.replace(name, ""));
    if bare.contains('$') {
        return None;
    }
    let parts: Option<Vec<String>> = parts(text)?.iter().map(|part| undo(part)).collect();
    // Each is tried, whether or not the others succeed.
    Some(parts?.join("; "))
}

/// Splits the text where it has `&&` or `;` outside of quotes; `None` if it has anything else for which it takes a shell.
fn parts(text: &str) -> Option<Vec<String>> {
    const ACTIVE: &str = "|&<>()`*?[]#~\\\n";
    let mut parts = vec![String::new()];
    let mut quote = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match quote {
            None if rest.starts_with("&&") => 2,
            None if c == ';' => 1,
            None if ACTIVE.contains(c) => return None,
            _ => 0,
        };
        if length > 0 {
            parts.push(String::new());
            rest = &rest[length..];
            continue;
        }
        match quote {
            Some(open) if open == c => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            _ => {}
        }
        parts.last_mut()?.push(c);
        rest = &rest[c.len_utf8()..];
    }
    Some(parts)
}

fn undo(command: &str) -> Option<String> {
    let words = shell_words::split(command).ok()?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (program, arguments) = words.split_first()?;
    let undone = match program.rsplit('/').next()? {
        "ip" => ip(arguments),
        "route" => verb(arguments, &["add"], "del"),
        "nft" => nft(arguments),
        "ipset" => ipset(arguments),
        "firewall-cmd" => firewall_cmd(arguments),
        name if name.starts_with("iptables") || name.starts_with("ip6tables") => iptables(arguments),
        _ => None,
    };
    let undone = [(*program).to_owned()].into_iter().chain(undone?);
    let quoted: Option<Vec<String>> = undone.map(|word| quoted(&word)).collect();
    Some(quoted?.join(" "))
}

/// Replaces the first word that is no option, if it is one of `verbs`.
fn verb(words: &[&str], verbs: &[&str], undo: &str) -> Option<Vec<String>> {
    let at = words.iter().position(|word| !word.starts_with('-'))?;
    verbs.contains(&words[at]).then(|| replaced(words, at, undo))
}

fn replaced(words: &[&str], at: usize, by: &str) -> Vec<String> {
    words.iter().enumerate().map(|(number, word)| if number == at { by } else { word }.to_owned()).collect()
}

/// `ip route add`, `ip rule add` (ip-route(8), ip-rule(8)).
fn ip(words: &[&str]) -> Option<Vec<String>> {
    let at = words.iter().position(|word| !word.starts_with('-'))?;
    let is_known = ["route", "ro", "r", "rule", "ru"].contains(&words[at])
        && words.get(at + 1).is_some_and(|verb| ["add", "append", "prepend", "replace"].contains(verb));
    is_known.then(|| replaced(words, at + 1, "del"))
}

/// `iptables -I`, `-A` (iptables(8)): `-D` takes the rule itself, and no number.
fn iptables(words: &[&str]) -> Option<Vec<String>> {
    let is_new = |word: &str| ["-I", "--insert", "-A", "--append"].contains(&word);
    let at = words.iter().position(|word| is_new(word))?;
    let mut undone = replaced(words, at, "-D");
    if words.get(at + 2).is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_digit())) {
        undone.remove(at + 2);
    }
    (words.iter().filter(|word| is_new(word)).count() == 1).then_some(undone)
}

/// `nft add element` (nft(8)). A rule would have to be deleted by its handle.
fn nft(words: &[&str]) -> Option<Vec<String>> {
    if words
        .iter()
        .any(|word| word.split_whitespace().any(|word| ["timeout", "expires", "comment"].contains(&word)))
    {
        return None;
    }
    match words {
        ["add" | "create", "element", ..] => Some(replaced(words, 0, "delete")),
        [whole] => {
            let element = whole.strip_prefix("add element ").filter(|rest| !rest.contains(';'))?;
            Some(vec![format!("delete element {element}")])
        }
        _ => None,
    }
}

/// `ipset add SET ENTRY` (ipset(8)), without the options that only adding takes.
fn ipset(words: &[&str]) -> Option<Vec<String>> {
    let at = words.iter().position(|word| !word.starts_with('-') && *word != "-!")?;
    let (["add", set, entry], options) = (words.get(at..at + 3)?, words.get(at + 3..)?) else { return None };
    let is_known = match options {
        [] | ["-exist" | "-!"] => true,
        ["timeout", seconds] | ["timeout", seconds, "-exist" | "-!"] => seconds.parse::<u32>().is_ok(),
        _ => false,
    };
    is_known.then(|| ["del", set, entry, "-exist"].map(str::to_owned).into())
}

/// `firewall-cmd --add-source`, `--add-rich-rule` (firewall-cmd(1)).
fn firewall_cmd(words: &[&str]) -> Option<Vec<String>> {
    let is_known = |word: &str| word.starts_with("--add-source=") || word.starts_with("--add-rich-rule=");
    let is_new = |word: &&&str| word.starts_with("--add-");
    let has_one = words.iter().filter(is_new).count() == 1 && words.iter().any(|word| is_known(word));
    if !has_one || words.iter().any(|word| word.starts_with("--timeout")) {
        return None;
    }
    Some(words.iter().map(|word| word.replacen("--add-", "--remove-", 1)).collect())
}

/// Quotes a word for the reader of commands, with its macros as they are; `None` for what no command of these has.
fn quoted(word: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:=,@%+-{}$".contains(c);
    if word.contains(['"', '\\', '`']) {
        return None;
    }
    Some(if !word.is_empty() && word.chars().all(is_plain) { word.into() } else { format!("\"{word}\"") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_adds_is_undone_by_what_removes_the_same() {
        for (command, expected) in [
            ("ip route add blackhole $TARGET$", "ip route del blackhole $TARGET$"),
            (
                "/usr/sbin/ip -6 ro add $TARGET$ via 2001:db8::1",
                "/usr/sbin/ip -6 ro del $TARGET$ via 2001:db8::1",
            ),
            ("ip route replace unreachable $TARGET$", "ip route del unreachable $TARGET$"),
            ("ip rule add from $TARGET$ blackhole", "ip rule del from $TARGET$ blackhole"),
            ("/sbin/route add -host $TARGET$ reject", "/sbin/route del -host $TARGET$ reject"),
            ("route add -host $TARGET$ gw 192.0.2.254", "route del -host $TARGET$ gw 192.0.2.254"),
            ("iptables -I INPUT -s $TARGET$ -j DROP", "iptables -D INPUT -s $TARGET$ -j DROP"),
            (
                "iptables -w -t raw -I PREROUTING 1 -s $TARGET$ -j DROP",
                "iptables -w -t raw -D PREROUTING -s $TARGET$ -j DROP",
            ),
            ("ip6tables --append INPUT -s $TARGET$ -j DROP", "ip6tables -D INPUT -s $TARGET$ -j DROP"),
            (
                "iptables -I INPUT -s $TARGET$ -j DROP && iptables -I INPUT -s $TARGET$ -j LOG --log-prefix 'a: && b '",
                "iptables -D INPUT -s $TARGET$ -j DROP; iptables -D INPUT -s $TARGET$ -j LOG --log-prefix \"a: && b \"",
            ),
            (
                "nft add element inet filter scanners { $TARGET$ }",
                "nft delete element inet filter scanners { $TARGET$ }",
            ),
            ("nft 'add element ip a b { $TARGET$ }'", "nft \"delete element ip a b { $TARGET$ }\""),
            ("ipset add scanners $TARGET$ timeout 600", "ipset del scanners $TARGET$ -exist"),
            ("ipset -exist add scanners $TARGET$", "ipset del scanners $TARGET$ -exist"),
            (
                "firewall-cmd --zone=drop --add-source=$TARGET$",
                "firewall-cmd --zone=drop --remove-source=$TARGET$",
            ),
        ] {
            assert_eq!(inverse(command).as_deref(), Some(expected), "{command}");
        }
    }

    #[test]
    fn what_is_not_known_to_be_undone_is_left() {
        for command in [
            "true $TARGET$",
            "/usr/local/sbin/block $TARGET$",
            "ip route flush $TARGET$",
            "ip link set eth0 down",
            "ip -batch file",
            "route del -host $TARGET$",
            "iptables -N $TARGET$",
            "iptables -I INPUT -s $TARGET$ -j DROP | logger",
            "iptables -I INPUT -s $TARGET$ -j DROP && mail root",
            "iptables -I INPUT -s `cat` -j DROP",
            "iptables -A one -A two",
            "nft add rule inet filter input ip saddr $TARGET$ drop",
            "nft add element inet filter scanners { $TARGET$ timeout 1h }",
            "ipset add scanners $TARGET$ comment x",
            "firewall-cmd --add-source=$TARGET$ --add-port=1/tcp",
            "ip route add $TARGET$ via $GATEWAY",
            "",
            "; ;",
        ] {
            assert_eq!(inverse(command), None, "{command}");
        }
    }
}
