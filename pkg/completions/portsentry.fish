# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_portsentry_global_optspecs
    string join \n tcp udp stcp sudp atcp audp stealth connect m/method= i/interface= l/logoutput= L/disable-local-check S/disable-service-check D/daemon d/debug v/verbose c/configfile= V/version h/help
end

function __fish_portsentry_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_portsentry_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_portsentry_using_subcommand
    set -l cmd (__fish_portsentry_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c portsentry -n "__fish_portsentry_needs_command" -s m -l method -d 'Accepted for 2.x; XDP serves instead' -r -f -a "pcap\t''
raw\t''"
complete -c portsentry -n "__fish_portsentry_needs_command" -s i -l interface -d 'Watch this interface; ALL, ALL_NLO (all but loopback) or a name, repeatable' -r
complete -c portsentry -n "__fish_portsentry_needs_command" -s l -l logoutput -d 'Where the log goes' -r -f -a "stdout\t''
syslog\t''
journald\t''"
complete -c portsentry -n "__fish_portsentry_needs_command" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_needs_command" -l tcp
complete -c portsentry -n "__fish_portsentry_needs_command" -l udp
complete -c portsentry -n "__fish_portsentry_needs_command" -l stcp
complete -c portsentry -n "__fish_portsentry_needs_command" -l sudp
complete -c portsentry -n "__fish_portsentry_needs_command" -l atcp
complete -c portsentry -n "__fish_portsentry_needs_command" -l audp
complete -c portsentry -n "__fish_portsentry_needs_command" -l stealth -d 'Watch TCP_PORTS and UDP_PORTS without binding them (the default)'
complete -c portsentry -n "__fish_portsentry_needs_command" -l connect -d 'Take connections to TCP_PORTS and datagrams to UDP_PORTS, and show PORT_BANNER'
complete -c portsentry -n "__fish_portsentry_needs_command" -s L -l disable-local-check -d 'Count packets to any address that passes, not only to this host\'s'
complete -c portsentry -n "__fish_portsentry_needs_command" -s S -l disable-service-check -d 'Count packets to ports on which a service listens, too'
complete -c portsentry -n "__fish_portsentry_needs_command" -s D -l daemon -d 'Go to the background, and log to syslog unless -l says otherwise'
complete -c portsentry -n "__fish_portsentry_needs_command" -s d -l debug -d 'Log the kernel program\'s own debugging messages'
complete -c portsentry -n "__fish_portsentry_needs_command" -s v -l verbose -d 'Tell also of probes that nothing is done about, as 2.x\'s log does'
complete -c portsentry -n "__fish_portsentry_needs_command" -s V -l version -d 'Print the version'
complete -c portsentry -n "__fish_portsentry_needs_command" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "run" -d 'Watch, as without a command, and with the same flags'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "check" -d 'Say whether the configuration is right, and what would be watched, blocked and run'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "list" -d 'List the blocked and the fenced sources, also while no daemon runs'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "status" -d 'Say whether enforcement is attached (exit status 0) or not (1), and what was counted'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "why" -d 'Show everything that is known of an address: whether it is held, why, and the packets that led to it'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "top" -d 'Watch what comes and what is dropped, live, also while no daemon runs'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "block" -d 'Block addresses, also while no daemon runs'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "unblock" -d 'Unblock addresses, also while no daemon runs'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "history" -d 'Show what was done to whom, from the history file'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "down" -d 'End the daemon if one runs, detach from every interface and remove all pins'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "doctor" -d 'Say before attaching what speaks for and against it here (exit status 1 if something prevents it)'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "completions" -d 'Print completions for a shell'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "man" -d 'Print the manual page, in roff'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -s m -l method -d 'Accepted for 2.x; XDP serves instead' -r -f -a "pcap\t''
raw\t''"
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -s i -l interface -d 'Watch this interface; ALL, ALL_NLO (all but loopback) or a name, repeatable' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -s l -l logoutput -d 'Where the log goes' -r -f -a "stdout\t''
syslog\t''
journald\t''"
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -l tcp
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -l udp
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -l stcp
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -l sudp
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -l atcp
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -l audp
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -l stealth -d 'Watch TCP_PORTS and UDP_PORTS without binding them (the default)'
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -l connect -d 'Take connections to TCP_PORTS and datagrams to UDP_PORTS, and show PORT_BANNER'
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -s L -l disable-local-check -d 'Count packets to any address that passes, not only to this host\'s'
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -s S -l disable-service-check -d 'Count packets to ports on which a service listens, too'
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -s D -l daemon -d 'Go to the background, and log to syslog unless -l says otherwise'
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -s d -l debug -d 'Log the kernel program\'s own debugging messages'
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -s v -l verbose -d 'Tell also of probes that nothing is done about, as 2.x\'s log does'
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand check" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand check" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand check" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand list" -l state -d 'Only sources in this state' -r -f -a "blocked\t'All its packets are dropped'
fenced\t'It can open nothing; what it has open goes on'"
complete -c portsentry -n "__fish_portsentry_using_subcommand list" -l network -d 'Only sources in this network, such as 192.0.2.0/24' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand list" -l kind -d 'Only sources whose last probe was of a kind whose name has this in it, in any case: syn, xmas, udp' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand list" -l sort -d 'In which order' -r -f -a "since\t'The oldest first'
dropped\t'Whose packets were dropped most first'
address\t'By address, IPv4 first'
until\t'Who is let in first; those held for good last'
hits\t'Who probed most first'"
complete -c portsentry -n "__fish_portsentry_using_subcommand list" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand list" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portsentry -n "__fish_portsentry_using_subcommand status" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand status" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand status" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand why" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand why" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand why" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand top" -l interval -d 'Seconds between two looks' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand top" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand top" -l once -d 'Print one frame as text after one interval, and end'
complete -c portsentry -n "__fish_portsentry_using_subcommand top" -l json -d 'Print that frame as JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand top" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand block" -l for -d 'For how long, as 90s, 2h or 3days; for good without' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand block" -l reason -d 'Why, for the blocked file and `why`' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand block" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand block" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand block" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand unblock" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand unblock" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand unblock" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand history" -l address -d 'Only this address, or addresses in this network' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand history" -l since -d 'Only what came later: a time (2026-11-23, 2026-11-23T10:00, with or without Z) or how long ago (2h, 3days)' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand history" -l kind -d 'Only probes of a kind whose name has this in it, in any case: syn, xmas, udp; that of 1.2\'s lines is in `EVIDENCE_FILE`' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand history" -l action -d 'Only entries of this action' -r -f -a "blocked\t'All packets were dropped from then on'
fenced\t'It could open nothing from then on'
reported\t'It was left alone, as configured'"
complete -c portsentry -n "__fish_portsentry_using_subcommand history" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand history" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand history" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portsentry -n "__fish_portsentry_using_subcommand down" -l patience -d 'Seconds that the daemon may take to end' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand down" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand down" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand down" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand doctor" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand doctor" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand completions" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand completions" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand man" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand man" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list status why top block unblock history down doctor completions man help" -f -a "run" -d 'Watch, as without a command, and with the same flags'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list status why top block unblock history down doctor completions man help" -f -a "check" -d 'Say whether the configuration is right, and what would be watched, blocked and run'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list status why top block unblock history down doctor completions man help" -f -a "list" -d 'List the blocked and the fenced sources, also while no daemon runs'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list status why top block unblock history down doctor completions man help" -f -a "status" -d 'Say whether enforcement is attached (exit status 0) or not (1), and what was counted'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list status why top block unblock history down doctor completions man help" -f -a "why" -d 'Show everything that is known of an address: whether it is held, why, and the packets that led to it'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list status why top block unblock history down doctor completions man help" -f -a "top" -d 'Watch what comes and what is dropped, live, also while no daemon runs'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list status why top block unblock history down doctor completions man help" -f -a "block" -d 'Block addresses, also while no daemon runs'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list status why top block unblock history down doctor completions man help" -f -a "unblock" -d 'Unblock addresses, also while no daemon runs'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list status why top block unblock history down doctor completions man help" -f -a "history" -d 'Show what was done to whom, from the history file'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list status why top block unblock history down doctor completions man help" -f -a "down" -d 'End the daemon if one runs, detach from every interface and remove all pins'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list status why top block unblock history down doctor completions man help" -f -a "doctor" -d 'Say before attaching what speaks for and against it here (exit status 1 if something prevents it)'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list status why top block unblock history down doctor completions man help" -f -a "completions" -d 'Print completions for a shell'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list status why top block unblock history down doctor completions man help" -f -a "man" -d 'Print the manual page, in roff'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list status why top block unblock history down doctor completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
