"""The command line: each command parses, calls one function and prints.

    main       the command `stixnode`: its help, its errors, its exit codes
    asked      --config, --json and --token-file, which every command takes
    context    what a command works with: settings, database, door, who acts
    printing   lines, tables, JSON; nothing from elsewhere acts on the terminal
    exits      which error ends with which exit code

The commands stand in `node`, `content`, `sync`, `partners`, `account`, `people`, `review`, `status` and
`demo`, which are loaded when they are called. What they call and no room below has: `founding` (init),
`checks`, `file_checks`, `processes` (run), `importing`, `partner_rounds`, `standing` and `readers` (the
figures of status), `watching` (alerts),
`account_check`, `client_forms` (what to type into the clients of SOC teams) and `secret_files`.
"""
