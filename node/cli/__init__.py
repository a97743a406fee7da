"""The command line: each command parses, calls one function and prints.

    main       the command `stixnode`: its help, its errors, its exit codes
    asked      --config, --json and --token-file, which every command takes
    context    what a command works with: settings, database, door, who acts
    printing   lines, tables, JSON; nothing from elsewhere acts on the terminal
    exits      which error ends with which exit code

The rest are the commands, one module for each noun or group of verbs, loaded when called, and what they
call that belongs to nobody below: `founding` (init), `checks`, `processes` (run), `spooling` and
`importing`, `standing` (the figures of status).
"""
