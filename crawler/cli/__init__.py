"""The command line: arguments to the client, the app or this machine's rooms; exit codes."""
