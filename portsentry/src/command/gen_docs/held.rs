//! Adds the blocked and fenced addresses to the completions of `unblock` and `why`. The shells get them from
//! `portsentry held`.

use clap_complete::Shell;

/// The function for bash. Its words end at colons, so that addresses are taken from the line.
const BASH: &str = r#"
_portsentry_held() {
    _portsentry "$@"
    local cur="${COMP_LINE:0:$COMP_POINT}" verb="" word
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case "$word" in
            unblock|why) verb="$word" ;;
        esac
    done
    cur="${cur##*[[:space:]]}"
    if [[ -z "$verb" || "$cur" == -* || "$3" == --reason || "$3" == -c ]]; then
        return 0
    fi
    COMPREPLY=($(compgen -W "$("$1" held 2>/dev/null)" -- "$cur"))
    if [[ "$cur" == *:* && "$COMP_WORDBREAKS" == *:* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${cur%"${cur##*:}"}"}")
    fi
}

complete -F _portsentry_held -o bashdefault -o default portsentry
"#;

/// The function for zsh.
const ZSH: &str = r#"
_portsentry_held() {
    local -a held
    held=(${(f)"$(_call_program addresses portsentry held 2>/dev/null)"})
    compadd -a held
}

"#;

/// The lines for fish.
const FISH: &str = r#"complete -c portsentry -n "__fish_portsentry_using_subcommand unblock" -f -a "(portsentry held 2>/dev/null)"
complete -c portsentry -n "__fish_portsentry_using_subcommand why" -f -a "(portsentry held 2>/dev/null)"
"#;

/// Returns the completions with the addresses.
pub(super) fn add(shell: Shell, text: &str) -> String {
    match shell {
        Shell::Bash => format!("{text}{BASH}"),
        Shell::Zsh => zsh(text),
        Shell::Fish => format!("{text}{FISH}"),
        _ => text.to_owned(),
    }
}

fn zsh(text: &str) -> String {
    let mut verb = "";
    let mut lines = String::new();
    for line in text.split_inclusive('\n') {
        let name = line.trim().strip_prefix('(').and_then(|name| name.strip_suffix(')'));
        verb = name.unwrap_or(verb);
        let is_address = line.starts_with("':address ") || line.starts_with("'*::addresses ");
        if line.starts_with("if [ \"$funcstack[1]\"") {
            lines.push_str(ZSH);
        }
        match verb {
            "unblock" | "why" if is_address => {
                lines.push_str(&line.replace(":_default'", ":_portsentry_held'"));
            }
            _ => lines.push_str(line),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn only_unblock_and_why_complete_addresses() {
        for (shell, expected) in [(Shell::Bash, 2), (Shell::Zsh, 3), (Shell::Fish, 2)] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "portsentry", &mut text);
            let text = String::from_utf8(text).unwrap();
            let added = add(shell, &text);
            let word = if shell == Shell::Fish { "(portsentry held" } else { "_portsentry_held" };
            assert_eq!(added.matches(word).count(), expected, "{shell}");
        }
    }
}
