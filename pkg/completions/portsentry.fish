# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_portsentry_global_optspecs
    string join \n tcp udp stcp sudp atcp audp stealth connect m/method= i/interface= l/logoutput= L/disable-local-check any-destination S/disable-service-check D/daemon d/debug v/verbose c/configfile= pin-path= control-socket= V/version h/help
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

complete -c portsentry -n "__fish_portsentry_needs_command" -s m -l method -d 'Accepted for 2.x and ignored: capture is by XDP' -r -f -a "pcap\t''
raw\t''"
complete -c portsentry -n "__fish_portsentry_needs_command" -s i -l interface -d 'Watch this interface; ALL, ALL_NLO (all but loopback) or a name, repeatable' -r
complete -c portsentry -n "__fish_portsentry_needs_command" -s l -l logoutput -d 'Where to log, repeatable' -r -f -a "stdout\t''
syslog\t''
journald\t''"
complete -c portsentry -n "__fish_portsentry_needs_command" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_needs_command" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_needs_command" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_needs_command" -l tcp
complete -c portsentry -n "__fish_portsentry_needs_command" -l udp
complete -c portsentry -n "__fish_portsentry_needs_command" -l stcp
complete -c portsentry -n "__fish_portsentry_needs_command" -l sudp
complete -c portsentry -n "__fish_portsentry_needs_command" -l atcp
complete -c portsentry -n "__fish_portsentry_needs_command" -l audp
complete -c portsentry -n "__fish_portsentry_needs_command" -l stealth -d 'Watch TCP_PORTS and UDP_PORTS without binding them (the default)'
complete -c portsentry -n "__fish_portsentry_needs_command" -l connect -d 'Accept connections to TCP_PORTS and datagrams to UDP_PORTS, and send PORT_BANNER'
complete -c portsentry -n "__fish_portsentry_needs_command" -s L -l disable-local-check -d 'Also report packets whose source is their destination'
complete -c portsentry -n "__fish_portsentry_needs_command" -l any-destination -d 'Count packets to any address, not only to this host\'s'
complete -c portsentry -n "__fish_portsentry_needs_command" -s S -l disable-service-check -d 'Also count packets to ports on which a service listens'
complete -c portsentry -n "__fish_portsentry_needs_command" -s D -l daemon -d 'Run in the background, and log to syslog unless -l says otherwise'
complete -c portsentry -n "__fish_portsentry_needs_command" -s d -l debug -d 'Log the kernel program\'s debug messages'
complete -c portsentry -n "__fish_portsentry_needs_command" -s v -l verbose -d 'Also log probes without consequences, as 2.x does'
complete -c portsentry -n "__fish_portsentry_needs_command" -s V -l version -d 'Print the version'
complete -c portsentry -n "__fish_portsentry_needs_command" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "run" -d 'Watch: what portsentry does without a command, with the same flags'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "check" -d 'Validate the configuration, and print what would be watched, blocked and run'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "list" -d 'List blocked and fenced sources, also without a running daemon'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "lists" -d 'Print the block lists (BLOCK_LIST, BLOCK_LISTS), with their entries and the packets that these lost'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "status" -d 'Print whether enforcement is attached (exit status 0) or not (1), and the counters'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "why" -d 'Explain the state of an address: whether it is blocked or fenced, why, and the packets that led to it'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "explain" -d 'Say what would happen to a packet now, and by which rules, without sending it'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "top" -d 'Watch probes and dropped packets live, also without a running daemon'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "block" -d 'Block addresses, also without a running daemon'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "unblock" -d 'Unblock addresses, also without a running daemon'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "peers" -d 'List the other gateways of the fleet, or forget, hold or release one'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "allow" -d 'Exempt addresses from blocks in the whole fleet'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "served" -d 'List the ports of other hosts that were learned from their answers (ANSWERS)'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "forget" -d 'Forget learned ports, until they answer again'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "history" -d 'Print past blocks and fences from the history file'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "report" -d 'Report on a period: when, what, who, how it ended, and what deserves a decision'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "events" -d 'Print events: probes, blocks, fences, releases, errors'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "reload" -d 'Have the running daemon read its configuration again; return when it is in effect'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "down" -d 'Stop the daemon if one runs, detach from every interface and remove all pins'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "doctor" -d 'Check before attaching whether PortSentry can run here (exit status 1 if something prevents it)'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "setup" -d 'Arm PortSentry step by step; rolled back unless `portsentry confirm` follows'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "confirm" -d 'Keep the configuration that `portsentry setup` has armed'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "review" -d 'Group the sources seen so far: scanners, and candidates for the ignore file with the lines to add'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "notify" -d 'Send events as mail, webhooks and reports, as notify.conf says (executes portsentry-notify)'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "share" -d 'Carry words between the gateways of a fleet, as share.conf says (executes portsentry-share)'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "completions" -d 'Print completions for a shell'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "held" -d 'Print the addresses that are blocked or fenced, for completions'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "man" -d 'Print the manual page, in roff'
complete -c portsentry -n "__fish_portsentry_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -s m -l method -d 'Accepted for 2.x and ignored: capture is by XDP' -r -f -a "pcap\t''
raw\t''"
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -s i -l interface -d 'Watch this interface; ALL, ALL_NLO (all but loopback) or a name, repeatable' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -s l -l logoutput -d 'Where to log, repeatable' -r -f -a "stdout\t''
syslog\t''
journald\t''"
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -l tcp
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -l udp
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -l stcp
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -l sudp
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -l atcp
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -l audp
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -l stealth -d 'Watch TCP_PORTS and UDP_PORTS without binding them (the default)'
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -l connect -d 'Accept connections to TCP_PORTS and datagrams to UDP_PORTS, and send PORT_BANNER'
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -s L -l disable-local-check -d 'Also report packets whose source is their destination'
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -l any-destination -d 'Count packets to any address, not only to this host\'s'
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -s S -l disable-service-check -d 'Also count packets to ports on which a service listens'
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -s D -l daemon -d 'Run in the background, and log to syslog unless -l says otherwise'
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -s d -l debug -d 'Log the kernel program\'s debug messages'
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -s v -l verbose -d 'Also log probes without consequences, as 2.x does'
complete -c portsentry -n "__fish_portsentry_using_subcommand run" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand check" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand check" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand check" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand check" -l strict -d 'Take warnings as errors (exit status 3)'
complete -c portsentry -n "__fish_portsentry_using_subcommand check" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand check" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand list" -l state -d 'Only sources in this state' -r -f -a "blocked\t'All its packets are dropped'
fenced\t'New connections are dropped; established ones continue'"
complete -c portsentry -n "__fish_portsentry_using_subcommand list" -l network -d 'Only sources in this network, such as 192.0.2.0/24' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand list" -l kind -d 'Only sources whose last probe\'s kind contains this text, in any case: syn, xmas, udp' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand list" -l origin -d 'Only sources that this gateway, the block list, or other gateways of the fleet hold' -r -f -a "own\t'This gateway, or its administrator'
list\t'The block list'
peer\t'Another gateway of the fleet'"
complete -c portsentry -n "__fish_portsentry_using_subcommand list" -l sort -d 'Sort order' -r -f -a "since\t'Oldest first'
dropped\t'Most dropped packets first'
address\t'By address, IPv4 first'
until\t'First to expire first; permanent blocks last'
hits\t'Most probes first'"
complete -c portsentry -n "__fish_portsentry_using_subcommand list" -l limit -d 'Only the first sources in that order' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand list" -l format -d 'Print the list in a format for other programs' -r -f -a "plain\t'Addresses alone, one per line'
nft\t'Sets of the table inet portsentry, for nft -f'
ipset\t'Sets portsentry_v4 and portsentry_v6, for ipset restore'
csv\t'A table with a heading (RFC 4180)'
json\t'JSON'
stix\t'A bundle of indicators (STIX 2.1)'"
complete -c portsentry -n "__fish_portsentry_using_subcommand list" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand list" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand list" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand list" -l would -d 'The sources that PortSentry would have fenced or blocked while it only observed, from EVIDENCE_FILE'
complete -c portsentry -n "__fish_portsentry_using_subcommand list" -l utc -d 'Print times in UTC'
complete -c portsentry -n "__fish_portsentry_using_subcommand list" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portsentry -n "__fish_portsentry_using_subcommand lists" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand lists" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand lists" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand lists" -l utc -d 'Print times in UTC'
complete -c portsentry -n "__fish_portsentry_using_subcommand lists" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand lists" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand status" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand status" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand status" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand status" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand status" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand why" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand why" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand why" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand why" -l utc -d 'Print times in UTC'
complete -c portsentry -n "__fish_portsentry_using_subcommand why" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand why" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand explain" -l to -d 'The destination, one of this host\'s addresses or one behind it; otherwise the address that answers ADDRESS' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand explain" -l flags -d 'TCP\'s control bits, such as syn, ack, fin,psh,urg or none' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand explain" -l source-port -d 'The source port' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand explain" -l on -d 'The interface that receives it; otherwise the one that leads to ADDRESS' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand explain" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand explain" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand explain" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand explain" -l utc -d 'Print times in UTC'
complete -c portsentry -n "__fish_portsentry_using_subcommand explain" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand explain" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand top" -l interval -d 'Seconds between updates' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand top" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand top" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand top" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand top" -l once -d 'Print one frame as text after one interval, and exit'
complete -c portsentry -n "__fish_portsentry_using_subcommand top" -l json -d 'Print that frame as JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand top" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand block" -l for -d 'Duration, such as 90s, 2h or 3days; without it the block is permanent' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand block" -l reason -d 'Reason, for the blocked file and `why`' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand block" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand block" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand block" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand block" -l force -d 'Also block the peer of an SSH session, or a network that holds one, a gateway or a name server'
complete -c portsentry -n "__fish_portsentry_using_subcommand block" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand block" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand unblock" -l reason -d 'Reason, for the history, the log and `why`' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand unblock" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand unblock" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand unblock" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand unblock" -l all -d 'Unblock every source and network, except those of BLOCK_LIST'
complete -c portsentry -n "__fish_portsentry_using_subcommand unblock" -l yes -d 'Confirm --all'
complete -c portsentry -n "__fish_portsentry_using_subcommand unblock" -l here -d 'Unblock only here, not at the other gateways of the fleet'
complete -c portsentry -n "__fish_portsentry_using_subcommand unblock" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand unblock" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and not __fish_seen_subcommand_from forget hold release help" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and not __fish_seen_subcommand_from forget hold release help" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and not __fish_seen_subcommand_from forget hold release help" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and not __fish_seen_subcommand_from forget hold release help" -l utc -d 'Print times in UTC'
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and not __fish_seen_subcommand_from forget hold release help" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and not __fish_seen_subcommand_from forget hold release help" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and not __fish_seen_subcommand_from forget hold release help" -f -a "forget" -d 'Forget what a gateway said, and release its blocks'
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and not __fish_seen_subcommand_from forget hold release help" -f -a "hold" -d 'Ignore a gateway\'s words, and suspend its blocks'
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and not __fish_seen_subcommand_from forget hold release help" -f -a "release" -d 'Hear a gateway again that is held'
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and not __fish_seen_subcommand_from forget hold release help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and __fish_seen_subcommand_from forget" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and __fish_seen_subcommand_from forget" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and __fish_seen_subcommand_from forget" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and __fish_seen_subcommand_from forget" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and __fish_seen_subcommand_from hold" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and __fish_seen_subcommand_from hold" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and __fish_seen_subcommand_from hold" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and __fish_seen_subcommand_from hold" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and __fish_seen_subcommand_from release" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and __fish_seen_subcommand_from release" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and __fish_seen_subcommand_from release" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and __fish_seen_subcommand_from release" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and __fish_seen_subcommand_from help" -f -a "forget" -d 'Forget what a gateway said, and release its blocks'
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and __fish_seen_subcommand_from help" -f -a "hold" -d 'Ignore a gateway\'s words, and suspend its blocks'
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and __fish_seen_subcommand_from help" -f -a "release" -d 'Hear a gateway again that is held'
complete -c portsentry -n "__fish_portsentry_using_subcommand peers; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c portsentry -n "__fish_portsentry_using_subcommand allow" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand allow" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand allow" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand allow" -l remove -d 'End the exemption'
complete -c portsentry -n "__fish_portsentry_using_subcommand allow" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand allow" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand served" -l network -d 'Only this address, or addresses in this network' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand served" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand served" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand served" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand served" -l utc -d 'Print times in UTC'
complete -c portsentry -n "__fish_portsentry_using_subcommand served" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand served" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand forget" -l port -d 'Only this port, of either protocol' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand forget" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand forget" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand forget" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand forget" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand history" -l address -d 'Only this address, or addresses in this network' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand history" -l since -d 'Only entries since this time (2026-11-23, 2026-11-23T10:00, with or without Z) or for this long (2h, 3days)' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand history" -l kind -d 'Only probes whose kind contains this text, in any case: syn, xmas, udp (for 1.2\'s lines it is read from `EVIDENCE_FILE`)' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand history" -l action -d 'Only entries of this action' -r -f -a "blocked\t'The source was blocked: all its packets were dropped'
fenced\t'The source was fenced: its new connections were dropped'
reported\t'The source was only reported, as configured'
lifted\t'Its block expired, or it was released before: by an administrator, or because it is never blocked'
forgotten\t'An administrator had learned ports of hosts behind this one forgotten'"
complete -c portsentry -n "__fish_portsentry_using_subcommand history" -l limit -d 'Only the last entries' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand history" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand history" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand history" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand history" -l utc -d 'Print times in UTC, and read those without a zone as UTC'
complete -c portsentry -n "__fish_portsentry_using_subcommand history" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand history" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portsentry -n "__fish_portsentry_using_subcommand report" -l since -d 'Begin at this time (2026-11-23, 2026-11-23T10:00, with or without Z), or this long ago (24h, 7d, 1month)' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand report" -l until -d 'End at this time, instead of now' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand report" -l html -d 'Write a page for browsers and for printing instead, self-contained and without scripts' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand report" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand report" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand report" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand report" -l utc -d 'Print times in UTC, and read those without a zone as UTC'
complete -c portsentry -n "__fish_portsentry_using_subcommand report" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand report" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand events" -l action -d 'Only events with this action: probe, block, fence, lift, error and so on' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand events" -l network -d 'Only events about sources in this network, such as 192.0.2.0/24' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand events" -l kind -d 'Only probes whose kind contains this text, in any case: syn, xmas, udp' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand events" -l port -d 'Only probes to this port, and what follows from them' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand events" -l limit -d 'Only the last events; with --follow before the later ones' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand events" -l after -d 'Only events behind the one with this number (event.sequence in JSON)' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand events" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand events" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand events" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand events" -s f -l follow -d 'Also print later events, until interrupted; waits for the daemon if it restarts'
complete -c portsentry -n "__fish_portsentry_using_subcommand events" -l utc -d 'Print times in UTC'
complete -c portsentry -n "__fish_portsentry_using_subcommand events" -l json -d 'Print JSON, for programs: one event a line'
complete -c portsentry -n "__fish_portsentry_using_subcommand events" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand reload" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand reload" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand reload" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand reload" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand reload" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand down" -l patience -d 'Seconds to wait for the daemon to stop' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand down" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand down" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand down" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand down" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand down" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand doctor" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand doctor" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand doctor" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand doctor" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand setup" -l ignore -d 'Never block this address or network; may be given several times' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand setup" -l interfaces -d 'Watch these interfaces, separated by commas, or ALL or ALL_NLO' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand setup" -l confirm-within -d 'Time for `portsentry confirm` before the configuration is rolled back' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand setup" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand setup" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand setup" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand setup" -l yes -d 'Take every proposal without asking'
complete -c portsentry -n "__fish_portsentry_using_subcommand setup" -l confirmed -d 'Arm for good, without a time to roll back'
complete -c portsentry -n "__fish_portsentry_using_subcommand setup" -l wait-for-confirmation -d 'Wait for the confirmation, and roll back without it'
complete -c portsentry -n "__fish_portsentry_using_subcommand setup" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand confirm" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand confirm" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand confirm" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand confirm" -l roll-back -d 'Roll the configuration back now'
complete -c portsentry -n "__fish_portsentry_using_subcommand confirm" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand review" -l since -d 'Only packets since this time (2026-11-23, 2026-11-23T10:00, with or without Z) or for this long (2h, 3days)' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand review" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand review" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand review" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand review" -l utc -d 'Print times in UTC, and read those without a zone as UTC'
complete -c portsentry -n "__fish_portsentry_using_subcommand review" -l json -d 'Print JSON, for programs'
complete -c portsentry -n "__fish_portsentry_using_subcommand review" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand notify" -s f -l file -d 'The notifier\'s configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand notify" -l test -d 'Send a test message to this channel, or to every one, and end (exit status 1 if one fails)' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand notify" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand notify" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand notify" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand notify" -l check -d 'Validate that file, and end'
complete -c portsentry -n "__fish_portsentry_using_subcommand notify" -l fetch -d 'Download the block lists now, and end (exit status 1 if one fails)'
complete -c portsentry -n "__fish_portsentry_using_subcommand notify" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and not __fish_seen_subcommand_from init routes create help" -s f -l file -d 'The companion\'s configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and not __fish_seen_subcommand_from init routes create help" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and not __fish_seen_subcommand_from init routes create help" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and not __fish_seen_subcommand_from init routes create help" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and not __fish_seen_subcommand_from init routes create help" -l check -d 'Validate that file, and end'
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and not __fish_seen_subcommand_from init routes create help" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and not __fish_seen_subcommand_from init routes create help" -f -a "init" -d 'Make the keys and the files of a fleet, or add those of new gateways and servers'
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and not __fish_seen_subcommand_from init routes create help" -f -a "routes" -d 'Keep blocks as blackhole routes, as ROUTES_OUT says; needs CAP_NET_ADMIN'
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and not __fish_seen_subcommand_from init routes create help" -f -a "create" -d 'Create the fleet\'s state on the servers, with the administrator\'s file'
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and not __fish_seen_subcommand_from init routes create help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and __fish_seen_subcommand_from init" -l gateway -d 'Names of all gateways, as in GATEWAY_NAME' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and __fish_seen_subcommand_from init" -l server -d 'Names or addresses of all NATS servers: three, or one for a try' -r
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and __fish_seen_subcommand_from init" -l directory -d 'Directory for the files' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and __fish_seen_subcommand_from init" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and __fish_seen_subcommand_from init" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and __fish_seen_subcommand_from init" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and __fish_seen_subcommand_from routes" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and __fish_seen_subcommand_from routes" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and __fish_seen_subcommand_from routes" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and __fish_seen_subcommand_from routes" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and __fish_seen_subcommand_from create" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and __fish_seen_subcommand_from create" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and __fish_seen_subcommand_from create" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and __fish_seen_subcommand_from help" -f -a "init" -d 'Make the keys and the files of a fleet, or add those of new gateways and servers'
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and __fish_seen_subcommand_from help" -f -a "routes" -d 'Keep blocks as blackhole routes, as ROUTES_OUT says; needs CAP_NET_ADMIN'
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and __fish_seen_subcommand_from help" -f -a "create" -d 'Create the fleet\'s state on the servers, with the administrator\'s file'
complete -c portsentry -n "__fish_portsentry_using_subcommand share; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c portsentry -n "__fish_portsentry_using_subcommand completions" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand completions" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand completions" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand completions" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand held" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand held" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand held" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand held" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand man" -s c -l configfile -d 'The configuration file' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand man" -l pin-path -d 'Directory of the pinned maps; overrides PIN_PATH, for a configuration that can\'t be read' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand man" -l control-socket -d 'Path of the control socket, or off; overrides CONTROL_SOCKET' -r -F
complete -c portsentry -n "__fish_portsentry_using_subcommand man" -s h -l help -d 'Print help'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "run" -d 'Watch: what portsentry does without a command, with the same flags'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "check" -d 'Validate the configuration, and print what would be watched, blocked and run'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "list" -d 'List blocked and fenced sources, also without a running daemon'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "lists" -d 'Print the block lists (BLOCK_LIST, BLOCK_LISTS), with their entries and the packets that these lost'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "status" -d 'Print whether enforcement is attached (exit status 0) or not (1), and the counters'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "why" -d 'Explain the state of an address: whether it is blocked or fenced, why, and the packets that led to it'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "explain" -d 'Say what would happen to a packet now, and by which rules, without sending it'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "top" -d 'Watch probes and dropped packets live, also without a running daemon'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "block" -d 'Block addresses, also without a running daemon'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "unblock" -d 'Unblock addresses, also without a running daemon'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "peers" -d 'List the other gateways of the fleet, or forget, hold or release one'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "allow" -d 'Exempt addresses from blocks in the whole fleet'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "served" -d 'List the ports of other hosts that were learned from their answers (ANSWERS)'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "forget" -d 'Forget learned ports, until they answer again'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "history" -d 'Print past blocks and fences from the history file'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "report" -d 'Report on a period: when, what, who, how it ended, and what deserves a decision'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "events" -d 'Print events: probes, blocks, fences, releases, errors'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "reload" -d 'Have the running daemon read its configuration again; return when it is in effect'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "down" -d 'Stop the daemon if one runs, detach from every interface and remove all pins'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "doctor" -d 'Check before attaching whether PortSentry can run here (exit status 1 if something prevents it)'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "setup" -d 'Arm PortSentry step by step; rolled back unless `portsentry confirm` follows'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "confirm" -d 'Keep the configuration that `portsentry setup` has armed'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "review" -d 'Group the sources seen so far: scanners, and candidates for the ignore file with the lines to add'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "notify" -d 'Send events as mail, webhooks and reports, as notify.conf says (executes portsentry-notify)'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "share" -d 'Carry words between the gateways of a fleet, as share.conf says (executes portsentry-share)'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "completions" -d 'Print completions for a shell'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "held" -d 'Print the addresses that are blocked or fenced, for completions'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "man" -d 'Print the manual page, in roff'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and not __fish_seen_subcommand_from run check list lists status why explain top block unblock peers allow served forget history report events reload down doctor setup confirm review notify share completions held man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and __fish_seen_subcommand_from peers" -f -a "forget" -d 'Forget what a gateway said, and release its blocks'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and __fish_seen_subcommand_from peers" -f -a "hold" -d 'Ignore a gateway\'s words, and suspend its blocks'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and __fish_seen_subcommand_from peers" -f -a "release" -d 'Hear a gateway again that is held'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and __fish_seen_subcommand_from share" -f -a "init" -d 'Make the keys and the files of a fleet, or add those of new gateways and servers'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and __fish_seen_subcommand_from share" -f -a "routes" -d 'Keep blocks as blackhole routes, as ROUTES_OUT says; needs CAP_NET_ADMIN'
complete -c portsentry -n "__fish_portsentry_using_subcommand help; and __fish_seen_subcommand_from share" -f -a "create" -d 'Create the fleet\'s state on the servers, with the administrator\'s file'
complete -c portsentry -n "__fish_portsentry_using_subcommand unblock" -f -a "(portsentry held 2>/dev/null)"
complete -c portsentry -n "__fish_portsentry_using_subcommand why" -f -a "(portsentry held 2>/dev/null)"
